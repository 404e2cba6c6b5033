"""How much of a face a picture shows: size, sharpness, pose, exposure, what the border cuts off, and what covers it.

Knows no person, no box and no detector: a picture and five landmarks in, numbers from 0 to 1 out.

Every ramp was set by measurement. 150 good faces of four sets were made smaller, blurred, darkened, over-exposed and
cut; turned heads came from video. The harm is the embedding's distance to the person's other photos, which is 0.32 for
an untouched face. A component is 1 where the distance grows by less than 0.03, 0.5 where it is about 0.43, and under
0.1 from 0.53 on, where most samples are refused and a third to a half are nearer to somebody else.
"""

import math
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from jetstream.picture_format import GpuPicture, PicturePlace
from jetstream.vision.recognition import align, occlusion
from jetstream.vision.recognition.align import FaceTemplate

# Distance between the eyes. Scaled down to 5 px the embedding lies at 0.54, to 7 at 0.48, 10: 0.42, 14: 0.36, 17: 0.35.
USELESS_EYES_PX: Final = 4.0
FULL_EYES_PX: Final = 16.0
# Second over first differences of brightness, at a fifth of the chip. Gaussian blur of 3, 5 and 8 chip pixels leaves
# 0.85, 0.64 and 0.47 (embedding at 0.40, 0.46, 0.54). Sharp faces stay over 1, and scaling down alone costs little:
# 0.90 at 10 px between the eyes.
BLURRED: Final = 0.45
SHARP: Final = 0.95
# The lesser second differences over the first ones of both directions: 0.58 to 0.94 in sharp faces, and 0.46, 0.35 and
# 0.29 after motion over 13, 19 and 25 chip pixels (embedding at 0.42, 0.47, 0.51).
SMEARED: Final = 0.25
STILL: Final = 0.55
# `sideways`, in eye distances. Samples of a profile video lie 0.36 from one frontal photo where it is under 0.2, and
# 0.43 to 0.47 from 0.2 to 0.5. Beyond 0.5 more than half are refused.
PROFILE_OFFSET: Final = 0.65
FRONTAL_OFFSET: Final = 0.1
# Height of the face, eyes to mouth, in eye distances: about 1.1. It grows as a head turns, even where the detector puts
# a profile's nose between the eyes. Over 1.6 more than half are refused; small values are heads tilted back.
PROFILE_HEIGHT: Final = 2.0
FRONTAL_HEIGHT: Final = 1.3
THROWN_BACK_HEIGHT: Final = 0.5
LEVEL_HEIGHT: Final = 0.8
# Where the nose lies between eyes (0) and mouth (1). From 0.35 to 0.75 no harm was seen in 690 photos.
NOD: Final = (0.1, 0.35, 0.75, 1.0)
# A profile says little, but more than nothing: of one person's 17 in a video, ten were named rightly.
LEAST_POSE: Final = 0.08
# Standard deviation of brightness at a fifth of the chip; that of good faces is 25 to 55. A tenth of the contrast, 3.8,
# puts the embedding at 0.44; half of that, under a sensor's noise, at 0.5 to 0.6.
FLAT: Final = 1.5
CONTRASTED: Final = 8.0
# Share of pixels that are white or black. Over-exposed 2, 3 and 4 times: 0.41, 0.72, 0.84 (embedding 0.38, 0.48, 0.52).
CLIPPED: Final = 0.9
UNCLIPPED: Final = 0.2
# Share of the face outside the picture, the forehead counting 1.5 times: a cut through a third of the chip costs 0.11
# from the top and 0.03 from the side or below, a cut through its middle 0.21 and 0.12.
CUT: Final = 0.65
WHOLE: Final = 0.15

# What `occlusion` says of faces that nothing covers is under UNCOVERED. A drawn mask puts dlib's embedding 0.13 farther
# from the person's other photos and SFace's 0.06, sunglasses 0.11 and 0.09, a scarf 0.10 and 0.05, a hand 0.08 and
# 0.04. One cover leaves COVERED_LEAVES, as a blur of the same harm to dlib's does; two of them leave its square.
UNCOVERED: Final = 0.3
SURELY_COVERED: Final = 0.8
COVERED_LEAVES: Final = 0.45
# Where sharpness times exposure is less than this, the picture itself hides eyes and mouths: `occlusion` calls 28 % of
# free faces covered that are over-exposed four times. There its word counts less, and 1 % remain.
CLEAR: Final = 0.25

_WHITE, _BLACK = 250, 4
_INNER = slice(30, 125), slice(25, 125)  # rows and columns of the chip that are face in nearly every chip
_SMALL_PX = align.DLIB.side_px // 5
_INNER_SMALL = slice(6, 25), slice(5, 25)
# Points of the chip that are face, and what each is worth.
_GRID = np.stack(np.meshgrid(np.arange(33.0, 120, 6), np.arange(10.5, 128, 6)), axis=-1).reshape(-1, 2)
_GRID_WEIGHTS = np.where(_GRID[:, 1] < 45, 1.5, 1.0)
_GRID_WEIGHTS /= _GRID_WEIGHTS.sum()
_GRID_INNER = _GRID[:, 1] > 30
_GRID_COMPLEX = _GRID[:, 0] + 1j * _GRID[:, 1]


class Quality(NamedTuple):
    """Each 0..1: at 1 recognition loses nothing, under 0.1 the face can't be recognised."""

    size: float
    sharpness: float
    pose: float
    exposure: float
    border: float
    occlusion: float = 1.0  # 1: nothing covers the face; galleries of before 2026-11-28 don't have it

    @property
    def overall(self) -> float:
        """The product of all six, 0..1: it predicts combined harm better than the minimum does."""
        return self.size * self.sharpness * self.pose * self.exposure * self.border * self.occlusion

    @property
    def weakest(self) -> str:
        """The lowest component, by its field's name; the first one where several are as low."""
        return min(self._fields, key=lambda component: float(getattr(self, component)))


COMPLAINTS: Final = {
    "size": "too small",
    "sharpness": "too blurred",
    "pose": "turned too far",
    "exposure": "too dark or over-exposed",
    "border": "cut by the picture's border",
    "occlusion": "covered",
}
"""What a low component says of a face, in words."""
NOTHING: Final = Quality(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def measure(image: PicturePlace, landmarks: NDArray[Any], chip: NDArray[np.uint8] | None = None) -> Quality:
    """The quality of one face; all 0 where the landmarks can't be a face (see `align.similarity`).

    image      (H, W, 3) uint8 BGR, or NV12; one on a GPU only with its chip
    landmarks  (5, 2) in its pixels: left eye, right eye, nose, left and right mouth corner as seen in the picture
    chip       (150, 150, 3) uint8 BGR: what `align.chip` cuts for these landmarks with dlib's template; None: it is cut
               here
    """
    found = align.similarity(landmarks, align.DLIB)
    if found is None:
        return NOTHING
    if chip is None:
        if isinstance(image, GpuPicture):
            raise TypeError("the chip of a picture on a GPU can't be cut here")
        chip = align.chip(image, landmarks, align.DLIB)
    grey = np.asarray(cv2.cvtColor(chip, cv2.COLOR_BGR2GRAY), np.uint8)
    small = cv2.resize(grey, (_SMALL_PX, _SMALL_PX), interpolation=cv2.INTER_AREA)[_INNER_SMALL].astype(np.float32)
    points, outside = np.asarray(landmarks, np.float64), _outside(found, image.shape[1], image.shape[0])
    sharpness, exposure = _sharpness(small), _exposure(grey[_INNER], small, float(outside[_GRID_INNER].mean()))
    return Quality(
        size=ramp(float(np.hypot(*(points[1] - points[0]))), USELESS_EYES_PX, FULL_EYES_PX),
        sharpness=sharpness,
        pose=pose(points),
        exposure=exposure,
        border=ramp(float(_GRID_WEIGHTS[outside].sum()), CUT, WHOLE),
        occlusion=_occlusion(chip, ramp(sharpness * exposure, 0.0, CLEAR)),
    )


def usable_chip(chip: NDArray[np.uint8], template: FaceTemplate) -> NDArray[np.uint8] | None:
    """`chip`, cut with `template`, where `measure` can take it; else None."""
    return chip if template is align.DLIB else None


def pose(landmarks: NDArray[Any]) -> float:
    """How frontal a face is, 0..1, from (5, 2) landmarks. A head tilted sideways is as good as an upright one."""
    points = np.asarray(landmarks, np.float64)
    eyes, mouth = (points[0] + points[1]) / 2, (points[3] + points[4]) / 2
    down, distance = mouth - eyes, float(np.hypot(*(points[1] - points[0])))
    length = float(np.hypot(*down))
    if not (distance > 0.0 and length > 0.0):
        return 0.0
    nod = float(np.dot(points[2] - eyes, down)) / length**2
    frontal = min(
        ramp(sideways(points), PROFILE_OFFSET, FRONTAL_OFFSET),
        ramp(length / distance, PROFILE_HEIGHT, FRONTAL_HEIGHT),
        ramp(length / distance, THROWN_BACK_HEIGHT, LEVEL_HEIGHT),
        ramp(nod, NOD[0], NOD[1]),
        ramp(nod, NOD[3], NOD[2]),
    )
    return max(frontal, LEAST_POSE)


def sideways(landmarks: NDArray[Any]) -> float:
    """How far the head is turned to a side: the first of `nose_offset` without its sign; NaN where that is."""
    return abs(nose_offset(landmarks)[0])


def nose_offset(landmarks: NDArray[Any]) -> tuple[float, float]:
    """How far the nose lies from the middle of eyes and mouth: along the line of the eyes, and at right angles to it.

    (5, 2) landmarks; in eye distances, positive to the right eye and to the mouth; NaN where the eyes are in one place.
    """
    (left_x, left_y), (right_x, right_y), (nose_x, nose_y), *mouth = landmarks.tolist()
    across, down = right_x - left_x, right_y - left_y
    squared = across * across + down * down
    if not squared > 0.0:
        return math.nan, math.nan
    right = nose_x - (left_x + right_x + mouth[0][0] + mouth[1][0]) / 4
    below = nose_y - (left_y + right_y + mouth[0][1] + mouth[1][1]) / 4
    return (right * across + below * down) / squared, (below * across - right * down) / squared


def ramp(value: float, zero: float, one: float) -> float:
    """0 at `zero` and beyond, 1 at `one` and beyond, linear in between; 0 for NaN."""
    share = float((value - zero) / (one - zero))
    if 0.0 < share < 1.0:
        return share
    return 1.0 if 1.0 <= share < math.inf else 0.0


def _sharpness(small: NDArray[np.float32]) -> float:
    """Second over first differences of brightness, so that contrast cancels. Motion blurs one direction, so the more
    blurred one counts."""
    across, down = (float(np.diff(small, axis=axis).std()) + 0.5 for axis in (1, 0))
    curved_across, curved_down = (float(np.diff(small, 2, axis=axis).std()) for axis in (1, 0))
    blur = min(curved_across / across, curved_down / down)
    smear = min(curved_across, curved_down) / float(np.hypot(across, down))
    return min(ramp(blur, BLURRED, SHARP), ramp(smear, SMEARED, STILL))


def _exposure(grey: NDArray[np.uint8], small: NDArray[np.float32], outside: float) -> float:
    """Of the inner chip; `outside` is the share of it beyond the picture, which is black and counts in `border`."""
    clipped = (np.count_nonzero(grey >= _WHITE) + np.count_nonzero(grey <= _BLACK)) / grey.size - outside
    return min(ramp(float(small.std()), FLAT, CONTRASTED), ramp(clipped, CLIPPED, UNCLIPPED))


def _occlusion(chip: NDArray[np.uint8], trust: float) -> float:
    """`trust`, 0..1: how far the picture shows what is there."""
    lower, eyes = (trust * ramp(share, UNCOVERED, SURELY_COVERED) for share in occlusion.covered(chip))
    return (1 - (1 - COVERED_LEAVES) * lower) * (1 - (1 - COVERED_LEAVES) * eyes)


def _outside(found: align.Similarity, width: int, height: int) -> NDArray[np.bool_]:
    """Which points of the grid lie outside the picture."""
    points = found.turn * _GRID_COMPLEX + found.shift
    outside = (points.real < 0) | (points.imag < 0) | (points.real > width - 1) | (points.imag > height - 1)
    return np.asarray(outside, np.bool_)
