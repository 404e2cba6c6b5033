"""Records sightings: follows them, keeps looks, and writes the database.

Nothing here ends a run. While the folder can't be used, sightings are followed in memory and written afterwards.
"""

import logging
import sqlite3
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from jetstream.config.schema import Config
from jetstream.errors import JetstreamError
from jetstream.ipc.rings import FrameReader
from jetstream.messages import Tracked
from jetstream.sightings import database, lock, retention
from jetstream.sightings.following import SightingFollower
from jetstream.sightings.look_keeper import LookKeeper
from jetstream.sightings.retention import RetentionSweeper
from jetstream.sightings.writer import SightingQueue, left_open

RETRY_S: Final = 2.0
"""time between two attempts to open or write the database"""
WRITE_EVERY_S: Final = 0.1
"""time between two transactions, so that a crowd costs no more than ten a second"""

log = logging.getLogger(__name__)


class SightingRecorder:
    """The sightings of all cameras, in the folder `sightings.dir`. Times are of time.monotonic().

    A second pipeline on the same folder records nothing until the first one ends.
    """

    def __init__(self, config: Config, rings: FrameReader) -> None:
        self._folder = Path(config.sightings.dir)
        self._queue = SightingQueue()
        self.follower = SightingFollower(config, self._queue)
        self._looks = LookKeeper(config, rings)
        self._sweeper = RetentionSweeper(config)
        self._opened = ExitStack()
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._wrote_s = 0.0
        self._retry_s = 0.0
        self._wall_ns = 0  # of the newest frame
        self._outage = _Outage(self._folder)

    def saw(self, tracked: Tracked, now_s: float) -> None:
        """Take a frame."""
        self._wall_ns = tracked.frame.wall_ns
        if self._connection is None:
            self.tend(now_s)  # what an earlier process left open goes on, instead of beginning again
        self.follower.saw(tracked, now_s)
        self.tend(now_s)
        connection = self._connection
        if connection is not None and not self._outage.is_on:
            sightings = {face.sighting: self.follower.get(face.sighting) for face in tracked.faces if face.sighting}
            try:
                self._looks.saw(tracked, sightings, connection)
            except (OSError, sqlite3.Error) as error:
                self._fail(error, now_s)

    def tend(self, now_s: float) -> None:
        """Do what is due without a frame: end sightings, write, sweep."""
        self.follower.passed(now_s)
        if now_s < self._retry_s or now_s - self._wrote_s < WRITE_EVERY_S:
            return
        self._wrote_s = now_s if len(self._queue) else self._wrote_s
        try:
            connection = self._in_place() or self._open(now_s)
            written = self._queue.write(connection)
            self._looks.trim(written.grown, connection)
            retention.delete(connection, self._folder, written.orphans)
            self._looks.forget(self.follower.open_ids)
            self._sweeper.sweep(connection, now_s)
        except (JetstreamError, OSError, sqlite3.Error) as error:  # the first: another pipeline's, of a newer version
            self._fail(error, now_s)
        else:
            self._outage.end(now_s, self._queue.lost)

    def close(self, *, ended: bool, now_s: float) -> None:
        """Write what waits, and close the database. `ended`: the input has ended, so all sightings have too."""
        if ended:
            self.follower.end_all()
        self._wrote_s = self._retry_s = 0.0
        self.tend(now_s)
        if len(self._queue) and self._retry_s == 0.0:  # a damaged database was moved away just now
            self._wrote_s = 0.0
            self.tend(now_s)
        if self._outage.is_on and len(self._queue):
            log.warning("%s: %d sightings could not be written and are lost", self._folder, len(self._queue))
        self._connection = None
        self._opened.close()

    def _in_place(self) -> sqlite3.Connection | None:
        """The open database, unless its file was removed or replaced: what is written to it then is lost."""
        if self._connection is None or self._file == database.file_in(self._folder):
            return self._connection
        log.warning("%s: the database of sightings is gone; a new one begins", self._folder)
        self._leave()
        return None

    def _leave(self) -> None:
        """Close the database; the open sightings are to be written to another one."""
        self._connection = None
        self._opened.close()
        self._looks.forget({})
        self.follower.put_all_anew()

    def _open(self, now_s: float) -> sqlite3.Connection:
        """Raises JetstreamError, OSError, sqlite3.Error."""
        with ExitStack() as opened:
            opened.enter_context(lock.held(self._folder / "writer.lock"))
            connection = opened.enter_context(database.opened(self._folder, write=True))
            for sighting in left_open(connection):
                self.follower.restore(sighting, now_s, self._wall_ns or time.time_ns())
            self._opened = opened.pop_all()
        self._connection, self._file = connection, database.file_in(self._folder)
        return connection

    def _fail(self, error: Exception, now_s: float) -> None:
        self._retry_s = now_s + RETRY_S
        is_damage = isinstance(error, database.DamageError) or (
            isinstance(error, sqlite3.Error) and database.is_damage(error)
        )
        if is_damage:
            self._begin_anew(error, now_s)
        else:
            self._outage.begin(error, now_s)

    def _begin_anew(self, error: Exception, now_s: float) -> None:
        """A damaged database is kept beside a new one, in which the open sightings go on."""
        self._leave()
        try:
            away = database.move_away(self._folder)
        except OSError as failure:
            self._outage.begin(failure, now_s)
            return
        log.warning(
            "%s: the database of sightings is damaged (%s); it is now %s, and a new one begins; `jetstream restore` "
            "brings back a backup",
            *(self._folder, error, away.name),
        )
        self._retry_s = 0.0


class _Outage:
    """Whether the folder can't be used now. Logged when it begins and ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._since_s: float | None = None
        self._lost_before = 0

    @property
    def is_on(self) -> bool:
        return self._since_s is not None

    def begin(self, error: Exception, now_s: float) -> None:
        if self._since_s is not None:
            return
        self._since_s = now_s
        why = str(error)
        if not why.startswith(str(self._folder)) and "sightings.dir" not in why:
            why = f"{self._folder}: {why}"
        log.warning("%s; sightings wait in memory, and everything else goes on", why)

    def end(self, now_s: float, lost: int) -> None:
        """`lost`: changes lost since the start of this process."""
        if self._since_s is None:
            return
        missing, self._lost_before = lost - self._lost_before, lost
        loss = f"; {missing} changes are missing, for which there was no room" if missing else "; nothing is missing"
        log.info("%s: sightings are written again after %.0f s%s", self._folder, now_s - self._since_s, loss)
        self._since_s = None
