"""Tells a broker of sightings: events in order and once, states as they are now, Home Assistant's discovery.

Driven by `turn`; no thread works for it. Times are of time.monotonic().
"""

import contextlib
import logging
import socket
import sqlite3
import time
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Final

from jetstream.config.schema import Config
from jetstream.errors import JetstreamError
from jetstream.messages import Status
from jetstream.mqtt import states
from jetstream.mqtt.broker_address import BrokerAddress, address_of
from jetstream.mqtt.commands import BrokerCommands, places
from jetstream.mqtt.connection import BrokerConnection, Delivery
from jetstream.mqtt.discovery import devices
from jetstream.mqtt.outbox import EventOutbox
from jetstream.mqtt.retained import RetainedTopics
from jetstream.mqtt.topics import Topics, slugs
from jetstream.sightings import database
from jetstream.sightings.change_queue import ChangeQueue

ONLINE, OFFLINE = b"online", b"offline"
LOOK_EVERY_S: Final = 5.0
"""how often states are read from the database where nothing happened: people leave by time alone"""
LOOK_AT_ONCE_S: Final = 0.2
"""the same while something happens"""
SHARE: Final = 0.05
"""largest share of one core's time for that: thousands of people are looked at less often"""
REFUSED_WAIT_S: Final = 5.0
"""until a message is sent again that the broker couldn't take"""
FAREWELL_S: Final = 1.0
"""for what is due at the end"""
HEADER: Final = 100
"""bytes of a message beside topic and payload, at most"""

log = logging.getLogger(__name__)


class BrokerTeller:
    """Raises UserError: the broker's password or a certificate can't be read."""

    def __init__(self, config: Config) -> None:
        self._config, self._topics = config, Topics(config.mqtt.prefix)
        self._folder = Path(config.sightings.dir)
        self._outbox = EventOutbox(ChangeQueue(self._folder, "mqtt"), config.mqtt)
        self.connection = connection_of(config, address_of(config.mqtt))
        self.retained = RetainedTopics(self._folder, str(self.connection.address))
        self._commands = BrokerCommands(config)
        self._names: Set[str] = frozenset()
        self._are_new = True  # the devices are to be made anew
        self._states: Mapping[str, bytes] = {}
        self._ready: Mapping[str, bytes] = {}
        self._looked_s, self._look_took_s = -LOOK_EVERY_S, 0.0
        self._has_news, self._heard_news = True, False
        self._event: int | None = None  # number of the event that is under way
        self._not_before_s = 0.0
        self._opened, self._failures, self._why = 0, 0, ""

    @property
    def untold(self) -> int:
        """Changes that the broker will never be told."""
        return self._outbox.untold

    @property
    def has_more(self) -> bool:
        """Whether an event is under way, or states are to be read again."""
        return self._event is not None or self._has_news

    def may_connect(self, now_s: float) -> bool:
        """Whether the next `turn` connects, which takes up to `connection.LONGEST_CONNECT_S`."""
        return self.connection.is_due(now_s) and self._is_alone(now_s)

    def hear(self, status: Status) -> None:
        """What the supervisor says of the cameras."""
        ready = dict(states.ready_states(self._config, status, time.monotonic_ns()))
        self._heard_news |= ready != self._ready
        self._ready = ready

    def turn(self, now_s: float, wait_s: float) -> None:
        """Do what is due, and wait up to `wait_s` for the broker."""
        if not self.connection.is_open:
            self._open(now_s, wait_s)
            return
        self._look(now_s)
        self._send_states(now_s)
        self._send_event(now_s)
        self.connection.turn(now_s, wait_s)
        self._say_failure()
        self._take_answers(now_s)
        if self.connection.is_open:
            self._send_event(now_s)
        self.retained.save()

    def close(self, now_s: float) -> None:
        """Send what is due within FAREWELL_S, say that it ends, and close everything."""
        until_s = now_s + FAREWELL_S
        while self.connection.is_open and now_s < until_s and self._outbox.current(now_s) is not None:
            self.turn(now_s, 0.05)
            now_s = time.monotonic()
        if self.connection.is_open:
            number = self.connection.send(self._topics.status, OFFLINE, now_s, retain=True)
            while self.connection.is_open and now_s < until_s + FAREWELL_S and not self._has_answer(number):
                self.connection.turn(now_s, 0.05)
                now_s = time.monotonic()
        self.connection.close()
        self.retained.save()
        self._outbox.queue.close()

    def _is_alone(self, now_s: float) -> bool:
        """Whether no other process tells this broker of these sightings; they are there then."""
        if not self._outbox.queue.is_open:
            self._outbox.current(now_s)
        return self._outbox.queue.is_open

    def _open(self, now_s: float, wait_s: float) -> None:
        if self.may_connect(now_s):
            self.connection.connect(now_s)
        self.connection.turn(now_s, wait_s)
        self._say_failure()
        if self.connection.number == self._opened:
            return
        log.info("connected to %s", self.connection.address)
        self._opened, self._why = self.connection.number, ""
        self._event, self._looked_s = None, -LOOK_EVERY_S
        self._outbox.begin()
        self.retained.begin()

    def _say_failure(self) -> None:
        """Once for each reason: attempts go on."""
        connection = self.connection
        if connection.failures > self._failures and connection.why != self._why:
            log.warning("%s: %s; it is tried again, and sightings wait for it", connection.address, connection.why)
            self._why = connection.why
        self._failures = connection.failures

    def _look(self, now_s: float) -> None:
        """Read the states anew: soon after something was told, and now and then."""
        wait_s = max(LOOK_AT_ONCE_S if self._has_news else LOOK_EVERY_S, self._look_took_s / SHARE)
        is_due = now_s - self._looked_s >= wait_s
        if is_due:
            self._looked_s, self._has_news = now_s, False
            self._commands.keep()
            with contextlib.suppress(JetstreamError, sqlite3.Error), database.opened(self._folder) as connection:
                names = states.known_people(connection, self._config, self._names)
                self._states = states.payloads(connection, self._config, names, time.time_ns())
                self._are_new |= names != self._names
                self._names, self._outbox.slug_of = names, dict(slugs(names))
        if self._states and (is_due or self._heard_news):
            told = {self._topics.status: ONLINE, **self._states, **self._ready, **dict(self._commands.states())}
            self.retained.want(told, devices(self._config, self._names) if self._are_new else None)
            self._heard_news = self._are_new = False
        if is_due:
            self._look_took_s = time.monotonic() - now_s

    def _send_states(self, now_s: float) -> None:
        while (found := self.retained.next()) is not None:
            if self._fits(*found):
                self.retained.sent(self.connection.send(*found, now_s, retain=True), *found)
            else:
                self.retained.too_large(found[0])

    def _send_event(self, now_s: float) -> None:
        if self._event is not None or now_s < self._not_before_s:
            return
        while (found := self._outbox.current(now_s)) is not None and not self._fits(*found):
            self._outbox.untold += 1
            self._outbox.accepted()
        if found is not None:
            self._event = self.connection.send(*found, now_s, retain=False)

    def _fits(self, topic: str, payload: bytes) -> bool:
        size = len(topic.encode()) + len(payload) + HEADER
        if self.connection.largest and size > self.connection.largest:
            log.warning("%s: takes no message of %d bytes, so it isn't told", self.connection.address, size)
            return False
        return True

    def _take_answers(self, now_s: float) -> None:
        while self.connection.deliveries:
            answer = self.connection.deliveries.popleft()
            if answer.refusal:
                log.warning(
                    "%s: refuses a message: %s; see what its user may write", self.connection.address, answer.refusal
                )
            if answer.number == self._event:
                self._event_answered(answer, now_s)
            else:
                self.retained.answered(answer.number, is_refused=bool(answer.refusal))
        while self.connection.heard:
            heard = self.connection.heard.popleft()
            if heard.topic == self._birth and heard.payload == ONLINE and not heard.retained:
                self.retained.send_again(self.retained.devices)
            self._heard_news |= self._commands.take(heard)

    def _event_answered(self, answer: Delivery, now_s: float) -> None:
        self._event = None
        if answer.may_retry:
            self._not_before_s = now_s + REFUSED_WAIT_S
            return
        self._outbox.untold += bool(answer.refusal)
        self._outbox.accepted()
        self._has_news = True

    @property
    def _birth(self) -> str:
        return birth_topic(self._config)

    def _has_answer(self, number: int) -> bool:
        return any(answer.number == number for answer in self.connection.deliveries)


def birth_topic(config: Config) -> str:
    """Where Home Assistant says that it has started."""
    return f"{config.mqtt.discovery}/status"


def connection_of(
    config: Config, address: BrokerAddress, suffix: str = "", listened: Sequence[str] | None = None
) -> BrokerConnection:
    """A connection to the broker, closed yet. `suffix`: of the client's name; one with it has no will, and hears the
    topics `listened`."""
    topics, settings = Topics(config.mqtt.prefix), config.mqtt
    client_id = (settings.client_id or f"{topics.node}-{socket.gethostname()}") + suffix
    if suffix:
        return BrokerConnection(address, client_id, None, listened or [])
    births = [birth_topic(config)] if settings.discovery else []
    commands = [topic for topic, _ in places(config)]
    return BrokerConnection(address, client_id, (topics.status, OFFLINE), births + commands)
