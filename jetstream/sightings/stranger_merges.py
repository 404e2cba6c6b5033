"""What humans say of strangers: two numbers are one person.

It is written down here, and done by the grouper, which knows the groups.
"""

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from jetstream.errors import UserError
from jetstream.sightings import database, reader
from jetstream.sightings.database import transaction


def request(folder: Path, numbers: Sequence[int]) -> None:
    """Have strangers made one. Raises UserError: a number isn't known, or there are fewer than two."""
    with database.opened(folder, write=True, wait_s=database.COMMAND_WAIT_S) as connection:
        living = []
        for number in dict.fromkeys(numbers):
            alias = reader.aliases(connection, number)
            found = connection.execute(
                f"SELECT id FROM strangers WHERE merged_into IS NULL AND id IN ({','.join('?' * len(alias))})", alias
            ).fetchone()
            if found is None:
                raise UserError(f"stranger {number}: there is none; `jetstream strangers` lists them")
            living.append(found[0])
        first, *others = dict.fromkeys(living)
        if not others:
            raise UserError("name two strangers or more who are one person")
        with transaction(connection):
            connection.executemany(
                "INSERT INTO stranger_merges (one, other, at_ns) VALUES (?, ?, ?)",
                [(first, other, time.time_ns()) for other in others],
            )


def pending(connection: sqlite3.Connection) -> list[tuple[int, int, int]]:
    """What isn't done yet, the oldest first: row number and the two strangers' numbers."""
    return connection.execute("SELECT n, one, other FROM stranger_merges WHERE done_ns IS NULL ORDER BY n").fetchall()
