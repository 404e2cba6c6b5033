"""Frames, rings and configs for the tests of stages, made in one process."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jetstream.config import load
from jetstream.config.schema import Config
from jetstream.ipc.ring import LocalRing
from jetstream.ipc.rings import Rings
from jetstream.messages import Captured, Detected, FrameRef, Message, NameCandidate, Tracked, TrackedFace
from jetstream.picture_format import AnyPicture

FACE = TrackedFace(
    track_id=7,
    state="confirmed",
    box=(10.123, 20.0, 50.0, 60.0),
    score=0.98765,
    landmarks=(20.0, 30.0, 40.0, 30.0, 30.0, 40.0, 22.0, 50.0, 38.0, 50.0),
    name="Zoë Müller",
    confidence=0.91239,
    age_s=1.23456,
    votes=(
        NameCandidate(name="Zoë Müller", log_odds=5.12345, answers=4, photo="Zoë Müller/1.jpg", distance=0.31234),
        NameCandidate(name=None, log_odds=0.5, answers=1, photo="Zoë Müller/2.jpg", distance=0.6),
    ),
)


def config_of(models: Path, *cameras: str, **tables: dict[str, Any]) -> Config:
    data: dict[str, Any] = {"cameras": [{"name": name, "source": "demo"} for name in cameras or ("a",)]}
    data |= {"models": {"dir": str(models)}, **tables}
    return load.build(data, where="test")


def rings_for(config: Config, *, slots: int = 64) -> Rings:
    return Rings({camera.name: LocalRing(slots=slots) for camera in config.cameras})


def frame_of(frame_id: int, camera: str = "a", fps: float = 25.0) -> FrameRef:
    return FrameRef(
        camera=camera, frame_id=frame_id, captured_ns=1000 + frame_id, wall_ns=0, pts_s=frame_id / fps, live=False
    )


def captured(rings: Rings, images: Sequence[AnyPicture], camera: str = "a") -> list[Captured]:
    """`images` written to the camera's ring, and the messages that tell of them."""
    return [Captured(frame=frame_of(rings[camera].write(image), camera)) for image in images]


def capture_of(frame_id: int, camera: str = "a") -> Captured:
    """The message of a frame whose picture nobody reads."""
    return Captured(frame=frame_of(frame_id, camera))


def tracked(frame_id: int, *faces: TrackedFace) -> Tracked:
    return Tracked(frame=frame_of(frame_id), faces=faces)


def faces_in(messages: Sequence[Message]) -> list[int]:
    """How many faces each detected frame has."""
    return [len(message.faces) for message in messages if isinstance(message, Detected)]
