"""Points in polygons."""

import pytest

from jetstream.sightings import zones

SQUARE = ((10.0, 10.0), (30.0, 10.0), (30.0, 30.0), (10.0, 30.0))
L_SHAPE = ((0.0, 0.0), (30.0, 0.0), (30.0, 10.0), (10.0, 10.0), (10.0, 30.0), (0.0, 30.0))


@pytest.mark.parametrize(
    ("polygon", "point", "is_inside"),
    [
        (SQUARE, (20, 20), True),
        (SQUARE, (5, 20), False),
        (SQUARE, (35, 20), False),
        (SQUARE, (20, 35), False),
        (SQUARE[::-1], (20, 20), True),
        (L_SHAPE, (5, 25), True),
        (L_SHAPE, (25, 5), True),
        (L_SHAPE, (25, 25), False),
    ],
)
def test_point_is_inside_whichever_way_the_corners_go(
    polygon: zones.Polygon, point: tuple[float, float], is_inside: bool
) -> None:
    assert zones.contains(polygon, point) == is_inside
