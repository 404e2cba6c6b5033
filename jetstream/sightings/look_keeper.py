"""Takes looks of open sightings from the frames, and keeps the best ones of each on the disk and in the database."""

import math
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from jetstream.config.schema import Config
from jetstream.events import iso_time
from jetstream.ipc.rings import FrameReader
from jetstream.messages import Tracked, TrackedFace
from jetstream.runtime.switches import CameraSwitches
from jetstream.sightings import looks
from jetstream.sightings.database import LOOKS, transaction
from jetstream.sightings.looks import KeptLook
from jetstream.sightings.writer import OpenSighting


class LookKeeper:
    """The looks of all open sightings. None is taken of a face that `render.blur` hides. Times are of frames."""

    def __init__(self, config: Config, rings: FrameReader) -> None:
        self._folder = Path(config.sightings.dir)
        self._most = config.sightings.looks
        self._blur, self._switches = config.render.blur, CameraSwitches(config)
        self._rings = rings
        self._kept: dict[str, list[KeptLook]] = {}
        self._taken_s: dict[str, float] = {}

    def saw(
        self, tracked: Tracked, sightings: Mapping[str, OpenSighting | None], connection: sqlite3.Connection
    ) -> None:
        """Take looks of a frame's faces, where one is due; `sightings` has that of each face's id, written already.

        Raises OSError, sqlite3.Error: a look can't be kept.
        """
        for face in tracked.faces:
            sighting = sightings.get(face.sighting or "")
            if sighting is not None and sighting.n is not None and self._may_show(face, tracked.frame.camera):
                self._try(tracked, face, sighting, sighting.n, connection)

    def trim(self, grown: Sequence[tuple[int, str]], connection: sqlite3.Connection) -> None:
        """Keep the best looks of sightings that got those of others. Raises OSError, sqlite3.Error."""
        for n, sighting_id in grown:
            kept = _kept_of(n, connection)
            stay = looks.chosen(kept, self._most)
            gone = [look for look in kept if look not in stay]
            with transaction(connection):
                _drop(gone, connection)
            self._kept[sighting_id] = stay
            for look in gone:
                looks.erase(self._folder, look.file)

    def forget(self, open_ids: Mapping[str, object]) -> None:
        """Forget the sightings that aren't open any more; their looks stay on the disk."""
        for known in (self._kept, self._taken_s):
            for sighting_id in known.keys() - open_ids.keys():
                del known[sighting_id]

    def _may_show(self, face: TrackedFace, camera: str) -> bool:
        blur = self._switches.blur(camera, self._blur)
        return self._most > 0 and (blur == "none" or (blur == "unknown" and face.name is not None))

    def _try(
        self, tracked: Tracked, face: TrackedFace, sighting: OpenSighting, n: int, connection: sqlite3.Connection
    ) -> None:
        if face.landmarks is None or face.state != "confirmed":
            return
        frame, key = tracked.frame, sighting.id
        since_s = frame.time_s - self._taken_s.get(key, -math.inf)
        if since_s < looks.FIRST_EVERY_S:  # else no look is wanted, however good
            return
        if key not in self._kept:
            self._kept[key] = _kept_of(n, connection)
        if not looks.is_wanted(self._kept[key], self._most, looks.estimate(face.box, face.landmarks), since_s):
            return
        image = self._rings.read(frame.camera, frame.frame_id)
        self._taken_s[key] = frame.time_s
        if image is None:
            return
        crop = looks.crop(image, face.box, face.landmarks)
        if crop is not None:
            self._keep(crop, sighting, n, connection)

    def _keep(self, crop: looks.LookCrop, sighting: OpenSighting, n: int, connection: sqlite3.Connection) -> None:
        taken_ns = sighting.end_ns
        moment_ms = (taken_ns - sighting.begin_ns) // 1_000_000
        file = f"{LOOKS}/{iso_time(sighting.begin_ns)[:10]}/{sighting.id}-{moment_ms}.jpg"
        new = KeptLook(file, taken_ns, crop.quality, crop.turned)
        kept = [look for look in self._kept[sighting.id] if look.file != file]  # the same file was run before
        stay = looks.chosen([*kept, new], self._most)
        if new not in stay:
            return
        looks.write(self._folder, file, crop.jpeg)
        gone = [look for look in kept if look not in stay]
        try:
            with transaction(connection):
                _drop(gone, connection)
                added = connection.execute(
                    "INSERT OR REPLACE INTO looks (sighting, file, taken_ns, quality, turned, landmarks, bytes) "
                    "SELECT n, ?, ?, ?, ?, ?, ? FROM sightings WHERE n = ? AND id = ?",  # else somebody deleted it
                    (
                        file,
                        taken_ns,
                        crop.quality,
                        crop.turned,
                        looks.landmarks_text(crop.landmarks),
                        len(crop.jpeg),
                        n,
                        sighting.id,
                    ),
                ).rowcount
        except sqlite3.Error:
            looks.erase(self._folder, file)
            raise
        if not added:
            looks.erase(self._folder, file)
            return
        self._kept[sighting.id] = stay
        for look in gone:
            looks.erase(self._folder, look.file)


def _drop(gone: Sequence[KeptLook], connection: sqlite3.Connection) -> None:
    connection.executemany("DELETE FROM looks WHERE file = ?", [(look.file,) for look in gone])


def _kept_of(n: int, connection: sqlite3.Connection) -> list[KeptLook]:
    found = connection.execute(
        "SELECT file, taken_ns, quality, turned FROM looks WHERE sighting = ? ORDER BY quality DESC, n", (n,)
    )
    return [KeptLook(*row) for row in found]
