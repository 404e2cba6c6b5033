"""Which tracks may be no face: what never moves and never looks like one, as lace, gravel or a crumpled cloth do.

Knows no picture, no gallery and no clock: boxes and landmarks, measured qualities and motions come in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jetstream.vision.tracking.pictures import LIVELY_SHAPE, Motion
from jetstream.vision.tracking.scheduler import quality
from jetstream.vision.tracking.tracker import Track

# Of the best look. Patterns that the detector takes for faces reached 0.26 to 0.37, one 0.69. Of 21 tracks of people
# over 3 s each had a look of 0.65 and more, also those that were as still as a picture for that long.
GOOD: Final = 0.45
# One answer may be that of a moment in which a face is turned away.
LEAST_ANSWERS: Final = 2


@dataclass(slots=True)
class _Looks:
    """One track's; owned by its DoubtFinder alone."""

    best_estimate: float = 0.0  # from box, landmarks and score
    best: float = 0.0  # measured by recognition
    answers: int = 0
    alive: bool = False

    @property
    def good(self) -> bool:
        """Until enough answers came the estimate counts: where `recognize` is missing nobody becomes doubtful."""
        return (self.best if self.answers >= LEAST_ANSWERS else self.best_estimate) >= GOOD


class DoubtFinder:
    """The doubtful tracks of one camera.

    A track is doubtful while it has been still for as long as a picture must be (`Motion.lasting_still`), hasn't moved
    its face before, and none of its looks was good. One good look or one move, and it never is again. A poster has good
    looks and isn't doubtful; a person who sits still has, too, unless in profile, far away or in the dark.
    """

    def __init__(self) -> None:
        self._looks: dict[int, _Looks] = {}

    def saw(self, tracks: Sequence[Track]) -> None:
        """Estimate the looks of all tracks that are detected; forget tracks that are not given."""
        before, self._looks = self._looks, {}
        for track in tracks:
            self._looks[track.track_id] = looks = before.get(track.track_id) or _Looks()
            if track.landmarks is not None and not looks.good:
                looks.best_estimate = max(looks.best_estimate, quality(track.box, track.landmarks, track.score))

    def heard(self, track_id: int, measured: float) -> None:
        """Take the quality, 0..1, that recognition measured of a track; of one that is gone it is passed over."""
        if looks := self._looks.get(track_id):
            looks.answers, looks.best = looks.answers + 1, max(looks.best, measured)

    def may_doubt(self, track_id: int) -> bool:
        """Whether it depends on the track's motion, which need not be known for others."""
        looks = self._looks.get(track_id)
        return looks is not None and not looks.good and not looks.alive

    def doubts(self, track_id: int, motion: Motion) -> bool:
        """Whether the track is doubtful, given what it did in the last samples."""
        if not self.may_doubt(track_id):
            return False
        self._looks[track_id].alive = motion.shape >= LIVELY_SHAPE
        return motion.lasting_still
