"""Frames to faces. All cameras share one detector, and what is waiting goes through it together.

The whole picture is searched at key frames; in between only the last faces are verified, for a fiftieth of the cost.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jetstream.config import Config
from jetstream.config import Detect as DetectConfig
from jetstream.ipc.ring import FrameReader
from jetstream.messages import Captured, Detected, Dropped, Face, box_of, landmarks_of
from jetstream.models import open_detector
from jetstream.vision import motion
from jetstream.vision.mtcnn import Detections, Mtcnn


@dataclass
class CameraMemory:
    """What `detect` remembers of one camera: its last faces, its last picture, and how long ago it searched."""

    thumbnail: NDArray[np.uint8] | None = None
    boxes: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 4), np.float32))
    frames_since_search: int = 0
    lost_one: bool = False  # a face failed verification: it may have moved away, so search


@dataclass(frozen=True)
class Plan:
    """One frame to do, and how."""

    captured: Captured
    image: NDArray[np.uint8]
    memory: CameraMemory
    search: bool
    cut: bool


def detect(batches: Iterator[Sequence[Captured]], rings: FrameReader, config: Config) -> Iterator[Detected | Dropped]:
    """Each frame's faces, in the order of the frames; a frame that has left its ring is Dropped (`lapped`)."""
    memories = {camera.name: CameraMemory() for camera in config.cameras}
    with open_detector(config) as detector:
        for batch in batches:
            plans = []
            for captured in batch:
                frame = captured.frame
                image = rings.read(frame.camera, frame.frame_id)
                if image is None:
                    yield Dropped(camera=frame.camera, reason="lapped")
                else:
                    plans.append(_plan(captured, image, memories[frame.camera], config.detect))
            yield from _answers(plans, detector, config.detect)


def _plan(captured: Captured, image: NDArray[np.uint8], memory: CameraMemory, settings: DetectConfig) -> Plan:
    thumbnail = motion.thumbnail(image)
    before = memory.thumbnail
    change = motion.change(before, thumbnail) if before is not None else motion.Change(1.0, cut=False)
    memory.frames_since_search += 1
    search = (
        before is None
        or change.cut
        or memory.lost_one
        or settings.search == "always"
        or memory.frames_since_search >= settings.search_every
        or (settings.search == "motion" and change.share >= settings.motion_threshold)
    )
    memory.thumbnail = thumbnail
    if change.cut:
        memory.boxes = memory.boxes[:0]
    if search:
        memory.frames_since_search = 0
    return Plan(captured, image, memory, search, change.cut)


def _answers(plans: Sequence[Plan], detector: Mtcnn, settings: DetectConfig) -> Iterator[Detected]:
    wide = [plan for plan in plans if plan.search]
    searched = iter(detector.detect([plan.image for plan in wide], [plan.memory.boxes for plan in wide]))
    kept = [plan for plan in plans if not plan.search]
    verified = iter(detector.verify([plan.image for plan in kept], [plan.memory.boxes for plan in kept]))
    for plan in plans:
        found = next(searched if plan.search else verified)
        plan.memory.lost_one = not plan.search and len(found.boxes) < len(plan.memory.boxes)
        plan.memory.boxes = found.boxes
        camera = plan.captured.frame.camera
        yield Detected(frame=plan.captured.frame, faces=faces_of(found, settings, camera), cut=plan.cut)


def faces_of(found: Detections, settings: DetectConfig, camera: str) -> tuple[Face, ...]:
    """`found` as messages, without those in a region to ignore or over the largest size."""
    return tuple(
        Face(box=box_of(box), score=score, landmarks=landmarks_of(points))
        for box, score, points in zip(
            found.boxes.tolist(), found.scores.tolist(), found.landmarks.reshape(-1, 10).tolist(), strict=True
        )
        if not _ignored(box, settings, camera)
    )


def _ignored(box: Sequence[Any], settings: DetectConfig, camera: str) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    if 0 < settings.max_face_px < max(box[2] - box[0], box[3] - box[1]):
        return True
    return any(
        region.camera in ("", camera) and region.box[0] <= x <= region.box[2] and region.box[1] <= y <= region.box[3]
        for region in settings.ignore
    )
