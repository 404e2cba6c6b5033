"""What was told of each sighting, who is in a cooldown, and how far the changes are evaluated.

All of it changes in one transaction with the deliveries that are due, so that a change counts once over kills.
"""

import hashlib
import sqlite3
from collections.abc import Collection
from typing import Final, NamedTuple, get_args

from jetstream.alerts import alert_file
from jetstream.alerts.occasions import Occasion, OccasionKind, person
from jetstream.alerts.rules import AlertRule, MarkedOccasion
from jetstream.config.schema import AlertKind

KEPT_NS: Final = 30 * 86_400_000_000_000
"""how long it is remembered what was told of a sighting"""


class WaitingStranger(NamedTuple):
    """A sighting that is told as unknown if it gets no name until then."""

    alert: str
    occasion: Occasion


class AlertBook:
    """The memory of all alerts, in an open file. Raises sqlite3.Error. All but `is_new` within a transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._secret = alert_file.secret_of(connection)

    def is_new(self, epoch: int, seq: int) -> bool:
        """Whether a change isn't evaluated yet: after a crash, some are given again."""
        known = dict(self._connection.execute("SELECT key, value FROM meta WHERE key IN ('epoch', 'seq')"))
        return known.get("epoch") != epoch or seq > known.get("seq", 0)

    def advance(self, epoch: int, seq: int) -> None:
        """All changes up to this one are evaluated."""
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('epoch', ?), ('seq', ?)", (epoch, seq))

    def takes(self, rule: AlertRule, marked: MarkedOccasion) -> bool:
        """Whether to tell an occasion now; it counts as told then. The same isn't told again of a sighting, nor of the
        same subject before the alert's cooldown ends."""
        occasion = marked.occasion
        if not rule.accepts(occasion) or (occasion.sighting and self._is_told(rule.name, marked)):
            return False
        for mark in filter(None, (marked.mark, marked.also) if occasion.sighting else ()):
            self._connection.execute(
                "INSERT OR IGNORE INTO told VALUES (?, ?, ?, ?)",
                (occasion.sighting, rule.name, self._hash(mark), occasion.at_ns),
            )
        return occasion.kind == "camera_up" or self._ends_quiet(rule, occasion)

    def wait(self, rule: AlertRule, occasion: Occasion, due_ns: int) -> None:
        """Have a sighting without a name told at `due_ns`."""
        self._connection.execute(
            "INSERT OR IGNORE INTO waiting VALUES (?, ?, ?, ?, ?, ?)",
            (rule.name, occasion.sighting, occasion.camera, occasion.area, occasion.stranger, due_ns),
        )

    def recognised(self, sighting: str) -> None:
        """A sighting got a name, or is a part of another: it is no longer told as unknown."""
        self._connection.execute("DELETE FROM waiting WHERE sighting = ?", (sighting,))

    def numbered(self, sighting: str, stranger: int | None) -> None:
        """A sighting is of a stranger with this number."""
        self._connection.execute("UPDATE waiting SET stranger = ? WHERE sighting = ?", (stranger, sighting))

    def due(self, now_ns: int, sighting: str = "") -> list[WaitingStranger]:
        """Those whose time has come, and those of one sighting, the earliest first. They wait no longer."""
        found = self._connection.execute(
            "SELECT alert, sighting, camera, area, stranger, due_ns FROM waiting WHERE due_ns <= ? OR sighting = ? "
            "ORDER BY due_ns, sighting, alert",
            (now_ns, sighting),
        ).fetchall()
        self._connection.executemany(
            "DELETE FROM waiting WHERE alert = ? AND sighting = ?", [(row[0], row[1]) for row in found]
        )
        return [
            WaitingStranger(
                alert, Occasion("unknown", min(due_ns, now_ns), camera, area, sighting=id_, stranger=stranger)
            )
            for alert, id_, camera, area, stranger, due_ns in found
        ]

    def is_down(self, alert: str, camera: str) -> bool:
        """Whether it was told that a camera is down, and not yet that it is back."""
        found = self._connection.execute("SELECT 1 FROM down WHERE (alert, camera) = (?, ?)", (alert, camera))
        return found.fetchone() is not None

    def set_down(self, alert: str, camera: str, *, is_down: bool) -> None:
        """Note what was told of a camera."""
        change = (
            "INSERT OR IGNORE INTO down VALUES (?, ?)" if is_down else "DELETE FROM down WHERE (alert, camera) = (?, ?)"
        )
        self._connection.execute(change, (alert, camera))

    def drop_old(self, now_ns: int, longest_cooldown_s: float) -> None:
        """Delete what is of no use any more."""
        quiet_ns = now_ns - round(longest_cooldown_s * 1e9)
        self._connection.execute("DELETE FROM told WHERE at_ns < ?", (now_ns - KEPT_NS,))
        self._connection.execute("DELETE FROM quiet WHERE at_ns < ?", (quiet_ns,))

    def forget(self, names: Collection[str]) -> int:
        """Delete the cooldowns of these people; how many there were."""
        delete = "DELETE FROM quiet WHERE subject = ?"
        return sum(self._connection.execute(delete, (key,)).rowcount for key in self._cooldowns_of(names))

    def knows(self, names: Collection[str]) -> bool:
        """Whether one of these people is in a cooldown."""
        find = "SELECT 1 FROM quiet WHERE subject = ?"
        return any(self._connection.execute(find, (key,)).fetchone() for key in self._cooldowns_of(names))

    def _cooldowns_of(self, names: Collection[str]) -> list[bytes]:
        return [self._hash(cooldown(kind, person(name))) for name in names for kind in get_args(AlertKind)]

    def _is_told(self, alert: str, marked: MarkedOccasion) -> bool:
        found = self._connection.execute(
            "SELECT 1 FROM told WHERE (sighting, alert, mark) = (?, ?, ?)",
            (marked.occasion.sighting, alert, self._hash(marked.mark)),
        )
        return found.fetchone() is not None

    def _ends_quiet(self, rule: AlertRule, occasion: Occasion) -> bool:
        """Whether the subject's cooldown for this kind is over; a new one begins then."""
        key = (rule.name, self._hash(cooldown(occasion.kind, occasion.subject)))
        last = self._connection.execute("SELECT at_ns FROM quiet WHERE (alert, subject) = (?, ?)", key).fetchone()
        # also of what happened just before, as a zone's visit is seen late
        if last is not None and abs(occasion.at_ns - last[0]) < rule.config.cooldown_s * 1e9:
            return False
        self._connection.execute("INSERT OR REPLACE INTO quiet VALUES (?, ?, ?)", (*key, occasion.at_ns))
        return True

    def _hash(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode(), key=self._secret, digest_size=16).digest()


def cooldown(kind: OccasionKind, subject: str) -> str:
    """What a cooldown is about: an exit soon after an enter is told."""
    return f"{kind} {subject}"
