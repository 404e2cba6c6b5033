"""Whether there is something new to show: the newest change among sightings, and the gallery in use.

Looked for only while somebody has the page open, once for all of them. Times are of time.monotonic().
"""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

import msgspec

from jetstream.errors import JetstreamError
from jetstream.messages import InUse
from jetstream.sightings import reader

LOOK_EVERY_S: Final = 0.3
"""a look costs less than a millisecond"""


class GalleryNews(msgspec.Struct, frozen=True):
    """The gallery that names come from."""

    sha256: str
    people: int
    photos: int


class News(msgspec.Struct, frozen=True):
    """What was newest at the last look. The page compares it with what it was told before."""

    sightings: str
    """another one after each change of a sighting, and in another database; empty: there is no database"""
    gallery: GalleryNews | None
    """null: not known yet"""


class NewsFinder:
    """Shared by threads."""

    def __init__(self, sightings: Callable[[], AbstractContextManager[sqlite3.Connection | None]]) -> None:
        """sightings  opens their database; None: there is none"""
        self._sightings = sightings
        self._lock = threading.Lock()
        self._mark = ""
        self._next_s = 0.0
        self.in_use: InUse | None = None
        """as `recognize` told it last"""

    def newest(self, now_s: float) -> News:
        """What is newest. While another thread looks, and where the database can't be read: as before."""
        if now_s >= self._next_s and self._lock.acquire(blocking=False):
            try:
                self._mark = self._looked()
            finally:
                self._next_s = now_s + LOOK_EVERY_S
                self._lock.release()
        told = self.in_use
        return News(self._mark, None if told is None else GalleryNews(told.sha256, told.people, told.photos))

    def _looked(self) -> str:
        try:
            with self._sightings() as connection:
                if connection is None:
                    return ""
                return f"{reader.epoch(connection)}.{reader.newest_change(connection)}"
        except JetstreamError:  # whoever asks for sightings is told so
            return self._mark
