"""Fixtures, known to every test: networks that are opened once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from jetstream.runners.onnxrt import OnnxRunner
from jetstream.vision.recognition.embedder import CpuEmbedder
from tests.support import defaults


@pytest.fixture(scope="session")
def embedder(models_dir: Path) -> Iterator[CpuEmbedder]:
    with OnnxRunner(models_dir / "embedder.onnx") as runner:
        yield defaults.embedder(runner)
