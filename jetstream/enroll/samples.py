"""The face samples collected during enrolment, each with the crop that would become a photo.

Knows no source and no person: the modules that read frames add samples, and `enroll` chooses among them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from jetstream.video.folder import shrunk
from jetstream.video.frames import Image
from jetstream.vision.recognition import align, quality
from jetstream.vision.recognition.embedder import Embedder
from jetstream.vision.recognition.sample_selection import FaceSample

MARGIN: Final = 1.0
"""Margin of a crop, in face widths on each side, so that training detects the face again."""
MOST_PX: Final = 1080
"""Longest side of a photo; its face then has 360 px, of which the network uses 150."""
JPEG: Final = (cv2.IMWRITE_JPEG_QUALITY, 95)


class SampleSource(NamedTuple):
    """A source of samples."""

    shown: str  # for display, without passwords
    stem: str  # beginning of its photos' file names
    timed: bool  # False: a single picture


class SourceFace(NamedTuple):
    """A face in a frame."""

    track: int  # number of its track in this source
    box: NDArray[np.float32]  # (4,) xyxy px
    landmarks: NDArray[np.float32]  # (5, 2) px
    score: float  # 0..1


@dataclass(frozen=True, eq=False)
class FaceCrop:
    """A part of a frame around a face, as JPEG, and the face's box in it."""

    source: SampleSource
    jpeg: bytes
    box: NDArray[np.float32]  # (4,) xyxy px of the crop


class SampleSet:
    """All samples so far: `faces[i]`, its crop `crops[i]` (None where the quality is too low), and its `sources[i]`."""

    def __init__(self, embedder: Embedder, *, min_quality: float) -> None:
        self.space = embedder.spec.space
        self._embedder = embedder
        self._min_quality = min_quality
        self._tracks: dict[tuple[SampleSource, int], int] = {}
        self._frames = 0
        self.faces: list[FaceSample] = []
        self.crops: list[FaceCrop | None] = []
        self.sources: list[SampleSource] = []

    def add(self, image: Image, faces: Iterable[SourceFace], source: SampleSource, time_s: float) -> None:
        """Add the faces of one frame, (H, W, 3) uint8 BGR, at `time_s` from the start of its source."""
        self._frames += 1
        for face in faces:
            track = self._tracks.setdefault((source, face.track), len(self._tracks))
            template = self._embedder.spec.template
            chip = align.chip(image, face.landmarks, template)
            good = quality.measure(image, face.landmarks, quality.usable_chip(chip, template)).overall * face.score
            fine = good >= self._min_quality
            # averaged with the mirror image as in training, so that distances to photos are comparable
            embedding = self._embedder.embed(chip[None], mirror=True)[0] if fine else None
            self.faces.append(FaceSample(self._frames, track, time_s, face.box, face.landmarks, good, embedding))
            self.crops.append(crop(image, face.box, source) if fine else None)
            self.sources.append(source)


def crop(image: Image, box: NDArray[np.float32], source: SampleSource, margin: float = MARGIN) -> FaceCrop:
    """The face in `box` (xyxy px) with `margin` face widths on each side, within the image, at most MOST_PX large.

    `image` is (H, W, 3) uint8 BGR.
    """
    side = float(np.max(box[2:] - box[:2]))
    middle = (box[:2] + box[2:]) / 2
    height, width = image.shape[:2]
    reach = side * (0.5 + margin)
    x1, y1 = np.clip(np.floor(middle - reach), 0, (width - 1, height - 1)).astype(int)
    x2, y2 = np.clip(np.ceil(middle + reach), (x1 + 1, y1 + 1), (width, height)).astype(int)
    piece = image[y1:y2, x1:x2]
    photo = shrunk(piece, MOST_PX, MOST_PX)
    scale = photo.shape[1] / piece.shape[1]
    _, jpeg = cv2.imencode(".jpg", photo, JPEG)
    return FaceCrop(source, jpeg.tobytes(), ((box - (x1, y1, x1, y1)) * scale).astype(np.float32))
