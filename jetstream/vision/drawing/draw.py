"""Draws boxes, landmarks and names on a picture, in place.

Knows no window and no file. Line widths and text are proportional to the picture.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from jetstream.vision.drawing.graphemes import one_line
from jetstream.vision.drawing.lettering import FONT, WEIGHT, Line, cut, drawn, is_simple, put, simple_width

Colour = tuple[int, int, int]  # BGR
KNOWN: Colour = (96, 200, 60)
UNKNOWN: Colour = (60, 160, 250)
FAINT: Colour = (170, 170, 170)  # tentative, lost or doubtful tracks, and captions
INK: Colour = (20, 20, 20)
WIDEST = 0.5
"""share of the picture that a name may cover; longer ones are cut"""
MARGIN = 4  # px at both sides of a text


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
    @property
    def doubtful(self) -> bool: ...


def faces(image: NDArray[np.uint8], tracks: Sequence[Drawable], *, landmarks: bool) -> None:
    """Draw the box and the name of every track, and with `landmarks` its points, on `image` (H, W, 3) uint8 BGR."""
    width = max(1, round(min(image.shape[:2]) / 360))
    for track in tracks:
        faint = track.state != "confirmed" or track.doubtful
        colour = FAINT if faint else KNOWN if track.name else UNKNOWN
        x1, y1, x2, y2 = (round(float(value)) for value in track.box)
        cv2.rectangle(image, (x1, y1), (x2, y2), colour, width, cv2.LINE_AA)
        if landmarks and track.landmarks is not None:
            for i in range(0, 10, 2):
                point = (round(track.landmarks[i]), round(track.landmarks[i + 1]))
                cv2.circle(image, point, width + 1, colour, -1, cv2.LINE_AA)
        nobody = "no face?" if track.doubtful else "unknown"
        more = f" {track.confidence:.0%}" if track.name else f"{nobody} #{track.track_id}"
        size = _size(image)
        plate = _kept_plate(track.name or "", more, size, max(4 * size, int(WIDEST * image.shape[1])), colour)
        _put(image, plate, (x1, y1))


def caption(image: NDArray[np.uint8], text: str) -> None:
    """Write one line in the upper left corner of `image` (H, W, 3) uint8 BGR."""
    size = _size(image)
    _put(image, _plate("", text, size, 0, FAINT), (4, 0))  # it changes with every frame


def _size(image: NDArray[np.uint8]) -> int:
    return max(9, int(min(image.shape[:2])) // 36)


def _plate(name: str, more: str, size: int, most_px: int, colour: Colour) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 BGR: a name of any script, cut to `most_px`, and right of it text that OpenCV can draw."""
    line = Line(size, size + 8, size + 1)
    name = cut(one_line(name), size, most_px) if name else ""
    letters = None if is_simple(name) else drawn(name, line)
    simple, x = (name + more, MARGIN) if letters is None else (more, MARGIN + letters.ink.shape[1])
    plate = np.empty((line.height, x + simple_width(simple, size) + MARGIN, 3), np.uint8)
    plate[:] = colour
    if letters is not None:
        put(letters, plate, MARGIN, INK)
    cv2.putText(plate, simple, (x, line.baseline), INK, FONT, size, WEIGHT)
    return plate


_kept_plate = lru_cache(maxsize=128)(_plate)
"""a name is drawn with every frame, with few different scores"""


def _put(image: NDArray[np.uint8], plate: NDArray[np.uint8], anchor: tuple[int, int]) -> None:
    """Copy a plate onto `image` above `anchor` (x, y) px, or below it at the upper border, inside as far as it fits."""
    (height, width), (rows, columns) = image.shape[:2], plate.shape[:2]
    x, y = max(0, min(anchor[0], width - columns)), anchor[1]
    top = y - rows if y >= rows else y
    first, last, wide = max(0, -top), min(rows, height - top), min(columns, width - x)
    if last > first:
        image[top + first : top + last, x : x + wide] = plate[first:last, :wide]
