"""What one correction is worth, on real look-alikes: counter-examples of people, and strangers put into `_unknown`.

    python -m benchmarks.bench_counter_examples [--data DIR ...] [--sets NAME ...] [--networks sface dlib] [--draws 6]

Half of a set's people are known, the others are strangers, over several draws. The tables are:

1. Counter-examples. Of the strangers' looks that get a person's name, the one nearest to that person becomes a
   counter-example. "again" are the same strangers' other looks that had that name, and how many still have it. On half
   A of the people `counter_examples.CLEARLY` was chosen, half B had no part in it. "elsewhere" are answers that changed
   though no counter-example lowers their threshold.
2. Own strangers. Some looks of half of the strangers lie in `_unknown`. "their other looks" are those people's own,
   "other strangers" have none in the folder. "in the threshold, too" moves the calibration by how like the gallery's
   people the own strangers are, each different stranger weighing as much as a person of the gallery: jetstream doesn't.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.names.looks import Looks, Studio
from benchmarks.names.protocol import Split, splits
from jetstream.gallery import strangers
from jetstream.networks.embedders import EmbedderEntry
from jetstream.vision.recognition import thresholds
from jetstream.vision.recognition.classifier import Answer, Classifier
from jetstream.vision.recognition.counter_examples import CounterLooks
from jetstream.vision.recognition.distances import means_by_person
from jetstream.vision.recognition.embedding_space import EmbeddingSpace

REPOSITORY = Path(__file__).resolve().parents[1]
SETS = ("lfw10x10", "glint24_dev", "bbt_train", "bbt_faceapi", "dlib_johns")
ASKED = 0.003
RATES = (ASKED, 0.01, 0.05, 0.2)
PHOTOS = (1, 3, None)
MOST = 40  # photos a person
OWN = 12  # looks in `_unknown`


class CounterTally(NamedTuple):
    """What counter-examples did in all draws: counts of looks."""

    counter_examples: int = 0
    again_before: int = 0  # other looks of the same strangers with that name
    again_after: int = 0
    other_name: int = 0  # of these, with somebody else's name afterwards
    asked: int = 0  # known people's looks
    right_before: int = 0
    right_after: int = 0
    elsewhere: int = 0  # answers that changed though no counter-example is near

    def plus(self, other: "CounterTally") -> "CounterTally":
        return CounterTally(*(one + more for one, more in zip(self, other, strict=True)))


class StrangerTally(NamedTuple):
    """Looks asked and looks counted: known people's named right, and strangers named."""

    right: tuple[int, int]
    same: tuple[int, int]  # of strangers in `_unknown`, in other looks
    others: tuple[int, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("JETSTREAM_DATA", REPOSITORY.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, nargs="+", default=[default])
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--networks", nargs="+", default=["sface", "dlib"])
    parser.add_argument("--models", type=Path, default=REPOSITORY / "models")
    parser.add_argument("--kept", type=Path, default=REPOSITORY / "models" / "names")
    parser.add_argument("--draws", type=int, default=6)
    options = parser.parse_args()
    folders = {name: folder / name for folder in options.data for name in options.sets if (folder / name).is_dir()}
    for name in options.networks:
        studio = Studio.of(name, options.models, options.kept)
        seen = {name: studio.looks(folder, most=MOST) for name, folder in folders.items()}
        print(f"\n# {name}\n", flush=True)
        for line in counter_rows(seen, studio.entry, options.draws):
            print(line, flush=True)
        print()
        for line in stranger_rows(seen, studio.entry, options.draws):
            print(line, flush=True)


def counter_rows(seen: dict[str, Looks], entry: EmbedderEntry, draws: int) -> Iterator[str]:
    columns = "people | photos | rate | counter-examples | again: before | after | other name | right: before | after"
    yield f"| {columns} | elsewhere |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    parts = {
        "half A": [half(looks, 0) for looks in seen.values()],
        "half B": [half(looks, 1) for looks in seen.values()],
        "all": list(seen.values()),
    }
    for title, sets in parts.items():
        for photos in PHOTOS:
            for rate in RATES:
                total = CounterTally()
                for looks in sets:
                    for split in splits(looks, photos, draws):
                        total = total.plus(corrected(looks, split, entry, rate))
                right = [count / max(total.asked, 1) for count in (total.right_before, total.right_after)]
                cells = (total.counter_examples, total.again_before, total.again_after, total.other_name)
                own = f"{right[0]:.2%} | {right[1]:.2%} | {total.elsewhere}"
                yield f"| {title} | {photos or 'half'} | {rate:.1%} | {' | '.join(map(str, cells))} | {own} |"


def half(looks: Looks, which: int) -> Looks:
    """Half of the people, always the same ones."""
    people = np.random.default_rng(99).permutation(np.unique(looks.people))
    cut = len(people) // 2
    kept = np.isin(looks.people, people[cut:] if which else people[:cut])
    arrays = (looks.embeddings[kept], looks.people[kept], looks.photos[kept], looks.qualities[kept])
    return Looks(*arrays, looks.missed)


def corrected(looks: Looks, split: Split, entry: EmbedderEntry, rate: float) -> CounterTally:
    """Each person's nearest stranger who gets the name is corrected once."""
    before = learnt(looks, split, entry).with_rate(rate)
    answers = dict(zip(split.strangers.tolist(), before.ask(looks.embeddings[split.strangers]), strict=True))
    nearest: dict[str, int] = {}
    for row, answer in answers.items():
        if answer.name and (answer.name not in nearest or answer.distance < answers[nearest[answer.name]].distance):
            nearest[answer.name] = row
    mistakes = CounterLooks(looks.embeddings[list(nearest.values())], list(nearest))
    after = learnt(looks, split, entry, counter_examples=mistakes).with_rate(rate)
    again = [
        (row, name)
        for name, mistake in nearest.items()
        for row, answer in answers.items()
        if row != mistake and answer.name == name and looks.people[row] == looks.people[mistake]
    ]
    said = after.ask(looks.embeddings[[row for row, _ in again]]) if again else []
    known = [classifier.ask(looks.embeddings[split.known]) for classifier in (before, after)]
    own = looks.people[split.known].tolist()
    every = [classifier.ask(looks.embeddings) for classifier in (before, after)]
    return CounterTally(
        len(nearest),
        len(again),
        sum(answer.name == name for answer, (_, name) in zip(said, again, strict=True)),
        sum(answer.name not in (None, name) for answer, (_, name) in zip(said, again, strict=True)),
        len(own),
        *(sum(answer.name == person for answer, person in zip(found, own, strict=True)) for found in known),
        elsewhere=sum(one != other and other.counter_example is None for one, other in zip(*every, strict=True)),
    )


def learnt(
    looks: Looks,
    split: Split,
    entry: EmbedderEntry,
    *,
    negatives: NDArray[np.float32] | None = None,
    counter_examples: CounterLooks | None = None,
) -> Classifier:
    return Classifier.fit(
        looks.embeddings[split.enrolled],
        looks.people[split.enrolled].tolist(),
        entry.spec.space,
        background=strangers.faces(entry.background),
        negatives=negatives,
        counter_examples=counter_examples,
        false_accept_rate=ASKED,
    )


def stranger_rows(seen: dict[str, Looks], entry: EmbedderEntry, draws: int) -> Iterator[str]:
    yield f"| set | photos | rate | `_unknown` ({OWN} looks) | right | their other looks | other strangers |"
    yield "|---|---|---|---|---|---|---|"
    for title, looks in seen.items():
        for photos in (1, 3):
            drawn = list(with_own_strangers(looks, entry, photos, draws))
            for rate in (ASKED, 0.05):
                for how in ("empty", "used", "in the threshold, too"):
                    found = [
                        told(looks, split, same, others, made[how].with_rate(rate))
                        for split, same, others, made in drawn
                    ]
                    sums = np.sum(found, axis=0) if found else np.zeros((3, 2), int)
                    cells = " | ".join(f"{count / max(asked, 1):.2%}" for count, asked in sums.tolist())
                    yield f"| {title} | {photos} | {rate:.1%} | {how} | {cells} |"


def with_own_strangers(
    looks: Looks, entry: EmbedderEntry, photos: int, draws: int
) -> Iterator[tuple[Split, NDArray[np.intp], NDArray[np.intp], dict[str, Classifier]]]:
    """Each draw with the other looks of own strangers, those of other strangers, and the three classifiers."""
    for seed, split in enumerate(splits(looks, photos, draws)):
        random = np.random.default_rng(seed)
        people = random.permutation(np.unique(looks.people[split.strangers]))
        is_own = np.isin(looks.people[split.strangers], people[: -(-len(people) // 2)])
        own = random.permutation(split.strangers[is_own])
        negatives = looks.embeddings[own[:OWN]]
        used = learnt(looks, split, entry, negatives=negatives)
        made = {"empty": learnt(looks, split, entry), "used": used}
        made["in the threshold, too"] = moved(used, negatives, entry)
        yield split, own[OWN:], split.strangers[~is_own], made


def told(
    looks: Looks, split: Split, same: NDArray[np.intp], others: NDArray[np.intp], classifier: Classifier
) -> StrangerTally:
    def named(rows: NDArray[np.intp]) -> list[Answer]:
        return classifier.ask(looks.embeddings[rows])

    right = sum(answer.name == looks.people[row] for answer, row in zip(named(split.known), split.known, strict=True))
    counts = [sum(answer.name is not None for answer in named(rows)) for rows in (same, others)]
    return StrangerTally((right, len(split.known)), (counts[0], len(same)), (counts[1], len(others)))


def moved(classifier: Classifier, own: NDArray[np.float32], entry: EmbedderEntry) -> Classifier:
    """The classifier with thresholds that count on strangers like the own ones: the rule that jetstream hasn't."""
    space, background = entry.spec.space, strangers.faces(entry.background)
    arrays = classifier.to_arrays()
    sphere = classifier._sphere
    _, centroids = means_by_person(arrays["embeddings"], arrays["owners"], len(classifier.names))
    people, drawn = sphere.project(centroids), sphere.project(background)
    seen = thresholds._likeness(people, drawn, sphere)
    apart = thresholds.distances(sphere.project(own), thresholds.against(people))
    own_middle = np.median(thresholds._likenesses(apart, sphere))
    count = different(own, space)
    trust = count / (count + max(1, len(people)))
    shift = max(0.0, (1 - trust) * seen.shift + trust * float(own_middle - seen.middle))
    nearest = thresholds._likenesses(thresholds._nearest(drawn, people), sphere)
    tail = seen.middle + shift + seen.stretch * space.tail * (thresholds._quantiles(nearest) - seen.middle)
    bars = np.asarray(sphere.radius * np.sqrt(2 - 2 * np.tanh(tail)), np.float32)
    return Classifier.from_arrays({**arrays, "bars": bars}, space, false_accept_rate=ASKED, max_distance=None)


def different(looks: NDArray[np.float32], space: EmbeddingSpace) -> int:
    """About how many people they show."""
    kept: list[NDArray[np.float32]] = []
    for look in looks:
        if all(np.linalg.norm(look - other) > space.false_match for other in kept):
            kept.append(look)
    return len(kept)


if __name__ == "__main__":
    main()
