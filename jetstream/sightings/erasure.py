"""Erases people from the sightings, and searches for what is left of them; gives sightings another name.

A person's sightings go with their looks and all that was told of them. In other sightings, where the person was a
candidate, that candidate goes. Nothing is erased through a link.
"""

import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from jetstream.sightings import database, retention
from jetstream.sightings.writer import transaction

WAIT_S: Final = 10.0
"""how long a command waits for a running pipeline's transactions"""


class SightingTraces(NamedTuple):
    """What the sightings in `folder` hold of some people."""

    folder: Path
    sightings: int = 0
    looks: int = 0
    mentions: int = 0  # other sightings and messages in which one of them was a candidate
    copies: int = 0  # earlier versions of the database, which hold everybody

    def __bool__(self) -> bool:
        return any((self.sightings, self.looks, self.mentions))

    def __str__(self) -> str:
        looks_too = f" with {_counted(self.looks, 'picture')}" if self.looks else ""
        return f"{_counted(self.sightings, 'sighting')}{looks_too}"


def find(names: Collection[str], folder: Path) -> SightingTraces:
    """What `erase` would erase. Raises UserError: the database can't be read."""
    copies = len(database.copies(folder))
    if not database.path_in(folder).exists():
        return SightingTraces(folder, copies=copies)
    with database.opened(folder) as connection:
        own = _own(connection, names)
        pictures = sum(
            int(connection.execute("SELECT count(*) FROM looks WHERE sighting = ?", (n,)).fetchone()[0]) for n, _ in own
        )
        ids = {id_ for _, id_ in own}
        mentions = sum(
            id_ not in ids for column in ("why", "body") for _, id_, _ in _mentions(connection, names, column)
        )
        return SightingTraces(folder, len(own), pictures, mentions, copies)


def named(names: Collection[str], folders: Collection[Path]) -> frozenset[str]:
    """Those of the names that any of the folders knows. Raises UserError: a database can't be read."""
    return frozenset(name for name in names if any(find([name], folder) for folder in folders))


def erase(names: Collection[str], folder: Path) -> SightingTraces:
    """Erase these people; what there was of them. Their bytes are overwritten in the file, and copies of it removed.

    Raises UserError: the database can't be read or written.
    """
    found = find(names, folder)
    for copy in database.copies(folder):
        copy.unlink()
    if not found:
        return found
    with database.opened(folder, write=True, wait_s=WAIT_S) as connection:
        retention.delete(connection, folder, _own(connection, names))
        with transaction(connection):
            for n, _, text in _mentions(connection, names, "why"):
                connection.execute("UPDATE sightings SET why = ? WHERE n = ?", (_without(names, text), n))
            for seq, _, body in _mentions(connection, names, "body"):
                connection.execute("UPDATE changes SET body = ? WHERE seq = ?", (_without(names, body).encode(), seq))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # else the old pages stay in the log
    return found


def rename(old: str, new: str, folder: Path) -> int:
    """Give the sightings of `old` the name `new`; how many. Raises UserError: the database can't be written."""
    if not database.path_in(folder).exists():
        return 0
    with database.opened(folder, write=True, wait_s=WAIT_S) as connection, transaction(connection):
        numbers = _own(connection, (old,))
        for column in ("name", "corrected"):
            connection.execute(f"UPDATE sightings SET {column} = ? WHERE {column} = ?", (new, old))
        connection.execute("UPDATE corrections SET name = ? WHERE name = ?", (new, old))
        connection.execute("UPDATE corrections SET photo = replace(photo, ?, ?)", (f"/{old}/", f"/{new}/"))
        for n, _, text in _mentions(connection, (old,), "why"):
            connection.execute("UPDATE sightings SET why = ? WHERE n = ?", (_renamed(old, new, text), n))
    return len(numbers)


def _own(connection: sqlite3.Connection, names: Collection[str]) -> list[tuple[int, str]]:
    """Row numbers and ids of all sightings that bear, or bore, one of the names."""
    found: dict[int, str] = {}
    for name in names:
        found |= connection.execute("SELECT n, id FROM sightings WHERE name = ? OR corrected = ?", (name, name))
        found |= connection.execute(
            "SELECT n, id FROM sightings WHERE id IN (SELECT sighting_id FROM corrections WHERE name = ?)", (name,)
        )
    return sorted(found.items())


def _mentions(connection: sqlite3.Connection, names: Collection[str], column: str) -> list[tuple[int, str, str]]:
    """Rows of sightings (`why`), or of changes (`body`), in whose JSON one of the people is a candidate: the row's
    number, the sighting's id, and the JSON."""
    key, id_, table = ("n", "id", "sightings") if column == "why" else ("seq", "sighting_id", "changes")
    found: dict[int, tuple[int, str, str]] = {}
    for name in names:
        text = msgspec.json.encode(name).decode()
        rows = connection.execute(
            f"SELECT {key}, {id_}, CAST({column} AS TEXT) FROM {table} WHERE instr(CAST({column} AS TEXT), ?)", (text,)
        )
        found |= {row[0]: row for row in rows if any(_naming(name, msgspec.json.decode(row[2])))}
    return [found[number] for number in sorted(found)]


def _naming(name: str, tree: Any) -> Iterator[dict[str, Any]]:
    """The candidates in decoded JSON that are this person."""
    candidates = tree["why"] if isinstance(tree, dict) else tree
    yield from (candidate for candidate in candidates if candidate["name"] == name)


def _without(names: Collection[str], text: str) -> str:
    tree = msgspec.json.decode(text)
    candidates = tree["why"] if isinstance(tree, dict) else tree
    candidates[:] = [candidate for candidate in candidates if candidate["name"] not in names]
    return msgspec.json.encode(tree).decode()


def _renamed(old: str, new: str, text: str) -> str:
    tree = msgspec.json.decode(text)
    for candidate in _naming(old, tree):
        candidate["name"] = new
        if str(candidate["photo"] or "").startswith(f"{old}/"):
            candidate["photo"] = new + str(candidate["photo"])[len(old) :]
    return msgspec.json.encode(tree).decode()


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
