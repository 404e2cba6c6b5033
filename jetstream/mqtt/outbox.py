"""The messages of changes, one after another: the next is given when the broker has the one before.

The changes wait in the database (`sightings.change_queue`). At most one message is sent twice when a connection or this
process is lost, and both have the same `epoch` and `seq`.
"""

import logging
from collections import deque

from jetstream.config.schema import MqttConfig
from jetstream.mqtt.happenings import messages_of
from jetstream.sighting import SightingMessage
from jetstream.sightings.change_queue import ChangeQueue

log = logging.getLogger(__name__)


class EventOutbox:
    """`current` is to be sent until it is `accepted`. `slug_of`: of the people known now. `untold`: changes that were
    never told."""

    def __init__(self, queue: ChangeQueue, settings: MqttConfig) -> None:
        self.queue, self.slug_of = queue, dict[str, str]()
        self.untold = 0
        self._settings = settings
        self._changes = deque[SightingMessage]()
        self._parts = deque[tuple[str, bytes]]()
        self._begun: tuple[SightingMessage, int] | None = None  # a change, and how many of its parts the broker has

    def current(self, now_s: float) -> tuple[str, bytes] | None:
        """Topic and payload; None: nothing is to be told."""
        if not self._parts:
            if not self._changes:
                self._read(now_s)
            if not self._changes:
                return None
            first = self._changes[0]
            parts = list(messages_of(first, self._settings, self.slug_of))
            done = self._begun[1] if self._begun is not None and _is_same(self._begun[0], first) else 0
            self._begun = first, done
            self._parts.extend(parts[done:])
        return self._parts[0]

    def accepted(self) -> None:
        """The broker has the current one, or will never take it."""
        assert self._begun is not None
        self._parts.popleft()
        self._begun = self._begun[0], self._begun[1] + 1
        if not self._parts:
            self.queue.done(self._changes.popleft())
            self._begun = None

    def begin(self) -> None:
        """A connection was opened. What was read before is read again: it may be forgotten by now."""
        self._changes.clear()
        self._parts.clear()
        self.queue.rewind()

    def _read(self, now_s: float) -> None:
        """Changes are numbered without gaps, and leave the database by age and by `forget`."""
        self._changes.extend(self.queue.look(now_s))
        missing = self._changes[-1].seq - self.queue.handled - len(self._changes) if self._changes else 0
        if missing > 0:
            self.untold += missing
            log.warning("%d changes of sightings were never told: they were erased, or too many waited", missing)


def _is_same(one: SightingMessage, other: SightingMessage) -> bool:
    return (one.epoch, one.seq) == (other.epoch, other.seq)
