"""Distance thresholds that accept a chosen share of strangers, calibrated for the people of a gallery.

Knows no SVM, no file and no name: people and strangers come in, distances come out.

All are points of a `Sphere`: there the distance between a stranger and a person depends neither on the number of photos
nor, nearly, on how poor the picture is. A stranger is accepted when the distance to the nearest person is at most the
threshold (called a bar here and in a gallery's file). Its distribution is measured on invented strangers, so the bar
becomes smaller by itself as people are added.

Strangers resemble the people whom a gallery knows: where these resemble each other more than people usually do, being
of one group or age, so will the strangers at that camera. The distribution is moved and stretched by as much.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.recognition.distances import means_by_person
from jetstream.vision.recognition.embedding_space import EmbeddingSpace
from jetstream.vision.recognition.sphere import Sphere

# The squared error of a centroid of n photos is this over n. Strangers near the bar are nearer to a centroid of 20
# photos than to a single photo by as much (glint24_dev: 0.33 to 0.25, squared).
PHOTO_NOISE = 0.075

RATES: NDArray[np.float64] = np.geomspace(1e-5, 0.2, 44)
"""Shares of strangers for which bars are kept."""

# Below this share there are too few strangers to count, and their tail is extrapolated: likenesses fall off at least as
# fast as an exponential there.
TAIL = 0.01
# Two means, or a photo and a mean, that are nearer show one person: distances without the noise of few photos or
# samples. Means of samples of two people came as near as 0.48 in eight videos; halves of one person's lie 0.10 to 0.21
# apart.
SAME_PERSON = 0.42
# How much alike the people of a gallery are, beyond strangers drawn at random: the prior, in standard deviations of a
# pair. Ten sets of one origin each lie at 0 to 1.5, two of young singers of one country at 2 to 3.6, and up to 5 with
# dlib's network.
LIKENESS, LIKENESS_STEP = 0.7, 1.0
# The more people, the more their own spread counts where it is wider than that of strangers.
TRUST_PEOPLE = 10
UPPER = 0.75
MOST_COMPARED = 512  # of a gallery's people, evenly taken
# Without strangers to measure on: what 6 average people give, and by how much the bar decreases when the number of
# people grows e-fold or the rate shrinks e-fold.
USUAL_BAR, USUAL_RATE, USUAL_PEOPLE, USUAL_STEP = 0.55, 0.001, 6, 0.015

LEAST_ODDS_STEP = 0.005

_CHUNK = 2048  # rows of a distance matrix at a time: 5,000 people then take 40 MB
_MOST_OWN = 8192  # of the gallery's own photos, evenly taken


class CalibrationFigures(NamedTuple):
    """What the calibration measured. Shares are 0..1; NaN where there was nothing to measure."""

    strangers: int  # faces it was calibrated on
    own_known: float  # photos nearest to their own person's other photos, and within the bar
    own_strangers: float  # photos within the bar of somebody else, as if their own person weren't enrolled


def bar_at(bars: NDArray[np.float32], rate: float) -> float:
    """The bar that accepts the share `rate` of strangers, interpolated between (len(RATES),) `bars` of RATES."""
    return float(np.interp(math.log(rate), np.log(RATES), bars))


def odds_step(bars: NDArray[np.float32], space: EmbeddingSpace) -> float:
    """Over this distance the odds of a known person against a stranger change e-fold.

    Known people lie evenly around the bar, strangers become e-fold fewer over this distance: logistic regressions gave
    0.0125 with SFace and 0.03 with dlib's network, where this is 0.014 and 0.034.
    """
    return max((bar_at(bars, 0.01) - bar_at(bars, 0.001)) / math.log(10), LEAST_ODDS_STEP * space.step)


def fit(
    photos: NDArray[np.float32],
    owners: NDArray[np.int32],
    people: int,
    strangers: NDArray[np.float32] | None,
    space: EmbeddingSpace,
) -> tuple[Sphere, NDArray[np.float32]]:
    """The sphere around (S, D) embeddings of strangers, and the bars (len(RATES),) of people on it.

    photos  (N, D) embeddings
    owners  (N,) person of each photo, 0..people - 1
    """
    sphere = Sphere.around(strangers, space.size)
    placed = None if strangers is None else sphere.project(strangers)
    _, centroids = means_by_person(photos, owners, people)
    return sphere, calibrate(sphere.project(centroids), placed, sphere, space)


def calibrate(
    people: NDArray[np.float32], strangers: NDArray[np.float32] | None, sphere: Sphere, space: EmbeddingSpace
) -> NDArray[np.float32]:
    """A bar for each of RATES: (len(RATES),) float32.

    people     (P, D) points of `sphere`, one each
    strangers  (S, D) points of it, of other people, some hundreds at least; None or empty: usual bars
    """
    if strangers is None or not len(strangers) or not len(people):
        more = math.log(max(len(people), USUAL_PEOPLE) / USUAL_PEOPLE)
        usual = space.at(USUAL_BAR) + space.step * USUAL_STEP * (np.log(RATES / USUAL_RATE) - more)
        return np.maximum(usual, 0.0).astype(np.float32)
    nearest = _likenesses(_nearest(strangers, people), sphere)
    seen = _likeness(people, strangers, sphere)
    tail = seen.middle + seen.shift + seen.stretch * space.tail * (_quantiles(nearest) - seen.middle)
    return np.asarray(sphere.radius * np.sqrt(2 - 2 * np.tanh(tail)), np.float32)


def measure(
    bar: float,
    centroids: NDArray[np.float32],
    photos: NDArray[np.float32],
    embeddings: NDArray[np.float32],
    owners: NDArray[np.int32],
    strangers: int,
    sphere: Sphere,
) -> CalibrationFigures:
    """How many of the gallery's own photos `bar` accepts, each left out of its person's centroid.

    centroids   (P, D) means of each person's embeddings
    photos      (P,) number of photos of each person
    embeddings  (N, D) of the photos
    owners      (N,) person of each photo, 0..P - 1
    strangers   their number, which is only passed on
    """
    step = max(1, -(-len(embeddings) // _MOST_OWN))
    some, whose = embeddings[::step], owners[::step]
    seen = sphere.project(some)
    others = _nearest(seen, sphere.project(centroids), whose) if len(centroids) > 1 else np.empty(0, np.float32)
    is_one_of_several = photos[whose] > 1
    left = photos[whose][is_one_of_several]
    rest = (centroids[whose[is_one_of_several]] * left[:, None] - some[is_one_of_several]) / (left - 1)[:, None]
    own = np.sqrt(np.square(seen[is_one_of_several] - sphere.project(rest)).sum(axis=1))
    known = own <= bar
    if len(others):
        known &= own < others[is_one_of_several]
    return CalibrationFigures(
        strangers=strangers,
        own_known=float(known.mean()) if len(known) else math.nan,
        own_strangers=float((others <= bar).mean()) if len(others) else math.nan,
    )


def against(centroids: NDArray[np.float32]) -> NDArray[np.float32]:
    """(P, D) centroids as the (D + 2, P) matrix that `distances` takes: |f|^2 - 2 f.c + |c|^2 in one product."""
    squared = np.square(centroids).sum(axis=1)
    return np.concatenate([-2.0 * centroids.T, np.ones((1, len(centroids)), np.float32), squared[None]])


def distances(faces: NDArray[np.float32], prepared: NDArray[np.float32]) -> NDArray[np.float32]:
    """(M, P) Euclidean distances of (M, D) faces to centroids prepared by `against`, squares right to about 1e-6."""
    squared = np.square(faces).sum(axis=1)[:, None]
    matrix = np.concatenate([faces, squared, np.ones_like(squared)], axis=1) @ prepared
    np.maximum(matrix, 0.0, out=matrix)
    return np.sqrt(matrix, out=matrix)


class _Likeness(NamedTuple):
    """By how much strangers are more like a gallery's people than drawn ones: of what `_likenesses` gives."""

    middle: float  # the median of a drawn stranger and a person
    shift: float  # how much larger it is
    stretch: float  # how much farther the others are from it


def _likeness(people: NDArray[np.float32], strangers: NDArray[np.float32], sphere: Sphere) -> _Likeness:
    """Between the people, two by two; quantiles, so that one person under two names hardly counts.

    What few people show is weighed against the prior (normal distributions, empirical Bayes).
    """
    drawn = _likenesses(distances(strangers[:: max(1, len(strangers) // 1024)], against(people[:64])), sphere).ravel()
    middle, upper, spread = float(np.median(drawn)), float(np.quantile(drawn, UPPER)), float(drawn.std())
    some = people[:: -(-len(people) // MOST_COMPARED)]
    count = len(some)
    if count <= 2:
        return _Likeness(middle, LIKENESS * spread, 1.0)
    between = _likenesses(distances(some, against(some))[np.triu_indices(count, 1)], sphere)
    own_middle, own_upper = (float(value) for value in np.quantile(between, (0.5, UPPER)))
    trust = LIKENESS_STEP**2 / (LIKENESS_STEP**2 + 1 / (count - 1))
    shift = (1 - trust) * LIKENESS * spread + trust * (own_middle - middle)
    wider = max(1.0, (own_upper - own_middle) / max(upper - middle, 1e-6))
    return _Likeness(middle, max(0.0, shift), float(wider ** (count / (count + TRUST_PEOPLE))))


def _likenesses(distances: NDArray[Any], sphere: Sphere) -> NDArray[np.float64]:
    """Likenesses of points so far apart, large for near ones: arctanh of the cosine, so that none passes 1."""
    cosines = 1 - np.square(distances, dtype=np.float64) / (2 * sphere.radius**2)
    return np.asarray(np.arctanh(np.clip(cosines, -0.999, 0.999)))


def _quantiles(nearest: NDArray[np.float64]) -> NDArray[np.float64]:
    """(len(RATES),) likeness above which each of RATES of the strangers lies.

    Below TAIL an exponential tail is fitted (peaks over threshold).
    """
    start = np.quantile(nearest, 1 - TAIL)
    step = float(np.mean(nearest[nearest >= start] - start))
    return np.where(RATES >= TAIL, np.quantile(nearest, 1 - RATES), start - step * np.log(RATES / TAIL))


def _nearest(
    faces: NDArray[np.float32], people: NDArray[np.float32], whose: NDArray[np.int32] | None = None
) -> NDArray[np.float32]:
    """(M,) smallest distance of (M, D) faces to anybody but their own person (M,) `whose`."""
    smallest = np.empty(len(faces), np.float32)
    prepared = against(people)
    for first in range(0, len(faces), _CHUNK):
        part = slice(first, first + _CHUNK)
        matrix = distances(faces[part], prepared)
        if whose is not None:
            matrix[np.arange(len(matrix)), whose[part]] = np.inf
        smallest[part] = matrix.min(axis=1)
    return smallest
