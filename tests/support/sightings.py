"""Tracked frames of people who come and go, and the database that is written of them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from jetstream.config.schema import Config
from jetstream.ipc.local import LocalRing
from jetstream.ipc.rings import Rings
from jetstream.messages import FrameRef, NameCandidate, Tracked, TrackedFace, box_of, landmarks_of
from jetstream.networks.open import for_photos, open_picture_detector
from jetstream.sighting import Sighting
from jetstream.sightings import database, reader
from jetstream.sightings.recorder import SightingRecorder
from jetstream.sightings.writer import OpenSighting, SightingQueue
from jetstream.vision.detection.detector import faces_in
from tests.support.stage_messages import FACE, config_of, rings_for

WALL_NS = 1_795_900_000_000_000_000
"""2026-11-28T21:06:40Z"""
IDS = ("01M8JFTDB6GVM5814RJ14Y24CN", "01M8JFTDB6GVM5814RJ14Y24CP", "01M8JFTDB6GVM5814RJ14Y24CQ")


def config_with(folder: Path, *cameras: str, models: Path | None = None, **tables: Any) -> Config:
    """A config whose sightings are in `folder`/sightings."""
    sightings = {"dir": str(folder / "sightings"), **tables.pop("sightings", {})}
    return config_of(models or folder, *cameras, sightings=sightings, **tables)


def face(sighting: str | None, name: str | None = None, **fields: Any) -> TrackedFace:
    """A confirmed face of a sighting, each of a track of its own, in the middle of these tests' small pictures."""
    votes = (NameCandidate(name, 4.0, 3, f"{name}/1.jpg" if name else None, 0.3),)
    track_id = sum(map(ord, sighting or ""))
    given = {
        "track_id": track_id,
        "name": name,
        "votes": votes,
        "confidence": 0.9 if name else 0.0,
        "age_s": 1.0,
        **fields,
    }
    return msgspec.structs.replace(FACE, sighting=sighting, **given)


def at(time_s: float, *faces: TrackedFace, camera: str = "a", frame_id: int | None = None, **told: Any) -> Tracked:
    """A frame of a camera, `time_s` after WALL_NS."""
    frame = FrameRef(
        camera=camera,
        frame_id=round(time_s * 10) if frame_id is None else frame_id,
        captured_ns=round((1000 + time_s) * 1e9),
        wall_ns=WALL_NS + round(time_s * 1e9),
        pts_s=time_s,
        live=True,
    )
    return Tracked(frame=frame, faces=faces, **told)


def pictures(config: Config, frames: int = 200) -> Rings:
    """Rings with noise, so that looks can be taken of any frame of the first `frames`."""
    rings = rings_for(config, slots=frames)
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    for camera in rings:
        for _ in range(frames):
            rings[camera].write(noise)
    return rings


def record(config: Config, frames: Iterable[Tracked], rings: Rings | None = None, *, ended: bool = True) -> None:
    """Record the frames as the stage does, at their own times."""
    recorder = SightingRecorder(config, rings or rings_for(config))
    now_s = 0.0
    for tracked in frames:
        now_s = tracked.frame.time_s
        recorder.saw(tracked, now_s)
    recorder.close(ended=ended, now_s=now_s + 1.0)


def stored(config: Config, **wanted: Any) -> list[Sighting]:
    """The sightings in the database."""
    with database.opened(Path(config.sightings.dir)) as connection:
        return reader.find(connection, reader.SightingFilter(**wanted))


def write_many(folder: Path, count: int) -> None:
    """Write sightings that followed each other, each with a zone, without frames."""
    queue = SightingQueue()
    for number in range(count):
        begin_ns = WALL_NS + number * 1_000_000_000
        name = "Ada" + number % 31 * "x"
        sighting = OpenSighting(f"{number:026}", "a", "hall", name, begin_ns, begin_ns + 500_000_000, 0.0, 0.5)
        sighting.zones, sighting.state = {"door": begin_ns}, "ended"
        queue.put(sighting)
    with database.opened(folder, write=True) as connection:
        queue.write(connection)


def changes(config: Config) -> list[tuple[str, str]]:
    """Each change in the database, and the id of its sighting."""
    with database.opened(Path(config.sightings.dir)) as connection:
        found = reader.changes_after(connection, 0)
    assert [seq for seq, *_ in found] == list(range(1, len(found) + 1)), "without gaps"
    return [(change, msgspec.json.decode(body, type=Sighting).id) for _, _, change, body in found]


def seconds(*frames: Sequence[TrackedFace], every_s: float = 1.0) -> list[Tracked]:
    """One frame after another, with the faces given."""
    return [at(number * every_s, *faces) for number, faces in enumerate(frames)]


class Portraits:
    """The two portraits, and where their faces are."""

    def __init__(self, config: Config, images: dict[str, np.ndarray]) -> None:
        self.images = images
        self.faces: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {}
        with open_picture_detector(for_photos(config)) as detector:
            for name, image in images.items():
                found = faces_in(detector, image)
                self.faces[name] = tuple(found.boxes[0].tolist()), tuple(found.landmarks[0].ravel().tolist())

    def face(self, who: str, sighting: str, name: str | None = None) -> TrackedFace:
        box, landmarks = self.faces[who]
        return face(sighting, name, box=box_of(box), landmarks=landmarks_of(landmarks))

    def seen(self, config: Config, *visits: tuple[str, str, str | None], camera: str = "a") -> None:
        """Record one sighting after another: who is in the picture, its id, and its name."""
        ring = LocalRing(slots=64)
        frames = []
        for number, (who, sighting, name) in enumerate(visits):
            for second in range(3):
                frame_id = ring.write(self.images[who])
                seen = self.face(who, sighting, name)
                frames.append(at(100 * number + second, seen, frame_id=frame_id, camera=camera))
            frame_id = ring.write(self.images[who])
            frames.append(at(100 * number + 50, frame_id=frame_id, camera=camera, ended=(sighting,)))
        record(config, frames, Rings({camera: ring}))
