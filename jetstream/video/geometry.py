"""The shape of a shown picture: turned upright, with square pixels, within limits of size.

Numbers and arrays alone; knows no stream and no file.
"""

import math
from fractions import Fraction
from typing import NamedTuple

import cv2
import numpy as np

from jetstream.video.frames import Image, SourceSettings

MOST_STRETCHED = 8
"""A pixel that is stated to be wider or higher than this is taken as square. The widest in use is 32:11 (half of a 16:9
picture's columns)."""
FLIPS = {"": (False, False), "horizontal": (True, False), "vertical": (False, True), "both": (True, True)}


class Orientation(NamedTuple):
    """What makes a picture upright: transpose it, then mirror it."""

    transposed: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def of_matrix(cls, a: int, b: int, c: int, d: int) -> "Orientation":
        """FFmpeg's display matrix: pixel (x, y) is displayed at (a x + c y, b x + d y). Rounded to quarter turns."""
        transposed = abs(b) + abs(c) > abs(a) + abs(d)
        return cls(transposed, (c if transposed else a) < 0, (b if transposed else d) < 0)

    def then(self, after: "Orientation") -> "Orientation":
        """This orientation followed by another."""
        mirror_x, mirror_y = (self.mirror_y, self.mirror_x) if after.transposed else (self.mirror_x, self.mirror_y)
        return Orientation(
            self.transposed != after.transposed, mirror_x != after.mirror_x, mirror_y != after.mirror_y
        )  # fmt: skip

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of a picture of this size once it is turned; the way back is the same."""
        return (height, width) if self.transposed else (width, height)

    def apply(self, image: Image) -> Image:
        """(H, W, 3) uint8, turned; the same array if it is upright already."""
        own = None  # a second new picture would take ten times as long, for its memory
        if self.transposed:
            image = own = np.asarray(cv2.transpose(image), np.uint8)
        if self.mirror_x or self.mirror_y:
            code = -1 if self.mirror_x and self.mirror_y else int(self.mirror_x)
            image = np.asarray(cv2.flip(image, code, dst=own), np.uint8)
        return image


QUARTERS = {
    0: Orientation(),
    90: Orientation(transposed=True, mirror_x=True),
    180: Orientation(mirror_x=True, mirror_y=True),
    270: Orientation(transposed=True, mirror_y=True),
}
"""degrees clockwise"""


def mounted(settings: SourceSettings) -> Orientation:
    """What makes the pictures of a camera upright that is mounted as `rotate` and `flip` say."""
    return QUARTERS[settings.rotate].then(Orientation(False, *FLIPS[settings.flip]))


def squared(width: int, height: int, aspect: Fraction | None) -> tuple[int, int]:
    """(width, height) px with square pixels of a picture whose pixels are `aspect` times as wide as high.

    The shorter side grows, so that no detail is lost. None, 0 and absurd values count as 1.
    """
    if aspect is None or not Fraction(1, MOST_STRETCHED) <= aspect <= MOST_STRETCHED:
        return width, height
    if aspect > 1:
        return math.floor(width * aspect + Fraction(1, 2)), height
    return width, math.floor(height / aspect + Fraction(1, 2))
