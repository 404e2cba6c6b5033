"""Pictures of a sighting's face: which are kept, and their files.

Each is a crop, JPEG, mode 0600. The best ones stay: sharp, frontal, and not all of one moment. Knows no database.
"""

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from jetstream.messages import Box
from jetstream.vision.recognition import quality

MARGIN: Final = 0.5
"""what a look shows around the box on each side, in its widths and heights: hair and chin, no neighbour"""
LONGEST_PX: Final = 320
JPEG_QUALITY: Final = 92
FIRST_EVERY_S: Final = 0.4
"""time between two looks until a sighting has all it may keep"""
THEN_EVERY_S: Final = 2.0
"""the same afterwards, where a look may be better than the worst one"""
BETTER_BY: Final = 0.1
"""estimated quality by which a look must be better than the worst one to be tried"""
# Two looks of one moment and one pose say nearly the same. 0.15 eye distances turn a head by about 15 degrees.
SAME_POSE: Final = 0.15
SAME_MOMENT_S: Final = 2.0
REPEATED: Final = 0.5
"""what a look is worth beside one of the same pose and moment"""
LEAST_QUALITY: Final = 0.02
"""below it a look shows nobody; the first one is kept whatever it shows"""


class KeptLook(NamedTuple):
    """A look on the disk."""

    file: str  # relative to the folder of sightings
    taken_ns: int
    quality: float  # 0..1, `vision.recognition.quality`
    turned: float  # how far the head is turned, in eye distances, with its sign; 0 where that isn't known


class LookCrop(NamedTuple):
    """A look that may be kept."""

    jpeg: bytes
    landmarks: NDArray[np.float64]  # (5, 2) px of the crop
    quality: float
    turned: float


def estimate(box: Box, landmarks: Sequence[float]) -> float:
    """What a look's quality may be, 0..1, without its pixels."""
    points = np.array(landmarks, np.float64).reshape(5, 2)
    eyes_px = float(np.hypot(*(points[1] - points[0])))
    return quality.pose(points) * quality.ramp(eyes_px, quality.USELESS_EYES_PX, quality.FULL_EYES_PX)


def crop(image: NDArray[np.uint8], box: Box, landmarks: Sequence[float]) -> LookCrop | None:
    """The look of one face; None where its box lies outside the picture.

    image  (H, W, 3) uint8 BGR; box and landmarks in its pixels
    """
    height, width = image.shape[:2]
    x1, y1, x2, y2 = box
    across, down = (x2 - x1) * MARGIN, (y2 - y1) * MARGIN
    left, top = max(0, int(x1 - across)), max(0, int(y1 - down))
    right, bottom = min(width, int(x2 + across) + 1), min(height, int(y2 + down) + 1)
    if right - left < 2 or bottom - top < 2:
        return None
    points = np.array(landmarks, np.float64).reshape(5, 2)
    measured = quality.measure(image, points).overall
    piece = image[top:bottom, left:right]
    scale = min(1.0, LONGEST_PX / max(piece.shape[:2]))
    if scale < 1.0:
        piece = np.asarray(cv2.resize(piece, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    moved = (points - (left, top)) * scale
    turned = quality.nose_offset(points)[0]
    done, jpeg = cv2.imencode(".jpg", piece, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return LookCrop(jpeg.tobytes(), moved, measured, turned if np.isfinite(turned) else 0.0) if done else None


def is_wanted(kept: Sequence[KeptLook], most: int, estimated: float, since_s: float) -> bool:
    """Whether to try another look, `since_s` after the last one. `kept`: as `chosen` gave them."""
    if len(kept) < most:
        return since_s >= FIRST_EVERY_S
    *others, worst = kept
    return since_s >= THEN_EVERY_S and estimated > worst.quality * _novelty(worst, others) + BETTER_BY


def chosen(looks: Iterable[KeptLook], most: int) -> list[KeptLook]:
    """The looks that stay, the best first: the best one, then each time the best one that isn't much the same."""
    left = sorted(looks, key=lambda look: (-look.quality, look.taken_ns, look.file))
    stay: list[KeptLook] = []
    while left and len(stay) < most:
        best = max(left, key=lambda look: look.quality * _novelty(look, stay))
        if stay and best.quality < LEAST_QUALITY:
            break
        left.remove(best)
        stay.append(best)
    return stay


def _novelty(look: KeptLook, stay: Sequence[KeptLook]) -> float:
    repeats = any(
        abs(look.turned - other.turned) < SAME_POSE and abs(look.taken_ns - other.taken_ns) < SAME_MOMENT_S * 1e9
        for other in stay
    )
    return REPEATED if repeats else 1.0


def landmarks_text(landmarks: NDArray[np.float64]) -> str:
    """Landmarks as the database holds them."""
    return msgspec.json.encode(np.round(landmarks, 2).ravel().tolist()).decode()


def write(folder: Path, file: str, jpeg: bytes) -> None:
    """Write a look below the folder of sightings. Raises OSError; nothing is left then."""
    path = folder / file
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with open(descriptor, "wb") as target:
            target.write(jpeg)
    except OSError:
        erase(folder, file)
        raise


def erase(folder: Path, file: str) -> None:
    """Delete a look, and the day's folder if that was the last one."""
    path = folder / file
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        path.parent.rmdir()
