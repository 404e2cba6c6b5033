"""What was seen of faces while enrolling: a look each, and the piece of picture that would become a photo.

Knows no source and no person: whoever reads frames adds them here, and `enroll` chooses.
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
"""Face widths around a face, so that it is found again."""
MOST_PX: Final = 1080
"""of a photo's longer side; its face then has 360, and the network looks at 150"""
JPEG: Final = (cv2.IMWRITE_JPEG_QUALITY, 95)


class SampleSource(NamedTuple):
    """Where looks come from: as shown, and as the beginning of a photo's name; `timed`: not a single picture."""

    shown: str
    stem: str
    timed: bool


class SourceFace(NamedTuple):
    """A face in a frame, by the number that follows it through one source."""

    track: int
    box: NDArray[np.float32]  # (4,) xyxy px
    landmarks: NDArray[np.float32]  # (5, 2) px
    score: float  # 0..1


@dataclass(frozen=True, eq=False)
class FaceCrop:
    """A piece of a frame around a face, as JPEG, and where the face is in it."""

    source: SampleSource
    jpeg: bytes
    box: NDArray[np.float32]  # (4,) xyxy px of the piece


class SampleSet:
    """All looks so far; `cuts[i]` belongs to `looks[i]` and is None where the look is too poor to be kept."""

    def __init__(self, embedder: Embedder, *, min_quality: float) -> None:
        self._embedder = embedder
        self._min_quality = min_quality
        self._tracks: dict[tuple[SampleSource, int], int] = {}
        self._frames = 0
        self.looks: list[FaceSample] = []
        self.cuts: list[FaceCrop | None] = []
        self.sources: list[SampleSource] = []  # of each look

    def add(self, image: Image, faces: Iterable[SourceFace], source: SampleSource, time_s: float) -> None:
        """The faces of one frame, (H, W, 3) uint8 BGR, `time_s` from the start of its source."""
        self._frames += 1
        for face in faces:
            track = self._tracks.setdefault((source, face.track), len(self._tracks))
            chip = align.chip(image, face.landmarks)
            good = quality.measure(image, face.landmarks, chip).overall * face.score
            fine = good >= self._min_quality
            # mirrored too, as `enrol` does, so that looks and photos compare
            embedding = self._embedder.embed(chip[None], mirror=True)[0] if fine else None
            self.looks.append(FaceSample(self._frames, track, time_s, face.box, face.landmarks, good, embedding))
            self.cuts.append(cut(image, face.box, source) if fine else None)
            self.sources.append(source)


def cut(image: Image, box: NDArray[np.float32], source: SampleSource, margin: float = MARGIN) -> FaceCrop:
    """The face with `margin` face widths on each side, as far as the picture goes, at most MOST_PX large."""
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
