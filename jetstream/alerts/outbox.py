"""Deliveries that are due: each with its own id, in order for each alert, until it is sent or dropped.

A delivery names its sighting by id alone: what is sent is read from the database of sightings when it is sent.
"""

import random
import secrets
import sqlite3
from typing import Final

import msgspec

from jetstream.alerts.occasions import Occasion, OccasionKind

MOST_WAITING: Final = 1000
"""deliveries of an alert that may wait; beyond it the oldest are dropped, and counted"""
OLDEST_NS: Final = 86_400_000_000_000
"""a delivery is dropped when it couldn't be sent for this long"""
FIRST_RETRY_S: Final = 5.0
LONGEST_RETRY_S: Final = 900.0
JITTER: Final = 0.2


class Delivery(msgspec.Struct, frozen=True):
    """Something that is to be sent."""

    n: int
    id: str
    """the same at each try, so that a receiver can tell a repeated one"""
    alert: str
    kind: OccasionKind
    sighting: str
    """id; empty: it is about a camera"""
    camera: str
    zone: str
    at_ns: int
    tries: int
    next_ns: int
    """when to try it next"""


class AlertCounts(msgspec.Struct, frozen=True):
    """What became of an alert's deliveries."""

    sent: int = 0
    dropped: int = 0
    sent_ns: int = 0
    """when the newest was sent; 0: none yet"""
    fault: str = ""
    """why the newest try failed; empty: it didn't"""
    fault_ns: int = 0
    waiting: int = 0


class AlertOutbox:
    """The deliveries of all alerts, in an open file. Raises sqlite3.Error. Changes within a transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, alert: str, occasion: Occasion) -> int:
        """Add a delivery; how many of this alert were dropped for it."""
        self._connection.execute(
            "INSERT INTO deliveries (id, alert, kind, sighting, camera, zone, at_ns) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (new_id(), alert, occasion.kind, occasion.sighting, occasion.camera, occasion.zone, occasion.at_ns),
        )
        (waiting,) = self._connection.execute("SELECT count(*) FROM deliveries WHERE alert = ?", (alert,)).fetchone()
        too_many = max(0, int(waiting) - MOST_WAITING)
        oldest = "SELECT n FROM deliveries WHERE alert = ? ORDER BY n LIMIT ?"
        self._connection.execute(f"DELETE FROM deliveries WHERE n IN ({oldest})", (alert, too_many))
        self._count_dropped(alert, too_many)
        return too_many

    def first(self, alert: str) -> Delivery | None:
        """The oldest delivery of an alert: the others wait for it."""
        found = self._connection.execute(
            "SELECT n, id, alert, kind, sighting, camera, zone, at_ns, tries, next_ns FROM deliveries "
            "WHERE alert = ? ORDER BY n LIMIT 1",
            (alert,),
        ).fetchone()
        return None if found is None else Delivery(*found)

    def all(self) -> list[Delivery]:
        """Every delivery, in the order in which it was added."""
        found = self._connection.execute(
            "SELECT n, id, alert, kind, sighting, camera, zone, at_ns, tries, next_ns FROM deliveries ORDER BY n"
        )
        return [Delivery(*row) for row in found]

    def sent(self, delivery: Delivery, now_ns: int) -> None:
        """A delivery arrived."""
        self._remove(delivery)
        self._connection.execute(
            "INSERT INTO counts (alert, sent, sent_ns) VALUES (?, 1, ?) ON CONFLICT DO UPDATE "
            "SET sent = sent + 1, sent_ns = excluded.sent_ns, fault = '', fault_ns = 0",
            (delivery.alert, now_ns),
        )

    def failed(self, delivery: Delivery, fault: str, now_ns: int, after_s: float) -> None:
        """Try a delivery again after this time."""
        self._connection.execute(
            "UPDATE deliveries SET tries = tries + 1, next_ns = ? WHERE n = ?",
            (now_ns + round(after_s * 1e9), delivery.n),
        )
        self._connection.execute(
            "INSERT INTO counts (alert, fault, fault_ns) VALUES (?, ?, ?) ON CONFLICT DO UPDATE "
            "SET fault = excluded.fault, fault_ns = excluded.fault_ns",
            (delivery.alert, fault, now_ns),
        )

    def drop(self, delivery: Delivery) -> None:
        """Give a delivery up, and count it."""
        self._remove(delivery)
        self._count_dropped(delivery.alert, 1)

    def withdraw(self, delivery: Delivery) -> None:
        """Remove a delivery whose sighting is gone: there is nothing to tell."""
        self._remove(delivery)

    def keep_only(self, alerts: list[str]) -> None:
        """Remove the deliveries of alerts that the config no longer has."""
        self._connection.execute(f"DELETE FROM deliveries WHERE alert NOT IN ({','.join('?' * len(alerts))})", alerts)

    def counts(self, alert: str) -> AlertCounts:
        """What became of an alert's deliveries, and how many wait."""
        found = self._connection.execute(
            "SELECT sent, dropped, sent_ns, fault, fault_ns FROM counts WHERE alert = ?", (alert,)
        ).fetchone()
        (waiting,) = self._connection.execute("SELECT count(*) FROM deliveries WHERE alert = ?", (alert,)).fetchone()
        counts = AlertCounts(waiting=waiting) if found is None else AlertCounts(*found)
        return msgspec.structs.replace(counts, waiting=waiting)

    def _remove(self, delivery: Delivery) -> None:
        self._connection.execute("DELETE FROM deliveries WHERE n = ?", (delivery.n,))

    def _count_dropped(self, alert: str, count: int) -> None:
        if count:
            self._connection.execute(
                "INSERT INTO counts (alert, dropped) VALUES (?, ?) ON CONFLICT DO UPDATE "
                "SET dropped = dropped + excluded.dropped",
                (alert, count),
            )


def new_id() -> str:
    """An id for a delivery: random, unique over machines."""
    return f"alert_{secrets.token_hex(16)}"


def retry_s(tries: int, rng: random.Random) -> float:
    """Seconds until the next try after so many failures: twice as long each time, varied at random by JITTER."""
    wait_s = min(FIRST_RETRY_S * 2.0 ** min(tries, 16), LONGEST_RETRY_S)
    return wait_s * rng.uniform(1 - JITTER, 1 + JITTER)
