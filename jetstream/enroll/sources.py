"""Collects face samples from pictures, video files and cameras; tracks each face through its source.

Knows no person: every face of every frame becomes a sample.
"""

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import cv2
import msgspec
import numpy as np

from jetstream.config.load import cameras_for
from jetstream.config.schema import CameraConfig, Config, TrackConfig
from jetstream.config.secrets import expanded
from jetstream.enroll.samples import SampleSet, SampleSource, SourceFace
from jetstream.errors import SourceError, UserError
from jetstream.gallery.photo_files import stem_of
from jetstream.masking import masked_source
from jetstream.video import address
from jetstream.video.address import is_pipeline, kind_of
from jetstream.video.folder import shrunk
from jetstream.video.frames import Image, Source
from jetstream.video.images import read_image
from jetstream.video.live import NewestFrame
from jetstream.video.picture_files import pictures_of
from jetstream.video.source import open_source
from jetstream.vision.detection import motion
from jetstream.vision.detection.detector import Detector, faces_in
from jetstream.vision.tracking.tracker import Tracker

LOOKS_PER_S: Final = 6.0
"""Frames of a video to process for each second of it: a minute of two people at 1280x720 takes 15 s of one core."""
MOST_FRAMES: Final = 900
"""Most frames of one video; a longer video is sampled less often."""
LONGEST_PX: Final = 1920
"""A picture's longer side is scaled down to this."""
SURE_SCORE: Final = 0.9
"""Detection score required in a single picture, where no track confirms a face."""
FIRST_FRAME_S: Final = 15.0
"""Longest wait for a camera's first frame, in seconds."""

UNTURNED: Final = CameraConfig(name="any", source="any")

log = logging.getLogger(__name__)

Progress = Callable[[str, float], None]
Enough = Callable[[], bool]


def from_pictures(spec: str, samples: SampleSet, detector: Detector) -> None:
    """Add every face of a picture, or of the pictures of a folder or glob. Those that can't be read are left out, which
    is logged. Raises UserError where none can be read."""
    paths = pictures_of(spec)
    unreadable: list[str] = []
    for path in paths:
        try:
            image = read_image(path)
        except SourceError as error:
            unreadable.append(str(error))
            continue
        source = SampleSource(str(path), stem_of(path.stem), timed=False)
        samples.add(image, _faces_of_picture(image, detector), source, 0.0)
    if len(unreadable) == len(paths):
        raise UserError(unreadable[0])
    if unreadable:
        log.warning(
            "%s: %d of %d pictures can't be read and were left out (the first: %s)",
            *(spec, len(unreadable), len(paths), unreadable[0]),
        )


def from_video(spec: str, samples: SampleSet, detector: Detector, config: Config, progress: Progress) -> None:
    """Add the faces of a whole video file, or of the demo. `progress` gets its name and the fraction done.

    Raises SourceError when it can't be opened or read.
    """
    name = Path(spec).name
    with _open(spec, config) as video:
        expected_s = (video.frames_expected or 0) / (video.fps or 25.0)
    fps_limit = min(LOOKS_PER_S, MOST_FRAMES / expected_s) if expected_s else LOOKS_PER_S
    source, follower = SampleSource(spec, stem_of(Path(spec).stem), timed=True), Follower(detector, config.track)
    with _open(spec, config, fps_limit=fps_limit) as video:
        for frame in video:
            progress(name, min(frame.pts_s / expected_s, 1.0) if expected_s else 0.0)
            samples.add(frame.image, follower.faces(frame.image, frame.pts_s), source, frame.pts_s)
    progress(name, 1.0)


def from_camera(
    spec: str,
    samples: SampleSet,
    detector: Detector,
    config: Config,
    seconds: float,
    enough: Enough,
    opened: Callable[[], None],
) -> None:
    """Add the faces of a camera or stream, for `seconds` from its first frame or until `enough()`.

    `opened` is called at the first frame. If the source ends or fails later, the samples so far are kept. Raises
    SourceError when it gives no frame at all.
    """
    source, follower = SampleSource(shown(spec), camera_stem(spec), timed=True), Follower(detector, config.track)
    start_ns: int | None = None
    waiting_since_s = time.monotonic()
    with NewestFrame(partial(_open, expanded(spec, "--from"), config, name=spec)) as camera:
        while start_ns is None or (time.monotonic_ns() - start_ns) * 1e-9 < seconds:
            try:
                frame = camera.get(0.2)
            except SourceError:
                if start_ns is None:
                    raise
                return
            if frame is None:
                if start_ns is None and time.monotonic() - waiting_since_s > FIRST_FRAME_S:
                    raise SourceError(f"{source.shown}: no frame within {FIRST_FRAME_S:.0f} s; check the camera")
                continue
            if start_ns is None:
                start_ns = frame.captured_ns
                opened()
            time_s = (frame.captured_ns - start_ns) * 1e-9
            samples.add(frame.image, follower.faces(frame.image, time_s), source, time_s)
            if enough():
                return


class Follower:
    """Detects and tracks the faces of one source's frames."""

    def __init__(self, detector: Detector, settings: TrackConfig) -> None:
        self._detector = detector
        self._tracker = Tracker(
            strong_score=settings.strong_score,
            instant_score=settings.instant_score,
            min_iou=settings.min_iou,
            min_weak_iou=settings.min_weak_iou,
            confirm_s=settings.confirm_s,
            tentative_s=settings.tentative_s,
            hold_s=settings.hold_s,
            max_lost_s=settings.max_lost_s,
            kalman=settings.kalman,
        )
        self._thumbnail: Image | None = None

    def faces(self, image: Image, time_s: float) -> Iterator[SourceFace]:
        """The confirmed tracks in the next frame, (H, W, 3) uint8 BGR, at `time_s`."""
        before, self._thumbnail = self._thumbnail, motion.thumbnail(image)
        cut = before is not None and motion.change(before, self._thumbnail).cut
        found = faces_in(self._detector, image)
        for track in self._tracker.update(*found, time_s, cut=cut):
            if track.state == "confirmed" and track.landmarks is not None:
                yield SourceFace(track.track_id, track.box, track.landmarks, track.score)


def is_live(spec: str) -> bool:
    """Whether `spec` is a camera, stream or GStreamer pipeline. Raises UserError if it is no source."""
    return _kind(spec) in ("camera", "network", "pipeline")


def is_pictures(spec: str) -> bool:
    """Whether `spec` is a picture, a folder or a glob. Raises UserError if it is no source."""
    return _kind(spec) == "images"


def shown(spec: str) -> str:
    """A camera or stream for display, without passwords."""
    return address.shown(spec) if _may_contain_password(spec) else f"camera {spec}"


def camera_stem(spec: str) -> str:
    """The beginning of a camera's photos' file names, without its address, which may contain a password."""
    return "stream" if _may_contain_password(spec) else f"camera-{stem_of(Path(spec).name)}"


def _open(spec: str, config: Config, *, name: str = "", fps_limit: float = 0) -> Source:
    """The source, set like the config's first camera, but turned as the config says of this source, which may have
    another `name` there. Raises SourceError."""
    (camera,) = cameras_for([spec], config)
    own = next((known for known in config.cameras if known.source in (spec, name)), UNTURNED)
    camera = msgspec.structs.replace(camera, rotate=own.rotate, flip=own.flip)
    return open_source(spec, camera, loop=False, fps_limit=fps_limit)


def _may_contain_password(spec: str) -> bool:
    """Whether `spec` may contain a password."""
    return "://" in spec or is_pipeline(spec) or masked_source(spec) != spec


def _kind(spec: str) -> str:
    try:
        return kind_of(spec)
    except SourceError as error:
        raise UserError(f"--from {error}") from None


def _faces_of_picture(image: Image, detector: Detector) -> Iterator[SourceFace]:
    small = shrunk(image, LONGEST_PX, LONGEST_PX)
    scale = np.float32(image.shape[1] / small.shape[1])
    found = faces_in(detector, small)
    shift = np.float32(0)
    if not len(found.boxes):  # cropped too tightly for the networks: add a border, as `photo_faces` does
        border = max(small.shape[:2]) // 3
        wider = cv2.copyMakeBorder(small, border, border, border, border, cv2.BORDER_REPLICATE)
        found, shift = faces_in(detector, np.asarray(wider, np.uint8)), np.float32(border)
    sure = found.scores >= SURE_SCORE
    for number, index in enumerate(np.flatnonzero(sure if sure.any() else found.scores >= 0)):
        box, landmarks = ((points[index] - shift) * scale for points in (found.boxes, found.landmarks))
        yield SourceFace(number, box, landmarks, float(found.scores[index]))
