"""What the broker holds for jetstream, brought to what it is to hold: in small steps, over losses of the connection.

What may be there is noted beside the database, so that it can be cleared later: a topic is noted before it is sent, and
leaves the note when the broker has confirmed that it is empty. Knows no connection.
"""

import contextlib
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from jetstream import files
from jetstream.errors import GARBLED
from jetstream.mqtt.discovery import DiscoveryDevice
from jetstream.mqtt.topics import possible_slugs

FILE: Final = "mqtt-retained.json"
MOST_UNDER_WAY: Final = 10
"""messages without an answer; many brokers take 20"""

log = logging.getLogger(__name__)


class _Noted(msgspec.Struct):
    """What a broker may hold."""

    broker: str = ""
    topics: set[str] = msgspec.field(default_factory=set)
    components: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    """of each discovery topic: platforms by the keys of components"""


class RetainedTopics:
    """`want` says what the broker is to hold, `next` what to send now. `folder`: of the sightings."""

    def __init__(self, folder: Path, broker: str) -> None:
        self._path, self._noted = folder / FILE, _read(folder / FILE)
        if self._noted.broker != broker:  # what another broker holds can't be cleared here
            self._noted = _Noted(broker)
        self._wanted: dict[str, bytes] = {}
        self._devices: dict[str, DiscoveryDevice] = {}
        self._told: dict[str, bytes] = {}  # the payloads of devices
        self._held: dict[str, bytes] = {}  # what the broker has confirmed since the connection began
        self._due: list[str] = []
        self._under_way: dict[int, tuple[str, bytes]] = {}
        self._left: frozenset[str] = frozenset()
        self._is_changed = False

    def begin(self) -> None:
        """A connection was opened: the broker may have forgotten everything."""
        self._held, self._under_way = {}, {}
        self._find_due()

    def want(self, payloads: Mapping[str, bytes], devices: Iterable[DiscoveryDevice] | None = None) -> None:
        """All that the broker is to hold; what isn't among it is cleared. Empty payloads are topics that are to be
        empty. `devices`: None: as before."""
        if devices is not None:
            self._devices = {device.topic: device for device in devices}
            self._told = {topic: device.payload() for topic, device in self._devices.items()}
        self._wanted = {**{topic: payload for topic, payload in payloads.items() if payload}, **self._told}
        self._note_wanted()
        self._find_due()

    def leave(self, is_left: Callable[[str], bool]) -> None:
        """Clear none of these topics, though they aren't wanted here: whoever wants them may come again."""
        self._left = frozenset(topic for topic in self._noted.topics - self._wanted.keys() if is_left(topic))
        self._find_due()

    def next(self) -> tuple[str, bytes] | None:
        """A message to be sent, retained, now; None: none is due, or enough are under way. Call `sent` with it."""
        while self._due and len(self._under_way) < MOST_UNDER_WAY:
            topic = self._due.pop()
            if self._is_due(topic) and topic not in (one for one, _ in self._under_way.values()):
                return topic, self._step(topic)
        return None

    def sent(self, number: int, topic: str, payload: bytes) -> None:
        """A message is under way under this number."""
        self._under_way[number] = (topic, payload)

    def answered(self, number: int, *, is_refused: bool) -> bool:
        """The broker's answer to a message; whether it is one of these. A refused one isn't sent again until it
        changes, or the next connection."""
        if number not in self._under_way:
            return False
        topic, payload = self._under_way.pop(number)
        self._held[topic] = self._wanted.get(topic, b"") if is_refused else payload
        if not is_refused:
            self._confirmed(topic, payload)
        if self._is_due(topic):
            self._due.append(topic)
        return True

    def too_large(self, topic: str) -> None:
        """The broker takes no message of this size: it isn't sent before it changes."""
        self._held[topic] = self._wanted.get(topic, b"")

    def send_again(self, topics: Iterable[str]) -> None:
        """As if the broker had none of them."""
        for topic in topics:
            self._held.pop(topic, None)
        self._find_due()

    def save(self) -> None:
        """Write the note where it changed. Where it can't be written, as on a full disk, it is known in memory."""
        if not self._is_changed:
            return
        self._is_changed = False
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.replace(self._path, msgspec.json.encode(self._noted), mode=0o600)
        except OSError as error:
            log.warning("%s: %s; what the broker holds is known in memory only", self._path, error.strerror)

    @property
    def devices(self) -> frozenset[str]:
        """Topics of discovery."""
        return frozenset(self._devices)

    @property
    def is_settled(self) -> bool:
        """Whether the broker has confirmed all of it."""
        return not (self._due or self._under_way)

    def _note_wanted(self) -> None:
        before = len(self._noted.topics)
        self._noted.topics |= self._wanted.keys()
        self._is_changed |= len(self._noted.topics) > before
        for topic, device in self._devices.items():
            noted = self._noted.components.setdefault(topic, {})
            self._is_changed |= not device.platforms.items() <= noted.items()
            noted |= device.platforms
        self.save()

    def _find_due(self) -> None:
        """The last one is sent first: jetstream's status, then those that are to be cleared."""
        cleared = sorted(self._noted.topics - self._wanted.keys())
        self._due = [topic for topic in (*reversed(self._wanted), *cleared) if self._is_due(topic)]
        self._due += [topic for topic in list(self._wanted)[:1] if topic in self._due]

    def _is_due(self, topic: str) -> bool:
        if topic in self._wanted:
            return self._held.get(topic) != self._wanted[topic]
        return topic in self._noted.topics and topic not in self._left and self._held.get(topic) != b""

    def _removed(self, topic: str) -> dict[str, str]:
        device, noted = self._devices.get(topic), self._noted.components.get(topic, {})
        return {} if device is None else {key: noted[key] for key in noted.keys() - device.platforms.keys()}

    def _step(self, topic: str) -> bytes:
        """What is wanted; of a device that lost a component, first the message that removes it."""
        if removed := self._removed(topic):
            return self._devices[topic].payload(removed)
        return self._wanted.get(topic, b"")

    def _confirmed(self, topic: str, payload: bytes) -> None:
        removed = self._removed(topic)
        if topic not in self._wanted and not payload:
            self._noted.topics.discard(topic)
            self._noted.components.pop(topic, None)
            self._held.pop(topic)
            self._is_changed = True
        elif removed and payload == self._devices[topic].payload(removed):
            self._noted.components[topic] = self._devices[topic].platforms
            self._is_changed = True


def _read(path: Path) -> _Noted:
    with contextlib.suppress(OSError, *GARBLED):
        return msgspec.json.decode(path.read_bytes(), type=_Noted)
    return _Noted()


def noted_broker(folder: Path) -> str:
    """The broker that may hold something, as it may be shown; empty: none does."""
    return _read(folder / FILE).broker


def traces(folder: Path, names: Iterable[str]) -> list[str]:
    """The topics and components of these people that a broker may hold."""
    noted, slugs = _read(folder / FILE), {slug for name in names for slug in possible_slugs(name)}
    found = [topic for topic in sorted(noted.topics) if slugs.intersection(re.findall(r"/person/([^/]+)", topic))]
    keys = {key for components in noted.components.values() for key in components}
    return found + [key for key in sorted(keys) if key.removeprefix("person_") in slugs]
