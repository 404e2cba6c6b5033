"""Sources looked at all at once, each within its limit."""

import threading
import time

import pytest

from jetstream.errors import SourceError
from jetstream.video import probing
from jetstream.video.probing import Look, look_at
from jetstream.video.source import SourceProbe
from tests.support.waiting import PATIENCE_S

SEEN = SourceProbe("network", 64, 48, None, None, live=True, described="cam")


def found(looks: dict[str, Look]) -> dict[str, object]:
    return dict(answer for answer in look_at(looks) if answer is not None)


def test_nobody_waits_for_another() -> None:
    both = threading.Barrier(2)

    def call() -> SourceProbe:
        both.wait(PATIENCE_S)
        return SEEN

    assert found({"a": Look(call, PATIENCE_S), "b": Look(call, PATIENCE_S)}) == {"a": SEEN, "b": SEEN}


def test_error_is_the_answer_of_its_source_alone() -> None:
    trouble = SourceError("b: refused")

    def fails() -> SourceProbe:
        raise trouble

    assert found({"a": Look(lambda: SEEN, 1), "b": Look(fails, 1)}) == {"a": SEEN, "b": trouble}


def test_call_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "GRACE_S", 0.1)
    released = threading.Event()

    def hangs() -> SourceProbe:
        released.wait(PATIENCE_S)
        return SEEN

    begun_s = time.monotonic()
    answers = found({"a": Look(lambda: SEEN, 0.1), "b": Look(hangs, 0.1)})
    assert time.monotonic() - begun_s < PATIENCE_S / 2
    released.set()
    assert answers["a"] == SEEN
    assert "b: no answer for" in str(answers["b"])
