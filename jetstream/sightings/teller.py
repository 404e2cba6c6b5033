"""The changes of sightings that were not told yet, from the database: each once, in order, over restarts.

Which one was told last is in a file beside the database, written after the changes were sent. A crash between the two
repeats some with the same numbers, which `jetstream subscribe` leaves out.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable
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
"""changes sent before it is noted that they were told"""
TOLD: Final = "told.json"


class _Told(msgspec.Struct, frozen=True):
    """The newest change that was told."""

    epoch: int
    seq: int


class SightingTeller:
    """What to tell of the sightings in `folder`. Times are of time.monotonic(). Never raises for what is wrong there:
    the stage that writes it says so."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened = ExitStack()
        self._connection: sqlite3.Connection | None = None
        self._told = _Told(0, 0)
        self._file: tuple[int, int] | None = None
        self._version = -1
        self._next_s = 0.0

    def tell(self, send: Callable[[SightingMessage], None], now_s: float) -> None:
        """Call `send` for each change since the last call."""
        if now_s < self._next_s:
            return
        self._next_s = now_s + LOOK_EVERY_S
        try:
            connection = self._in_place() or self._open()
            version = int(connection.execute("PRAGMA data_version").fetchone()[0])
            if version == self._version:
                return
            while found := reader.changes_after(connection, self._told.seq, MOST_AT_ONCE):
                for seq, at_ns, change, body in found:
                    send(message_of(self._told.epoch, seq, at_ns, change, body))
                self._note(_Told(self._told.epoch, found[-1][0]))
            self._version = version
        except (JetstreamError, OSError, sqlite3.Error):
            self.close()
            self._next_s = now_s + OPEN_EVERY_S

    def close(self) -> None:
        """Close the database."""
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
            opened.enter_context(lock.held(self._folder / "teller.lock"))
            connection = opened.enter_context(database.opened(self._folder))
            epoch, path = reader.epoch(connection), self._folder / TOLD
            before, self._told = self._told, _Told(epoch, 0)
            if before.epoch == epoch and self._file == database.file_in(self._folder):
                self._told = before  # the file may be older: a full disk
            elif path.exists():
                with contextlib.suppress(*GARBLED):
                    told = msgspec.json.decode(path.read_bytes(), type=_Told)
                    self._told = told if told.epoch == epoch else self._told
            else:  # nobody listened before, so history isn't told
                self._note(_Told(epoch, reader.newest_change(connection)))
            self._opened = opened.pop_all()
        self._connection, self._file, self._version = connection, database.file_in(self._folder), -1
        return connection

    def _note(self, told: _Told) -> None:
        """Not flushed to the disk, which takes long: a power failure repeats some, too.

        Where it can't be written, as on a full disk, it is known in memory: only a restart repeats some.
        """
        self._told = told
        partial = self._folder / f".{TOLD}"
        with contextlib.suppress(OSError):
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(msgspec.json.encode(told))
            os.replace(partial, self._folder / TOLD)


def message_of(epoch: int, seq: int, at_ns: int, change: str, body: bytes) -> SightingMessage:
    """The message of one change; `body` is the sighting as JSON."""
    sighting = msgspec.json.decode(body, type=Sighting)
    return SightingMessage(SCHEMA, epoch, seq, msgspec.convert(change, Change), iso_time(at_ns), sighting)
