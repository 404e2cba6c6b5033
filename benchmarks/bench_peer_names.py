"""Names on face_recognition's own pictures and video: jetstream beside that package's two rules, in the same run.

    python -m benchmarks.bench_peer_names --peer-python VENV/bin/python [--data DIR]

VENV has face_recognition with dlib, scikit-learn and OpenCV. Counts faces named right, wrong and unknown; the face of a
person who isn't enrolled is right when unknown. The ground truth was labelled by hand: TRUTH below.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent


class Face(NamedTuple):
    """A face of one of the sets, as somebody answered it."""

    answer: str | None
    truth: str | None


# Centres of the faces, px from the left, and whose they are.
PICTURES: dict[str, dict[int, str | None]] = {
    "alex_lacamoire1.jpg": {793: "alex_lacamoire"},
    "johnsnow_test1.jpg": {355: "kit_harington"},
    "kit_with_rose.jpg": {116: "rose_leslie", 300: "kit_harington"},
    "obama1.jpg": {739: "obama"},
    "obama_and_biden.jpg": {830: "biden", 1244: "obama", 1672: None},
}
# The same in each shot of the clip, by its first frame.
SHOTS: dict[int, dict[int, str | None]] = {
    0: {542: "lin-manuel-miranda", 68: "alex-lacamoire"},
    20: {507: "alex-lacamoire"},
    82: {170: "lin-manuel-miranda", 300: "lin-manuel-miranda"},
    211: {66: None, 188: None, 350: "obama", 410: None},
}


def main() -> None:
    data = Path(os.environ.get("JETSTREAM_DATA", REPOSITORY.parent / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--peer-python", type=Path, required=True)
    options = parser.parse_args()
    knn, clip = options.data / "face_recognition_knn", options.data / "video" / "short_hamilton_clip.mp4"
    tests, refs = sorted((knn / "test").iterdir()), options.data / "hamilton_refs"
    rows = {
        ("pictures", "jetstream"): list(ours_on_pictures(knn / "train", tests)),
        ("clip", "jetstream"): list(ours_on_clip(refs, clip)),
    }
    for name, train, asked in (("pictures", knn / "train", tests), ("clip", refs, [clip])):
        answers = theirs(options.peer_python, train, asked)
        for rule in ("knn", "tolerance"):
            rows[name, f"face_recognition, {rule}"] = [
                Face(face[rule], truth_of(answer["image"], answer["frame"], face["box"]))
                for answer in answers
                for face in answer["faces"]
            ]
    print("| set | rule | faces found | named right | named wrong | known, not named | strangers left unknown |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for (name, rule), faces in sorted(rows.items(), reverse=True):
        count = Counter(verdict(face) for face in faces)
        cells = (len(faces), *(count[column] for column in ("right", "wrong", "missed", "unknown")))
        print(f"| {name} | {rule} | {' | '.join(map(str, cells))} |")


def verdict(face: Face) -> str:
    if face.answer is None:
        return "unknown" if face.truth is None else "missed"
    return "right" if face.answer == face.truth else "wrong"


def truth_of(image: str, frame: int, box: list[float]) -> str | None:
    people = PICTURES.get(image) or SHOTS[max(first for first in SHOTS if first <= frame)]
    centre = (box[0] + box[2]) / 2
    return people[min(people, key=lambda x: abs(x - centre))]


def ours_on_pictures(train: Path, tests: list[Path]) -> Iterator[Face]:
    output = jetstream("identify", *map(str, tests), "--faces", str(train), "--json")
    for seen in json.loads(output):
        for face in seen["faces"]:
            yield Face(face["name"], truth_of(Path(seen["image"]).name, 0, face["box"]))


def ours_on_clip(refs: Path, clip: Path) -> Iterator[Face]:
    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder) / "events.jsonl"
        jetstream("replay", str(clip), "--faces", str(refs), "--out", str(events))
        for event in map(json.loads, events.read_text().splitlines()):
            for track in event["tracks"]:
                if track["state"] != "lost":
                    yield Face(track["name"], truth_of(clip.name, event["frame_id"], track["box"]))


def jetstream(*words: str) -> str:
    command = [sys.executable, "-m", "jetstream.cli", *words]
    return subprocess.run(command, cwd=REPOSITORY, check=True, text=True, stdout=subprocess.PIPE).stdout


def theirs(python: Path, train: Path, asked: list[Path]) -> list[dict[str, Any]]:
    script = REPOSITORY / "benchmarks" / "peer_face_recognition.py"
    command = [str(python), str(script), str(train), *map(str, asked)]
    return list(json.loads(subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout))


if __name__ == "__main__":
    main()
