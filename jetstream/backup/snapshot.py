"""A copy of the database of sightings as it is at one moment, while the pipeline goes on to write it; and its checks.

Knows no archive.
"""

import contextlib
import os
import re
import sqlite3
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from jetstream.errors import UserError
from jetstream.sightings import database, lock
from jetstream.sightings.change_queue import note_path

_LOOK: Final = re.compile(rf"{re.escape(database.LOOKS)}/[^\0]+")
"""what may be a picture's file. It is erased with its sighting one day, so it must lie in the folder of pictures"""


class DatabaseSnapshot(NamedTuple):
    """A whole database in one file, without a log beside it."""

    path: Path
    version: int
    looks: tuple[str, ...]  # the pictures that it names, relative to the folder of sightings
    sightings: int

    def forget_looks(self, files: Collection[str]) -> None:
        """Drop the records of pictures that were deleted after the copy: no record may name a file that isn't there."""
        with contextlib.closing(_opened(self.path)) as connection, connection:
            connection.executemany("DELETE FROM looks WHERE file = ?", [(file,) for file in files])


def take(source: Path, target: Path) -> DatabaseSnapshot:
    """Copy the database `source` to the new file `target`. The writer doesn't wait, and the copy is of one moment.

    Raises UserError where it can't be read or is damaged; OSError where the copy can't be written.
    """
    with contextlib.closing(_opened(source, "ro")) as read, contextlib.closing(_opened(target)) as copy:
        try:
            read.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.Error as error:
            if database.is_damage(error):
                raise UserError(database.damage(source, error)) from None
            raise OSError(getattr(error, "sqlite_errorcode", 0), str(error), os.fspath(target)) from None
    try:
        return check(target)
    except UserError as error:
        raise UserError(str(error).replace(str(target), str(source))) from None


def check(path: Path, limit: int = database.VERSION) -> DatabaseSnapshot:
    """What is in a copy. Raises UserError: no database of sightings, of a newer version, or damaged."""
    try:
        with contextlib.closing(_opened(path)) as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if version > limit:
                raise UserError(
                    f"{path}: a database of version {version}, and this jetstream knows {limit}; update jetstream"
                )
            (answer,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if answer != "ok":
                raise UserError(f"{path}: damaged ({answer}); move it away, or restore it with `jetstream restore`")
            looks = tuple(str(file) for (file,) in connection.execute("SELECT file FROM looks ORDER BY file"))
            if outside := [file for file in looks if not _LOOK.fullmatch(file) or ".." in file.split("/")]:
                raise UserError(f"{path}: names {outside[0]!r} as a picture, which no sighting has; use another one")
            (count,) = connection.execute("SELECT count(*) FROM sightings").fetchone()
            return DatabaseSnapshot(path, version, looks, int(count))
    except sqlite3.Error as error:
        raise UserError(f"{path}: no database of sightings, or damaged ({error}); use another one") from None


def begin_epoch(path: Path) -> None:
    """Number the changes of a restored database anew: those told since the backup had the same numbers."""
    with contextlib.closing(_opened(path)) as connection, connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'epoch'", (time.time_ns(),))
    for name in lock.READERS:
        note_path(path.parent, name).unlink(missing_ok=True)


def people(path: Path) -> list[str]:
    """The names in a copy."""
    with contextlib.closing(_opened(path)) as connection:
        found = connection.execute("SELECT DISTINCT person FROM sightings WHERE person IS NOT NULL ORDER BY person")
        return [str(name) for (name,) in found]


def _opened(path: Path, mode: str = "rw") -> sqlite3.Connection:
    """Raises UserError."""
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=database.READ_WAIT_S)
        connection.execute("PRAGMA trusted_schema = OFF")  # a file from outside calls no function of its own
        if mode == "rw":
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA foreign_keys = ON")
        return connection
    except sqlite3.Error as error:
        raise UserError(f"{path}: can't be opened ({error}); see that this user may read it") from None


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """An empty private file beside `path` for the copy, removed at the end. Raises OSError."""
    copy = path.with_name(f"{path.name}.db")
    names = [copy, *(copy.with_name(f"{copy.name}{suffix}") for suffix in ("-journal", "-wal", "-shm"))]
    for name in names:
        name.unlink(missing_ok=True)
    os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield copy
    finally:
        for name in names:
            name.unlink(missing_ok=True)
