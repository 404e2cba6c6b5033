"""Frames to faces. All cameras share one detector, and what is waiting goes through it together.

The whole picture is searched at key frames; in between only the last faces are verified, for a fiftieth of the cost.
In the live pace key frames become rarer while frames fall (a gap in a camera's numbers), and come back.
A detector that takes pictures where they lie has two batches under way in the live pace: the next one is handed in
before the answers to the last one are waited for.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jetstream.config.schema import Config, DetectConfig
from jetstream.ipc.frames import FrameView
from jetstream.ipc.rings import FrameReader
from jetstream.messages import (
    Box,
    Captured,
    Detected,
    Dropped,
    Face,
    FrameRef,
    Searching,
    Tick,
    box_of,
    landmarks_of,
)
from jetstream.networks.open import open_detector
from jetstream.vision.boxes import Boxes, iou
from jetstream.vision.detection import motion
from jetstream.vision.detection.detector import Detector, DetectorInput, DetectorOutput, Ticket
from jetstream.vision.detection.mtcnn import SAME_FACE_IOU, Detections
from jetstream.vision.detection.search_interval import SearchInterval

NOTHING = np.empty((0, 4), np.float32)


@dataclass
class CameraMemory:
    """What `detect` remembers of one camera: its last faces, its last picture, and how long ago it searched."""

    thumbnail: NDArray[np.uint8] | None = None
    boxes: Boxes | None = None  # None: no answer yet to a picture of this scene
    scene: int = 0  # counts hard cuts
    frames_since_search: int = 0
    must_search: bool = False  # a face failed verification (it may have moved away), or a search was lost
    untold_cut: bool = False  # of a frame that left its ring while it was looked at
    newest_id: int | None = None  # of the frames that came

    def fell_before(self, frame: FrameRef) -> int:
        """Frames of this camera that fell since the last one that came."""
        before, self.newest_id = self.newest_id, frame.frame_id
        return max(0, frame.frame_id - before - 1) if before is not None else 0

    def see(self, thumbnail: NDArray[np.uint8]) -> motion.SceneChange:
        """What changed since the last picture."""
        before, self.thumbnail = self.thumbnail, thumbnail
        return motion.change(before, thumbnail) if before is not None else motion.SceneChange(1.0, cut=False)

    def learn(self, found: Boxes, look: DetectorInput, scene: int) -> None:
        """Remember the answer to a look of that scene."""
        if scene != self.scene:
            return  # it is of the scene before a cut that was seen meanwhile
        newer_search = self.frames_since_search == 0
        if not look.search and len(found) < len(look.known) and not newer_search:
            self.must_search = True
        if not look.search and self.boxes is not None and self.boxes is not look.known:
            # other answers came since it was handed in: faces that it wasn't asked for stay known
            asked = np.concatenate([look.known, found])
            found = np.concatenate([found, self.boxes[iou(self.boxes, asked).max(axis=1, initial=0) < SAME_FACE_IOU]])
        self.boxes = found


@dataclass(frozen=True)
class FrameTask:
    """One frame to do, and how."""

    captured: Captured
    look: DetectorInput
    view: FrameView | None  # where the look's picture lies in the ring; None: it is a copy
    memory: CameraMemory
    scene: int
    cut: bool | None  # None: the detector's thumbnail will tell


def detect(
    batches: Iterator[Sequence[Captured | Tick]], rings: FrameReader, config: Config
) -> Iterator[Detected | Dropped | Searching]:
    """Each frame's faces, in the order of the frames; a frame that has left its ring is Dropped (`lapped`).

    A Tick asks for all answers that are under way: nothing else is waiting. In the live pace Searching says how often
    whole pictures are searched, after the first second and when that has changed.
    """
    memories = {camera.name: CameraMemory() for camera in config.cameras}
    effort = effort_for(config)
    under_way: deque[tuple[Ticket, list[FrameTask]]] = deque()
    with open_detector(config) as detector:
        ahead = 1 if detector.reads_in_place and config.pipeline.pace == "live" else 0
        for batch in batches:
            plans = []
            for captured in batch:
                if isinstance(captured, Tick):
                    effort.emptied()
                    continue
                memory = memories[captured.frame.camera]
                plan = _plan(captured, rings, memory, config.detect, detector, effort)
                fell = memory.fell_before(captured.frame) + (plan is None)
                effort.took(captured.frame.captured_ns * 1e-9, fell=fell)
                if plan is None:
                    yield Dropped(camera=captured.frame.camera, reason="lapped")
                else:
                    plans.append(plan)
            if effort.changed() and config.pipeline.pace == "live":
                yield Searching(every=effort.every)
            if plans:
                under_way.append((detector.submit([plan.look for plan in plans]), plans))
            while len(under_way) > (ahead if plans else 0):
                yield from _answers(*under_way.popleft(), detector, config.detect)
        while under_way:
            yield from _answers(*under_way.popleft(), detector, config.detect)


def effort_for(config: Config) -> SearchInterval:
    """It never changes where each picture is to be searched, and where nothing falls, so that a replay repeats."""
    detect = config.detect
    if detect.search == "always":
        return SearchInterval(1, 1)
    return SearchInterval(detect.search_every, detect.search_every_most if config.pipeline.pace == "live" else 0)


def _plan(
    captured: Captured,
    rings: FrameReader,
    memory: CameraMemory,
    settings: DetectConfig,
    detector: Detector,
    effort: SearchInterval,
) -> FrameTask | None:
    """None: the frame has left its ring."""
    frame = captured.frame
    view = rings.view(frame.camera, frame.frame_id) if detector.reads_in_place else None
    image = rings.read(frame.camera, frame.frame_id) if view is None else view.image
    if image is None:
        return None
    always = settings.search == "always"
    change = None
    if not (always and detector.gives_thumbnails):
        thumbnail = motion.thumbnail(image)
        if view is not None and not view.still_valid():
            return None
        change = memory.see(thumbnail)
        if change.cut:
            memory.boxes, memory.scene = None, memory.scene + 1
    memory.frames_since_search += 1
    moved = settings.search == "motion" and change is not None and change.share >= settings.motion_threshold
    search = (
        memory.boxes is None
        or memory.frames_since_search >= effort.every
        or ((memory.must_search or moved) and memory.frames_since_search >= effort.share)
    )
    if search:
        memory.frames_since_search, memory.must_search = 0, False
    look = DetectorInput(image, NOTHING if memory.boxes is None else memory.boxes, search)
    return FrameTask(captured, look, view, memory, memory.scene, None if change is None else change.cut)


def _answers(
    ticket: Ticket, plans: Sequence[FrameTask], detector: Detector, settings: DetectConfig
) -> Iterator[Detected | Dropped]:
    for plan, seen in zip(plans, detector.collect(ticket), strict=True):
        if plan.view is not None and not plan.view.still_valid():
            yield _lapped(plan)
        else:
            yield _answer(plan, seen, settings)


def _lapped(plan: FrameTask) -> Dropped:
    """What it alone would have told, the next frame will."""
    plan.memory.must_search |= plan.look.search
    plan.memory.untold_cut |= plan.cut is True
    return Dropped(camera=plan.captured.frame.camera, reason="lapped")


def _answer(plan: FrameTask, seen: DetectorOutput, settings: DetectConfig) -> Detected:
    memory, frame = plan.memory, plan.captured.frame
    cut = plan.cut
    if cut is None:
        assert seen.thumbnail is not None  # the detector said that it gives them
        cut = memory.see(seen.thumbnail).cut
    cut, memory.untold_cut = cut or memory.untold_cut, False
    memory.learn(seen.faces.boxes, plan.look, plan.scene)
    faces = faces_of(seen.faces)
    ignored = [_is_ignored(face.box, settings, frame.camera) for face in faces]
    return Detected(
        frame=frame,
        faces=tuple(face for face, out in zip(faces, ignored, strict=True) if not out),
        cut=cut,
        ignored=tuple(face.box for face, out in zip(faces, ignored, strict=True) if out),
    )


def faces_of(found: Detections) -> list[Face]:
    """`found` as messages."""
    return [
        Face(box=box_of(box), score=score, landmarks=landmarks_of(points))
        for box, score, points in zip(
            found.boxes.tolist(), found.scores.tolist(), found.landmarks.reshape(-1, 10).tolist(), strict=True
        )
    ]


def _is_ignored(box: Box, settings: DetectConfig, camera: str) -> bool:
    """Whether a face is in a region to ignore or over the largest size."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    if 0 < settings.max_face_px < max(box[2] - box[0], box[3] - box[1]):
        return True
    return any(
        region.camera in ("", camera) and region.box[0] <= x <= region.box[2] and region.box[1] <= y <= region.box[3]
        for region in settings.ignore
    )
