"""The SQLite file with users, sessions and tokens: opened, made where it isn't there, and read.

Whatever is wrong with it is an AccessFileError. It is never taken for one without users, with which everybody on this
machine may do everything.
"""

import contextlib
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from jetstream import files
from jetstream.errors import UserError
from jetstream.sightings.database import transaction

WAIT_S: Final = 2.0
"""for another process that writes; the page's answers wait meanwhile"""

TABLES: Final = """
    CREATE TABLE IF NOT EXISTS users (
        name TEXT PRIMARY KEY, hash TEXT NOT NULL, may TEXT NOT NULL, made_s REAL NOT NULL
    );
    CREATE TABLE IF NOT EXISTS sessions (
        hash BLOB PRIMARY KEY, user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE, made_s REAL NOT NULL,
        seen_s REAL NOT NULL, address TEXT NOT NULL, agent TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS tokens (
        name TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, may TEXT NOT NULL, made_s REAL NOT NULL, seen_s REAL
    );
"""


class AccessFileError(UserError):
    """The file can't be read or written."""


class AccessFile:
    """For one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Nothing is made before it is needed."""
        self._path = path
        self._file: tuple[int, int] | None = None
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def rows(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """None where there is no file. Raises AccessFileError."""
        if not self._is_there():
            return []
        with self._refusing():
            return self._open().execute(query, values).fetchall()

    @contextlib.contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """All or nothing. Raises AccessFileError."""
        with self._refusing(), transaction(self._open()) as connection:
            yield connection

    def change_if_possible(self, query: str, values: tuple[object, ...]) -> None:
        """For what may be lost: on a full or read-only disk, who is logged in goes on."""
        with contextlib.suppress(AccessFileError), self.changing() as connection:
            connection.execute(query, values)

    def _is_there(self) -> bool:
        with self._refusing():
            try:
                found = self._path.stat()
            except FileNotFoundError:
                return False
            if not stat.S_ISREG(found.st_mode):
                raise AccessFileError(f"{self._path}: is no file; move it away, or set web.dir to another folder")
            return True

    def _open(self) -> sqlite3.Connection:
        """The database, made where it isn't there; opened anew where another file has its name."""
        if self._connection is not None and self._file is not None and self._file == files.identity(self._path):
            return self._connection
        self.close()
        files.make_private(self._path)
        self._connection = sqlite3.connect(self._path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
        self._connection.executescript(f"PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; {TABLES}")
        self._file = files.identity(self._path)
        return self._connection

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise AccessFileError(
                f"web.dir: {self._path.parent}: {error.strerror}; name a folder that can be written"
            ) from None
        except sqlite3.Error as error:
            raise AccessFileError(f"{self._path}: {error}; see that this user may write it, or move it away") from None
