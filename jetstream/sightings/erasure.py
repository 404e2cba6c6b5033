"""Erases people from the sightings, and searches for what is left of them; gives sightings another name.

A person's sightings go with their looks and all that was told of them. In other sightings, where the person was a
candidate, that candidate goes. Nothing is erased through a link.
"""

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from jetstream.gallery.person_traces import counted
from jetstream.gallery.photos import COUNTER_EXAMPLES
from jetstream.sightings import database, name_changes, retention
from jetstream.sightings.database import transaction

MENTIONING: Final = {"why": ("n", "id", "sightings"), "body": ("seq", "sighting_id", "changes")}
"""columns with candidates as JSON: the key of each row, the sighting's id, and the table"""
ERASED_LASTS_NS: Final = 3_600_000_000_000
"""how long a pipeline may go on with an erased sighting, since its person is still there"""
NAMES: Final = ("name", "machine_name", "denied")
"""what a sighting's JSON calls by a name"""

_Row = TypeVar("_Row")
_Mention = tuple[int, str, str]
"""a row's number, the sighting's id, and the JSON"""


class SightingTraces(NamedTuple):
    """What the sightings in `folder` hold of some people."""

    folder: Path
    sightings: int = 0
    looks: int = 0
    mentions: int = 0  # other sightings and messages in which one of them was a candidate
    copies: int = 0  # earlier versions of the database, which hold everybody
    log: Path | None = None  # the database's log, where `erase` couldn't empty it
    ids: frozenset[str] = frozenset()  # of their sightings

    def __bool__(self) -> bool:
        return any((self.sightings, self.looks, self.mentions))

    def __str__(self) -> str:
        looks_too = f" with {counted(self.looks, 'picture')}" if self.looks else ""
        return f"{counted(self.sightings, 'sighting')}{looks_too}"


class SearchedSightings(NamedTuple):
    """What a search through all sightings in a folder found. `erase` then reads only what is newer."""

    traces: SightingTraces
    known: frozenset[str] = frozenset()  # the names among those searched for that the folder knows
    mentions: Mapping[str, Sequence[_Mention]] = {}  # of each column of MENTIONING, rows in which one is a candidate
    newest: Mapping[str, int] = {}  # of each column, the key of the newest row
    unfinished: Sequence[int] = ()  # rows of sightings that were open
    at_ns: int = 0


def search(names: Collection[str], folder: Path) -> SearchedSightings:
    """Search all sightings and all that was told of them. Raises UserError: the database can't be read."""
    copies, at_ns = len(database.copies(folder)), time.time_ns()
    if not database.is_there(folder):
        return SearchedSightings(SightingTraces(folder, copies=copies))
    with database.opened(folder) as connection:
        connection.execute("BEGIN")
        newest = {
            column: int(connection.execute(f"SELECT coalesce(max({key}), 0) FROM {table}").fetchone()[0])
            for column, (key, _, table) in MENTIONING.items()
        }
        unfinished = [n for (n,) in connection.execute("SELECT n FROM sightings WHERE state = 'open'")]
        own_of = {name: _own(connection, (name,)) for name in names}
        own = dict(row for rows in own_of.values() for row in rows)
        pictures = sum(
            int(connection.execute("SELECT count(*) FROM looks WHERE sighting = ?", (n,)).fetchone()[0]) for n in own
        )
        mentions = {column: _mentions(connection, names, column) for column in MENTIONING}
    known = {name for name, rows in own_of.items() if rows}
    for _, _, text in (row for found in mentions.values() for row in found):
        known |= {name for name in names if name not in known and any(_naming(name, msgspec.json.decode(text)))}
    others = sum(id_ not in own.values() for found in mentions.values() for _, id_, _ in found)
    traces = SightingTraces(folder, len(own), pictures, others, copies, ids=frozenset(own.values()))
    return SearchedSightings(traces, frozenset(known), mentions, newest, unfinished, at_ns)


def find(names: Collection[str], folder: Path) -> SightingTraces:
    """What `erase` would erase. Raises UserError: the database can't be read."""
    return search(names, folder).traces


def erase(names: Collection[str], folder: Path, searched: SearchedSightings | None = None) -> SightingTraces:
    """Erase these people; what there was of them. Their bytes are overwritten in the file, and copies of it removed.

    searched  what `search` found for the same names and folder, of the same file; None: it is searched now

    Raises UserError: the database can't be read or written.
    """
    searched = searched or search(names, folder)
    found = searched.traces
    for copy in database.copies(folder):
        for suffix in ("", "-wal", "-shm"):
            Path(f"{copy}{suffix}").unlink(missing_ok=True)
    if not database.is_there(folder):
        return found
    is_to_empty = bool(found) or _has_log(folder)  # one is left where an earlier `erase` couldn't empty it
    with database.opened(folder, write=True, wait_s=database.COMMAND_WAIT_S) as connection:
        with transaction(connection):
            own = _own(connection, names)
            found = found._replace(ids=found.ids | {id_ for _, id_ in own})
            _keep_away(connection, names, own)
        for some_own in _parts(own):
            retention.delete(connection, folder, some_own)
        for column, found_rows in searched.mentions.items():
            for some in _parts([*found_rows, *_mentions(connection, names, column, searched)]):
                with transaction(connection):
                    _change(connection, column, some, lambda text: _without(names, text))
        emptied = not is_to_empty or _empty_log(connection)
    return found if emptied else found._replace(log=_log(folder))


def _empty_log(connection: sqlite3.Connection) -> bool:
    """Empty the log, in which the old pages are; whether that was done within the connection's time to wait."""
    busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def _log(folder: Path) -> Path:
    path = database.path_in(folder)
    return path.with_name(f"{path.name}-wal")


def _has_log(folder: Path) -> bool:
    path = _log(folder)
    return path.is_file() and path.stat().st_size > 0


def _keep_away(connection: sqlite3.Connection, names: Collection[str], own: Sequence[tuple[int, str]]) -> None:
    """See that a running pipeline, which knows the people still, doesn't record them again."""
    now_ns = time.time_ns()
    for name in names:
        name_changes.note(connection, name, None)
    connection.execute("DELETE FROM erased WHERE at_ns < ?", (now_ns - ERASED_LASTS_NS,))
    connection.executemany(
        "INSERT OR REPLACE INTO erased SELECT id, ? FROM sightings WHERE n = ? AND (state = 'open' OR end_ns > ?)",
        [(now_ns, n, now_ns - ERASED_LASTS_NS) for n, _ in own],
    )


def rename(old: str, new: str, folder: Path) -> int:
    """Give the sightings of `old` the name `new`; how many. Raises UserError: the database can't be written."""
    if not database.is_there(folder):
        return 0
    with database.opened(folder, write=True, wait_s=database.COMMAND_WAIT_S) as connection:
        mentions = {column: _mentions(connection, (old,), column) for column in MENTIONING}  # this takes long
        with transaction(connection):
            numbers = _own(connection, (old,))
            name_changes.note(connection, old, new)
            for column in ("name", "corrected"):
                connection.executemany(
                    f"UPDATE sightings SET {column} = ? WHERE n = ? AND {column} = ?",
                    [(new, n, old) for n, _ in numbers],
                )
            connection.execute("UPDATE corrections SET name = ? WHERE name = ?", (new, old))
            for n, photo in connection.execute("SELECT n, photo FROM corrections WHERE photo IS NOT NULL").fetchall():
                connection.execute("UPDATE corrections SET photo = ? WHERE n = ?", (_moved(Path(photo), old, new), n))
            for column, found in mentions.items():
                _change(connection, column, found, lambda text: _renamed(old, new, text))
    return len(numbers)


def _parts(found: list[_Row]) -> Iterator[list[_Row]]:
    """As many at once as a transaction may change, so that a running pipeline needn't wait long."""
    for start in range(0, len(found), retention.MOST_AT_ONCE):
        yield found[start : start + retention.MOST_AT_ONCE]


def _own(connection: sqlite3.Connection, names: Collection[str]) -> list[tuple[int, str]]:
    """Row numbers and ids of all sightings that bear, or bore, one of the names, with those that are parts of them."""
    found: dict[int, str] = {}
    for name in names:
        found |= connection.execute("SELECT n, id FROM sightings WHERE person = ?", (name,))
        found |= connection.execute(
            "SELECT n, id FROM sightings INDEXED BY sightings_corrected WHERE verdict != '' AND ? IN (name, corrected)",
            (name,),
        )
        found |= connection.execute(
            "SELECT n, id FROM sightings WHERE id IN (SELECT sighting_id FROM corrections WHERE name = ?)", (name,)
        )
    parts = connection.execute("SELECT n, id, merged_into FROM sightings WHERE merged_into IS NOT NULL").fetchall()
    ids = set(found.values())
    while more := {n: id_ for n, id_, into in parts if into in ids and id_ not in ids}:
        found |= more
        ids |= set(more.values())
    return sorted(found.items())


def _change(
    connection: sqlite3.Connection, column: str, mentions: list[_Mention], changed: Callable[[str], str]
) -> None:
    """Change the JSON of these rows, as it is now. Within a transaction."""
    key, _, table = MENTIONING[column]
    for number, *_ in mentions:
        found = connection.execute(f"SELECT CAST({column} AS TEXT) FROM {table} WHERE {key} = ?", (number,))
        for (text,) in found.fetchall():
            value = changed(text).encode() if column == "body" else changed(text)
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (value, number))


def _mentions(
    connection: sqlite3.Connection, names: Collection[str], column: str, after: SearchedSightings | None = None
) -> list[_Mention]:
    """Rows in whose JSON one of the people is a candidate. Reads all rows: a million sightings take 0.8 s.

    after  a search whose rows are known: of the others, those that were written since, or may have changed since
    """
    if not names:
        return []
    key, id_, table = MENTIONING[column]
    texts: list[object] = [msgspec.json.encode(name).decode() for name in names]
    where = " OR ".join([f"instr(CAST({column} AS TEXT), ?)"] * len(texts))
    if after is not None:
        newer, values = f"{key} > ?", [after.newest.get(column, 0)]
        if column == "why":  # a sighting may change until it has ended; a file that is run again opens it anew
            newer += f" OR end_ns >= ? OR n IN ({','.join('?' * len(after.unfinished))})"
            values += [after.at_ns, *after.unfinished]
        where, texts = f"({newer}) AND ({where})", [*values, *texts]
    rows = connection.execute(f"SELECT {key}, {id_}, CAST({column} AS TEXT) FROM {table} WHERE {where}", texts)
    return [row for row in rows if any(next(_naming(name, msgspec.json.decode(row[2])), None) for name in names)]


def _naming(name: str, tree: Any) -> Iterator[dict[str, Any]]:
    """The candidates in decoded JSON that are this person, and a sighting that bore the name."""
    candidates = tree["why"] if isinstance(tree, dict) else tree
    yield from (candidate for candidate in candidates if candidate["name"] == name)
    if isinstance(tree, dict) and name in map(tree.get, NAMES):
        yield tree


def _without(names: Collection[str], text: str) -> str:
    tree = msgspec.json.decode(text)
    candidates = tree["why"] if isinstance(tree, dict) else tree
    candidates[:] = [candidate for candidate in candidates if candidate["name"] not in names]
    if isinstance(tree, dict):
        tree |= {key: None for key in NAMES if tree.get(key) in names}
    return msgspec.json.encode(tree).decode()


def _renamed(old: str, new: str, text: str) -> str:
    tree = msgspec.json.decode(text)
    for named in _naming(old, tree):
        named |= {key: new for key in NAMES if named.get(key) == old}
        if str(named.get("photo") or "").startswith(f"{old}/"):
            named["photo"] = new + str(named["photo"])[len(old) :]
    return msgspec.json.encode(tree).decode()


def _moved(photo: Path, old: str, new: str) -> str:
    """Where a person's photo or counter-example is once the person's folder has the name `new`."""
    person = photo.parent.parent if photo.parent.name == COUNTER_EXAMPLES else photo.parent
    return str(person.with_name(new) / photo.relative_to(person) if person.name == old else photo)
