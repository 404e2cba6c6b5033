"""Makes the clips of all cameras: what happened to sightings comes from the database, the video from shared memory.

Nothing here ends a run. What a killed process left is gone on with.
"""

import contextlib
import logging
import sqlite3
import time
from pathlib import Path
from typing import Final

from jetstream.capturing import fragment_places
from jetstream.clips import library
from jetstream.clips.camera_clips import CameraClips, Now
from jetstream.clips.retention import ClipSweeper
from jetstream.config.schema import Config
from jetstream.errors import JetstreamError
from jetstream.events import iso_ns
from jetstream.sighting import Sighting
from jetstream.sightings import database, reader
from jetstream.sightings.change_queue import ChangeQueue
from jetstream.sightings.reader import SightingFilter

BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
OLDEST_NS: Final = 3_600_000_000_000
"""a sighting that began longer ago has no pictures in memory"""
RESUME_EVERY_NS: Final = 2_000_000_000
"""time between two attempts to read the database at the start"""

log = logging.getLogger(__name__)


class ClipRecorder:
    """The clips of a config."""

    def __init__(self, config: Config) -> None:
        self._folder, self._sightings = Path(config.clips.dir), Path(config.sightings.dir)
        self._changes = ChangeQueue(self._sightings, "clips")
        self._sweeper = ClipSweeper(config.clips)
        boot = BOOT.read_text().strip()
        self._cameras = {
            camera.name: CameraClips(camera.name, config.clips, fragment_places.folders_of(camera.name, config), boot)
            for camera in config.cameras
        }
        self._resume_ns = 0
        self._is_resumed = False

    def tend(self) -> bool:
        """Do what is due; whether there is more to do at once."""
        now = Now(time.monotonic_ns(), time.time_ns())
        if not self._is_resumed:
            if now.ns < self._resume_ns:
                return False
            self._is_resumed = self._resume(now)
            self._resume_ns = now.ns + RESUME_EVERY_NS
        messages = self._changes.look(now.ns * 1e-9)
        for message in messages:
            self._hear(message.sighting, now, is_new=message.change == "enter")
        for camera in self._cameras.values():
            camera.turn(now)
        if messages:
            self._changes.done(messages[-1])
        self._sweeper.sweep(now.ns * 1e-9)
        return any(camera.is_finishing for camera in self._cameras.values())

    def close(self) -> None:
        """The run has ended: finish the clips."""
        now = Now(time.monotonic_ns(), time.time_ns())
        for camera in self._cameras.values():
            camera.end(now)
        self._changes.close()

    def _hear(self, sighting: Sighting, now: Now, *, is_new: bool) -> None:
        camera = self._cameras.get(sighting.camera)
        if camera is None:
            return
        begin_ns = _moment(sighting.begin, now)
        if is_new and now.ns - begin_ns < OLDEST_NS:
            camera.schedule.enter(sighting.id, begin_ns)
        if sighting.state != "open":
            camera.schedule.leave(sighting.id, _moment(sighting.end, now))

    def _resume(self, now: Now) -> bool:
        """Go on with what an earlier process left; False: the database or the clips can't be read."""
        try:
            clips = list(library.clips_in(self._folder))
            unfinished = [clip for clip in clips if clip.info.unfinished is not None]
            if database.is_there(self._sightings):
                with database.opened(self._sightings) as connection:
                    for clip in unfinished:
                        self._hear_again(connection, clip.info.sightings, now)
                    self._hear_open(connection, {one for clip in clips for one in clip.info.sightings}, now)
            for clip in unfinished:
                if (owner := self._cameras.get(clip.info.camera)) is not None:
                    owner.resume(clip.video, clip.info)
        except (JetstreamError, sqlite3.Error, OSError) as error:
            if not self._resume_ns:
                log.warning("clips that were begun are not gone on with yet: %s", error)
            return False
        return True

    def _hear_open(self, connection: sqlite3.Connection, known: set[str], now: Now) -> None:
        """Sightings that are open, and that no clip was begun for."""
        for sighting in reader.find(connection, SightingFilter(from_ns=now.wall_ns - OLDEST_NS)):
            if sighting.state == "open" and sighting.id not in known:
                self._hear(sighting, now, is_new=True)

    def _hear_again(self, connection: sqlite3.Connection, ids: tuple[str, ...], now: Now) -> None:
        """Sightings that an unfinished clip is for. Those that were forgotten are none any more."""
        for id_ in ids:
            with contextlib.suppress(JetstreamError):
                self._hear(reader.one(connection, id_), now, is_new=True)


def _moment(text: str, now: Now) -> int:
    """A time of the wall clock as CLOCK_MONOTONIC."""
    return now.ns - (now.wall_ns - iso_ns(text))
