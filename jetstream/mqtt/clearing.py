"""Clears what a broker holds of people who were forgotten, and looks there for what is left.

While a pipeline runs, its stage `mqtt` clears it and this only waits; else it is done here.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from jetstream.config.schema import Config
from jetstream.errors import BusyError, JetstreamError
from jetstream.mqtt import retained, states
from jetstream.mqtt.broker_address import BrokerAddress, address_of
from jetstream.mqtt.connection import TURN_S
from jetstream.mqtt.discovery import devices
from jetstream.mqtt.retained import RetainedTopics
from jetstream.mqtt.teller import OFFLINE, connection_of
from jetstream.mqtt.topics import Topics, possible_slugs
from jetstream.sightings import database, lock

WAIT_S: Final = 15.0
"""for the pipeline, which notices within LOOK_EVERY_S, and for the broker's answers"""
QUIET_S: Final = 0.5
"""a broker that has sent nothing for so long holds nothing more"""


class ClearedBroker(NamedTuple):
    """What became of what a broker held."""

    address: str  # empty: no broker held anything
    left: Sequence[str] = ()  # topics that it still holds
    note: str = ""  # why it couldn't be cleared yet


def clear(names: Sequence[str], config: Config) -> ClearedBroker:
    """Clear the topics and the discovery of these people, of whom nothing is in the sightings any more."""
    folder = Path(config.sightings.dir)
    if not retained.traces(folder, names):
        return ClearedBroker("")
    noted = retained.noted_broker(folder)
    try:
        if not config.mqtt.broker:
            return ClearedBroker(noted, note=_later(noted, names, "mqtt.broker is empty"))
        address = address_of(config.mqtt)
        if str(address) != noted:
            return ClearedBroker(noted, note=_later(noted, names, f"mqtt.broker is {address} now"))
        why = _clear(names, config, address)
        left = [] if why else _held(names, config, address)
    except JetstreamError as error:
        return ClearedBroker(noted, note=_later(noted, names, str(error)))
    return ClearedBroker(noted, left, _later(noted, names, why) if why else "")


def _later(broker: str, names: Sequence[str], why: str) -> str:
    return (
        f"{broker}: still holds what it was told of {', '.join(names)} ({why}); it is cleared when a pipeline of this "
        "config connects to it next"
    )


def _clear(names: Sequence[str], config: Config, address: BrokerAddress) -> str:
    """A clause where it isn't confirmed; else empty."""
    folder, until_s = Path(config.sightings.dir), time.monotonic() + WAIT_S
    try:
        with lock.held(folder / "mqtt.lock"):
            return _settle(config, address, until_s)
    except BusyError:
        while retained.traces(folder, names):
            if time.monotonic() > until_s:
                return "the pipeline that runs isn't connected to it"
            time.sleep(0.1)
    return ""


def _settle(config: Config, address: BrokerAddress, until_s: float) -> str:
    """Bring what the broker holds to what it is to hold while no pipeline runs."""
    folder = Path(config.sightings.dir)
    topics, connection = RetainedTopics(folder, str(address)), connection_of(config, address, "-forget")
    with database.opened(folder) as opened:
        names = states.known_people(opened, config)
        payloads = states.payloads(opened, config, names, time.time_ns())
    topics.want({Topics(config.mqtt.prefix).status: OFFLINE, **payloads}, devices(config, names))
    if why := connection.open(until_s):
        return why
    topics.begin()
    topics.leave(lambda topic: "/person/" not in topic)  # a run may have had other cameras
    while not topics.is_settled:
        now_s = time.monotonic()
        if now_s > until_s or not connection.is_open:
            return connection.why or "it doesn't answer"
        while (found := topics.next()) is not None:
            topics.sent(connection.send(*found, now_s, retain=True), *found)
        connection.turn(now_s, TURN_S)
        while connection.deliveries:
            answer = connection.deliveries.popleft()
            topics.answered(answer.number, is_refused=bool(answer.refusal))
            if answer.refusal:
                return f"it refuses it: {answer.refusal}"
    topics.save()
    connection.close()
    return ""


def _held(names: Sequence[str], config: Config, address: BrokerAddress) -> list[str]:
    """What the broker still sends of these people to who asks for it."""
    topics = Topics(config.mqtt.prefix)
    asked = [f"{topics.person(slug)}/#" for name in names for slug in possible_slugs(name)]
    connection = connection_of(config, address, "-search", asked)
    if connection.open(time.monotonic() + WAIT_S):
        return []
    quiet_s = time.monotonic() + QUIET_S
    found = set[str]()
    while time.monotonic() < quiet_s and connection.is_open:
        connection.turn(time.monotonic(), TURN_S)
        while connection.heard:
            found.add(connection.heard.popleft().topic)
            quiet_s = time.monotonic() + QUIET_S
    connection.close()
    return sorted(found)


def reach(config: Config) -> str:
    """Why the broker can't be told anything now, a clause; empty: it answers. Raises UserError as `address_of`."""
    connection = connection_of(config, address_of(config.mqtt), "-check", [])
    why = connection.open(time.monotonic() + WAIT_S)
    connection.close()
    return why
