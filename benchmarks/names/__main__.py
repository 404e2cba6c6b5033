"""Names on people nobody tuned for: known people named right and strangers named, beside the rate that was asked.

    python -m benchmarks.names [--data DIR ...] [--sets NAME ...] [--networks sface dlib] [--degradations NAME ...]

Each set's people are split in halves: known ones and strangers, over several draws. Embeddings are kept in `--kept`.
Further sets are folders `<person>/<photo>` in a `--data` folder; with a file `sets.json` there, telling their "group",
the worst group is named. Photos under a set's `_strangers` are of one person each. The tables are:

1. each set at each rate, with 1 photo, 3 photos and half of the photos a person;
2. the same faces made worse;
3. rules of other programs on the same embeddings;
4. tracks: what share of sightings of strangers gets a name at some time, and whether "how sure" holds.
"""

import argparse
import itertools
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.names import rules, tracks
from benchmarks.names.looks import CLEAN, Looks, Studio
from benchmarks.names.protocol import Tally, gallery, splits, tally

REPOSITORY = Path(__file__).resolve().parents[2]
SETS = ("lfw10x10", "glint24_dev", "bbt_train", "bbt_faceapi", "dlib_johns")
RATES = (0.001, 0.003, 0.01)
ASKED = 0.003
WORSE = ("mask", "sunglasses", "thick_glasses", "hand", "mild_blur", "motion_blur", "low_light_32", "tilted")
SIGHTINGS_A_DAY = 200
SURE = (0.5, 0.8, 0.9, 0.95, 0.99, 1.01)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("JETSTREAM_DATA", REPOSITORY.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, nargs="+", default=[default])
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--networks", nargs="+", default=["sface", "dlib"])
    parser.add_argument("--degradations", nargs="*", default=list(WORSE))
    parser.add_argument("--models", type=Path, default=REPOSITORY / "models")
    parser.add_argument("--kept", type=Path, default=REPOSITORY / "models" / "names")
    parser.add_argument("--draws", type=int, default=6)
    options = parser.parse_args()
    folders = {name: folder / name for folder in options.data for name in options.sets if (folder / name).is_dir()}
    for name in options.networks:
        studio = Studio.of(name, options.models, options.kept)
        clean = {name: studio.looks(folder) for name, folder in folders.items()}
        print(f"\n# {name}")
        by_set(studio, clean, groups(options.data), options.draws)
        made_worse(studio, folders, clean, options.degradations, options.draws)
        beside_others(studio, clean, options.draws)
        in_tracks(studio, clean, options.draws)


def groups(folders: list[Path]) -> dict[str, str]:
    """The group of each set that tells it."""
    found: dict[str, str] = {}
    for folder in folders:
        if (folder / "sets.json").is_file():
            found |= {name: one["group"] for name, one in json.loads((folder / "sets.json").read_text()).items()}
    return found


def learnt(studio: Studio, looks: Looks, photos: int | None, draws: int) -> list[tuple]:
    return [(one, rules.learnt(gallery(looks, one, studio.entry.spec))) for one in splits(looks, photos, draws)]


def counted(looks: Looks, worse: Looks, known: list[tuple], rate: float) -> Tally:
    return tally(looks, worse, [(one, partial(rules.rows_of, people.with_rate(rate))) for one, people in known])


def by_set(studio: Studio, clean: dict[str, Looks], told: dict[str, str], draws: int) -> None:
    print("\n| set | photos | strangers | " + " | ".join(f"{rate:.1%}: right, named (95 %)" for rate in RATES) + " |")
    print("|---|---|---|" + "---|" * len(RATES))
    worst: tuple[float, str] = (0.0, "")
    for name, looks in clean.items():
        for photos in (1, 3, None):
            known = learnt(studio, looks, photos, draws)
            found = [counted(looks, looks, known, rate) for rate in RATES]
            worst = max(worst, (found[RATES.index(ASKED)].named / ASKED, f"{name}, {photos or 'half'}"))
            print(
                f"| {name} | {photos or 'half'} | {found[0].strangers} | {' | '.join(map(shown, found))} |", flush=True
            )
    name = worst[1].split(",")[0]
    print(f"\nworst at {ASKED:.1%}: {worst[0]:.1f} times, {worst[1]} photos ({told.get(name, 'no group told')})")


def made_worse(studio: Studio, folders: dict[str, Path], clean: dict[str, Looks], names: list[str], draws: int) -> None:
    print(f"\n| made worse, {ASKED:.1%} asked, 3 photos | " + " | ".join(clean) + " |\n|---|" + "---|" * len(clean))
    known = {name: learnt(studio, looks, 3, draws) for name, looks in clean.items()}
    for degradation in (CLEAN, *names):
        cells = [
            shown(counted(looks, studio.looks(folders[name], degradation), known[name], ASKED))
            for name, looks in clean.items()
        ]
        print(f"| {degradation} | {' | '.join(cells)} |", flush=True)


def beside_others(studio: Studio, clean: dict[str, Looks], draws: int) -> None:
    print(f"\n| rule, 1 photo, {ASKED:.1%} where it can be asked | " + " | ".join(clean) + " |")
    print("|---|" + "---|" * len(clean))
    for title, rule in rules.PEERS.items():
        cells = []
        for looks in clean.values():
            parts = [
                (one, _asking(rule, gallery(looks, one, studio.entry.spec))) for one in splits(looks, 1, min(draws, 3))
            ]
            cells.append(shown(tally(looks, looks, parts)))
        print(f"| {title} | {' | '.join(cells)} |", flush=True)


def _asking(rule: rules.Rule, known: rules.Enrolled) -> Callable[[rules.Embeddings], rules.Named]:
    return lambda asked: rule(known, asked, ASKED)


def in_tracks(studio: Studio, clean: dict[str, Looks], draws: int) -> None:
    print(
        f"\n| tracks of 8 looks, 1 photo, {ASKED:.1%} asked | sightings | right of looks | right at the end | wrong |"
    )
    print("|---|---|---|---|---|")
    every: list[tracks.Sighting] = []
    for name, looks in clean.items():
        found = [
            sighting
            for seed, (one, people) in enumerate(learnt(studio, looks, 1, draws))
            for sighting in tracks.sightings(looks, one, people, studio.entry.spec.space, length=8, seed=seed)
        ]
        every += found
        known = [one for one in found if one.expected is not None]
        said = [(one.expected, said) for one in known for said in one.names]
        right, wrong = (np.mean([is_it(*pair) for pair in said]) if said else np.nan for is_it in (_right, _wrong))
        end = np.mean([one.names[-1] == one.expected for one in known]) if known else np.nan
        print(f"| {name} | {len(known)} | {right:.1%} | {end:.1%} | {wrong:.2%} |")
    strangers = [one for one in every if one.expected is None]
    named = np.mean([any(one.names) for one in strangers])
    print(f"\nstrangers' sightings that got a name: {named:.2%} of {len(strangers)}; ", end="")
    print(f"of {SIGHTINGS_A_DAY} such a day, {named * SIGHTINGS_A_DAY:.1f}")
    told = [
        (sure, name == one.expected) for one in every for name, sure in zip(one.names, one.sure, strict=True) if name
    ]
    print("\n| how sure | shown | right |\n|---|---|---|")
    for low, high in itertools.pairwise(SURE):
        inside = [right for sure, right in told if low <= sure < high]
        if inside:
            print(f"| {low:.0%} to {min(high, 1):.0%} | {len(inside)} | {np.mean(inside):.1%} |")


def _right(expected: str | None, name: str | None) -> bool:
    return name == expected


def _wrong(expected: str | None, name: str | None) -> bool:
    return name not in (None, expected)


def shown(one: Tally) -> str:
    right = "-" if np.isnan(one.right) else f"{one.right:.1%}"
    wrong = f", wrong {one.wrong:.1%}" if one.wrong > 0.0005 else ""
    return f"{right}{wrong}; {one.named:.2%} ({one.low:.1%} to {one.high:.1%})"


if __name__ == "__main__":
    main()
