"""What a tracker remembers of one face, and how two of them become one.

Knows no detection that isn't assigned, and no clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.tracking.assignment import iou
from jetstream.vision.tracking.kalman import Corners, FaceFilter

# Overlap of a detection with the predicted box below which the face jumped, and, for a face that was out of sight, how
# many of its sizes it is away from where it would be: the first one had walked out of the picture. Of 57,000 detections
# of people who walk in front of a camera, 37 jumped: 19 of the 32 where another face took over the track (some others
# do so a frame later), and 18 of one person. A face that comes back from a profile is within 1.2 sizes.
JUMP_IOU: Final = 0.25
JUMP_SIZES: Final = 2.0


@dataclass(slots=True)
class FollowedFace:
    """A track; owned and changed by its Tracker alone."""

    track_id: int
    filter: FaceFilter
    confirmed: bool
    score: float
    landmarks: NDArray[np.float32] | None
    last_box: Corners  # the last detection's own
    born_s: float
    seen_s: float
    detected: bool
    jumped: bool = False

    def would_jump(self, box: Corners, *, was_held: bool) -> bool:
        """Whether a detection is so far from the predicted box that it may be another face's.

        was_held  the face was seen a moment ago
        """
        expected = self.filter.corners
        if was_held:
            return iou(expected, box) < JUMP_IOU
        (left, top, right, bottom), (x1, y1, x2, y2) = expected, box
        far_right, far_down = abs(left + right - x1 - x2) / 2, abs(top + bottom - y1 - y2) / 2
        return far_right > JUMP_SIZES * (x2 - x1) or far_down > JUMP_SIZES * (y2 - y1)

    def move(self, right_px: float, down_px: float) -> None:
        self.filter.move(right_px, down_px)
        x1, y1, x2, y2 = self.last_box
        self.last_box = x1 + right_px, y1 + down_px, x2 + right_px, y2 + down_px


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
