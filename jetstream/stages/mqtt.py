"""Tells an MQTT broker, and so Home Assistant, of sightings: see the room `mqtt`.

Handles no frame, and nobody waits for it: what a broker that is away isn't told stays in the database of sightings.
"""

import logging
import time
from collections.abc import Iterator

from jetstream.config.schema import Config, run_dir
from jetstream.messages import PatientTicks, ReportingTicks, Tick, Untold
from jetstream.monitoring.status import heard, subscribed
from jetstream.mqtt.connection import LONGEST_CONNECT_S
from jetstream.mqtt.teller import BrokerTeller

TURN_S = 0.1
"""longest wait between two ticks"""

log = logging.getLogger(__name__)


def mqtt(ticks: Iterator[Tick], config: Config) -> None:
    """Tell until the ticks end. Raises UserError: the password or a certificate can't be read."""
    teller, untold = BrokerTeller(config), 0
    address = teller.connection.address
    if address.sends_password_openly:
        log.warning(
            "%s: the password crosses the network as plain text; use mqtts:// where the broker has TLS", address
        )
    try:
        with subscribed(run_dir(config)) as statuses:
            for _tick in ticks:
                while (status := heard(statuses, 0)) is not None:
                    teller.hear(status)
                now_s = time.monotonic()
                if isinstance(ticks, PatientTicks) and teller.may_connect(now_s):
                    ticks.opens(LONGEST_CONNECT_S)
                teller.turn(now_s, TURN_S)
                if not teller.connection.is_open:
                    time.sleep(max(0.0, now_s + TURN_S - time.monotonic()))
                if isinstance(ticks, ReportingTicks) and teller.untold > untold:
                    ticks.report(Untold(count=teller.untold - untold))
                    untold = teller.untold
    finally:
        teller.close(time.monotonic())
