"""One person against all others, for every person: support vector machines trained by scikit-learn, kept as arrays.

Knows no file, no threshold and no stranger: it says who of the people a face is likeliest. Asking needs numpy alone.
"""

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.recognition.distances import squared_distances, sums_by_person
from jetstream.vision.recognition.embedder import EMBEDDING_SIZE
from jetstream.vision.recognition.thresholds import PHOTO_NOISE

# Cross-validated where that takes seconds. The first is taken unless another is better by more than a standard error
# (Breiman's rule): with few photos, settings differ by chance.
LINEAR_C = (1.0, 0.1, 10.0)
RBF = ((10.0, 1.0), (10.0, 3.0), (1.0, 3.0))  # C, gamma; squared distances are about 0.2 within a person, 0.6 between
FOLDS = 5
ALWAYS_LEARNT = 8
"""photos of each person that are learnt from, however few others have"""
MOST_PEOPLE_RBF, MOST_PHOTOS_RBF = 50, 1000
MOST_PEOPLE_SEARCHED, MOST_PHOTOS_SEARCHED = 100, 4000
# From here on one machine a person takes minutes; planes from one covariance of all people's photos take a second.
MOST_PEOPLE_SVM = 200
USUAL_PHOTOS = 256


class OneVsRestSvm(NamedTuple):
    """Planes in embedding space, or in the space of the photos' kernel exp(-gamma * distance**2)."""

    weights: NDArray[np.float32]  # (P, 128), or (P, N) with a kernel
    biases: NDArray[np.float32]  # (P,)
    gamma: float = 0.0  # 0: no kernel
    how: str = ""  # it was trained, in words

    def scores(
        self, faces: NDArray[np.float32], photos: NDArray[np.float32], people: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """(M, K) decision values of (M, 128) faces for (M, K) `people` each, the largest the likeliest; (N, 128)
        photos that it learnt from."""
        features = faces if not self.gamma else _kernel(faces, photos, self.gamma)
        return np.asarray(np.einsum("mkf,mf->mk", self.weights[people], features) + self.biases[people], np.float32)


class SvmSettings(NamedTuple):
    """What a machine was trained with."""

    c: float
    gamma: float = 0.0


def train(photos: NDArray[np.float32], owners: NDArray[np.int32], people: int) -> OneVsRestSvm:
    """From (N, 128) photos and whose each is, 0..people - 1, every one at least once.

    Classes are balanced, so that many photos of one person don't swallow another's single one.
    """
    if people < 2:
        return OneVsRestSvm(
            np.zeros((people, EMBEDDING_SIZE), np.float32), np.zeros(people, np.float32), how="none needed"
        )
    samples = np.asarray(photos, np.float64)
    if people > MOST_PEOPLE_SVM:
        return _common_covariance(samples, owners, people)._replace(how="planes of the common covariance")
    kept = _evened(owners)
    setting = _search(samples[kept], owners[kept], people)
    machine = _fit(setting, samples[kept], owners[kept], people)
    if setting.gamma:  # a column a photo, of those left out too
        weights = np.zeros((people, len(owners)), np.float32)
        weights[:, kept] = machine.weights
        machine = machine._replace(weights=weights)
    kernel = f"rbf SVM, gamma {setting.gamma:g}" if setting.gamma else "linear SVM"
    return machine._replace(how=f"{kernel}, C {setting.c:g}")


def _evened(owners: NDArray[np.int32]) -> NDArray[np.intp]:
    """Rows to learn from: of each person at most as many as most people have, evenly taken.

    Balanced classes alone aren't enough: beside 40 photos of one person, others with 2 to 5 lose up to 8 points.
    """
    counts = np.bincount(owners)
    most = max(ALWAYS_LEARNT, int(np.median(counts)))
    rows = [np.flatnonzero(owners == person) for person in range(len(counts))]
    even = [np.linspace(0, len(mine) - 1, min(len(mine), most)).round().astype(np.intp) for mine in rows]
    return np.sort(np.concatenate([mine[kept] for mine, kept in zip(rows, even, strict=True)]))


def _search(samples: NDArray[np.float64], owners: NDArray[np.int32], people: int) -> SvmSettings:
    """The first setting that none beats by more than a standard error; folds hold photos of each person."""
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
    """Which photos are asked; the rest is learnt from. A person's only photo is always learnt from, and with no more
    photos than folds each is left out alone."""
    counts = np.bincount(owners)
    place = np.empty(len(owners), np.intp)  # of each photo among its person's
    for person in range(len(counts)):
        mine = np.flatnonzero(owners == person)
        place[mine] = np.arange(len(mine))
    several = counts[owners] > 1
    folds = min(FOLDS, int(counts.max(initial=0)))
    for fold in range(folds):
        # where a person has fewer photos than there are folds, some folds ask none of theirs
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
    """Each person's share of photos answered right, of those that were asked."""
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
        # One photo a person is a fine gallery, not a regression.
        warnings.filterwarnings("ignore", "The number of unique classes")
        return _fit_rbf(setting, samples, owners, people) if setting.gamma else _fit_linear(setting, samples, owners)


def _fit_linear(setting: SvmSettings, samples: NDArray[np.float64], owners: NDArray[np.int32]) -> OneVsRestSvm:
    from sklearn.svm import LinearSVC  # 0.5 s and 60 MB that only training pays

    # The primal solver: no random order, and its cost grows with the photos only linearly.
    svm = LinearSVC(C=setting.c, class_weight="balanced", dual=False).fit(samples, owners)
    weights, biases = svm.coef_, svm.intercept_
    if len(weights) == 1:  # scikit-learn keeps one plane for two classes
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


def _common_covariance(samples: NDArray[np.float64], owners: NDArray[np.int32], people: int) -> OneVsRestSvm:
    """Linear discriminants (Fisher, 1936): w = S^-1 m, b = -m^T S^-1 m / 2, with S what photos of one person differ by.

    S is drawn towards a sphere of the usual size as if that many photos more had shown it: there may be no person, or a
    single one, with two photos.
    """
    sums, counts = sums_by_person(samples, owners, people)
    centroids = sums / counts[:, None]
    residuals = (samples - centroids[owners])[counts[owners] > 1]
    usual = np.identity(EMBEDDING_SIZE) * USUAL_PHOTOS * PHOTO_NOISE / EMBEDDING_SIZE
    within = (residuals.T @ residuals + usual) / (len(residuals) + USUAL_PHOTOS)
    weights = np.linalg.solve(within, centroids.T).T
    return _machine(weights, -0.5 * np.sum(weights * centroids, axis=1))


def _kernel(faces: NDArray[Any], photos: NDArray[Any], gamma: float) -> NDArray[np.float32]:
    return np.asarray(np.exp(-gamma * squared_distances(faces, photos)), np.float32)


def _machine(weights: NDArray[Any], biases: NDArray[Any], gamma: float = 0.0) -> OneVsRestSvm:
    return OneVsRestSvm(np.asarray(weights, np.float32), np.asarray(biases, np.float32), gamma)
