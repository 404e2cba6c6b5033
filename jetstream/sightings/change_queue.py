"""The changes of sightings that one reader (`READERS`) hasn't handled yet, from the database: each once, in order, over
restarts.

The database is the queue: what is forgotten leaves it, and it holds the newest `changes.KEPT`. Which change was handled
last is in a file beside the database, written afterwards. A crash between the two gives some again with the same
numbers.
"""

import contextlib
import os
import sqlite3
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from jetstream.errors import GARBLED, JetstreamError
from jetstream.events import iso_time
from jetstream.sighting import SCHEMA, Change, Sighting, SightingMessage
from jetstream.sightings import database, lock, reader

LOOK_EVERY_S: Final = 0.1
"""time between two looks for changes, which cost some microseconds each"""
OPEN_EVERY_S: Final = 2.0
"""time between two attempts to open the database"""
MOST_AT_ONCE: Final = 100


class _Handled(msgspec.Struct, frozen=True):
    """The newest change that was handled."""

    epoch: int
    seq: int


class ChangeQueue:
    """What `reader_name` has to handle of the sightings in `folder`. Times are of time.monotonic(). Never raises for
    what is wrong there: the stage that writes it says so."""

    def __init__(self, folder: Path, reader_name: lock.Reader) -> None:
        self._folder = folder
        self._note_path, self._lock_path = note_path(folder, reader_name), folder / f"{reader_name}.lock"
        self._begun_ns = time.time_ns()
        self._opened = ExitStack()
        self._connection: sqlite3.Connection | None = None
        self._handled = _Handled(0, 0)
        self._given = 0  # number of the newest change that `look` gave
        self._file: tuple[int, int] | None = None
        self._version = -1
        self._next_s = 0.0

    def look(self, now_s: float) -> list[SightingMessage]:
        """The next changes, at most MOST_AT_ONCE, each given once until `rewind`. Looks for new ones every
        LOOK_EVERY_S."""
        if now_s < self._next_s:
            return []
        try:
            connection = self._in_place() or self._open()
            version = int(connection.execute("PRAGMA data_version").fetchone()[0])
            found = [] if version == self._version else reader.changes_after(connection, self._given, MOST_AT_ONCE)
            if len(found) < MOST_AT_ONCE:
                self._version = version
                self._next_s = now_s + LOOK_EVERY_S
        except (JetstreamError, OSError, sqlite3.Error):
            self.close()
            self._next_s = now_s + OPEN_EVERY_S
            return []
        self._given = found[-1][0] if found else self._given
        return [message_of(self._handled.epoch, *change) for change in found]

    def done(self, message: SightingMessage) -> None:
        """Note that all changes up to this one are handled.

        Not flushed to the disk, which takes long: a power failure gives some again, too. Where it can't be written, as
        on a full disk, it is known in memory: only a restart gives some again.
        """
        if message.epoch == self._handled.epoch:
            self._note(_Handled(message.epoch, message.seq))

    def rewind(self) -> None:
        """Give again what was given and isn't done."""
        self._given, self._version, self._next_s = self._handled.seq, -1, 0.0

    @property
    def is_open(self) -> bool:
        """Whether it can be read, and no other process reads it for this reader."""
        return self._connection is not None

    @property
    def handled(self) -> int:
        """Number of the newest change that is done."""
        return self._handled.seq

    def close(self) -> None:
        """Close the database; `look` opens it again."""
        self._connection = None
        self._opened.close()

    def _in_place(self) -> sqlite3.Connection | None:
        """The open database, unless another one took its place: nothing more comes in it then."""
        if self._connection is not None and self._file != database.file_in(self._folder):
            self.close()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        """Raises JetstreamError, OSError, sqlite3.Error."""
        with ExitStack() as opened:
            opened.enter_context(lock.held(self._lock_path))
            connection = opened.enter_context(database.opened(self._folder))
            epoch = reader.epoch(connection)
            before, self._handled = self._handled, _Handled(epoch, 0)
            is_same = before.epoch == epoch and self._file == database.file_in(self._folder)
            if is_same:
                self._handled = before  # the note may be older: a full disk
            elif self._note_path.exists():
                with contextlib.suppress(*GARBLED):
                    handled = msgspec.json.decode(self._note_path.read_bytes(), type=_Handled)
                    self._handled = handled if handled.epoch == epoch else self._handled
            else:  # nobody listened before, so what happened before this was made isn't given
                self._note(_Handled(epoch, reader.newest_change(connection, self._begun_ns)))
            self._opened = opened.pop_all()
        self._connection, self._file, self._version = connection, database.file_in(self._folder), -1
        self._given = self._given if is_same else self._handled.seq
        return connection

    def _note(self, handled: _Handled) -> None:
        self._handled = handled
        partial = self._note_path.with_name(f".{self._note_path.name}")
        with contextlib.suppress(OSError):
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(msgspec.json.encode(handled))
            os.replace(partial, self._note_path)


def note_path(folder: Path, reader_name: lock.Reader) -> Path:
    """The file that says which change a reader handled last."""
    return folder / f"{reader_name}.json"


def message_of(epoch: int, seq: int, at_ns: int, change: str, body: bytes) -> SightingMessage:
    """The message of one change; `body` is the sighting as JSON."""
    sighting = msgspec.json.decode(body, type=Sighting)
    return SightingMessage(SCHEMA, epoch, seq, msgspec.convert(change, Change), iso_time(at_ns), sighting)
