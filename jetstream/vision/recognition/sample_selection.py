"""Looks at faces to people, and to the few looks that are worth keeping of one: sharp, and each unlike the others.

Pure: numbers in, indices out. Knows no picture, no file and no gallery. A track is a run of looks at one face, such as
a tracker's; a picture's face is a track of one look.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.recognition.distances import squared_distances

Embeddings = NDArray[np.float32]  # (N, 128)

# Means of looks at two people came as near as 0.48 in eight videos; the halves of one person's lie 0.10 to 0.21 apart.
SAME_PERSON: Final = 0.42
# A mean of n looks lies off the person's true middle, the squared error being this over n; less than that of photos
# (`calibration`), since looks of one video are more alike.
LOOK_NOISE: Final = 0.06
# From the person's mean; in the same videos the farthest of a person's own looks was 0.45 away.
NOT_THEM: Final = 0.5
# A track that jumps so far between two looks has slipped to another person.
JUMP: Final = 0.65
# Neighbours in a video, a sixth of a second apart, lie 0.05 to 0.33 apart; a look and its photo 0.01 to 0.1.
DUPLICATE: Final = 0.18
# The nose's place tells how a head is turned; from one three-quarter view to the other it moves by about 0.7.
POSE_WEIGHT: Final = 0.3
# Looks of one track are alike for a while; seconds count up to this many.
LATER_S: Final = 2.0
LATER_WEIGHT: Final = 0.05  # a second
# Looks of less than this share of the best look's quality aren't kept.
WORTH: Final = 0.6

POOR, OTHER_PERSON, DUPLICATED, ENOUGH = "poor", "other_person", "duplicate", "enough"


@dataclass(frozen=True, slots=True, eq=False)
class FaceSample:
    """One face in one frame.

    frame      of one number: seen at once, so by no means one person
    track      looks of one track are one person's, as far as a tracker knows
    time_s     from the start of its source
    box        (4,) float32 xyxy px
    landmarks  (5, 2) float32 px: left eye, right eye, nose, left and right mouth corner as seen
    quality    0..1
    embedding  (128,) float32, None where the look is too poor for one
    """

    frame: int
    track: int
    time_s: float
    box: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    quality: float
    embedding: NDArray[np.float32] | None

    @property
    def side_px(self) -> float:
        """The longer side of the face."""
        return float(np.max(self.box[2:] - self.box[:2]))


@dataclass(frozen=True, slots=True, eq=False)
class PersonSamples:
    """Who some looks show. `looks` are indices, `mean` is (128,), `weight` how much is seen: px of face, summed."""

    looks: tuple[int, ...]
    mean: NDArray[np.float32]
    weight: float


@dataclass(frozen=True, slots=True)
class SampleChoice:
    """`taken`: indices, best first. `refused`: why each of the others isn't."""

    taken: tuple[int, ...]
    refused: dict[int, str]


def people_in(looks: Sequence[FaceSample]) -> list[PersonSamples]:
    """Everybody with an embedded look, who is seen most and largest first.

    Tracks are put together while their means are near enough, nearest first; never two that were seen at once.
    """
    groups = [group for track in _tracks(looks) for group in _without_jumps(looks, track)]
    if not groups:
        return []
    barred = _seen_at_once(looks, groups)
    embedded = [_embeddings(looks, group) for group in groups]
    counts = np.array([len(group) for group in embedded], np.float64)
    means = np.array([group.mean(axis=0) for group in embedded], np.float64)
    excess = np.where(barred, math.inf, _excess(means, counts, means, counts))
    while True:
        i, j = sorted(divmod(int(excess.argmin()), len(groups)))
        if excess[i, j] > 0.0:
            break
        groups[i], groups[j] = groups[i] + groups[j], []
        means[i] = np.average(means[[i, j]], axis=0, weights=counts[[i, j]])
        counts[i] += counts[j]
        barred[i] |= barred[j]
        barred[:, i] = barred[i]
        barred[j] = barred[:, j] = True
        excess[i] = np.where(barred[i], math.inf, _excess(means[[i]], counts[[i]], means, counts)[0])
        excess[:, i] = excess[i]
        excess[j] = excess[:, j] = math.inf
    return sorted((_person(looks, group) for group in groups if group), key=lambda person: -person.weight)


def limit(base: float, looks: int, others: int) -> float:
    """The largest distance of two means, of so many looks each, at which `base` would do for means of very many."""
    return math.sqrt(base**2 + LOOK_NOISE / looks + LOOK_NOISE / others)


def choose(
    looks: Sequence[FaceSample], person: PersonSamples, most: int, known: Embeddings, *, apart: float = DUPLICATE
) -> SampleChoice:
    """Up to `most` looks of `person`: good ones, each as unlike those before as can be, in face, turn of head and time.

    None is nearer than `apart` to another or to one of `known`, (N, 128) embeddings of photos there already.
    """
    refused = dict.fromkeys(set(range(len(looks))).difference(person.looks), OTHER_PERSON)
    embedded = {i: e for i in person.looks if (e := looks[i].embedding) is not None}
    best = max((looks[i].quality for i in embedded), default=0.0)
    refused |= {i: POOR for i in person.looks if i not in embedded or looks[i].quality < WORTH * best}
    far = {i: float(np.linalg.norm(embedding - person.mean)) for i, embedding in embedded.items()}
    refused |= {i: OTHER_PERSON for i in embedded if far[i] > NOT_THEM}
    candidates = [i for i in embedded if i not in refused]
    nearest = {
        i: min((float(np.linalg.norm(embedded[i] - row)) for row in known), default=math.inf) for i in candidates
    }
    fresh = dict.fromkeys(candidates, 1.0)
    taken: list[int] = []
    while len(taken) < most and (left := [i for i in candidates if nearest[i] >= apart and i not in taken]):
        # The first one is the most typical good look; the others are told apart by what they add.
        worth = {i: looks[i].quality * (fresh[i] if taken else 1.0 - far[i]) for i in left}
        chosen = max(left, key=lambda i: (worth[i], -i))
        taken.append(chosen)
        for i in candidates:
            distance = float(np.linalg.norm(embedded[i] - embedded[chosen]))
            nearest[i] = min(nearest[i], distance)
            novelty = distance + _otherwise(looks[i], looks[chosen])
            fresh[i] = novelty if len(taken) == 1 else min(fresh[i], novelty)
    refused |= {i: DUPLICATED if nearest[i] < apart else ENOUGH for i in candidates if i not in taken}
    return SampleChoice(tuple(taken), refused)


def at(
    looks: Sequence[FaceSample], x: float, y: float, time_s: float | None = None, *, within_s: float = 1.0
) -> int | None:
    """The look at or nearest to a pixel: the earliest, or the one nearest to `time_s`, no farther than `within_s`.

    None where there is no face within its own size of the pixel.
    """

    def key(index: int) -> tuple[float, float]:
        look = looks[index]
        outside = np.maximum(np.maximum(look.box[:2] - (x, y), (x, y) - look.box[2:]), 0.0)
        return float(np.hypot(*outside)) / look.side_px, abs(look.time_s - (time_s or 0.0))

    near = [i for i, look in enumerate(looks) if time_s is None or abs(look.time_s - time_s) <= within_s]
    found = min(near, key=key, default=None)
    return found if found is not None and key(found)[0] <= 1.0 else None


def pose(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """(2,): how far the nose is from the middle of eyes and mouth, along the eyes and across, in eye distances."""
    eyes = landmarks[1] - landmarks[0]
    distance = float(np.hypot(*eyes))
    if not distance > 0.0:
        return np.zeros(2)
    offset = landmarks[2] - landmarks[[0, 1, 3, 4]].mean(axis=0)
    along = np.array([eyes, (-eyes[1], eyes[0])], np.float64) / distance
    return np.asarray(along @ offset / distance, np.float64)


def _otherwise(look: FaceSample, other: FaceSample) -> float:
    """How unlike two looks are besides their embeddings: another turn of the head, another moment."""
    turned = float(np.linalg.norm(pose(look.landmarks) - pose(other.landmarks)))
    later_s = min(abs(look.time_s - other.time_s), LATER_S) if look.track == other.track else LATER_S
    return POSE_WEIGHT * turned + LATER_WEIGHT * later_s


def _tracks(looks: Sequence[FaceSample]) -> Iterable[list[int]]:
    """Each track's looks in the order of time, where at least one is embedded."""
    tracks: dict[int, list[int]] = {}
    for index in sorted(range(len(looks)), key=lambda i: looks[i].time_s):
        tracks.setdefault(looks[index].track, []).append(index)
    return (track for track in tracks.values() if any(looks[index].embedding is not None for index in track))


def _without_jumps(looks: Sequence[FaceSample], track: list[int]) -> list[list[int]]:
    """The track in pieces, cut where the face becomes another; looks without an embedding go with the piece before."""
    pieces: list[list[int]] = [[]]
    last: NDArray[np.float32] | None = None
    for index in track:
        embedding = looks[index].embedding
        if embedding is not None:
            if last is not None and np.linalg.norm(embedding - last) > JUMP:
                pieces.append([])
            last = embedding
        pieces[-1].append(index)
    return pieces


def _seen_at_once(looks: Sequence[FaceSample], groups: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
    """(G, G): whether some frame shows both groups, as it does a group and itself."""
    frames = {look.frame: column for column, look in enumerate(looks)}
    shown = np.zeros((len(groups), len(looks)), np.float32)
    for row, group in enumerate(groups):
        shown[row, [frames[looks[index].frame] for index in group]] = 1.0
    return np.asarray(shown @ shown.T > 0.0, np.bool_)


def _excess(
    means: NDArray[np.float64], counts: NDArray[np.float64], others: NDArray[np.float64], of: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(G, H): how much farther apart (G, 128) means of so many looks are from (H, 128) others than one person's may
    be; 0 or less: they may be one."""
    distances = np.sqrt(squared_distances(means, others))
    return np.asarray(distances - np.sqrt(SAME_PERSON**2 + LOOK_NOISE / counts[:, None] + LOOK_NOISE / of), np.float64)


def _embeddings(looks: Sequence[FaceSample], group: Iterable[int]) -> Embeddings:
    return np.array([e for index in group if (e := looks[index].embedding) is not None], np.float32)


def _person(looks: Sequence[FaceSample], group: list[int]) -> PersonSamples:
    """The mean is that of the looks near the middle, so that a few of somebody else don't move it."""
    embeddings = _embeddings(looks, group)
    middle = np.median(embeddings, axis=0)
    near = embeddings[np.linalg.norm(embeddings - middle, axis=1) <= NOT_THEM]
    mean = (near if len(near) else embeddings).mean(axis=0)
    return PersonSamples(tuple(sorted(group)), mean.astype(np.float32), sum(looks[index].side_px for index in group))
