"""Sightings beside the truth: 20 people walk in front of two cameras, stay, cross, leave and return.

    python -m benchmarks.bench_sightings [--length S] [--seeds N ...] [--live] [--work DIR] [--notes]
    python -m benchmarks.bench_sightings --paired [--pairs N]

Known people are enrolled with one to three photos that are not shown. The videos are drawn from clips of one person
each ($JETSTREAM_DATA); the truth is when half of a face is in the picture. Every-frame: the stages from `capture` to
`sightings` in one process. Live: both cameras as real processes, in their own time. Paired: latency and rate of live
runs with and without sightings, in turn.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.sightings import pairs, runs
from benchmarks.sightings.cast import DATA, cast, enrol
from benchmarks.sightings.drawing import FPS, draw
from benchmarks.sightings.judging import FaceBoxes, Judged, judge, rows
from benchmarks.sightings.timetable import TrueSighting, timetable, true_sightings

CAMERAS = ("hall", "yard")


class WalkIns(NamedTuple):
    """Drawn videos and what is true of them."""

    folder: Path
    sightings: list[TrueSighting]
    known: frozenset[str]
    faces: dict[str, FaceBoxes]  # of each camera

    def settings(self, work: Path, pace: str) -> runs.RunSettings:
        videos = {camera: self.folder / f"{camera}.mp4" for camera in CAMERAS}
        return runs.RunSettings(videos, self.folder / "faces", runs.models_in(work), pace)

    def judged(self, run: runs.SightingRun) -> Judged:
        return judge(self.sightings, self.faces, run.found, run.tracks, run.into, self.known, FPS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=float, default=300.0, help="of each video [s]")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="two videos each")
    parser.add_argument("--live", action="store_true", help="live instead of every frame")
    parser.add_argument("--work", type=Path, help="folder in which the drawn videos are kept for the next time")
    parser.add_argument("--notes", action="store_true", help="also say what went wrong where")
    parser.add_argument("--paired", action="store_true", help="event latency and rate with and without sightings")
    parser.add_argument("--pairs", type=int, default=6)
    options = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"{DATA}: no such folder; set JETSTREAM_DATA")
    if options.paired:
        pairs.main(options.pairs)
        return
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        walk_ins = [drawn(work, options.length, seed) for seed in options.seeds]
        show(walk_ins, work, live=options.live, notes=options.notes)


def show(walk_ins: Sequence[WalkIns], work: Path, *, live: bool, notes: bool) -> None:
    """Run all and print one table."""
    judged = Judged()
    for one in walk_ins:
        run = (
            runs.live(one.settings(work, "live"), work)
            if live
            else runs.every_frame(one.settings(work, "every-frame"), work)
        )
        judged.add(one.judged(run))
    print(f"| {'live, both cameras at once' if live else 'every frame'} | |\n| --- | --- |")
    for what, figure in rows(judged):
        print(f"| {what} | {figure} |")
    if notes:
        print("", *judged.notes, sep="\n")


def drawn(work: Path, length_s: float, seed: int) -> WalkIns:
    """The videos of a seed in `work`, drawn where they aren't there yet."""
    folder = work / f"walkins-{seed}-{length_s:g}"
    path = folder / "truth.json"
    if not path.exists():
        folder.mkdir(exist_ok=True)
        _draw(folder, path, length_s, seed, runs.models_in(work))
    told = json.loads(path.read_text())
    sightings = [TrueSighting(*row[:4], tuple(row[4])) for row in told["sightings"]]
    return WalkIns(folder, sightings, frozenset(told["known"]), told["faces"])


def _draw(folder: Path, truth: Path, length_s: float, seed: int, models: Path) -> None:
    config = runs.base_config(models)
    absence_s = config.sightings.absence_s
    people = {person.name: person for person in cast(config)}
    enrol(list(people.values()), folder / "faces")
    walks = timetable(list(people), CAMERAS, length_s=length_s, absence_s=absence_s, seed=seed)
    faces = {}
    for number, camera in enumerate(CAMERAS):
        own = [walk for walk in walks if walk.camera == camera]
        faces[camera] = draw(folder / f"{camera}.mp4", own, people, length_s, seed + number)
    known = [person.name for person in people.values() if person.known]
    told = {"sightings": true_sightings(walks, absence_s), "known": known, "walks": walks, "faces": faces}
    truth.write_text(json.dumps(told))


if __name__ == "__main__":
    main()
