"""What a tracker remembers of one face, and how two of them become one.

Knows no detection that isn't assigned, and no clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.tracking.kalman import BoxFilter


@dataclass(slots=True)
class FollowedFace:
    """A track; owned and changed by its Tracker alone."""

    track_id: int
    filter: BoxFilter
    confirmed: bool
    score: float
    landmarks: NDArray[np.float32] | None
    last_box: NDArray[np.float32]  # (4,) the last detection's own
    born_s: float
    seen_s: float
    detected: bool

    def move(self, right_px: float, down_px: float) -> None:
        self.filter.move(right_px, down_px)
        self.last_box = self.last_box + np.array([right_px, down_px, right_px, down_px], np.float32)


def rejoined(
    faces: Sequence[FollowedFace], track_id: int, earlier_id: int, born_s: float
) -> tuple[list[FollowedFace], bool]:
    """The faces, of which `track_id` is `earlier_id` now, born at `born_s`; and whether that could be.

    It can't be where the earlier one was still seen when the other one began.
    """
    new = next((face for face in faces if face.track_id == track_id), None)
    old = next((face for face in faces if face.track_id == earlier_id), None)
    if new is None or new is old or (old is not None and old.seen_s >= new.born_s):
        return list(faces), False
    new.track_id, new.born_s = earlier_id, min(new.born_s, born_s)
    return sorted((face for face in faces if face is not old), key=lambda face: face.track_id), True
