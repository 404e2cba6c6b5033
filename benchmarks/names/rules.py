"""Rules that name a face: jetstream's, the one that it had before, and those of other programs, on the same embeddings.

Knows no picture. A rule learns a gallery and gives each asked face the row of a person, or -1.
"""

import math
from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import weibull_min

from jetstream.gallery import strangers
from jetstream.vision.recognition.classifier import Classifier
from jetstream.vision.recognition.embedder import EmbedderSpec
from jetstream.vision.recognition.thresholds import PHOTO_NOISE, against, distances

Embeddings = NDArray[np.float32]  # (N, D)


class Enrolled(NamedTuple):
    """A gallery: photos, and the person of each, 0..people - 1."""

    photos: Embeddings
    owners: NDArray[np.intp]
    spec: EmbedderSpec

    @property
    def centroids(self) -> Embeddings:
        return np.array([self.photos[self.owners == one].mean(axis=0) for one in range(int(self.owners.max()) + 1)])


Named = NDArray[np.intp]  # (M,): person or -1
Rule = Callable[[Enrolled, Embeddings, float], Named]


def learnt(gallery: Enrolled) -> Classifier:
    """Jetstream's classifier; people are named by their number."""
    names = [f"{owner:05}" for owner in gallery.owners]
    background = strangers.faces(gallery.spec.name)
    return Classifier.fit(gallery.photos, names, gallery.spec.space, false_accept_rate=0.003, background=background)


def jetstream(gallery: Enrolled, asked: Embeddings, rate: float) -> Named:
    return rows_of(learnt(gallery).with_rate(rate), asked)


def rows_of(classifier: Classifier, asked: Embeddings) -> Named:
    return np.array([-1 if answer.name is None else int(answer.name) for answer in classifier.ask(asked)], np.intp)


def before(gallery: Enrolled, asked: Embeddings, rate: float) -> Named:
    """Jetstream until 2026-11-28: distances without what few photos add to them."""
    counts = np.bincount(gallery.owners).astype(np.float32)
    noise = gallery.spec.space.noise(PHOTO_NOISE) / counts
    drawn = _excess(strangers.faces(gallery.spec.name), gallery.centroids, noise).min(axis=1)
    start = np.quantile(drawn, 0.01)
    bar = start + np.mean(start - drawn[drawn <= start]) * math.log(rate / 0.01)
    far = _excess(asked, gallery.centroids, noise)
    return np.where(far.min(axis=1) <= bar, far.argmin(axis=1), -1)


def _excess(faces: Embeddings, centroids: Embeddings, noise: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.sqrt(np.maximum(np.square(distances(faces, against(centroids))) - noise, 0.0))


def nearest_photo(gallery: Enrolled, asked: Embeddings, rate: float) -> Named:
    """dlib's own rule, in `face_recognition` and many others: 0.6."""
    far = distances(asked, against(gallery.photos))
    limit = gallery.spec.space.at(0.6)
    return np.where(far.min(axis=1) <= limit, gallery.owners[far.argmin(axis=1)], -1)


def nearest_centroid(gallery: Enrolled, asked: Embeddings, rate: float) -> Named:
    far = distances(asked, against(gallery.centroids))
    return np.where(far.min(axis=1) <= gallery.spec.space.at(0.55), far.argmin(axis=1), -1)


def pairwise_svms(gallery: Enrolled, asked: Embeddings, rate: float) -> Named:
    """A linear SVM a pair of people; whoever wins each pair, by 0.6 on average, gets the name."""
    from sklearn.svm import SVC

    people = int(gallery.owners.max()) + 1
    wins, sums = np.zeros((2, len(asked), people))
    for first, second in combinations(range(people), 2):
        mine = np.isin(gallery.owners, (first, second))
        values = SVC(kernel="linear").fit(gallery.photos[mine], gallery.owners[mine] == second).decision_function(asked)
        wins[:, second] += values > 0
        wins[:, first] += values <= 0
        sums[:, second] += values
        sums[:, first] -= values
    best, each = wins.argmax(axis=1), np.arange(len(asked))
    sure = (wins[each, best] == people - 1) & (sums[each, best] / max(people - 1, 1) > 0.6)
    return np.where(sure, best, -1)


def template_cosine(gallery: Enrolled, asked: Embeddings, rate: float) -> Named:
    """The cosine to the mean of a person's directions, at least 0.363: OpenCV's for SFace; for dlib's, 0.92."""
    limit = 0.363 if gallery.spec.is_cosine else 0.92
    cosines = _directions(asked) @ _directions(gallery.centroids).T
    return np.where(cosines.max(axis=1) >= limit, cosines.argmax(axis=1), -1)


def frigate(gallery: Enrolled, asked: Embeddings, rate: float) -> Named:
    """Frigate's: the trimmed mean of a person's embeddings, and a sigmoid of the cosine of at least 0.9."""
    from scipy.stats import trim_mean

    people = range(int(gallery.owners.max()) + 1)
    means = np.array([trim_mean(gallery.photos[gallery.owners == one], 0.15) for one in people])
    cosines = _directions(asked) @ _directions(means).T
    sure = 1 / (1 + np.exp(-20 * (cosines - (0.3 if gallery.spec.is_cosine else 0.85))))
    return np.where(sure.max(axis=1) >= 0.9, sure.argmax(axis=1), -1)


def extreme_value_machine(gallery: Enrolled, asked: Embeddings, rate: float) -> Named:
    """Rudd, Jain, Scheirer and Boult (2018): a Weibull distribution a photo, of half the distance to the nearest 50
    strangers; the likeliest person of at least 0.5."""
    others = strangers.faces(gallery.spec.name, 4000)
    inside = np.empty((len(asked), len(gallery.photos)))
    far = distances(asked, against(gallery.photos))
    for row, photo in enumerate(gallery.photos):
        tail = np.sort(distances(photo[None], against(others))[0])[:50] / 2
        shape, _, scale = weibull_min.fit(tail, floc=0)
        inside[:, row] = weibull_min.sf(far[:, row], shape, scale=scale)
    best = inside.argmax(axis=1)
    return np.where(inside.max(axis=1) >= 0.5, gallery.owners[best], -1)


def _directions(rows: Embeddings) -> Embeddings:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


PEERS: dict[str, Rule] = {
    "jetstream": jetstream,
    "jetstream before": before,
    "nearest photo, 0.6": nearest_photo,
    "nearest centroid, 0.55": nearest_centroid,
    "pairwise SVMs": pairwise_svms,
    "mean template, cosine": template_cosine,
    "Frigate's trimmed mean": frigate,
    "extreme-value machine": extreme_value_machine,
}
