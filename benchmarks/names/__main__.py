"""Names on people nobody tuned for: known people named right and strangers named, beside the rate that was asked.

    python -m benchmarks.names [--data DIR ...] [--sets NAME ...] [--networks sface dlib] [--degradations NAME ...]

Each set's people are split in halves: known ones and strangers, over several draws. Embeddings are kept in `--kept`.
Further sets are folders `<person>/<photo>` in a `--data` folder; with a file `sets.json` there, telling their "group",
the worst group is named. Photos under a set's `_strangers` are of one person each. The tables are:

1. each set at each rate, with 1 photo, 3 photos and half of the photos a person;
2. the same faces made worse;
3. rules of other programs on the same embeddings;
4. tracks: what share of sightings of strangers gets a name at some time;
5. constants of naming chosen on all sets but one, and what they give on that one beside the shipped ones;
6. whether "how sure" holds, of looks and of tracks.

5 and 6 are of galleries with 1 and with 3 photos a person; faces made worse are those of 2, and clean ones.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.names import reliability, rules, tables, tracks
from benchmarks.names.constants import compared
from benchmarks.names.left_out import left_out
from benchmarks.names.looks import CLEAN, Looks, Studio
from benchmarks.names.protocol import Split, Tally, gallery, splits, tally
from jetstream.vision.recognition.classifier import Classifier

REPOSITORY = Path(__file__).resolve().parents[2]
SETS = ("lfw10x10", "glint24_dev", "bbt_train", "bbt_faceapi", "dlib_johns")
RATES = (0.001, 0.003, 0.01)
ASKED = 0.003
WORSE = ("mask", "sunglasses", "thick_glasses", "hand", "mild_blur", "motion_blur", "low_light_32", "tilted")

Sets = dict[str, Looks]
Learnt = dict[str, list[tuple[Split, Classifier]]]


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
    if not folders:
        parser.error(f"--data: none of the sets {', '.join(options.sets)} is in {', '.join(map(str, options.data))}")
    for name in options.networks:
        studio = Studio.of(name, options.models, options.kept)
        clean = {name: studio.looks(folder) for name, folder in folders.items()}
        print(f"\n# {name}")
        by_set(studio, clean, groups(options.data), options.draws)
        made_worse(studio, folders, clean, options.degradations, options.draws)
        beside_others(studio, clean, options.draws)
        in_tracks(studio, clean, options.draws)
        worse = {name: [studio.looks(folder, one) for one in options.degradations] for name, folder in folders.items()}
        known = {
            name: [one for photos in (1, 3) for one in learnt(studio, looks, photos, options.draws)]
            for name, looks in clean.items()
        }
        sets_left_out(studio, clean, worse, known)
        sure_of_tracks(studio, clean, worse, known)


def groups(folders: list[Path]) -> dict[str, str]:
    """The group of each set that tells it."""
    found: dict[str, str] = {}
    for folder in folders:
        if (folder / "sets.json").is_file():
            found |= {name: one["group"] for name, one in json.loads((folder / "sets.json").read_text()).items()}
    return found


def learnt(studio: Studio, looks: Looks, photos: int | None, draws: int) -> list[tuple[Split, Classifier]]:
    return [(one, rules.learnt(gallery(looks, one, studio.entry.spec))) for one in splits(looks, photos, draws)]


def counted(looks: Looks, worse: Looks, known: list[tuple[Split, Classifier]], rate: float) -> Tally:
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


def in_tracks(studio: Studio, clean: Sets, draws: int) -> None:
    found = {
        name: [
            sighting
            for seed, (one, people) in enumerate(learnt(studio, looks, 1, draws))
            for sighting in tracks.sightings(looks, one, people, studio.entry.spec.space, length=8, seed=seed)
        ]
        for name, looks in clean.items()
    }
    printed(tables.in_tracks(found, f"tracks of 8 looks, 1 photo, {ASKED:.1%} asked"))


def sets_left_out(studio: Studio, clean: Sets, worse: dict[str, list[Looks]], known: Learnt) -> None:
    """And how sure looks are, which needs the same comparisons."""
    spec = studio.entry.spec
    every = {
        name: [compared(looks, [looks, *worse[name]], *one, spec) for one in known[name]]
        for name, looks in clean.items()
    }
    alone = {
        name: [faces.first(len(faces.people) // (1 + len(worse[name]))) for faces in splits]
        for name, splits in every.items()
    }
    for title, parts in (("clean", alone), ("clean and made worse", every)):
        rows = left_out(parts, spec.space)
        printed(tables.beside_shipped(rows, title))
        printed(tables.saved(rows, title))
        shown = {name: reliability.of_looks(splits, spec.space) for name, splits in parts.items()}
        printed(tables.how_sure(shown, f"looks, {title}"))


def sure_of_tracks(studio: Studio, clean: Sets, worse: dict[str, list[Looks]], known: Learnt) -> None:
    space = studio.entry.spec.space
    for title, some in (("clean", {name: [] for name in clean}), ("each look clean or made worse", worse)):
        found = {
            name: [
                sighting
                for seed, (one, people) in enumerate(known[name])
                for sighting in tracks.sightings(
                    tracks.mixed(looks, some[name], seed), one, people, space, length=8, seed=seed
                )
            ]
            for name, looks in clean.items()
        }
        shown = {name: reliability.of_tracks(each) for name, each in found.items()}
        printed(tables.how_sure(shown, f"tracks, {title}"))


def printed(lines: Iterable[str]) -> None:
    print("", *lines, sep="\n", flush=True)


def shown(one: Tally) -> str:
    right = "-" if np.isnan(one.right) else f"{one.right:.1%}"
    wrong = f", wrong {one.wrong:.1%}" if one.wrong > 0.0005 else ""
    return f"{right}{wrong}; {one.named:.2%} ({one.low:.1%} to {one.high:.1%})"


if __name__ == "__main__":
    main()
