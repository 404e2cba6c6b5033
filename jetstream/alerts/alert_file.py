"""The SQLite file of alerts, beside that of sightings: its tables, and how it is opened.

It holds no name of a person: sightings by their ids, and whom a cooldown is about as a keyed hash.
"""

import contextlib
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jetstream import files
from jetstream.errors import BusyError, UserError

FILE: Final = "alerts.db"
WAIT_S: Final = 2.0
"""how long a writer waits for another one's transaction"""
VERSION: Final = 1
_TABLES: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE waiting (
    alert TEXT NOT NULL, sighting TEXT NOT NULL, camera TEXT NOT NULL, area TEXT NOT NULL, stranger INTEGER,
    due_ns INTEGER NOT NULL, PRIMARY KEY (alert, sighting)
) WITHOUT ROWID;
CREATE INDEX waiting_due ON waiting (due_ns);
CREATE TABLE told (
    sighting TEXT NOT NULL, alert TEXT NOT NULL, mark BLOB NOT NULL, at_ns INTEGER NOT NULL,
    PRIMARY KEY (sighting, alert, mark)
) WITHOUT ROWID;
CREATE TABLE quiet (
    alert TEXT NOT NULL, subject BLOB NOT NULL, at_ns INTEGER NOT NULL, PRIMARY KEY (alert, subject)
) WITHOUT ROWID;
CREATE TABLE down (alert TEXT NOT NULL, camera TEXT NOT NULL, PRIMARY KEY (alert, camera)) WITHOUT ROWID;
CREATE TABLE deliveries (
    n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, alert TEXT NOT NULL, kind TEXT NOT NULL,
    sighting TEXT NOT NULL, camera TEXT NOT NULL, zone TEXT NOT NULL, at_ns INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0, next_ns INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX deliveries_of ON deliveries (alert, n);
CREATE TABLE counts (
    alert TEXT PRIMARY KEY, sent INTEGER NOT NULL DEFAULT 0, dropped INTEGER NOT NULL DEFAULT 0,
    sent_ns INTEGER NOT NULL DEFAULT 0, fault TEXT NOT NULL DEFAULT '', fault_ns INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
"""

log = logging.getLogger(__name__)


def path_in(folder: Path) -> Path:
    """The file of alerts in the folder of sightings."""
    return folder / FILE


def is_there(folder: Path) -> bool:
    """Whether alerts were told there, or may be."""
    return path_in(folder).is_file()


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[sqlite3.Connection]:
    """A connection to write; the file is made where there is none. Raises what `connect` raises."""
    connection = connect(folder)
    try:
        yield connection
    except sqlite3.Error as error:
        raise fault(path_in(folder), error) from None
    finally:
        connection.close()


def connect(folder: Path) -> sqlite3.Connection:
    """Open the file to write. One that is damaged is moved away first. Raises UserError, BusyError."""
    path = path_in(folder)
    try:
        files.make_private(path)
        try:
            return _prepared(path)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            _move_away(path, error)
            files.make_private(path)
            return _prepared(path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a folder that can be written as sightings.dir") from None
    except sqlite3.Error as error:
        raise fault(path, error) from None


def in_memory() -> sqlite3.Connection:
    """The same tables in memory, for what is computed and not kept."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    _make(connection)
    return connection


def fault(path: Path, error: sqlite3.Error) -> UserError:
    """The error as a sentence for people."""
    if "locked" in str(error):
        return BusyError(f"{path}: another program writes it; try again, or end that program")
    return UserError(f"{path}: {error}; see that this user may write it, and that its disk has room")


def secret_of(connection: sqlite3.Connection) -> bytes:
    """The key of the hashes in this file."""
    return bytes(connection.execute("SELECT value FROM meta WHERE key = 'secret'").fetchone()[0])


def _prepared(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
    with contextlib.ExitStack() as undo:
        undo.callback(connection.close)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # what is due is on the disk before a change counts as handled
        connection.execute("PRAGMA secure_delete = ON")
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > VERSION:
            raise UserError(f"{path}: made by a newer jetstream; update jetstream, or move the file away")
        if version == 0:
            _make(connection)
        if (answer := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(f"malformed: {answer}")
        undo.pop_all()
    return connection


def _make(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("PRAGMA user_version").fetchone()[0] == 0:  # another process may have been faster
        for statement in _TABLES.split(";")[:-1]:
            connection.execute(statement)
        connection.execute("INSERT INTO meta VALUES ('secret', ?)", (secrets.token_bytes(32),))
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return not isinstance(error, sqlite3.OperationalError) and any(
        word in str(error) for word in ("malformed", "not a database", "encrypted")
    )


def _move_away(path: Path, error: sqlite3.DatabaseError) -> None:
    away = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    os.replace(path, away)
    log.warning(
        "%s: is damaged (%s); it is now %s, and a new one begins: what was due is not sent, and what was told may be "
        "told again",
        *(path, error, away.name),
    )
