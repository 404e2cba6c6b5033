"""How near is near enough: the bar that lets through a chosen share of strangers, for the people at hand.

Knows no SVM, no file and no name: embeddings of people and of strangers come in, distances come out.

A face is compared with each person's centroid by its excess: the distance without what the number of photos adds to it,
sqrt(d**2 - PHOTO_NOISE / photos). A stranger is let in when the smallest excess, over all people, is below the bar. Its
distribution is measured on faces of strangers, so the bar falls by itself as people are added.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# A centroid of n photos lies off the person's true middle, the squared error being this over n; strangers near the bar
# come nearer to a centroid of 20 than to a single photo by as much (glint24_dev: 0.33 to 0.25, squared).
PHOTO_NOISE = 0.075

RATES: NDArray[np.float64] = np.geomspace(1e-5, 0.2, 44)
"""Shares of strangers for which bars are kept."""

# Below this share the strangers at hand are too few to count, and their tail is continued: distances fall off at least
# as fast as an exponential there.
TAIL = 0.01
# Other people of the gallery are the strangers that it will really meet, but few: they move the bar by their share of
# people / (people + this), towards fewer strangers only: their photos can be poorer than strangers will be. Their
# distance is taken where one in ten is nearer. Closer ones than SAME_PERSON are wrong labels, or one person twice.
TRUST_PEOPLE = 30
TRUST_QUANTILE = 0.1
SAME_PERSON = 0.42
# Without strangers to measure on: what 6 people of average looks give, and how far it falls e-fold, by people or rate.
USUAL_BAR, USUAL_RATE, USUAL_PEOPLE, USUAL_STEP = 0.50, 0.001, 6, 0.025

_CHUNK = 2048  # rows of a distance matrix at a time: 5,000 people then take 40 MB
_MOST_OWN = 8192  # of the gallery's own photos, evenly taken


class CalibrationFigures(NamedTuple):
    """What the calibration saw. Shares are 0..1; NaN where there was nothing to see it on."""

    strangers: int  # faces it was calibrated on
    own_known: float  # photos nearest to their own person's other photos, and within the bar
    own_strangers: float  # photos within the bar of somebody else, as if their own person weren't enrolled


def excess(distances: NDArray[np.float32], photos: NDArray[np.float32]) -> NDArray[np.float32]:
    """(M, P) Euclidean distances to centroids of (P,) photos, without what few photos add to them."""
    return np.asarray(np.sqrt(np.maximum(np.square(distances) - PHOTO_NOISE / photos, 0.0)), np.float32)


def gates(bar: float, photos: NDArray[np.float32]) -> NDArray[np.float32]:
    """(P,) largest distances to centroids of (P,) `photos` at which the excess is within `bar`."""
    return np.asarray(np.sqrt(bar**2 + PHOTO_NOISE / photos), np.float32)


def bar_at(bars: NDArray[np.float32], rate: float) -> float:
    """The bar for a share of strangers, between the kept ones; (len(RATES),) `bars`."""
    return float(np.interp(math.log(rate), np.log(RATES), bars))


def calibrate(
    centroids: NDArray[np.float32],
    photos: NDArray[np.float32],
    embeddings: NDArray[np.float32],
    owners: NDArray[np.int32],
    strangers: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    """A bar for each of RATES: (P, 128) people of (P,) photos each, (N, 128) photos and whose they are, (S, 128) faces
    of strangers, of which there should be some hundreds at least; none: what is usual."""
    people = len(centroids)
    if strangers is None or not len(strangers) or not people:
        more = math.log(max(people, USUAL_PEOPLE) / USUAL_PEOPLE)
        return (USUAL_BAR + USUAL_STEP * (np.log(RATES / USUAL_RATE) - more)).astype(np.float32)
    nearest = _nearest(strangers, centroids, photos)
    bars = _quantiles(nearest)
    if people > 1:
        some, whose = _some(embeddings, owners)
        own = _nearest(some, centroids, photos, whose)
        own = own[own > SAME_PERSON]
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
) -> CalibrationFigures:
    """What `bar` does to the gallery's own photos, each left out of its person's centroid."""
    some, whose = _some(embeddings, owners)
    others = _nearest(some, centroids, photos, whose) if len(centroids) > 1 else np.empty(0, np.float32)
    is_one_of_several = photos[whose] > 1
    left = photos[whose][is_one_of_several]
    mine = some[is_one_of_several]
    rest = (centroids[whose[is_one_of_several]] * left[:, None] - mine) / (left - 1)[:, None]
    distances = np.sqrt(np.square(mine - rest).sum(axis=1))
    own = np.sqrt(np.maximum(np.square(distances) - PHOTO_NOISE / (left - 1), 0.0))
    known = own <= bar
    if len(others):
        known &= own < others[is_one_of_several]
    return CalibrationFigures(
        strangers=strangers,
        own_known=float(known.mean()) if len(known) else math.nan,
        own_strangers=float((others <= bar).mean()) if len(others) else math.nan,
    )


def against(centroids: NDArray[np.float32]) -> NDArray[np.float32]:
    """(P, 128) centroids as the (130, P) matrix that `distances` takes: |f|^2 - 2 f.c + |c|^2 as one product."""
    squared = np.square(centroids).sum(axis=1)
    return np.concatenate([-2.0 * centroids.T, np.ones((1, len(centroids)), np.float32), squared[None]])


def distances(faces: NDArray[np.float32], prepared: NDArray[np.float32]) -> NDArray[np.float32]:
    """(M, P) Euclidean distances of (M, 128) faces to centroids prepared by `against`, squares right to about 1e-6."""
    squared = np.square(faces).sum(axis=1)[:, None]
    matrix = np.concatenate([faces, squared, np.ones_like(squared)], axis=1) @ prepared
    np.maximum(matrix, 0.0, out=matrix)
    return np.sqrt(matrix, out=matrix)


def _quantiles(nearest: NDArray[np.float32]) -> NDArray[np.float64]:
    """The excess that each of RATES of the strangers stays under; peaks over threshold, exponential, below TAIL."""
    start = np.quantile(nearest, TAIL)
    step = float(np.mean(start - nearest[nearest <= start]))
    return np.where(RATES >= TAIL, np.quantile(nearest, RATES), start + step * np.log(RATES / TAIL))


def _nearest(
    faces: NDArray[np.float32],
    centroids: NDArray[np.float32],
    photos: NDArray[np.float32],
    whose: NDArray[np.int32] | None = None,
) -> NDArray[np.float32]:
    """(M,) smallest excess of (M, 128) faces, to anybody but (M,) `whose`."""
    smallest = np.empty(len(faces), np.float32)
    prepared = against(centroids)
    for first in range(0, len(faces), _CHUNK):
        part = slice(first, first + _CHUNK)
        matrix = excess(distances(faces[part], prepared), photos)
        if whose is not None:
            matrix[np.arange(len(matrix)), whose[part]] = np.inf
        smallest[part] = matrix.min(axis=1)
    return smallest


def _some(embeddings: NDArray[np.float32], owners: NDArray[np.int32]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    step = max(1, -(-len(embeddings) // _MOST_OWN))
    return embeddings[::step], owners[::step]
