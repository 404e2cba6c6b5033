"""The figures of an embedding space and its distribution of strangers, measured on faces that the user has.

Knows no network and no picture: embeddings come in by person. Without enough people the figures are those of a built-in
network, and there are no strangers, so that thresholds are the usual ones (`thresholds.calibrate`).
"""

import io
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.networks.cards import SpaceCard
from jetstream.vision.recognition.embedding_space import DLIB_SPACE, SFACE_SPACE

Faces = NDArray[np.float32]  # (N, D) of one person

PEOPLE_FOR_FIGURES: Final = 20
PEOPLE_FOR_BACKGROUND: Final = 40
_PEOPLE_FOR_SAME: Final = 5  # with several photos
MOST_OF_ONE: Final = 3  # photos of a person that count
_PEOPLE_TO_COUNT: Final = 150  # with 11,000 pairs, one in a thousand can be counted
_DRAWS: Final = 200
_NORMAL_05, _NORMAL_001 = 1.645, 3.090  # deviations under the mean of a normal distribution's 5 % and 0.1 % quantiles


class MeasuredSpace(NamedTuple):
    card: SpaceCard
    background: bytes  # an .npz file of `gallery.strangers`; empty: too few people
    people: int  # that were there, whether or not they were enough
    same: float = 0.0  # median distance of one person's photos as measured; 0: too few people had several


def generic(size: int, *, is_cosine: bool, other: float) -> SpaceCard:
    """Figures without faces to measure: SFace's where embeddings are compared by cosine.

    Else dlib's, in proportion to `other`, the median distance of the demo's two people.
    """
    space, share = (SFACE_SPACE, 1.0) if is_cosine else (DLIB_SPACE, other / DLIB_SPACE.other)
    return SpaceCard(
        size=size, same=space.same * share, false_match=space.false_match * share, other=space.other * share
    )


def measured(known: Sequence[Faces], unlabelled: Faces, usual: SpaceCard) -> MeasuredSpace:
    """The space of `known` people's photos and of `unlabelled` strangers', of whom some may be one person."""
    people = [*known, *_by_person(unlabelled, (usual.same + usual.false_match) / 2)]
    people = [faces[:MOST_OF_ONE] for faces in people if len(faces)]
    if len(people) < PEOPLE_FOR_FIGURES:
        return MeasuredSpace(usual, b"", len(people))
    distances, owners = _between(people)
    other, false_match = _quantiles(distances, len(people))
    spread = sorted(_redrawn(distances, owners, len(people)))
    card = SpaceCard(
        size=usual.size,
        same=_same(people, usual, other, false_match),
        false_match=false_match,
        other=other,
        people=len(people),
        false_match_from=spread[round(0.025 * _DRAWS)],
        false_match_to=spread[round(0.975 * _DRAWS) - 1],
    )
    background = _background(np.concatenate(people)) if len(people) >= PEOPLE_FOR_BACKGROUND else b""
    return MeasuredSpace(card, background, len(people), _same_measured(people))


def _by_person(faces: Faces, nearest: float) -> list[Faces]:
    """Faces that are nearer than `nearest` to each other are one person's."""
    owners = np.arange(len(faces))
    for row in range(len(faces)):
        near = np.linalg.norm(faces[:row] - faces[row], axis=1) < nearest
        for other in set(owners[:row][near].tolist()):
            owners[owners == other] = owners[row]
    return [faces[owners == owner] for owner in np.unique(owners)]


def _between(people: Sequence[Faces]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The distances (M,) of pairs of two people's faces, and (M, 2) whose they are."""
    faces = np.concatenate(people).astype(np.float64)
    whose = np.repeat(np.arange(len(people)), [len(one) for one in people])
    squared = np.square(faces).sum(axis=1)
    distances = np.sqrt(np.maximum(squared[:, None] + squared - 2 * faces @ faces.T, 0))
    rows, columns = np.triu_indices(len(faces), 1)
    is_other = whose[rows] != whose[columns]
    rows, columns = rows[is_other], columns[is_other]
    return distances[rows, columns], np.stack([whose[rows], whose[columns]], axis=1)


def _quantiles(
    distances: NDArray[np.float64], people: int, weights: NDArray[np.float64] | None = None
) -> tuple[float, float]:
    """The median, and the distance that one pair in a thousand is under.

    With few people that is extrapolated from the median and the 5 % quantile, as of a normal distribution.
    """
    order = np.argsort(distances)
    shares = np.cumsum(np.ones(len(distances)) if weights is None else weights[order])
    median, low, lowest = np.interp(np.array([0.5, 0.05, 0.001]) * shares[-1], shares, distances[order])
    if people < _PEOPLE_TO_COUNT:
        lowest = median - (median - low) * _NORMAL_001 / _NORMAL_05
    return float(median), float(max(lowest, 1e-6))


def _redrawn(distances: NDArray[np.float64], owners: NDArray[np.intp], people: int) -> list[float]:
    """The distance of one pair in a thousand for people drawn again and again (bootstrap over people)."""
    random = np.random.Generator(np.random.PCG64(0))
    found = []
    for _ in range(_DRAWS):
        counts = np.bincount(random.integers(0, people, people), minlength=people).astype(np.float64)
        found.append(_quantiles(distances, people, counts[owners[:, 0]] * counts[owners[:, 1]])[1])
    return found


def _same(people: Sequence[Faces], usual: SpaceCard, other: float, false_match: float) -> float:
    """The median distance of one person's photos; in the usual proportion where few people have several."""
    same = _same_measured(people) or usual.same * other / usual.other
    return float(np.clip(same, 0.2 * false_match, 0.95 * false_match))


def _same_measured(people: Sequence[Faces]) -> float:
    """The median distance of one person's photos; 0 where few people have several."""
    several = [faces for faces in people if len(faces) > 1]
    if len(several) < _PEOPLE_FOR_SAME:
        return 0.0
    return float(np.median([np.linalg.norm(faces[0] - face) for faces in several for face in faces[1:]]))


def _background(faces: Faces) -> bytes:
    from sklearn.covariance import LedoitWolf

    fitted = LedoitWolf().fit(faces.astype(np.float64))
    factor = np.linalg.cholesky(fitted.covariance_)
    file = io.BytesIO()
    np.savez_compressed(file, mean=faces.mean(axis=0), factor=factor.astype(np.float32))
    return file.getvalue()
