"""Which of the people's photos to train on: no poor ones, no duplicates, none that shows somebody else.

Pure: embeddings, qualities and thumbnails in, codes and doubts out. Knows no file and no gallery.

To refuse a good photo costs more than to keep a bad one. So each rule needs more than one sign, and a person's last
photo is never refused but gets a doubt. Thresholds were measured on 690 photos of 32 people.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from jetstream.vision.recognition.distances import squared_distances, sums_by_person
from jetstream.vision.recognition.embedding_space import EmbeddingSpace
from jetstream.vision.recognition.quality import Quality
from jetstream.vision.recognition.thresholds import PHOTO_NOISE

BLURRED, EXTREME_POSE, DUPLICATE, LOOKS_LIKE = "blurred", "extreme_pose", "duplicate", "looks_like"
SAME_PICTURE, COVERED = "same_picture", "covered"

# At this sharpness or pose more than half of a person's photos are refused by their own centroid (see `quality`).
MIN_SHARPNESS: Final = 0.1
MIN_POSE: Final = 0.1
# Sunglasses or a mask over a face leave about `quality.COVERED_LEAVES`. Such photos are used all the same: somebody in
# sunglasses may be nearer to the one in which they wear some.
MIN_FREE: Final = 0.55
# Embeddings of one picture saved as JPEG of quality 90 are 0.06 apart, of 60 at half the size 0.29 (97 %: 0.41). Two
# pictures of one sitting come as near as 0.17, so from SURELY_SAME on the pictures must be alike as a whole, too:
# 1 - correlation of their thumbnails is under 0.003 in 97 % of such copies, and over 0.03 between other photos. Frames
# of one talking head, embeddings 0.18 and more apart, are over 0.004 in 99 % of pairs.
SURELY_SAME: Final = 0.1
MAYBE_SAME: Final = 0.4
ALIKE: Final = 0.003
THUMB_PX: Final = 16
# Distances to centroids, without what the noise of few photos adds. Of 690 correct photos the worst one is 0.54 from
# its own person and 0.08 farther than from another; of photos in a wrong folder 97 % are at least 0.12 farther.
NEAR_OTHER: Final = 0.5
FAR_FROM_OWN: Final = 0.5
TWO_PEOPLE: Final = 0.6
NEAR_OTHER_ALONE: Final = 0.42  # for a person's only photo, which can't be compared with their others
CLEARLY: Final = 0.12
_AT_ONCE = 1024  # rows of a table of distances


class PhotoDoubt(NamedTuple):
    """A reason to doubt a photo that is used nevertheless.

    `code` is `looks_like`, `same_picture`, `covered`, `blurred` or `extreme_pose`.
    """

    photo: int
    code: str
    other: int  # a person for `looks_like`, a photo for `same_picture`; -1 for the others


@dataclass
class PhotoJudgement:
    """`refused`: photo to code; `like`: photo refused as `looks_like` to the person it looks like."""

    refused: dict[int, str] = field(default_factory=dict)
    like: dict[int, int] = field(default_factory=dict)  # photo to person
    doubts: list[PhotoDoubt] = field(default_factory=list)


class PersonSpread(NamedTuple):
    """How far a person's photos spread, and the nearest other person.

    `own` is None without a second photo, the others without another person.
    """

    own: float | None  # root mean square distance of the photos to their centroid
    nearest: int | None  # the nearest other person
    distance: float | None  # between the two centroids
    apart: float | None  # the same without what the noise of few photos adds; negative where the noise is larger


def thumb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(256,) uint8: a (H, W, 3) uint8 BGR picture in grey, 16 x 16 px, to recognise the same picture saved again."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return cv2.resize(grey, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA).astype(np.uint8).ravel()


def judge(
    owners: NDArray[np.intp],
    embeddings: NDArray[np.float32],
    qualities: Sequence[Quality],
    thumbs: NDArray[np.uint8],
    space: EmbeddingSpace,
) -> PhotoJudgement:
    """What to do with N photos, given in the order in which they are shown; the first of two duplicates is kept.

    owners      (N,) person of each photo, 0 and up
    embeddings  (N, D)
    qualities   N
    thumbs      (N, 256) uint8, of `thumb`
    space       of the embeddings
    """
    found = PhotoJudgement()
    if not len(owners):
        return found
    _poor(owners, qualities, found)
    across: defaultdict[int, set[int]] = defaultdict(set)
    for first, second in _same(np.asarray(embeddings, np.float32), thumbs, space):
        if first in found.refused or second in found.refused:
            continue
        if owners[first] == owners[second]:
            found.refused[second] = DUPLICATE
        else:
            across[first].add(second)
            across[second].add(first)
    _misplaced(owners, np.asarray(embeddings, np.float64), across, found, space)
    for photo in sorted(across):
        others = sorted(other for other in across[photo] if other not in found.refused)
        if photo not in found.refused and others:
            found.doubts.append(PhotoDoubt(photo, SAME_PICTURE, others[0]))
    found.doubts += [
        PhotoDoubt(photo, COVERED, -1)
        for photo, quality in enumerate(qualities)
        if quality.occlusion < MIN_FREE and photo not in found.refused
    ]
    return found


def spreads(
    owners: NDArray[np.intp], embeddings: NDArray[np.float32], people: int, space: EmbeddingSpace
) -> list[PersonSpread]:
    """One for each of `people`; (N,) `owners` and (N, D) `embeddings` are those of the photos used."""
    samples = np.asarray(embeddings, np.float64)
    sums, counts = sums_by_person(samples, owners, people)
    there = np.flatnonzero(counts)
    middles = sums[there] / counts[there, None]
    squares = np.zeros(people)
    np.add.at(squares, owners, np.square(samples - sums[owners] / counts[owners, None]).sum(axis=1))
    result = [PersonSpread(None, None, None, None)] * people
    for first in range(0, len(there), _AT_ONCE):
        rows = np.arange(first, min(first + _AT_ONCE, len(there)))
        table = squared_distances(middles[rows], middles)
        table[np.arange(len(rows)), rows] = np.inf
        for row, nearest in zip(rows, table.argmin(axis=1), strict=True):
            person, other = int(there[row]), int(there[nearest])
            own = math.sqrt(squares[person] / (counts[person] - 1)) if counts[person] > 1 else None
            square = float(table[row - first, nearest])
            if not math.isfinite(square):
                result[person] = PersonSpread(own, None, None, None)
                continue
            true = square - space.noise(PHOTO_NOISE) * (1 / counts[person] + 1 / counts[other])
            result[person] = PersonSpread(own, other, math.sqrt(square), math.copysign(math.sqrt(abs(true)), true))
    return result


def _poor(owners: NDArray[np.intp], qualities: Sequence[Quality], found: PhotoJudgement) -> None:
    """Refuse blurred photos and profiles; of a person who has no others, the best one is kept with a doubt."""
    poor = {
        photo: BLURRED if quality.sharpness < MIN_SHARPNESS else EXTREME_POSE
        for photo, quality in enumerate(qualities)
        if quality.sharpness < MIN_SHARPNESS or quality.pose < MIN_POSE
    }
    for person in {int(owners[photo]) for photo in poor}:
        photos = np.flatnonzero(owners == person).tolist()
        if all(photo in poor for photo in photos):
            best = max(photos, key=lambda photo: min(qualities[photo].sharpness, qualities[photo].pose))
            found.doubts.append(PhotoDoubt(best, poor.pop(best), -1))
    found.refused |= poor


def _same(samples: NDArray[np.float32], thumbs: NDArray[np.uint8], space: EmbeddingSpace) -> Iterator[tuple[int, int]]:
    """Pairs of photos that show the same picture, the earlier one first."""
    pictures = thumbs.astype(np.float32) - thumbs.mean(axis=1, keepdims=True, dtype=np.float32)
    pictures /= np.linalg.norm(pictures, axis=1, keepdims=True) + 1e-6
    for first in range(0, len(samples), _AT_ONCE):
        rows = slice(first, first + _AT_ONCE)
        squares = squared_distances(samples[rows], samples[first:])
        one, other = np.nonzero(np.triu(squares <= space.at(MAYBE_SAME) ** 2, 1))
        near = squares[one, other] <= space.at(SURELY_SAME) ** 2
        same = near | (1.0 - (pictures[rows] @ pictures[first:].T)[one, other] <= ALIKE)
        yield from zip((one[same] + first).tolist(), (other[same] + first).tolist(), strict=True)


def _misplaced(
    owners: NDArray[np.intp],
    samples: NDArray[np.float64],
    across: dict[int, set[int]],
    found: PhotoJudgement,
    space: EmbeddingSpace,
) -> None:
    """Refuse photos that show another person: the worst first, then all are compared again without it.

    At most half of a person's photos are refused: where more seem to show somebody else, the folder's name may be
    wrong.
    """
    people = int(owners.max()) + 1
    used = np.array([photo not in found.refused for photo in range(len(owners))])
    refusable = np.bincount(owners[used], minlength=people) // 2
    while True:
        sums, counts = sums_by_person(samples[used], owners[used], people)
        suspects = list(_suspects(owners, samples, used, across, sums, counts, space))
        touched: set[int] = set()
        for margin, photo, other in sorted(suspects, reverse=True):
            person = int(owners[photo])
            if margin < CLEARLY or not refusable[person] or touched & {person, other}:
                continue
            if all(_torn(one, owners, samples, used, space) for one in (person, other)):
                continue
            found.refused[photo], found.like[photo], used[photo] = LOOKS_LIKE, other, False
            refusable[person] -= 1
            touched |= {person, other}
        if not touched:
            found.doubts += [
                PhotoDoubt(photo, LOOKS_LIKE, other) for margin, photo, other in suspects if margin >= CLEARLY
            ]
            return


def _suspects(
    owners: NDArray[np.intp],
    samples: NDArray[np.float64],
    used: NDArray[np.bool_],
    across: dict[int, set[int]],
    sums: NDArray[np.float64],
    counts: NDArray[np.intp],
    space: EmbeddingSpace,
) -> Iterator[tuple[float, int, int]]:
    """Of the photos used, those far from their own person's others and near another person's.

    Yields (how much farther it is from its own person, in dlib's distances, photo, the other person).
    """
    a_photo = space.noise(PHOTO_NOISE)
    middles, noise = sums / np.maximum(counts, 1)[:, None], a_photo / np.maximum(counts, 1)
    photos = np.flatnonzero(used)
    for first in range(0, len(photos), _AT_ONCE):
        rows = photos[first : first + _AT_ONCE]
        table = squared_distances(samples[rows], middles) - noise
        table[:, counts == 0] = np.inf
        for photo, squares in zip(rows, table, strict=True):
            person = owners[photo]
            alone = counts[person] == 1
            for twin in across.get(int(photo), ()):
                if used[twin]:
                    squares[owners[twin]] = _without(samples[photo], samples[twin], owners[twin], sums, counts, a_photo)
            squares[person] = np.inf
            other = int(squares.argmin())
            if squares[other] > space.at(NEAR_OTHER_ALONE if alone else NEAR_OTHER) ** 2:
                continue
            own = (
                math.inf
                if alone
                else math.sqrt(_without(samples[photo], samples[photo], person, sums, counts, a_photo))
            )
            if own >= space.at(FAR_FROM_OWN):
                yield (own - math.sqrt(max(0.0, squares[other]))) / space.step, int(photo), other


def _without(
    sample: NDArray[np.float64],
    left_out: NDArray[np.float64],
    person: int,
    sums: NDArray[np.float64],
    counts: NDArray[np.intp],
    noise: float,
) -> float:
    """Squared distance to a person's centroid without one photo, less the noise; 0 where that photo is the only one.

    `noise` is the squared error of a single photo.
    """
    rest = int(counts[person]) - 1
    if rest < 1:
        return 0.0
    return max(0.0, float(np.square(sample - (sums[person] - left_out) / rest).sum()) - noise / rest)


def _torn(
    person: int,
    owners: NDArray[np.intp],
    samples: NDArray[np.float64],
    used: NDArray[np.bool_],
    space: EmbeddingSpace,
) -> bool:
    """Whether a person has exactly two photos, of two people: it is unknown which one is wrong."""
    photos = np.flatnonzero(used & (owners == person))
    return len(photos) == 2 and float(np.linalg.norm(samples[photos[0]] - samples[photos[1]])) > space.at(TWO_PEOPLE)
