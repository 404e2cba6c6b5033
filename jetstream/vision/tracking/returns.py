"""Who comes back: whether a new track shows the person of an earlier one, by their embeddings.

Knows no picture, no name, no place and no clock. Whether the earlier track may be continued is for others to say.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.recognition.embedding_space import EmbeddingSpace

# Distance between the mean of a track's first two samples and that of an earlier track's last ones, as dlib's. Measured
# on photos of 32 people: 95 % of one person's within 0.38 in the worst of four sets, of two people's 5,680 none under
# 0.44 with SFace's network and one with dlib's. In video 87 % of one person's, of two people's 5,808 none.
SAME: Final = 0.40
# Another person's track must be farther by this.
MARGIN: Final = 0.06
# The embedding of a profile, a blurred or a tiny face may lie anywhere.
LEAST_QUALITY: Final = 0.25
FIRST: Final = 2
LAST: Final = 5


@dataclass(slots=True)
class _Template:
    """One track's mean embedding; owned by its ReturnFinder alone."""

    first_s: float
    last_s: float = -math.inf
    mean: NDArray[np.float64] | None = None
    count: int = 0  # of the samples in the mean, up to LAST
    asked: bool = False
    returned: int | None = None
    before: int | None = None  # the id of what the track showed until its last exchange


class ReturnFinder:
    """The tracks of one camera that continue an earlier one.

    A track is compared once, when it has two good samples, with every track that had its last sample before this one
    had its first. The nearest within `SAME` is the answer, unless the next person is nearly as near.

    What a track showed until its face was exchanged counts as an earlier track, with a negative id.
    """

    def __init__(self, space: EmbeddingSpace, *, forget_s: float = 10.0, most: int = 256) -> None:
        self._space = space
        self._forget_s = forget_s
        self._most = most
        self._templates: dict[int, _Template] = {}  # the least recently updated one first
        self._now_s = -math.inf
        self._exchanged = 0  # templates that their tracks left

    def __len__(self) -> int:
        return len(self._templates)

    def saw(
        self,
        track_id: int,
        embedding: NDArray[Any],
        quality: float,
        time_s: float,
        *,
        moved: bool = False,
        slowness: float = 1.0,
    ) -> int | None:
        """Add a sample of a track; the earlier track that it continues, None where there is none, or not yet.

        embedding  (D,); one that isn't finite is passed over
        quality    0..1, of the sample; below `LEAST_QUALITY` it is passed over
        time_s     of the frame, any origin. After a step back everything is forgotten
        moved      the track shows somebody else than before, who may have been here on another one
        slowness   of the camera, see FrameRate: tracks are remembered longer by it
        """
        if not math.isfinite(time_s):
            return None
        self._advance(time_s, self._forget_s * slowness)
        template = self._templates.pop(track_id, None) or _Template(first_s=time_s)
        if moved:
            template = _Template(first_s=time_s, before=self._kept_apart(template))
        self._templates[track_id] = template
        sample = np.asarray(embedding, np.float64)
        if quality >= LEAST_QUALITY and np.isfinite(sample).all() and time_s > template.last_s:
            _take(template, sample, time_s)
            if template.count >= FIRST and not template.asked:
                template.asked = True
                template.returned = self._earlier(track_id, template)
        while len(self._templates) > self._most:
            del self._templates[next(iter(self._templates))]
        return template.returned

    def before(self, track_id: int) -> int | None:
        """The id by which the face goes that the track showed until its last exchange."""
        template = self._templates.get(track_id)
        return None if template is None else template.before

    def _kept_apart(self, template: _Template) -> int | None:
        if template.count < FIRST:
            return None
        self._exchanged += 1
        self._templates[-self._exchanged] = template
        return -self._exchanged

    def _advance(self, time_s: float, forget_s: float) -> None:
        if time_s < self._now_s:
            self._templates.clear()
        self._now_s = time_s
        while self._templates:
            track_id, oldest = next(iter(self._templates.items()))
            if time_s - max(oldest.first_s, oldest.last_s) <= forget_s:
                return
            del self._templates[track_id]

    def _earlier(self, track_id: int, new: _Template) -> int | None:
        near = sorted(
            (self._distance(new, old), -old.last_s, other)
            for other, old in self._templates.items()
            if other != track_id and old.count >= FIRST and old.last_s < new.first_s
        )
        if not near or near[0][0] > SAME:
            return None
        best, _, found = near[0]
        rivals = [other for distance, _, other in near[1:] if distance < best + MARGIN]
        # Two earlier tracks of one person are no rivals.
        chosen = self._templates[found]
        if any(self._distance(chosen, self._templates[other]) > SAME for other in rivals):
            return None
        return max([found, *rivals], key=lambda other: (self._templates[other].last_s, other))

    def _distance(self, one: _Template, other: _Template) -> float:
        """As dlib's; infinite without samples."""
        if one.mean is None or other.mean is None:
            return math.inf
        return self._space.common(float(np.linalg.norm(one.mean - other.mean)))


def _take(template: _Template, sample: NDArray[np.float64], time_s: float) -> None:
    template.last_s = time_s
    template.count = min(template.count + 1, LAST)
    mean = template.mean if template.mean is not None else sample
    template.mean = mean + (sample - mean) / template.count
