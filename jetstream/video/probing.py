"""Looks at several sources at once, each within its own time limit.

Decides nothing about those that fail (`startup` does).
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from jetstream.errors import SourceError
from jetstream.video.source import SourceProbe

GRACE_S = 2.0
"""time beyond its own time limits after which a look counts as hanging"""


class Look(NamedTuple):
    """One source to look at. `call` raises SourceError by itself, unless a driver hangs."""

    call: Callable[[], SourceProbe]
    limit_s: float  # math.inf: a file, however slow its disk


Found = tuple[str, SourceProbe | BaseException]


def look_at(looks: Mapping[str, Look]) -> Iterator[Found | None]:
    """The name of each look with its result or its error, in the order in which they end; None at least every 0.1 s.

    A look that hangs beyond its limit gives a SourceError, and its thread is left behind.
    """
    answers: queue.Queue[Found] = queue.Queue()
    begun_s = time.monotonic()
    waiting = dict(looks)
    for name, look in looks.items():
        threading.Thread(target=_look, args=(name, look.call, answers), name=f"look at {name}", daemon=True).start()
    while waiting:
        try:
            name, found = answers.get(timeout=0.1)
        except queue.Empty:
            yield from _hanging(waiting, time.monotonic() - begun_s)
            yield None
            continue
        if waiting.pop(name, None) is not None:
            yield name, found


def _look(name: str, call: Callable[[], SourceProbe], answers: "queue.Queue[Found]") -> None:
    try:
        answers.put((name, call()))
    except BaseException as error:  # handed to the thread that asked
        answers.put((name, error))


def _hanging(waiting: dict[str, Look], waited_s: float) -> Iterator[Found]:
    for name in [name for name, look in waiting.items() if waited_s > look.limit_s + GRACE_S]:
        del waiting[name]
        yield name, SourceError(f"{name}: no answer for {waited_s:.0f} s, not even to give up; its driver hangs")
