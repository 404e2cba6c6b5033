"""Zones: parts of a camera's picture that have a name. Pure."""

from collections.abc import Sequence

from jetstream.messages import Box

Polygon = Sequence[tuple[float, float]]
"""corners, x and y in px"""


def centre(box: Box) -> tuple[float, float]:
    """The middle of a box, px."""
    x1, y1, x2, y2 = box
    return (x1 + x2) / 2, (y1 + y2) / 2


def contains(polygon: Polygon, point: tuple[float, float]) -> bool:
    """Whether a point is inside, by how often a ray to the right crosses the border (even-odd rule)."""
    x, y = point
    inside = False
    before_x, before_y = polygon[-1]
    for corner_x, corner_y in polygon:
        if (corner_y > y) != (before_y > y) and x < corner_x + (y - corner_y) * (before_x - corner_x) / (
            before_y - corner_y
        ):
            inside = not inside
        before_x, before_y = corner_x, corner_y
    return inside
