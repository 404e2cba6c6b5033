"""The SQLite file of sightings: where it is, its tables, and how an older one is brought up to date.

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

DOUBTFUL: Final = "verdict = '' AND name IS NOT NULL AND confidence < 0.8 AND state != 'merged'"
"""Names that a human should look at, as SQLite needs it to use the index. Of names shown with 50 to 80 %, 97.9 % are
right (docs/accuracy.md); most wrong ones are below."""

# Each brings the database from its place in this list to the next version. Never changed, only added to.
MIGRATIONS: Final = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE sightings (
        n INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        camera TEXT NOT NULL,
        area TEXT NOT NULL,
        state TEXT NOT NULL,
        name TEXT,
        verdict TEXT NOT NULL DEFAULT '',
        corrected TEXT,
        stranger INTEGER,
        begin_ns INTEGER NOT NULL,
        end_ns INTEGER NOT NULL,
        begin_s REAL NOT NULL,
        end_s REAL NOT NULL,
        confidence REAL NOT NULL,
        why TEXT NOT NULL,
        gallery TEXT NOT NULL,
        merged_into TEXT,
        person TEXT GENERATED ALWAYS AS (
            CASE verdict WHEN '' THEN name WHEN 'name' THEN corrected WHEN 'not' THEN nullif(name, corrected) END
        ) VIRTUAL
    );
    CREATE INDEX sightings_by_last_letters ON sightings (substr(id, -4));
    CREATE INDEX sightings_by_begin ON sightings (begin_ns);
    CREATE INDEX sightings_long ON sightings (end_ns) WHERE end_ns - begin_ns > 14400000000000;
    CREATE INDEX people_by_end ON sightings (end_ns) WHERE person IS NOT NULL;
    CREATE INDEX strangers_by_end ON sightings (end_ns) WHERE person IS NULL;
    CREATE INDEX sightings_by_person ON sightings (person, begin_ns);
    CREATE INDEX sightings_by_camera ON sightings (camera, begin_ns);
    CREATE INDEX sightings_by_stranger
        ON sightings (stranger, begin_ns, end_ns, camera, state, verdict, name, corrected)
        WHERE stranger IS NOT NULL;
    CREATE INDEX sightings_open ON sightings (n) WHERE state = 'open';
    CREATE INDEX sightings_corrected ON sightings (n) WHERE verdict != '';
    CREATE TABLE zones (
        sighting INTEGER NOT NULL REFERENCES sightings (n) ON DELETE CASCADE,
        zone TEXT NOT NULL,
        first_ns INTEGER NOT NULL,
        begin_ns INTEGER NOT NULL,
        PRIMARY KEY (sighting, zone)
    ) WITHOUT ROWID;
    CREATE INDEX zones_by_name ON zones (zone, begin_ns);
    CREATE TABLE looks (
        n INTEGER PRIMARY KEY,
        sighting INTEGER NOT NULL REFERENCES sightings (n) ON DELETE CASCADE,
        file TEXT NOT NULL UNIQUE,
        taken_ns INTEGER NOT NULL,
        quality REAL NOT NULL,
        turned REAL NOT NULL,
        landmarks TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        network TEXT NOT NULL DEFAULT '',
        embedding BLOB
    );
    CREATE INDEX looks_of ON looks (sighting, quality);
    CREATE INDEX looks_by_age ON looks (taken_ns, bytes);
    CREATE INDEX looks_by_network ON looks (network);
    CREATE TABLE changes (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        at_ns INTEGER NOT NULL,
        change TEXT NOT NULL,
        sighting_id TEXT NOT NULL,
        body BLOB NOT NULL
    );
    CREATE INDEX changes_of ON changes (sighting_id);
    CREATE TABLE corrections (
        n INTEGER PRIMARY KEY,
        sighting_id TEXT NOT NULL,
        at_ns INTEGER NOT NULL,
        verdict TEXT NOT NULL,
        name TEXT,
        photo TEXT,
        undone_ns INTEGER
    );
    CREATE INDEX corrections_of ON corrections (sighting_id);
    CREATE TABLE strangers (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        merged_into INTEGER,
        first_ns INTEGER NOT NULL
    );
    CREATE INDEX strangers_merged ON strangers (merged_into) WHERE merged_into IS NOT NULL;
    CREATE TABLE renames (key BLOB PRIMARY KEY, name TEXT, at_ns INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE erased (id TEXT PRIMARY KEY, at_ns INTEGER NOT NULL) WITHOUT ROWID;
    """,
    f"""
    CREATE TABLE stranger_merges (
        n INTEGER PRIMARY KEY, one INTEGER NOT NULL, other INTEGER NOT NULL, at_ns INTEGER NOT NULL, done_ns INTEGER
    );
    CREATE INDEX stranger_merges_due ON stranger_merges (n) WHERE done_ns IS NULL;
    CREATE TABLE pinned (
        sighting INTEGER PRIMARY KEY REFERENCES sightings (n) ON DELETE CASCADE
    );
    CREATE INDEX sightings_doubtful ON sightings (begin_ns) WHERE {DOUBTFUL};
    """,
)
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
