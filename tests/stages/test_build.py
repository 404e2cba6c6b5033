"""What `build` says of the engines that it builds, and that it ends with the run."""

from collections.abc import Iterator

import pytest

from jetstream.config.schema import Config
from jetstream.messages import Building, Built, Message, Tick
from jetstream.networks.build import PROBE_S
from jetstream.runners.tensorrt.build_pool import Progress
from jetstream.stages import build as stage


class Ticks(Iterator[Tick]):
    """So many, with what is reported meanwhile."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.told: list[Message | float] = []

    def __next__(self) -> Tick:
        if not self.left:
            raise StopIteration
        self.left -= 1
        return Tick()

    def report(self, message: Message) -> None:
        self.told.append(message)

    def opens(self, limit_s: float) -> None:
        self.told.append(limit_s)


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two networks beside each other, of which the second's build fails."""

    def build_missing(config: Config, progress: Progress) -> int:
        for what, share in (("pnet, fp16", 0.0), ("sface, fp32", 0.0), ("pnet, fp16", 0.3), ("engines", 0.0)):
            progress(what, share)
        for what, share in (("pnet, fp16", 1.0), ("engines", 0.5), ("sface, fp32", 1.0), ("engines", 1.0)):
            progress(what, share)
        return 1

    monkeypatch.setattr(stage, "build_missing", build_missing)


def test_which_engines_are_being_built_is_told_and_then_how_many_were(builds: None) -> None:
    ticks = Ticks(100)

    stage.build(ticks, Config())

    assert ticks.told == [
        PROBE_S,
        Building(network="pnet", now=True),
        Building(network="sface", now=True),
        Building(network="pnet", now=False),
        Building(network="sface", now=False),
        Built(engines=1),
    ]


def test_end_of_the_run_ends_all_builds(builds: None) -> None:
    ticks = Ticks(2)

    stage.build(ticks, Config())

    assert ticks.told == [PROBE_S, Building(network="pnet", now=True), Building(network="sface", now=True)]
