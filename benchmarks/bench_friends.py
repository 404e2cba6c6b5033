"""Names on a video with ground truth: events of `replay` (or of any run) compared with who is where in each shot.

    python -m benchmarks.bench_friends [--data DIR] [--events FILE] [--after S]

Prints, counted from `--after` seconds after each shot's start, the boxes named right, wrong and unknown; the boxes with
a name of the shot before; and how often a track's shown name changes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from jetstream.evaluation import ground_truth, video
from jetstream.evaluation.video import VideoFigures

REPOSITORY = Path(__file__).resolve().parent.parent
INSIDE = (60, 1090)
"""Centres of the boxes of which the truth speaks; people further out are cut by the picture's edge."""


def main() -> None:
    data = Path(os.environ.get("JETSTREAM_DATA", REPOSITORY.parent / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--events", type=Path, help="events that are there already")
    parser.add_argument("--after", type=float, action="append")
    options = parser.parse_args()
    if not options.data.is_dir():
        sys.exit(f"{options.data}: no such folder; give --data, or set JETSTREAM_DATA")
    found = figures(options.events or replayed(options.data), options.data, options.after or video.AFTER_S)
    print(f"{found.frames} frames, {found.boxes} boxes")
    print("| counted from | right | wrong | unknown | right % |\n| --- | --- | --- | --- | --- |")
    for one in found.counted:
        shares = " | ".join(str(share.count) for share in (one.right, one.wrong, one.unknown))
        print(f"| {one.after_s} s | {shares} | {100 * (one.right.share or 0):.1f} |")
    print(f"\nold names after a cut: {found.old_names} boxes; name changes within a track: {found.name_changes}")


def figures(events: Path, data: Path, after_s: Sequence[float] = video.AFTER_S) -> VideoFigures:
    """What the events in a file got right."""
    shots = json.loads((data / "video" / "friends_dev.json").read_text())
    told = ground_truth.parse(json.dumps({**shots, "inside": INSIDE}).encode())
    return video.figures(list(ground_truth.read_events(events)), told, told.names, after_s)


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


if __name__ == "__main__":
    main()
