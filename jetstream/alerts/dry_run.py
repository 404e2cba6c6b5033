"""What alerts would have told of the past: the rules over the stored changes. Sends nothing and keeps nothing.

Cameras that gave no frames aren't stored, so nothing is told of them. Strangers are grouped as they are today.
"""

import sqlite3
from collections.abc import Sequence
from datetime import tzinfo
from typing import NamedTuple

from jetstream.alerts import alert_file
from jetstream.alerts.book import AlertBook
from jetstream.alerts.history import open_in_zones, was_seen
from jetstream.alerts.judge import AlertJudge
from jetstream.alerts.occasions import Occasion
from jetstream.alerts.outbox import Delivery
from jetstream.alerts.rules import AlertRule
from jetstream.config.schema import AlertConfig
from jetstream.sightings import reader
from jetstream.sightings.change_queue import message_of


class ToldOccasion(NamedTuple):
    """What an alert would have told."""

    alert: str
    occasion: Occasion

    def as_delivery(self) -> Delivery:
        """The delivery that it would have been."""
        one = self.occasion
        return Delivery(0, "", self.alert, one.kind, one.sighting, one.camera, one.zone, one.at_ns, 0, 0)


class _ToldList:
    """Alerts that were put there."""

    def __init__(self) -> None:
        self.told: list[ToldOccasion] = []

    def add(self, alert: str, occasion: Occasion) -> int:
        self.told.append(ToldOccasion(alert, occasion))
        return 0


def told(
    alerts: Sequence[AlertConfig],
    connection: sqlite3.Connection,
    *,
    from_ns: int,
    to_ns: int,
    zone: tzinfo | None = None,
) -> list[ToldOccasion]:
    """What would have been told of the changes from `from_ns` to `to_ns`, by time, as if no alert had been told before.

    connection  to the sightings. `zone`: of local time. Raises sqlite3.Error.
    """
    memory, collected = alert_file.in_memory(), _ToldList()
    rules = [AlertRule(alert, zone) for alert in alerts]
    judge = AlertJudge(rules, AlertBook(memory), collected, lambda sighting: was_seen(connection, sighting))
    seq, epoch = reader.newest_change(connection, before_ns=from_ns), reader.epoch(connection)
    is_over = False
    while not is_over and (found := reader.changes_after(connection, seq)):
        for change in found:
            is_over = change[1] >= to_ns
            if is_over:
                break
            judge.take(message_of(epoch, *change))
        seq = found[-1][0]
    if not is_over and (zones := sorted({zone for alert in alerts for zone in alert.zones})):
        for sighting in open_in_zones(connection, zones):
            judge.saw_zones(sighting)
    judge.passed(to_ns)
    memory.close()
    within = [one for one in collected.told if from_ns <= one.occasion.at_ns < to_ns]
    return sorted(within, key=lambda one: one.occasion.at_ns)
