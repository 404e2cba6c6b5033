"""A frame as people see it, in place: faces hidden first, then boxes, names and a caption drawn on top.

Knows no window and no file. The order is a privacy property, so it is defined here only: nothing else may import `blur`
or `draw` (a contract of import-linter).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.drawing import blur as hiding
from jetstream.vision.drawing import draw
from jetstream.vision.drawing.blur import Who
from jetstream.vision.drawing.draw import Drawable


def annotate(
    image: NDArray[np.uint8],
    tracks: Sequence[Drawable],
    others: Sequence[Sequence[float]],
    *,
    blur: Who,
    landmarks: bool,
    boxes: bool = True,
    caption: str = "",
) -> None:
    """Change `image` (H, W, 3) uint8 BGR in place.

    tracks     the faces to draw, and to hide where `blur` says so
    others     boxes (x1, y1, x2, y2) px of faces that no track follows; hidden unless `blur` is "none", never drawn
    blur       whose faces are hidden: "none", "unknown" (those without a name) or "all"
    landmarks  draw the five points of each face
    boxes      draw the tracks; False: hide faces and draw nothing but the caption
    caption    a line in the upper left corner; empty: none
    """
    hiding.hide(image, tracks, blur, others)
    if boxes:
        draw.faces(image, tracks, landmarks=landmarks)
    if caption:
        draw.caption(image, caption)
