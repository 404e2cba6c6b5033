"""Draws boxes, landmarks and names on a picture, in place.

Knows no window and no file. Line widths and text are proportional to the picture.
"""

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]  # BGR
KNOWN: Colour = (96, 200, 60)
UNKNOWN: Colour = (60, 160, 250)
FAINT: Colour = (170, 170, 170)  # tentative or lost tracks, and captions
INK: Colour = (20, 20, 20)
WEIGHT = 500  # between regular and bold
_FONT = cv2.FontFace("sans")  # built into OpenCV 5, with all of Unicode's common scripts


class Drawable(Protocol):
    """A track, as far as it is drawn: box (x1, y1, x2, y2) px, landmarks x1, y1, ... x5, y5 px, confidence 0..1."""

    @property
    def track_id(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def box(self) -> Sequence[float]: ...
    @property
    def landmarks(self) -> Sequence[float] | None: ...
    @property
    def name(self) -> str | None: ...
    @property
    def confidence(self) -> float: ...


def faces(image: NDArray[np.uint8], tracks: Sequence[Drawable], *, landmarks: bool) -> None:
    """Draw the box and the name of every track, and with `landmarks` its points, on `image` (H, W, 3) uint8 BGR."""
    width = max(1, round(min(image.shape[:2]) / 360))
    for track in tracks:
        colour = FAINT if track.state != "confirmed" else KNOWN if track.name else UNKNOWN
        x1, y1, x2, y2 = (round(float(value)) for value in track.box)
        cv2.rectangle(image, (x1, y1), (x2, y2), colour, width, cv2.LINE_AA)
        if landmarks and track.landmarks is not None:
            for i in range(0, 10, 2):
                point = (round(track.landmarks[i]), round(track.landmarks[i + 1]))
                cv2.circle(image, point, width + 1, colour, -1, cv2.LINE_AA)
        text = f"{track.name} {track.confidence:.0%}" if track.name else f"unknown #{track.track_id}"
        _label(image, text, (x1, y1), colour)


def caption(image: NDArray[np.uint8], text: str) -> None:
    """Write one line in the upper left corner of `image` (H, W, 3) uint8 BGR."""
    _label(image, text, (4, 0), FAINT)


def _label(image: NDArray[np.uint8], text: str, anchor: tuple[int, int], colour: Colour) -> None:
    """`text` of any script on a coloured plate above `anchor` (x, y) px, or below it at the upper border."""
    height, width = image.shape[:2]
    size = max(9, min(height, width) // 36)
    x, y = max(0, anchor[0]), anchor[1]
    _, _, w, _ = cv2.getTextSize((width, height), text, (0, 0), _FONT, size, WEIGHT)
    plate = size + 8
    top = y - plate if y >= plate else y
    cv2.rectangle(image, (x, top), (x + w + 8, top + plate), colour, -1)
    cv2.putText(image, text, (x + 4, top + plate - 7), INK, _FONT, size, WEIGHT)
