"""The SQLite file of sightings: where it is, how it is opened, and how an older one is brought up to date.

Its connections write ahead (WAL): readers never wait for the writer, nor the writer for them. Knows no sighting.
"""

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jetstream import files
from jetstream.errors import BusyError, UserError
from jetstream.sightings.migrations import MIGRATIONS as MIGRATIONS

FILE: Final = "sightings.db"
LOOKS: Final = "looks"
"""folder of the pictures, beside the file"""
WAIT_S: Final = 0.25
"""how long a writer waits for another one's transaction"""
COMMAND_WAIT_S: Final = 10.0
"""the same of a command, which has nobody waiting for it"""
READ_WAIT_S: Final = 5.0
MOST_LOG_BYTES: Final = 16_000_000
"""The log of what isn't in the file yet grows while a read transaction is held. Afterwards it is cut to this size."""

LONG_NS: Final = 14_400_000_000_000
"""A sighting longer than this, such as of a picture on a wall, is in the index `sightings_long`. Any other that touches
a time began at most this long before it, so that an index by begin finds it."""

VERSION: Final = len(MIGRATIONS)

log = logging.getLogger(__name__)


class DatabaseError(UserError):
    """The database can't be used: it isn't there, or of another version. The message says what to do."""


class DamageError(DatabaseError):
    """The database's file is damaged."""


def path_in(folder: Path) -> Path:
    """The database's file in the folder of sightings."""
    return folder / FILE


def is_there(folder: Path) -> bool:
    """Whether the folder has a database. Raises UserError: this user may not look."""
    path = path_in(folder)
    try:
        return path.is_file()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; see that this user may read it") from None


@contextlib.contextmanager
def opened(folder: Path, *, write: bool = False, wait_s: float | None = None) -> Iterator[sqlite3.Connection]:
    """A connection, closed at the end. Raises what `connect` raises, also for an error of SQLite in the block."""
    connection = connect(folder, write=write, wait_s=wait_s)
    try:
        yield connection
    except sqlite3.Error as error:
        raise _told(path_in(folder), error) from None
    finally:
        connection.close()


def connect(folder: Path, *, write: bool = False, wait_s: float | None = None) -> sqlite3.Connection:
    """Open the database in `folder`. To write, it is made or brought up to date first; an older one is copied before.

    wait_s  how long it may wait for other writers; None: WAIT_S to write, READ_WAIT_S to read

    Raises DamageError; DatabaseError: it is of a newer version or, to read, isn't there; BusyError: another program
    writes for long; UserError: no permission.
    """
    path = path_in(folder)
    if not write and not is_there(folder):
        raise DatabaseError(f"{path}: there is none; sightings are recorded while `jetstream run` runs")
    try:
        if write:
            files.make_private(path)
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={'rw' if write else 'ro'}",
            uri=True,
            timeout=wait_s if wait_s is not None else WAIT_S if write else READ_WAIT_S,
            isolation_level=None,
        )
    except OSError as error:
        raise UserError(
            f"sightings.dir: {folder}: {error.strerror}; name a folder that can be written, or set "
            "sightings.enabled=false"
        ) from None
    except sqlite3.Error as error:
        raise DatabaseError(f"{path}: {error}; see that this user may read it") from None
    with contextlib.ExitStack() as undo:
        undo.callback(connection.close)
        _prepare(connection, path, write=write)
        undo.pop_all()
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing, and no other writer in between. Raises sqlite3.Error: locked, full, read-only or damaged."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _prepare(connection: sqlite3.Connection, path: Path, *, write: bool) -> None:
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        if write:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # what was told is on the disk
            connection.execute(f"PRAGMA journal_size_limit = {MOST_LOG_BYTES}")
            connection.execute("PRAGMA secure_delete = ON")  # a forgotten person's bytes are overwritten
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > VERSION:
            raise DatabaseError(
                f"{path}: made by a newer jetstream (version {version}, this one knows {VERSION}); update jetstream, "
                "or set sightings.dir to another folder"
            )
        if version < VERSION:
            if not write:
                raise DatabaseError(f"{path}: of version {version}; `jetstream run` brings it to version {VERSION}")
            _migrate(connection, path)
    except sqlite3.DatabaseError as error:
        raise _told(path, error) from None


def _told(path: Path, error: sqlite3.Error) -> UserError | BusyError:
    """The error as a sentence for people."""
    if is_damage(error):
        return DamageError(damage(path, error))
    if "locked" in str(error):
        return BusyError(f"{path}: another program writes it; try again, or end that program")
    return UserError(f"{path}: {error}; see that this user may write it, and that its disk has room")


def is_damage(error: sqlite3.Error) -> bool:
    """Whether `error` says that the file itself is damaged, not that it can't be reached now."""
    if isinstance(error, sqlite3.OperationalError):
        return False
    text = str(error)
    return "malformed" in text or "not a database" in text or "encrypted" in text


def damage(path: Path, error: Exception) -> str:
    """What to tell of a damaged database."""
    return f"{path}: damaged ({error}); move it away, or restore it with `jetstream restore`"


def file_in(folder: Path) -> tuple[int, int] | None:
    """Which file the database is now, see `files.identity`. A connection keeps the one it opened."""
    return files.identity(path_in(folder))


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """All steps in one transaction. A database that holds something is copied first."""
    with transaction(connection):
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])  # another process may have been faster
        if 0 < version < VERSION:
            copy = path.with_name(f"{path.name}.v{version}")
            _copy(path, copy)
            log.info("%s: brought from version %d to %d; %s is a copy of before", path, version, VERSION, copy)
        for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
            for statement in _statements(step):
                connection.execute(statement)
            if number == 1:
                connection.execute(
                    "INSERT INTO meta VALUES ('epoch', ?), ('secret', randomblob(32))", (time.time_ns(),)
                )
            connection.execute(f"PRAGMA user_version = {number}")


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, each of which ends with a semicolon: `executescript` would commit first."""
    statement = ""
    for part in script.split(";")[:-1]:
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _copy(original: Path, path: Path) -> None:
    """By a connection of its own: a backup of one that is in a transaction to write never ends."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with (
        contextlib.closing(sqlite3.connect(f"{original.absolute().as_uri()}?mode=ro", uri=True)) as source,
        contextlib.closing(sqlite3.connect(path)) as target,
    ):
        source.backup(target)


def copies(folder: Path) -> list[Path]:
    """Copies of earlier versions, and databases that were moved away because they were damaged."""
    return sorted(path for path in folder.glob(f"{FILE}.*") if not path.name.endswith(("-wal", "-shm")))


def move_away(folder: Path) -> Path:
    """Rename a damaged database, so that a new one can be made; its new name."""
    path = path_in(folder)
    away = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(OSError):
            os.replace(f"{path}{suffix}", f"{away}{suffix}")
    os.replace(path, away)
    return away
