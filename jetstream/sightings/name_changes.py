"""Names that people no longer have. A command notes them here, since a running pipeline says an old name for a while:
until it has the new gallery and its votes are new, too.

An old name is kept as a keyed hash, so that a forgotten name stands nowhere.
"""

import hashlib
import sqlite3
import time
from typing import Final

import msgspec

from jetstream.messages import NameCandidate

LASTS_NS: Final = 120_000_000_000
"""how long a pipeline may still say an old name: training was awaited, so a swap of the gallery and new votes"""


class NameChanges:
    """The changes of the last LASTS_NS, as they are now."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Raises sqlite3.Error."""
        now_ns = time.time_ns()
        self._names: dict[bytes, str | None] = dict(
            connection.execute(
                "SELECT key, name FROM renames WHERE at_ns BETWEEN ? AND ?", (now_ns - LASTS_NS, now_ns + LASTS_NS)
            ).fetchall()
        )
        self._secret = _secret(connection) if self._names else b""

    def today(self, name: str | None) -> str | None:
        """What the person is called now; None: was forgotten."""
        if not self._names or name is None:
            return name
        return self._names.get(_key(self._secret, name), name)

    def candidates(self, why: tuple[NameCandidate, ...]) -> tuple[NameCandidate, ...]:
        """The candidates without those who were forgotten, by the names that they have now."""
        if not self._names:
            return why
        changed = ((candidate, self.today(candidate.name)) for candidate in why)
        return tuple(
            candidate if name == candidate.name else msgspec.structs.replace(candidate, name=name, photo=None)
            for candidate, name in changed
            if candidate.name is None or name is not None
        )


def note(connection: sqlite3.Connection, old: str, new: str | None) -> None:
    """Note that `old` is called `new` from now on, or is forgotten. Within a transaction. Raises sqlite3.Error."""
    secret, now_ns = _secret(connection), time.time_ns()
    connection.execute("DELETE FROM renames WHERE at_ns < ?", (now_ns - LASTS_NS,))
    connection.execute("UPDATE renames SET name = ?, at_ns = ? WHERE name = ?", (new, now_ns, old))
    if new is not None:
        connection.execute("DELETE FROM renames WHERE key = ?", (_key(secret, new),))
    connection.execute("INSERT OR REPLACE INTO renames VALUES (?, ?, ?)", (_key(secret, old), new, now_ns))


def _secret(connection: sqlite3.Connection) -> bytes:
    return bytes(connection.execute("SELECT value FROM meta WHERE key = 'secret'").fetchone()[0])


def _key(secret: bytes, name: str) -> bytes:
    return hashlib.blake2b(name.encode(), key=secret, digest_size=32).digest()
