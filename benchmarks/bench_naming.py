"""Who gets a name: known people named right, strangers named, wrong names; ours beside four simpler rules.

Half of a set's people are enrolled, with half of their photos or with one; their other photos must be named, the other
people's photos must not. `python benchmarks/bench_naming.py --data ../shared/data` prints a table.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jetstream import weights
from jetstream.enrol import look_at
from jetstream.photos import list_photos
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.vision.classifier import Classifier
from jetstream.vision.embedder import Embedder
from jetstream.vision.mtcnn import Mtcnn

Embeddings = NDArray[np.float32]  # (N, 128)
Names = NDArray[np.str_]  # (N,)
Rule = Callable[[Embeddings, Names, Embeddings], list[str | None]]

REPOSITORY = Path(__file__).resolve().parents[1]
SETS = ("glint24_dev", "lfw10x10")


class Split(NamedTuple):
    """One draw: photos to enrol, photos of the same people to name, photos of strangers."""

    enrolled: NDArray[np.intp]
    known: NDArray[np.intp]
    strangers: NDArray[np.intp]


def ours(enrolled: Embeddings, names: Names, asked: Embeddings) -> list[str | None]:
    return [answer.name for answer in Classifier.fit(enrolled, list(names)).ask(asked)]


def svm_alone(enrolled: Embeddings, names: Names, asked: Embeddings) -> list[str | None]:
    from sklearn.svm import LinearSVC

    return list(LinearSVC(class_weight="balanced", dual=False).fit(enrolled, names).predict(asked))


def nearest_centroid(gate: float) -> Rule:
    def name(enrolled: Embeddings, names: Names, asked: Embeddings) -> list[str | None]:
        people = np.unique(names)
        return _nearest(np.array([enrolled[names == person].mean(0) for person in people]), people, asked, gate)

    return name


def nearest_photo(gate: float) -> Rule:
    return lambda enrolled, names, asked: _nearest(enrolled, names, asked, gate)


def _nearest(rows: Embeddings, names: Names, asked: Embeddings, gate: float) -> list[str | None]:
    distances = np.linalg.norm(asked[:, None] - rows[None], axis=2)
    return [
        str(names[row]) if distance <= gate else None
        for row, distance in zip(distances.argmin(1), distances.min(1), strict=True)
    ]


RULES: dict[str, Rule] = {
    "jetstream": ours,
    "nearest centroid, 0.55": nearest_centroid(0.55),
    "nearest centroid, 0.60": nearest_centroid(0.60),
    "nearest photo, 0.60 (dlib's)": nearest_photo(0.60),
    "SVM alone": svm_alone,
}


def draw(names: Names, seed: int, photos: int | None) -> Split:
    """Enrol half of the people, each with `photos` photos or, for None, half of theirs."""
    random = np.random.default_rng(seed)
    people = random.permutation(np.unique(names))
    enrolled: list[int] = []
    known: list[int] = []
    for person in people[: len(people) // 2]:
        own = random.permutation(np.flatnonzero(names == person))
        cut = photos or len(own) // 2
        enrolled.extend(own[:cut])
        known.extend(own[cut:])
    strangers = np.flatnonzero(np.isin(names, people[len(people) // 2 :]))
    return Split(np.array(enrolled), np.array(known), strangers)


def measure(embeddings: Embeddings, names: Names, rule: Rule, splits: list[Split]) -> tuple[float, float, float]:
    """Per cent of known faces named right, of strangers named, and of known faces named wrong; means over splits."""
    shares = []
    for split in splits:
        asked = np.concatenate([embeddings[split.known], embeddings[split.strangers]])
        answers = rule(embeddings[split.enrolled], names[split.enrolled], asked)
        known, strangers = answers[: len(split.known)], answers[len(split.known) :]
        right = np.mean([answer == name for answer, name in zip(known, names[split.known], strict=True)])
        named = np.mean([answer is not None for answer in strangers])
        wrong = np.mean([answer not in (None, name) for answer, name in zip(known, names[split.known], strict=True)])
        shares.append((right, named, wrong))
    right, named, wrong = 100 * np.mean(shares, axis=0)
    return float(right), float(named), float(wrong)


def embed(folder: Path, models_dir: Path) -> tuple[Embeddings, Names]:
    """Every photo with a face, exactly as `jetstream train` sees it."""
    paths = weights.paths(models_dir)
    detector = Mtcnn(
        OnnxRunner(paths.pnet), OnnxRunner(paths.rnet), OnnxRunner(paths.onet), thresholds=(0.6, 0.7, 0.7), factor=0.709
    )
    photos = {photo.file: photo for photo in list_photos(folder).photos}
    looks = look_at(photos, detector, Embedder(OnnxRunner(paths.embedder)))
    seen = [(look.embedding, photos[file].person) for file, look in looks.items() if look.embedding is not None]
    print(f"{folder.name}: {len(photos)} photos, a face in {len(seen)}")
    return np.array([embedding for embedding, _ in seen]), np.array([person for _, person in seen])


def rows(data: Path, models_dir: Path, draws: int) -> Iterator[str]:
    for name in SETS:
        embeddings, names = embed(data / name, models_dir)
        for photos in (None, 1):
            splits = [draw(names, seed, photos) for seed in range(draws)]
            shown = f"{name}, {'1 photo' if photos else 'half of the photos'}"
            for rule_name, rule in RULES.items():
                right, named, wrong = measure(embeddings, names, rule, splits)
                yield f"| {shown} | {rule_name} | {right:.1f} | {named:.1f} | {wrong:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=REPOSITORY.parent / "shared" / "data")
    parser.add_argument("--models", type=Path, default=REPOSITORY / "models")
    parser.add_argument("--draws", type=int, default=5)
    options = parser.parse_args()
    if not weights.is_built(options.models):
        weights.build(options.models)
    table = list(rows(options.data, options.models, options.draws))
    print("\n| Enrolled | Rule | known named right, % | strangers named, % | known named wrong, % |")
    print("|---|---|---|---|---|")
    print("\n".join(table))


if __name__ == "__main__":
    main()
