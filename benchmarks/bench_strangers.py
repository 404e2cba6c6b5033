"""Sightings of strangers to groups: how many of one person's come together, and who else; beside two rivals.

    python -m benchmarks.bench_strangers [--data DIR] [--kept DIR] [--networks sface dlib] [--seeds N]

Sightings of one to three looks are drawn from five sets and come in random order. Jetstream groups them as they come;
DBSCAN (scikit-learn) and Chinese whispers (dlib-bin) see all at once, and get each sighting's mean embedding.
Precision: of the pairs in one group, those of one person; recall: of one person's pairs, those in one group.
Constants were chosen on half of the people and are reported on the other. A rival's threshold is the usual one, or the
one of the best recall at 99.5 % precision: on the choosing half, or, as nobody could, on the reported sightings
themselves ("knowing the truth"). Then: the same with half of the sightings made worse, each set alone, a crowd of drawn
people, whether the probabilities of `face_search` hold, and its times.
"""

import argparse
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.names.looks import Studio
from benchmarks.strangers import rivals
from benchmarks.strangers.sightings import MIN_QUALITY, SETS, DrawnSighting, LookSet, drawn, half_of, loaded
from jetstream.gallery import strangers
from jetstream.networks.embedders import SPECS
from jetstream.vision.recognition.face_search import FaceSearch
from jetstream.vision.recognition.stranger_groups import StrangerGroups
from jetstream.vision.recognition.stranger_likeness import StrangerLikeness
from tests.support.drawn_people import DrawnPeople, likeness

REPOSITORY = Path(__file__).resolve().parents[1]
PRECISION = 0.995
THRESHOLDS = np.arange(0.28, 0.64, 0.02)  # as dlib's
SURE = (0.0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.01)
CROWD, PEOPLE = 10_000, 2_000


class GroupFigures(NamedTuple):
    """Of all seeds together."""

    precision: float
    recall: float
    groups: float  # groups a person is in
    split: float  # share of people who are in several groups
    mixed: float  # share of pairs of people who are in one group

    @property
    def cells(self) -> str:
        shown = f"{100 * self.precision:.2f} | {100 * self.recall:.2f} | {self.groups:.3f}"
        return f"{shown} | {100 * self.split:.1f} | {100 * self.mixed:.2f} |"


Draws = list[list[DrawnSighting]]
COLUMNS = "precision % | recall % | groups a person | people split % | pairs of people in one group % |"


def jetstream(network: str, measured: StrangerLikeness) -> Callable[[list[DrawnSighting]], NDArray[np.intp]]:
    def group(sightings: list[DrawnSighting]) -> NDArray[np.intp]:
        groups = StrangerGroups(SPECS[network].space, measured)
        for number, one in enumerate(sightings):
            groups.add(str(number), one.embeddings, one.qualities)
        return np.array([groups.group_of(str(number)) for number in range(len(sightings))])

    return group


def figures(draws: Draws, group: Callable[[list[DrawnSighting]], NDArray[np.intp]]) -> GroupFigures:
    right = together = same = 0.0
    counts, split, mixed = [], [], []
    for sightings in draws:
        truth = np.unique([one.person for one in sightings], return_inverse=True)[1]
        labels = np.unique(group(sightings), return_inverse=True)[1]
        table = np.zeros((truth.max() + 1, labels.max() + 1))
        np.add.at(table, (truth, labels), 1)
        right, together = right + _pairs(table), together + _pairs(table.sum(axis=0))
        same += _pairs(table.sum(axis=1))
        places = (table > 0).sum(axis=1)
        counts.append(places.mean())
        split.append((places > 1).mean())
        shared = ((table > 0).astype(float) @ (table > 0).T)[np.triu_indices(len(table), 1)] > 0
        mixed.append(shared.mean())
    means = (float(np.mean(values)) for values in (counts, split, mixed))
    return GroupFigures(right / together if together else 1.0, right / same, *means)


def _pairs(counts: NDArray[np.float64]) -> float:
    return float((counts * (counts - 1) / 2).sum())


def at_precision(
    draws: Draws, rival: rivals.GroupingRival, to_space: Callable[[float], float]
) -> tuple[float, GroupFigures]:
    """The threshold of the best recall at PRECISION, and what it gives; the least one where none reaches it."""
    found = [(limit, _rival(draws, rival, to_space(limit))) for limit in THRESHOLDS.tolist()]
    good = [one for one in found if one[1].precision >= PRECISION]
    return max(good, key=lambda one: one[1].recall) if good else found[0]


def _rival(draws: Draws, rival: rivals.GroupingRival, threshold: float) -> GroupFigures:
    return figures(draws, lambda sightings: rival.group(rivals.means(sightings), threshold))


def compared(network: str, what: str, reported: Draws, chosen: Draws, ours: GroupFigures) -> Iterator[str]:
    to_space = SPECS[network].space.at
    yield f"| {network}, {what} | jetstream | {ours.cells}"
    for rival in rivals.RIVALS:
        usual = _rival(reported, rival, to_space(rival.usual))
        limit, _ = at_precision(chosen, rival, to_space)
        best, knowing = at_precision(reported, rival, to_space)
        at_chosen = _rival(reported, rival, to_space(limit))
        yield f"| | {rival.name}, {rival.usual} (usual) | {usual.cells}"
        yield f"| | {rival.name}, {limit:.2f} (chosen on the other half) | {at_chosen.cells}"
        yield f"| | {rival.name}, {best:.2f} (knowing the truth) | {knowing.cells}"


def crowd(network: str, measured: StrangerLikeness) -> str:
    """Drawn people at random, each seen 5 times on average."""
    people, random = DrawnPeople(network), np.random.default_rng(0)
    whose = random.integers(0, PEOPLE, CROWD)
    sightings = [
        DrawnSighting(f"{person:05}", people.looks(person, int(random.integers(1, 4)), number), np.ones(0))
        for number, person in enumerate(whose.tolist())
    ]
    groups, taken = StrangerGroups(SPECS[network].space, measured), []
    for number, one in enumerate(sightings):
        started = time.perf_counter()
        groups.add(str(number), one.embeddings, np.full(len(one.embeddings), 0.8))
        taken.append(time.perf_counter() - started)
    found = figures([sightings], lambda some: np.array([groups.group_of(str(place)) for place in range(len(some))]))
    p50, p99 = 1e3 * np.quantile(taken[-500:], (0.5, 0.99))
    return f"| {network} | {CROWD:,} drawn | {found.cells} {p50:.1f} | {p99:.1f} |"


class SearchedLooks(NamedTuple):
    """Looks among which each is searched."""

    people: NDArray[np.str_]
    faces: NDArray[np.float32]
    pieces: NDArray[np.intp]  # looks of one second of a film, which are too easy, have the same


def searched(name: str, part: LookSet, half: int) -> SearchedLooks:
    looks = part.looks
    mine = np.array([half_of(person) == half for person in looks.people.tolist()]) & (looks.qualities >= MIN_QUALITY)
    pieces = np.arange(len(mine)) if part.pieces is None else part.pieces
    return SearchedLooks(looks.people[mine], looks.embeddings[mine], pieces[mine] + 1_000_000 * SETS.index(name))


def said_and_right(looks: SearchedLooks, measured: StrangerLikeness) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Each look searched among the others: the probabilities said, and whether it was the same person."""
    search, said, right = FaceSearch(looks.faces, measured), [], []
    expected = float(np.mean((looks.people[:, None] == looks.people).sum(axis=1) - 1))
    for row, face in enumerate(looks.faces):
        found = search.nearest(face, len(looks.faces), expected=expected)
        others = looks.pieces[found.rows] != looks.pieces[row]
        said.append(found.probabilities[others])
        right.append(looks.people[found.rows[others]] == looks.people[row])
    return np.concatenate(said), np.concatenate(right)


def reliability(sets: dict[str, LookSet], measured: StrangerLikeness, half: int) -> Iterator[str]:
    """How often it was the same person, by what was said: within each set, whose people are alike, and among all."""
    parts = [searched(name, part, half) for name, part in sets.items()]
    everybody = SearchedLooks(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
    within = [np.concatenate(arrays) for arrays in zip(*(said_and_right(one, measured) for one in parts), strict=True)]
    among = said_and_right(everybody, measured)
    for low, high in itertools.pairwise(SURE):
        cells = []
        for said, right in (within, among):
            inside = (said >= low) & (said < high)
            shares = (100 * values[inside].mean() if inside.any() else np.nan for values in (said, right))
            cells.append(f"{inside.sum():,} | {' | '.join(f'{share:.2f}' for share in shares)}")
        yield f"| {low:g} to {min(high, 1):g} | {' | '.join(cells)} |"


def search_times(network: str, measured: StrangerLikeness) -> str:
    looks = strangers.faces(network, 100_000, 7)
    started = time.perf_counter()
    search = FaceSearch(looks, measured)
    built, taken = time.perf_counter() - started, []
    for face in looks[:50] + 0.01:
        started = time.perf_counter()
        search.nearest(face, 100)
        taken.append(time.perf_counter() - started)
    return f"| {network} | {1e3 * built:.0f} | {1e3 * np.median(taken):.1f} | {1e3 * max(taken):.1f} |"


def _print_knowing(
    network: str, what: str, draws: Draws, ours: Callable[[list[DrawnSighting]], NDArray[np.intp]]
) -> None:
    """Ours beside the rivals that know the truth."""
    print(f"| {network}, {what} | jetstream | {figures(draws, ours).cells}", flush=True)
    for rival in rivals.RIVALS[1:]:
        limit, knowing = at_precision(draws, rival, SPECS[network].space.at)
        print(f"| | {rival.name}, {limit:.2f} (knowing the truth) | {knowing.cells}", flush=True)


def report(network: str, sets: dict[str, LookSet], seeds: int) -> None:
    measured = likeness(network)
    ours = jetstream(network, measured)

    def draws(half: int | None, some: Sequence[str] = SETS, *, is_worse: bool = False) -> Draws:
        return [drawn({name: sets[name] for name in some}, seed, half, is_worse=is_worse) for seed in range(seeds)]

    print(f"\n| {network} | grouped by | {COLUMNS}\n{'|---' * 7}|")
    for is_worse in (False, True):
        what = "half of the sightings made worse" if is_worse else "as they are"
        chosen, reported = draws(0, is_worse=is_worse), draws(1, is_worse=is_worse)
        print(f"| {network}, {what}, choosing half | jetstream | {figures(chosen, ours).cells}", flush=True)
        for line in compared(network, what, reported, chosen, figures(reported, ours)):
            print(line, flush=True)
        everybody = draws(None, is_worse=is_worse)
        _print_knowing(network, f"{what}, everybody", everybody, ours)
    for name in SETS:
        _print_knowing(network, f"{name} alone", draws(None, (name,)), ours)
    print(f"\n| {network} | sightings | {COLUMNS} ms an add, median | 99 % |\n{'|---' * 9}|")
    print(crowd(network, measured))
    print(f"\n| {network}: probability | within sets: pairs | said % | was % | among all: pairs | said % | was % |")
    print("|---" * 7 + "|")
    for line in reliability(sets, measured, 1):
        print(line)
    print("\n| search in 100,000 looks | ms once | ms a face, median | most |\n|---|---|---|---|")
    print(search_times(network, measured))


def main() -> None:
    default = Path(os.environ.get("JETSTREAM_DATA", REPOSITORY.parent / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--models", type=Path, default=REPOSITORY / "models")
    parser.add_argument("--kept", type=Path, default=REPOSITORY / "models" / "names")
    parser.add_argument("--networks", nargs="*", default=["sface", "dlib"])
    parser.add_argument("--seeds", type=int, default=6)
    options = parser.parse_args()
    for network in options.networks:
        report(network, loaded(Studio.of(network, options.models, options.kept), options.data), options.seeds)


if __name__ == "__main__":
    main()
