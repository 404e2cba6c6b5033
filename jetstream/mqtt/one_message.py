"""One message to the broker, over a connection of its own. Knows no sighting."""

import time

from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.mqtt.broker_address import address_of
from jetstream.mqtt.connection import TURN_S
from jetstream.mqtt.teller import connection_of


def publish_once(config: Config, topic: str, payload: bytes, limit_s: float) -> str:
    """Send a message that is not retained, and wait until the broker has it. Returns why it doesn't have it, a clause;
    empty: it does. `limit_s`: for all of it."""
    until_s = time.monotonic() + limit_s
    try:
        connection = connection_of(config, address_of(config.mqtt), "-alerts", [])
    except UserError as error:
        return str(error)
    if why := connection.open(until_s):
        return why
    number = connection.send(topic, payload, time.monotonic(), retain=False)
    try:
        while connection.is_open and time.monotonic() < until_s:
            connection.turn(time.monotonic(), TURN_S)
            for answer in connection.deliveries:
                if answer.number == number:
                    return f"it refuses it: {answer.refusal}" if answer.refusal else ""
        return connection.why or f"no answer within {limit_s:g} s"
    finally:
        connection.close()
