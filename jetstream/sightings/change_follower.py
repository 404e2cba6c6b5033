"""The changes of sightings that happen from now on, in the database that is in the folder then.

Notes nothing on the disk: what is handled once over restarts is in `change_queue`.
"""

import time
from pathlib import Path
from typing import Final

from jetstream.errors import JetstreamError
from jetstream.sighting import SightingMessage
from jetstream.sightings import database, reader
from jetstream.sightings.change_queue import message_of
from jetstream.sightings.reader import SightingFilter

UNREADABLE_S: Final = 5.0
"""How long the database may be unreadable: while it is replaced, its log may be of another file, and its tables may
be missing."""


class ChangeFollower:
    """Another file may take the database's place, such as a restored one: of it, what changed since the last look."""

    def __init__(self, folder: Path) -> None:
        """Make it before the database is opened from which `begin` gets its number."""
        self._folder = folder
        self._looked_ns = time.time_ns()  # what happened before is known, or is in self._file
        self._file = database.file_in(folder)
        self._seq = 0
        self._unread_ns = 0  # since when it can't be read; 0: it can
        self.is_gone = False

    def begin(self, seq: int) -> None:
        """The changes up to number `seq` are known."""
        self._seq = seq

    def look(self, wanted: SightingFilter) -> list[SightingMessage]:
        """The changes since the last look of sightings that are wanted. Raises JetstreamError: it can't be read for
        long."""
        now_ns, file = time.time_ns(), database.file_in(self._folder)
        self.is_gone = file is None
        if file is None:
            return []
        try:
            return self._changes(wanted, file, now_ns)
        except JetstreamError:
            self._unread_ns = self._unread_ns or now_ns
            if now_ns - self._unread_ns > UNREADABLE_S * 1e9:
                raise
            return []

    def _changes(self, wanted: SightingFilter, file: tuple[int, int], now_ns: int) -> list[SightingMessage]:
        with database.opened(self._folder) as connection:
            if file != self._file:
                self._seq = reader.newest_change(connection, before_ns=self._looked_ns)
            epoch = reader.epoch(connection)
            told = []
            while found := reader.changes_after(connection, self._seq):
                messages = [message_of(epoch, *change) for change in found]
                told += [one for one in messages if reader.asks_for(wanted, one.sighting, connection)]
                self._seq = found[-1][0]
        self._file, self._looked_ns, self._unread_ns = file, now_ns, 0
        return told
