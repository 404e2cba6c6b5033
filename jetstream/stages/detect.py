"""Frames to faces. All cameras share one detector, which gets the waiting frames as one batch.

The whole picture is searched at key frames; between them only the last faces are verified, for a fiftieth of the cost.
In the live pace there are fewer key frames while frames are dropped (a gap in a camera's frame numbers).
A detector that reads pictures in place has two batches under way in the live pace: the next one is submitted before the
answers to the last one are collected.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from jetstream.config.schema import Config, DetectConfig
from jetstream.ipc.frames import FrameView, GpuFrameView
from jetstream.ipc.rings import FrameReader
from jetstream.messages import (
    Box,
    Captured,
    Detected,
    Dropped,
    Face,
    FrameRef,
    Landmarks,
    Searching,
    Tick,
)
from jetstream.networks.open import open_detector
from jetstream.picture_format import GpuPicture
from jetstream.vision.boxes import Boxes, iou
from jetstream.vision.detection import camera_shift, motion
from jetstream.vision.detection.camera_shift import STILL, Shift
from jetstream.vision.detection.detections import SAME_FACE_IOU, Detections
from jetstream.vision.detection.detector import Detector, DetectorInput, DetectorOutput, Ticket
from jetstream.vision.detection.search_interval import SearchInterval
from jetstream.vision.tracking.frame_rate import FrameRate

NOTHING = np.empty((0, 4), np.float32)


@dataclass
class CameraMemory:
    """What `detect` remembers of one camera: its last faces, its last thumbnail, and the time since the last search."""

    thumbnail: NDArray[np.uint8] | None = None
    boxes: Boxes | None = None  # None: no answer yet to a picture of this scene
    scene: int = 0  # counts hard cuts
    frames_since_search: int = 0
    must_search: bool = False  # a face failed verification (it may have moved away), or a search was lost
    unreported_cut: bool = False  # of a frame that was overwritten during detection
    moved: Shift = STILL  # of the picture since the start, by the thumbnails
    unreported_shift: Shift = STILL  # of frames that were overwritten during detection
    newest_id: int | None = None  # of the frames that arrived
    rate: FrameRate = field(default_factory=FrameRate)

    def dropped_before(self, frame: FrameRef) -> int:
        """Frames of this camera that were dropped since the last one that arrived."""
        before, self.newest_id = self.newest_id, frame.frame_id
        return max(0, frame.frame_id - before - 1) if before is not None else 0

    def compare(self, thumbnail: NDArray[np.uint8]) -> tuple[motion.SceneChange, Shift]:
        """What changed since the last thumbnail, (H, W) uint8 of `motion.thumbnail`, which this one replaces; and how
        far the picture moved, with the last faces."""
        before, self.thumbnail = self.thumbnail, thumbnail
        if before is None:
            return motion.SceneChange(1.0, cut=False), STILL
        change = motion.change(before, thumbnail)
        shift = camera_shift.shift(before, thumbnail, change.share)
        if shift != STILL:
            change = change._replace(cut=False)  # a fast pan
            self.moved = self.moved.plus(shift)
            self.boxes = None if self.boxes is None else _moved(self.boxes, shift)
        return change, shift

    def remember(self, found: Boxes, request: DetectorInput, scene: int, moved: Shift) -> None:
        """Keep (N, 4) px boxes as the last faces: the answer to a request that was made in `scene`, when the picture
        had `moved` so far."""
        if scene != self.scene:
            return  # there was a cut since the request
        newer_search = self.frames_since_search == 0
        if not request.search and len(found) < len(request.known) and not newer_search:
            self.must_search = True
        if not request.search and self.boxes is not None and self.boxes is not request.known:
            # other answers arrived since the request: faces that it didn't include are kept
            since = self.moved.minus(moved)
            found = _moved(found, since)
            asked = np.concatenate([_moved(request.known, since), found])
            found = np.concatenate([found, self.boxes[iou(self.boxes, asked).max(axis=1, initial=0) < SAME_FACE_IOU]])
        self.boxes = found


class FrameTask(NamedTuple):
    """A frame, and the detector's request for it."""

    captured: Captured
    request: DetectorInput
    view: FrameView | GpuFrameView | None  # the request's picture in the ring; None: the picture is a copy
    memory: CameraMemory
    scene: int
    cut: bool | None  # None: unknown until the detector gives its thumbnail
    shift: Shift  # since the frame before, where `cut` is known
    moved: Shift


def detect(
    batches: Iterator[Sequence[Captured | Tick]], rings: FrameReader, config: Config
) -> Iterator[Detected | Dropped | Searching]:
    """Each frame's faces, in the order of the frames; a frame that was overwritten in its ring is Dropped (`lapped`).

    At a Tick no frame is waiting, and all answers that are under way are collected. In the live pace Searching says how
    often whole pictures are searched, after the first second and at each change.
    """
    memories = {camera.name: CameraMemory() for camera in config.cameras}
    interval = interval_for(config)
    under_way: deque[tuple[Ticket, list[FrameTask]]] = deque()
    with open_detector(config) as detector:
        ahead = 1 if detector.reads_in_place and config.pipeline.pace == "live" else 0
        for batch in batches:
            plans = []
            for captured in batch:
                if isinstance(captured, Tick):
                    interval.emptied()
                    continue
                memory = memories[captured.frame.camera]
                plan = _plan(captured, rings, memory, config.detect, detector, interval)
                dropped = memory.dropped_before(captured.frame) + (plan is None)
                interval.took(captured.frame.captured_ns * 1e-9, dropped=dropped)
                if plan is None:
                    yield Dropped(camera=captured.frame.camera, reason="lapped")
                else:
                    plans.append(plan)
            if interval.changed() and config.pipeline.pace == "live":
                yield Searching(every=interval.every)
            if plans:
                under_way.append((detector.submit([plan.request for plan in plans]), plans))
            while len(under_way) > (ahead if plans else 0):
                yield from _answers(*under_way.popleft(), detector, config.detect)
        while under_way:
            yield from _answers(*under_way.popleft(), detector, config.detect)


def interval_for(config: Config) -> SearchInterval:
    """The interval between searches. It is constant where every frame is searched, and in the every-frame pace, so that
    a replay gives the same result."""
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
    interval: SearchInterval,
) -> FrameTask | None:
    """The request for a frame; None: the frame was overwritten in its ring."""
    frame = captured.frame
    gpu, view = detector.gpu, None
    if detector.reads_in_place:
        view = rings.view_on(frame.camera, frame.frame_id, None if gpu is None else gpu.number)
    image = rings.read(frame.camera, frame.frame_id) if view is None else view.picture
    if image is None:
        return None
    always = settings.search == "always"
    change, shift = None, STILL
    if not (always and detector.gives_thumbnails):
        if isinstance(image, GpuPicture):
            assert gpu is not None  # else `view_on` gives none
            thumbnail = gpu.thumbnail(image)
        else:
            thumbnail = motion.thumbnail(image)
        if view is not None and not view.still_valid():
            return None
        change, shift = memory.compare(thumbnail)
        if change.cut:
            memory.boxes, memory.scene = None, memory.scene + 1
    memory.frames_since_search += 1
    memory.rate.saw(frame.time_s, frame.frame_id)
    moved = settings.search == "motion" and change is not None and change.share >= settings.motion_threshold
    search = (
        memory.boxes is None
        or memory.frames_since_search >= interval.at(memory.rate.slowness)
        or ((memory.must_search or moved) and memory.frames_since_search >= interval.share)
    )
    if search:
        memory.frames_since_search, memory.must_search = 0, False
    request = DetectorInput(image, NOTHING if memory.boxes is None else memory.boxes, search)
    cut = None if change is None else change.cut
    return FrameTask(captured, request, view, memory, memory.scene, cut, shift, memory.moved)


def _answers(
    ticket: Ticket, plans: Sequence[FrameTask], detector: Detector, settings: DetectConfig
) -> Iterator[Detected | Dropped]:
    for plan, seen in zip(plans, detector.collect(ticket), strict=True):
        if plan.view is not None and not plan.view.still_valid():
            yield _lapped(plan)
        else:
            yield _answer(plan, seen, settings)


def _lapped(plan: FrameTask) -> Dropped:
    """Drop the frame; its search, its cut and its shift are left to the next frame."""
    plan.memory.must_search |= plan.request.search
    plan.memory.unreported_shift = plan.memory.unreported_shift.plus(plan.shift)
    plan.memory.unreported_cut |= plan.cut is True
    return Dropped(camera=plan.captured.frame.camera, reason="lapped")


def _answer(plan: FrameTask, seen: DetectorOutput, settings: DetectConfig) -> Detected:
    memory, frame = plan.memory, plan.captured.frame
    cut, shift = plan.cut, plan.shift
    if cut is None:
        assert seen.thumbnail is not None  # `gives_thumbnails` says so
        change, shift = memory.compare(seen.thumbnail)
        cut = change.cut
    cut, memory.unreported_cut = cut or memory.unreported_cut, False
    shift, memory.unreported_shift = shift.plus(memory.unreported_shift), STILL
    memory.remember(seen.faces.boxes, plan.request, plan.scene, plan.moved)
    faces = tuple(faces_of(seen.faces))
    ignored: tuple[Box, ...] = ()
    if faces and (settings.ignore or settings.max_face_px):
        out = [_is_ignored(face.box, settings, frame.camera) for face in faces]
        ignored = tuple(face.box for face, is_out in zip(faces, out, strict=True) if is_out)
        faces = tuple(face for face, is_out in zip(faces, out, strict=True) if not is_out)
    return Detected(frame=frame, faces=faces, cut=cut, ignored=ignored, shift=(shift.right_px, shift.down_px))


def _moved(boxes: Boxes, shift: Shift) -> Boxes:
    return boxes + np.array([*shift, *shift], np.float32)


def faces_of(found: Detections) -> list[Face]:
    """Detections as the Face structs of a message."""
    if not len(found.boxes):
        return []
    boxes, points = found.boxes.tolist(), found.landmarks.reshape(-1, 10).tolist()
    return [
        Face(cast("Box", tuple(box)), score, cast("Landmarks", tuple(marks)))
        for box, score, marks in zip(boxes, found.scores.tolist(), points, strict=True)
    ]


def _is_ignored(box: Box, settings: DetectConfig, camera: str) -> bool:
    """Whether a face is in a region of `detect.ignore` or larger than `detect.max_face_px`."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    if 0 < settings.max_face_px < max(box[2] - box[0], box[3] - box[1]):
        return True
    return any(
        region.camera in ("", camera) and region.box[0] <= x <= region.box[2] and region.box[1] <= y <= region.box[3]
        for region in settings.ignore
    )
