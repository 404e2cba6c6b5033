"""One-versus-rest support vector machines, one a person, trained by scikit-learn and kept as arrays.

Knows no file, no threshold and no stranger: it ranks the people by how likely each is. Scoring needs numpy alone.
"""

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.recognition.distances import squared_distances, sums_by_person
from jetstream.vision.recognition.embedding_space import EmbeddingSpace
from jetstream.vision.recognition.thresholds import PHOTO_NOISE

# Chosen by cross-validation where that takes seconds. The first is taken unless another is better by more than a
# standard error (Breiman's rule): with few photos, settings differ by chance.
LINEAR_C = (1.0, 0.1, 10.0)
RBF = ((10.0, 1.0), (10.0, 3.0), (1.0, 3.0))  # C, gamma; squared distances are about 0.2 within a person, 0.6 between
FOLDS = 5
ALWAYS_LEARNT = 8
"""photos of each person that are used, however few others have"""
MOST_PEOPLE_RBF, MOST_PHOTOS_RBF = 50, 1000
MOST_PEOPLE_SEARCHED, MOST_PHOTOS_SEARCHED = 100, 4000
# For more people, a machine for each takes minutes; hyperplanes from one covariance of all photos take a second.
MOST_PEOPLE_SVM = 200
USUAL_PHOTOS = 256


class OneVsRestSvm(NamedTuple):
    """Hyperplanes in embedding space, or in the space of the photos' kernel exp(-gamma * distance**2)."""

    weights: NDArray[np.float32]  # (P, D), or (P, N) with a kernel
    biases: NDArray[np.float32]  # (P,)
    gamma: float = 0.0  # 0: no kernel
    how: str = ""  # kind and settings, as text

    def scores(
        self, faces: NDArray[np.float32], photos: NDArray[np.float32], people: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """(M, K) decision values; the largest is of the likeliest person.

        faces   (M, D)
        photos  (N, D) that it was trained on
        people  (M, K) whom to score for each face
        """
        features = faces if not self.gamma else _kernel(faces, photos, self.gamma)
        return np.asarray(np.einsum("mkf,mf->mk", self.weights[people], features) + self.biases[people], np.float32)


class SvmSettings(NamedTuple):
    """Hyperparameters of the training; `gamma` 0: linear."""

    c: float
    gamma: float = 0.0


def train(photos: NDArray[np.float32], owners: NDArray[np.int32], people: int, space: EmbeddingSpace) -> OneVsRestSvm:
    """Train on (N, D) photos and the (N,) person of each, 0..people - 1, each at least once.

    Classes are balanced, so that many photos of one person don't outweigh another's single one. Imports scikit-learn.
    """
    if people < 2:
        return OneVsRestSvm(np.zeros((people, space.size), np.float32), np.zeros(people, np.float32), how="none needed")
    samples = np.asarray(photos, np.float64)
    if people > MOST_PEOPLE_SVM:
        return _common_covariance(samples, owners, people, space)._replace(how="planes of the common covariance")
    kept = _evened(owners)
    setting = _search(samples[kept], owners[kept], people)
    machine = _fit(setting, samples[kept], owners[kept], people)
    if setting.gamma:  # the kernel has a column for each photo, also for those left out
        weights = np.zeros((people, len(owners)), np.float32)
        weights[:, kept] = machine.weights
        machine = machine._replace(weights=weights)
    kernel = f"rbf SVM, gamma {setting.gamma:g}" if setting.gamma else "linear SVM"
    return machine._replace(how=f"{kernel}, C {setting.c:g}")


def _evened(owners: NDArray[np.int32]) -> NDArray[np.intp]:
    """Rows to train on: of each person at most the median number of photos, evenly taken.

    Balanced classes alone aren't enough: beside one person with 40 photos, people with 2 to 5 lose up to 8 points of
    accuracy.
    """
    counts = np.bincount(owners)
    most = max(ALWAYS_LEARNT, int(np.median(counts)))
    rows = [np.flatnonzero(owners == person) for person in range(len(counts))]
    even = [np.linspace(0, len(mine) - 1, min(len(mine), most)).round().astype(np.intp) for mine in rows]
    return np.sort(np.concatenate([mine[kept] for mine, kept in zip(rows, even, strict=True)]))


def _search(samples: NDArray[np.float64], owners: NDArray[np.int32], people: int) -> SvmSettings:
    """The first setting that no other beats by more than a standard error, by stratified cross-validation."""
    settings = [SvmSettings(c) for c in LINEAR_C]
    if people <= MOST_PEOPLE_RBF and len(samples) <= MOST_PHOTOS_RBF:
        settings += [SvmSettings(*values) for values in RBF]
    folds = list(_folds(owners))
    if people > MOST_PEOPLE_SEARCHED or len(samples) > MOST_PHOTOS_SEARCHED or not folds:
        return settings[0]
    rates = [_rates(setting, samples, owners, people, folds) for setting in settings]
    means = [float(rate.mean()) for rate in rates]
    best = int(np.argmax(means))
    enough = means[best] - float(rates[best].std()) / len(rates[best]) ** 0.5
    return next(setting for setting, mean in zip(settings, means, strict=True) if mean >= enough)


def _folds(owners: NDArray[np.int32]) -> Iterator[NDArray[np.bool_]]:
    """(N,) masks of the photos to test; the rest is trained on. A person's only photo is always trained on; of a person
    with no more photos than folds, each is left out alone."""
    counts = np.bincount(owners)
    place = np.empty(len(owners), np.intp)  # of each photo among its person's
    for person in range(len(counts)):
        mine = np.flatnonzero(owners == person)
        place[mine] = np.arange(len(mine))
    several = counts[owners] > 1
    folds = min(FOLDS, int(counts.max(initial=0)))
    for fold in range(folds):
        # some folds test no photo of a person with fewer photos than folds
        asked = several & (place % folds == fold)
        if asked.any():
            yield asked


def _rates(
    setting: SvmSettings,
    samples: NDArray[np.float64],
    owners: NDArray[np.int32],
    people: int,
    folds: list[NDArray[np.bool_]],
) -> NDArray[np.float64]:
    """Each person's share of tested photos that are classified correctly."""
    right = np.zeros(len(samples), bool)
    for asked in folds:
        machine = _fit(setting, samples[~asked], owners[~asked], people)
        everybody = np.tile(np.arange(people), (int(asked.sum()), 1))
        scores = machine.scores(samples[asked].astype(np.float32), samples[~asked].astype(np.float32), everybody)
        right[asked] = scores.argmax(axis=1) == owners[asked]
    ever = np.any(folds, axis=0)
    sums = np.bincount(owners[ever], weights=right[ever], minlength=people)
    counts = np.bincount(owners[ever], minlength=people)
    return sums[counts > 0] / counts[counts > 0]


def _fit(setting: SvmSettings, samples: NDArray[np.float64], owners: NDArray[np.int32], people: int) -> OneVsRestSvm:
    with warnings.catch_warnings():
        # With one photo a person scikit-learn suspects a regression.
        warnings.filterwarnings("ignore", "The number of unique classes")
        return _fit_rbf(setting, samples, owners, people) if setting.gamma else _fit_linear(setting, samples, owners)


def _fit_linear(setting: SvmSettings, samples: NDArray[np.float64], owners: NDArray[np.int32]) -> OneVsRestSvm:
    from sklearn.svm import LinearSVC  # 0.5 s and 60 MB, needed for training only

    # The primal solver has no random order, and its cost is linear in the number of photos.
    svm = LinearSVC(C=setting.c, class_weight="balanced", dual=False).fit(samples, owners)
    weights, biases = svm.coef_, svm.intercept_
    if len(weights) == 1:  # scikit-learn keeps one hyperplane for two classes
        weights, biases = np.concatenate([-weights, weights]), np.concatenate([-biases, biases])
    return _machine(weights, biases)


def _fit_rbf(
    setting: SvmSettings, samples: NDArray[np.float64], owners: NDArray[np.int32], people: int
) -> OneVsRestSvm:
    from sklearn.svm import SVC

    kernel = _kernel(samples.astype(np.float32), samples.astype(np.float32), setting.gamma).astype(np.float64)
    weights, biases = np.zeros((people, len(samples))), np.zeros(people)
    for person in range(people):
        svm = SVC(C=setting.c, kernel="precomputed", class_weight="balanced").fit(kernel, owners == person)
        weights[person, svm.support_] = svm.dual_coef_[0]
        biases[person] = svm.intercept_[0]
    return _machine(weights, biases, setting.gamma)


def _common_covariance(
    samples: NDArray[np.float64], owners: NDArray[np.int32], people: int, space: EmbeddingSpace
) -> OneVsRestSvm:
    """Linear discriminants (Fisher, 1936): w = S^-1 m, b = -m^T S^-1 m / 2, with S the covariance within a person.

    S is shrunk towards a sphere of the usual size, which counts like USUAL_PHOTOS photos: hardly anybody may have two.
    """
    sums, counts = sums_by_person(samples, owners, people)
    centroids = sums / counts[:, None]
    residuals = (samples - centroids[owners])[counts[owners] > 1]
    usual = np.identity(space.size) * USUAL_PHOTOS * space.noise(PHOTO_NOISE) / space.size
    within = (residuals.T @ residuals + usual) / (len(residuals) + USUAL_PHOTOS)
    weights = np.linalg.solve(within, centroids.T).T
    return _machine(weights, -0.5 * np.sum(weights * centroids, axis=1))


def _kernel(faces: NDArray[Any], photos: NDArray[Any], gamma: float) -> NDArray[np.float32]:
    return np.asarray(np.exp(-gamma * squared_distances(faces, photos)), np.float32)


def _machine(weights: NDArray[Any], biases: NDArray[Any], gamma: float = 0.0) -> OneVsRestSvm:
    return OneVsRestSvm(np.asarray(weights, np.float32), np.asarray(biases, np.float32), gamma)
