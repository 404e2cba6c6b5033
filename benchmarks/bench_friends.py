"""Names on a video with truth: events of `replay` (or of any run) against who stands where in each shot.

    python -m benchmarks.bench_friends [--data DIR] [--events FILE] [--after S]

Prints, counted from `--after` seconds after each shot's start: boxes named right, wrong and unknown; and how many boxes
carry a name of the shot before, and how often a track's shown name changes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent


def main() -> None:
    data = Path(os.environ.get("JETSTREAM_DATA", REPOSITORY.parent / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--events", type=Path, help="events that are there already")
    parser.add_argument("--after", type=float, action="append")
    options = parser.parse_args()
    if not options.data.is_dir():
        sys.exit(f"{options.data}: no such folder; give --data, or set JETSTREAM_DATA")
    truth = json.loads((options.data / "video" / "friends_dev.json").read_text())
    events = read(options.events or replayed(options.data))
    print(f"{len(events)} frames, {sum(len(event['tracks']) for event in events)} boxes")
    print("| counted from | right | wrong | unknown | right % |\n| --- | --- | --- | --- | --- |")
    for after_s in options.after or (0.0, 0.5, 1.0):
        right, wrong, unknown = count(events, truth, after_s)
        print(f"| {after_s} s | {right} | {wrong} | {unknown} | {100 * right / (right + wrong + unknown):.1f} |")
    print(f"\nold names after a cut: {old_names(events, truth)} boxes; name changes within a track: {changes(events)}")


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def replayed(data: Path) -> Path:
    path = Path(tempfile.mkdtemp()) / "events.jsonl"
    words = [
        "replay",
        str(data / "video" / "friends_dev.mp4"),
        "--faces",
        str(data / "friends_refs"),
        "--out",
        str(path),
    ]
    subprocess.run([sys.executable, "-m", "jetstream.cli", *words], cwd=REPOSITORY, check=True)
    return path


def shot_of(frame_id: int, truth: dict[str, Any]) -> dict[str, Any]:
    return next(shot for shot in truth["shots"] if shot["first"] <= frame_id <= shot["last"])


def expected(track: dict[str, Any], shot: dict[str, Any]) -> str | None:
    """Who stands where this box is; None for people at the picture's edge, whom the truth leaves out."""
    centre = (track["box"][0] + track["box"][2]) / 2
    if centre > 1090 or centre < 60:
        return None
    return str(shot["left"] if centre < 640 else shot["right"])


def count(events: list[dict[str, Any]], truth: dict[str, Any], after_s: float) -> tuple[int, int, int]:
    right = wrong = unknown = 0
    for event in events:
        shot = shot_of(event["frame_id"], truth)
        if event["frame_id"] - shot["first"] < after_s * 24000 / 1001:
            continue
        for track in event["tracks"]:
            who = expected(track, shot)
            if who is None:
                continue
            unknown += track["name"] is None
            right += track["name"] == who
            wrong += track["name"] not in (None, who)
    return right, wrong, unknown


def old_names(events: list[dict[str, Any]], truth: dict[str, Any]) -> int:
    """Boxes that carry the name of somebody who was in the shot before and isn't in this one."""
    found = 0
    for event in events:
        shot = shot_of(event["frame_id"], truth)
        index = truth["shots"].index(shot)
        if index:
            before = {truth["shots"][index - 1][side] for side in ("left", "right")} - {shot["left"], shot["right"]}
            found += sum(track["name"] in before for track in event["tracks"])
    return found


def changes(events: list[dict[str, Any]]) -> int:
    """How often a track shows another name than before, from unknown to a first name not counted."""
    shown: dict[int, str | None] = {}
    found = 0
    for event in events:
        for track in event["tracks"]:
            before = shown.get(track["track_id"])
            found += before is not None and track["name"] != before
            shown[track["track_id"]] = track["name"]
    return found


if __name__ == "__main__":
    main()
