"""Frames, rings and configs for the tests of stages, made in one process."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jetstream.config import load
from jetstream.config.schema import Config
from jetstream.ipc.ring import LocalRing
from jetstream.ipc.rings import Rings
from jetstream.messages import Captured, FrameRef


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


def captured(rings: Rings, images: Sequence[np.ndarray], camera: str = "a") -> list[Captured]:
    """`images` written to the camera's ring, and the messages that tell of them."""
    return [Captured(frame=frame_of(rings[camera].write(image), camera)) for image in images]
