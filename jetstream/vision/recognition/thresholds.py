"""Distance thresholds that accept a chosen share of strangers, calibrated for the people of a gallery.

Knows no SVM, no file and no name: embeddings of people and of strangers come in, distances come out.

A face is compared with each person's centroid by its excess: the distance without what the number of photos adds to it,
sqrt(d**2 - PHOTO_NOISE / photos). A stranger is accepted when the smallest excess, over all people, is at most the
threshold. (Thresholds of the excess are called bars here and in a gallery's file.) The distribution of the smallest
excess is measured on faces of strangers, so the bar becomes smaller by itself as people are added.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.recognition.embedding_space import EmbeddingSpace

# The squared error of a centroid of n photos is this over n. Strangers near the bar are nearer to a centroid of 20
# photos than to a single photo by as much (glint24_dev: 0.33 to 0.25, squared).
PHOTO_NOISE = 0.075

RATES: NDArray[np.float64] = np.geomspace(1e-5, 0.2, 44)
"""Shares of strangers for which bars are kept."""

# Below this share there are too few strangers to count, and their tail is extrapolated: distances fall off at least as
# fast as an exponential there.
TAIL = 0.01
# Two means, or a photo and a mean, that are nearer show one person: distances without the noise of few photos or
# samples. Means of samples of two people came as near as 0.48 in eight videos; halves of one person's lie 0.10 to 0.21
# apart.
SAME_PERSON = 0.42
# Other people of the gallery are the strangers that it will really meet, but few: they move the bar by their share
# of people / (people + this), towards fewer strangers only: their photos can be poorer than strangers will be.
# Their distance is taken where one in ten is nearer. Nearer ones than SAME_PERSON are wrong labels, or one person
# twice.
TRUST_PEOPLE = 30
TRUST_QUANTILE = 0.1
# Without strangers to measure on: what 6 average people give, and by how much the bar decreases when the number of
# people grows e-fold or the rate shrinks e-fold.
USUAL_BAR, USUAL_RATE, USUAL_PEOPLE, USUAL_STEP = 0.50, 0.001, 6, 0.025

_CHUNK = 2048  # rows of a distance matrix at a time: 5,000 people then take 40 MB
_MOST_OWN = 8192  # of the gallery's own photos, evenly taken


class CalibrationFigures(NamedTuple):
    """What the calibration measured. Shares are 0..1; NaN where there was nothing to measure."""

    strangers: int  # faces it was calibrated on
    own_known: float  # photos nearest to their own person's other photos, and within the bar
    own_strangers: float  # photos within the bar of somebody else, as if their own person weren't enrolled


def excess(distances: NDArray[np.float32], photos: NDArray[np.float32], space: EmbeddingSpace) -> NDArray[np.float32]:
    """(M, P) Euclidean distances to centroids of (P,) photos, without what few photos add to them."""
    noise = space.noise(PHOTO_NOISE)
    return np.asarray(np.sqrt(np.maximum(np.square(distances) - noise / photos, 0.0)), np.float32)


def distance_thresholds(bar: float, photos: NDArray[np.float32], space: EmbeddingSpace) -> NDArray[np.float32]:
    """(P,) largest distances to centroids of (P,) `photos` at which the excess is at most `bar`."""
    return np.asarray(np.sqrt(bar**2 + space.noise(PHOTO_NOISE) / photos), np.float32)


def bar_at(bars: NDArray[np.float32], rate: float) -> float:
    """The bar that accepts the share `rate` of strangers, interpolated between (len(RATES),) `bars` of RATES."""
    return float(np.interp(math.log(rate), np.log(RATES), bars))


def calibrate(
    centroids: NDArray[np.float32],
    photos: NDArray[np.float32],
    embeddings: NDArray[np.float32],
    owners: NDArray[np.int32],
    strangers: NDArray[np.float32] | None,
    space: EmbeddingSpace,
) -> NDArray[np.float32]:
    """A bar for each of RATES: (len(RATES),) float32.

    centroids   (P, D), a person each
    photos      (P,) number of photos of each person
    embeddings  (N, D) of the photos
    owners      (N,) person of each photo, 0..P - 1
    strangers   (S, D) faces of other people, some hundreds at least; None or empty: usual bars
    """
    people = len(centroids)
    if strangers is None or not len(strangers) or not people:
        more = math.log(max(people, USUAL_PEOPLE) / USUAL_PEOPLE)
        usual = space.at(USUAL_BAR) + space.step * USUAL_STEP * (np.log(RATES / USUAL_RATE) - more)
        return np.maximum(usual, 0.0).astype(np.float32)
    nearest = _nearest(strangers, centroids, photos, space)
    bars = _quantiles(nearest)
    if people > 1:
        some, whose = _some(embeddings, owners)
        own = _nearest(some, centroids, photos, space, whose)
        own = own[own > space.at(SAME_PERSON)]
        if len(own):
            shift = np.quantile(own, TRUST_QUANTILE) - np.quantile(nearest, TRUST_QUANTILE)
            bars = bars + min(shift, 0.0) * people / (people + TRUST_PEOPLE)
    return np.maximum(bars, 0.0).astype(np.float32)


def measure(
    bar: float,
    centroids: NDArray[np.float32],
    photos: NDArray[np.float32],
    embeddings: NDArray[np.float32],
    owners: NDArray[np.int32],
    strangers: int,
    space: EmbeddingSpace,
) -> CalibrationFigures:
    """How many of the gallery's own photos `bar` accepts, each left out of its person's centroid.

    Shapes as in `calibrate`; `strangers` is their number, which is only passed on.
    """
    some, whose = _some(embeddings, owners)
    others = _nearest(some, centroids, photos, space, whose) if len(centroids) > 1 else np.empty(0, np.float32)
    is_one_of_several = photos[whose] > 1
    left = photos[whose][is_one_of_several]
    mine = some[is_one_of_several]
    rest = (centroids[whose[is_one_of_several]] * left[:, None] - mine) / (left - 1)[:, None]
    distances = np.sqrt(np.square(mine - rest).sum(axis=1))
    own = np.sqrt(np.maximum(np.square(distances) - space.noise(PHOTO_NOISE) / (left - 1), 0.0))
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


def _quantiles(nearest: NDArray[np.float32]) -> NDArray[np.float64]:
    """(len(RATES),) excess below which each of RATES of the strangers lies.

    Below TAIL an exponential tail is fitted (peaks over threshold).
    """
    start = np.quantile(nearest, TAIL)
    step = float(np.mean(start - nearest[nearest <= start]))
    return np.where(RATES >= TAIL, np.quantile(nearest, RATES), start + step * np.log(RATES / TAIL))


def _nearest(
    faces: NDArray[np.float32],
    centroids: NDArray[np.float32],
    photos: NDArray[np.float32],
    space: EmbeddingSpace,
    whose: NDArray[np.int32] | None = None,
) -> NDArray[np.float32]:
    """(M,) smallest excess of (M, D) faces to anybody but their own person (M,) `whose`."""
    smallest = np.empty(len(faces), np.float32)
    prepared = against(centroids)
    for first in range(0, len(faces), _CHUNK):
        part = slice(first, first + _CHUNK)
        matrix = excess(distances(faces[part], prepared), photos, space)
        if whose is not None:
            matrix[np.arange(len(matrix)), whose[part]] = np.inf
        smallest[part] = matrix.min(axis=1)
    return smallest


def _some(embeddings: NDArray[np.float32], owners: NDArray[np.int32]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    step = max(1, -(-len(embeddings) // _MOST_OWN))
    return embeddings[::step], owners[::step]
