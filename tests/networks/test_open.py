"""What the config's networks are opened with."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from jetstream.config.schema import Config, ModelsConfig, RecognizeConfig
from jetstream.networks import open as networks
from jetstream.networks.runner import open_runner
from jetstream.runners.base import Arrays, Runner


class Counting:
    """A runner that tells how many chips each inference had."""

    def __init__(self, runner: Runner, counts: list[int]) -> None:
        self.inputs, self.outputs = runner.inputs, runner.outputs
        self._runner, self._counts = runner, counts

    def infer(self, feeds: Mapping[str, np.ndarray]) -> Arrays:
        self._counts.append(len(feeds["chip"]))
        return self._runner.infer(feeds)


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Filled by the embedders opened in this test."""
    found: list[int] = []

    @contextmanager
    def counting(path: Path, config: Config, *, threads: int) -> Iterator[Counting]:
        with open_runner(path, config, threads=threads) as runner:
            yield Counting(runner, found)

    monkeypatch.setattr(networks, "open_runner", counting)
    return found


@pytest.mark.parametrize(("model", "side_px", "expected"), [("sface", 112, [1, 1, 1]), ("dlib", 150, [2, 1])])
def test_on_a_cpu_sface_embeds_chip_by_chip(no_gpu, models_dir, counts, model, side_px, expected):
    recognize = RecognizeConfig(model=model, batch=2)
    config = Config(models=ModelsConfig(dir=str(models_dir)), recognize=recognize)
    chips = np.random.default_rng(0).integers(0, 256, (3, side_px, side_px, 3), np.uint8)
    with networks.open_embedder(config) as embedder:
        embeddings = embedder.embed(chips, mirror=False)
    assert len(embeddings) == 3
    assert counts == expected
