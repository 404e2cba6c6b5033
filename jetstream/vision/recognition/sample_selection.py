"""Face samples to people, and to the few samples of a person that are worth keeping: sharp, and unlike each other.

A sample is one view of a face. A track is a series of samples of one face, such as a tracker's; a face in a single
picture is a track of one sample. Pure: numbers in, indices out. Knows no picture, no file and no gallery.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.recognition.distances import squared_distances
from jetstream.vision.recognition.embedding_space import EmbeddingSpace
from jetstream.vision.recognition.quality import nose_offset
from jetstream.vision.recognition.thresholds import SAME_PERSON

Embeddings = NDArray[np.float32]  # (N, D)

# The squared error of a mean of n samples is this over n; less than that of photos (`thresholds.PHOTO_NOISE`), since
# samples of one video are more alike.
SAMPLE_NOISE: Final = 0.06
# Distance from the person's mean beyond which a sample isn't this person's. In the eight videos of `SAME_PERSON` the
# farthest of a person's own samples was 0.45 away.
NOT_THEM: Final = 0.5
# A track whose embedding moves so far between two samples has switched to another person.
JUMP: Final = 0.65
# Samples of a video, a sixth of a second apart, lie 0.05 to 0.33 apart; a sample and the photo made of it 0.01 to 0.1.
DUPLICATE: Final = 0.18
# `nose_offset` changes by about 0.7 from one three-quarter view to the other.
POSE_WEIGHT: Final = 0.3
# Samples of one track are alike for a while; seconds count up to this many.
LATER_S: Final = 2.0
LATER_WEIGHT: Final = 0.05  # a second
# Samples of less than this share of the best sample's quality aren't kept.
WORTH: Final = 0.6

POOR, OTHER_PERSON, DUPLICATED, ENOUGH = "poor", "other_person", "duplicate", "enough"


@dataclass(frozen=True, slots=True, eq=False)
class FaceSample:
    """One face in one frame.

    frame      samples of one frame show different people
    track      samples of one track show one person, as far as a tracker knows
    time_s     since the start of its source
    box        (4,) float32 xyxy px
    landmarks  (5, 2) float32 px: left eye, right eye, nose, left and right mouth corner as seen
    quality    0..1
    embedding  (D,) float32; None where the quality is too low
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
        """The longer side of the box, px."""
        return float(np.max(self.box[2:] - self.box[:2]))


@dataclass(frozen=True, slots=True, eq=False)
class PersonSamples:
    """The samples of one person.

    samples  their indices
    mean     (D,) float32 of their embeddings
    weight   their sides, summed, px: large for who is seen often and large
    """

    samples: tuple[int, ...]
    mean: NDArray[np.float32]
    weight: float


@dataclass(frozen=True, slots=True)
class SampleChoice:
    """`taken`: indices of samples, best first. `refused`: the reason by index for each of the others."""

    taken: tuple[int, ...]
    refused: dict[int, str]


def people_in(samples: Sequence[FaceSample], space: EmbeddingSpace) -> list[PersonSamples]:
    """Everybody with an embedded sample, the largest `weight` first.

    Agglomerative clustering of tracks: the two nearest are merged as long as their means are near enough, and no frame
    shows both.
    """
    groups = [group for track in _tracks(samples) for group in _without_jumps(samples, track, space.at(JUMP))]
    if not groups:
        return []
    barred = _seen_at_once(samples, groups)
    embedded = [_embeddings(samples, group) for group in groups]
    counts = np.array([len(group) for group in embedded], np.float64)
    means = np.array([group.mean(axis=0) for group in embedded], np.float64)
    excess = np.where(barred, math.inf, _excess(means, counts, means, counts, space))
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
        excess[i] = np.where(barred[i], math.inf, _excess(means[[i]], counts[[i]], means, counts, space)[0])
        excess[:, i] = excess[i]
        excess[j] = excess[:, j] = math.inf
    return sorted(
        (_person(samples, group, space.at(NOT_THEM)) for group in groups if group), key=lambda person: -person.weight
    )


def limit(base: float, samples: int, others: int, space: EmbeddingSpace) -> float:
    """The largest distance of two means, of `samples` and `others` samples; of very many it is `base`, as dlib's."""
    return math.sqrt(space.at(base) ** 2 + space.noise(SAMPLE_NOISE) * (1 / samples + 1 / others))


def choose(
    samples: Sequence[FaceSample],
    person: PersonSamples,
    most: int,
    known: Embeddings,
    space: EmbeddingSpace,
    *,
    apart: float = DUPLICATE,
) -> SampleChoice:
    """Up to `most` good samples of `person`, each as unlike those before as possible in embedding, pose and time.

    None is nearer than `apart`, as dlib's, to another or to one of `known`, (N, D) embeddings of existing photos.
    """
    apart = space.at(apart)
    refused = dict.fromkeys(set(range(len(samples))).difference(person.samples), OTHER_PERSON)
    embedded = {i: e for i in person.samples if (e := samples[i].embedding) is not None}
    best = max((samples[i].quality for i in embedded), default=0.0)
    refused |= {i: POOR for i in person.samples if i not in embedded or samples[i].quality < WORTH * best}
    far = {i: float(np.linalg.norm(embedding - person.mean)) for i, embedding in embedded.items()}
    refused |= {i: OTHER_PERSON for i in embedded if far[i] > space.at(NOT_THEM)}
    candidates = [i for i in embedded if i not in refused]
    nearest = {
        i: min((float(np.linalg.norm(embedded[i] - row)) for row in known), default=math.inf) for i in candidates
    }
    fresh = dict.fromkeys(candidates, 1.0)
    taken: list[int] = []
    while len(taken) < most and (left := [i for i in candidates if nearest[i] >= apart and i not in taken]):
        # The first one is the most typical good sample; the others are ranked by what they add.
        worth = {i: samples[i].quality * (fresh[i] if taken else 1.0 - far[i]) for i in left}
        chosen = max(left, key=lambda i: (worth[i], -i))
        taken.append(chosen)
        for i in candidates:
            distance = float(np.linalg.norm(embedded[i] - embedded[chosen]))
            nearest[i] = min(nearest[i], distance)
            novelty = distance + space.step * _otherwise(samples[i], samples[chosen])
            fresh[i] = novelty if len(taken) == 1 else min(fresh[i], novelty)
    refused |= {i: DUPLICATED if nearest[i] < apart else ENOUGH for i in candidates if i not in taken}
    return SampleChoice(tuple(taken), refused)


def at(
    samples: Sequence[FaceSample], x: float, y: float, time_s: float | None = None, *, within_s: float = 1.0
) -> int | None:
    """The index of the sample at or nearest to pixel (x, y): the earliest, or the one nearest to `time_s` and within
    `within_s` of it.

    None where no face is within its own size of the pixel.
    """

    def key(index: int) -> tuple[float, float]:
        sample = samples[index]
        outside = np.maximum(np.maximum(sample.box[:2] - (x, y), (x, y) - sample.box[2:]), 0.0)
        return float(np.hypot(*outside)) / sample.side_px, abs(sample.time_s - (time_s or 0.0))

    near = [i for i, sample in enumerate(samples) if time_s is None or abs(sample.time_s - time_s) <= within_s]
    found = min(near, key=key, default=None)
    return found if found is not None and key(found)[0] <= 1.0 else None


def _otherwise(sample: FaceSample, other: FaceSample) -> float:
    """How unlike two samples are in pose and time, as a difference of dlib's distances."""
    turned = math.dist(nose_offset(sample.landmarks), nose_offset(other.landmarks))
    later_s = min(abs(sample.time_s - other.time_s), LATER_S) if sample.track == other.track else LATER_S
    return POSE_WEIGHT * (turned if math.isfinite(turned) else 0.0) + LATER_WEIGHT * later_s


def _tracks(samples: Sequence[FaceSample]) -> Iterable[list[int]]:
    """Each track's samples in the order of time, where at least one is embedded."""
    tracks: dict[int, list[int]] = {}
    for index in sorted(range(len(samples)), key=lambda i: samples[i].time_s):
        tracks.setdefault(samples[index].track, []).append(index)
    return (track for track in tracks.values() if any(samples[index].embedding is not None for index in track))


def _without_jumps(samples: Sequence[FaceSample], track: list[int], jump: float) -> list[list[int]]:
    """The track in pieces, cut where the face becomes another; those without an embedding go with the piece before."""
    pieces: list[list[int]] = [[]]
    last: NDArray[np.float32] | None = None
    for index in track:
        embedding = samples[index].embedding
        if embedding is not None:
            if last is not None and np.linalg.norm(embedding - last) > jump:
                pieces.append([])
            last = embedding
        pieces[-1].append(index)
    return pieces


def _seen_at_once(samples: Sequence[FaceSample], groups: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
    """(G, G): whether some frame shows both groups; true on the diagonal."""
    frames = {sample.frame: column for column, sample in enumerate(samples)}
    shown = np.zeros((len(groups), len(samples)), np.float32)
    for row, group in enumerate(groups):
        shown[row, [frames[samples[index].frame] for index in group]] = 1.0
    return np.asarray(shown @ shown.T > 0.0, np.bool_)


def _excess(
    means: NDArray[np.float64],
    counts: NDArray[np.float64],
    others: NDArray[np.float64],
    of: NDArray[np.float64],
    space: EmbeddingSpace,
) -> NDArray[np.float64]:
    """(G, H): distances between means, less the largest that means of one person may have; 0 or less: maybe one person.

    means   (G, D), of (G,) `counts` samples each
    others  (H, D), of (H,) `of` samples each
    """
    distances = np.sqrt(squared_distances(means, others))
    noise = space.noise(SAMPLE_NOISE) * (1 / counts[:, None] + 1 / of)
    return np.asarray(distances - np.sqrt(space.at(SAME_PERSON) ** 2 + noise), np.float64)


def _embeddings(samples: Sequence[FaceSample], group: Iterable[int]) -> Embeddings:
    return np.array([e for index in group if (e := samples[index].embedding) is not None], np.float32)


def _person(samples: Sequence[FaceSample], group: list[int], not_them: float) -> PersonSamples:
    """The mean is that of the samples near the median, so that a few of somebody else don't move it."""
    embeddings = _embeddings(samples, group)
    middle = np.median(embeddings, axis=0)
    near = embeddings[np.linalg.norm(embeddings - middle, axis=1) <= not_them]
    mean = (near if len(near) else embeddings).mean(axis=0)
    return PersonSamples(tuple(sorted(group)), mean.astype(np.float32), sum(samples[index].side_px for index in group))
