"""A camera's source that fails is opened again, with back-off. Knows no ring."""

import logging
import time
from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

from jetstream.backoff import Backoff
from jetstream.capturing.pacing import is_due
from jetstream.errors import SourceError, StuckError
from jetstream.messages import Dropped, Message, PatientTicks, Tick
from jetstream.video.frames import Source
from jetstream.video.live import SourceThread

TURN_S = 0.1
"""longest time between two ticks"""
STUCK_GRACE_S = 2.0
"""time beyond its own time-out after which a native call counts as hanging"""

M = TypeVar("M", bound=Message)
R = TypeVar("R", bound=SourceThread)

log = logging.getLogger(__name__)


def retried(
    ticks: Iterator[Tick],
    camera: str,
    start: Callable[[], R],
    messages: Callable[[R], Iterator[M]],
    patience_s: float,
) -> Generator[M | Dropped, None, Source | None]:
    """What `messages` makes of the thread that `start` starts, until the ticks end; both again after a SourceError.

    Returns the source that the thread kept instead of reading it. Raises StuckError.
    """
    backoff = Backoff()
    while True:
        try:
            opens(ticks, patience_s)  # before the thread starts: a GPU's driver may hold up every thread
            with start() as thread:
                for message in messages(thread):
                    backoff.reset()
                    yield message
            return thread.kept
        except StuckError:
            raise
        except SourceError as error:
            wait_s = backoff.next_s()
            log.warning("%s: %s; opened again in %.1f s", camera, error, wait_s)
            yield Dropped(camera=camera, reason="reconnect")
        if not waited(ticks, wait_s):
            return None


def waited(ticks: Iterator[Tick], wait_s: float) -> bool:
    """Wait, tick by tick. False: the ticks ended first."""
    until_s = time.monotonic() + wait_s
    return any(is_due(until_s, TURN_S) for _ in ticks)


def opens(ticks: object, limit_s: float) -> None:
    """Tell who gives the ticks that the next one may be long in coming."""
    if isinstance(ticks, PatientTicks):
        ticks.opens(limit_s)
