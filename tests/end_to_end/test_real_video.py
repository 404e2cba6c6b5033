"""The program on real pictures and video with truth; skipped where that data is absent."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from benchmarks import bench_friends
from jetstream import startup
from jetstream.config import load
from jetstream.events import Event
from jetstream.gallery.identify import look
from jetstream.replay.replay import to_files
from jetstream.video.images import read_image
from tests.support.clips import clip_of, frames_of

LONGEST_PX = 1280


def test_names_on_a_video_with_cuts_and_profiles_are_right_and_never_wrong(
    data_dir: Path, models_dir: Path, tmp_path: Path
) -> None:
    """One photo a person; people who turn to profile must not get another's name, nor keep one over a cut."""
    data = {
        "pipeline": {"pace": "every-frame"},
        "models": {"dir": str(models_dir)},
        "recognize": {"faces": str(data_dir / "friends_refs")},
        "cameras": [{"name": "friends_dev", "source": str(data_dir / "video" / "friends_dev.mp4")}],
    }
    config = startup.prepare(load.build(data, where="test"))
    to_files(config, tmp_path / "events.jsonl", None, lambda what, share: None)

    found = bench_friends.figures(tmp_path / "events.jsonl", data_dir, after_s=[1.0])
    (counted,) = found.counted

    assert found.frames == 401
    assert counted.wrong.count == 0
    assert counted.right.count >= 0.9 * counted.right.of
    assert found.old_names == 0


def faces_in(paths: list[Path], models_dir: Path) -> dict[str, list[tuple[float, ...]]]:
    config = load.build({"models": {"dir": str(models_dir)}, "detect": {"preset": "still"}}, where="test")
    return {Path(seen.image).name: [face.box for face in seen.faces] for seen in look(paths, config, names=False)}  # type: ignore[union-attr]


def hits(points: np.ndarray, boxes: list[tuple[float, ...]]) -> tuple[int, int]:
    """How many points lie in a box, and how many boxes hold none."""
    inside = [[x1 <= x <= x2 and y1 <= y <= y2 for x1, y1, x2, y2 in boxes] for x, y in points]
    return sum(any(row) for row in inside), sum(
        not any(column) for column in zip(*inside, strict=True)
    ) if inside else len(boxes)


def test_every_nose_is_in_a_box_and_no_box_is_false(data_dir: Path, models_dir: Path, tmp_path: Path) -> None:
    truth = {}
    for entry in json.loads((data_dir / "compreface" / "noses.json").read_text())["images"]:
        image = read_image(data_dir / "compreface" / entry["image"])
        scale = min(1.0, LONGEST_PX / max(image.shape[:2]))
        cv2.imwrite(
            str(tmp_path / f"{entry['image']}.png"),
            cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA),
        )
        truth[f"{entry['image']}.png"] = np.array(entry["noses"]).reshape(-1, 2) * scale

    found = faces_in(sorted(tmp_path.glob("*.png")), models_dir)

    counts = np.array([hits(noses, found[name]) for name, noses in truth.items()])
    assert sum(len(noses) for noses in truth.values()) == 46
    assert counts.sum(axis=0).tolist() == [46, 0]


def test_faces_of_a_labelled_set_are_found(data_dir: Path, models_dir: Path) -> None:
    centres = {}
    for listing in ("testing.xml", "training.xml"):
        for image in ET.parse(data_dir / "dlib_faces" / listing).getroot().iter("image"):
            boxes = [
                [float(box.get(key, 0)) for key in ("left", "top", "width", "height")] for box in image.iter("box")
            ]
            centres[image.get("file", "")] = np.array([(x + w / 2, y + h / 2) for x, y, w, h in boxes])

    found = faces_in([data_dir / "dlib_faces" / name for name in centres], models_dir)

    counts = np.array([hits(points, found[name]) for name, points in centres.items()]).sum(axis=0)
    assert sum(len(points) for points in centres.values()) == 43
    assert counts[0] >= 42
    assert counts[1] == 0


@pytest.mark.parametrize("every_s", [0.5, 2.5, 5.0])
def test_slow_camera_keeps_its_tracks_and_learns_their_names(
    every_s: float, data_dir: Path, models_dir: Path, tmp_path: Path
) -> None:
    """Three shots of two people, a frame every half second, shown further apart."""
    images = frames_of(data_dir / "video" / "friends_dev.mp4", every=12)
    clip = clip_of(tmp_path / "slow.mp4", images, (index * every_s for index in range(len(images))))
    data = {
        "pipeline": {"pace": "every-frame"},
        "models": {"dir": str(models_dir)},
        "recognize": {"faces": str(data_dir / "friends_refs")},
        "cameras": [{"name": "slow", "source": str(clip)}],
    }
    config = startup.prepare(load.build(data, where="test"))
    to_files(config, tmp_path / "events.jsonl", None, lambda what, share: None)

    events = [msgspec.json.decode(line, type=Event) for line in (tmp_path / "events.jsonl").read_bytes().splitlines()]
    tracks = {track.track_id for event in events for track in event.tracks}
    names = {track.name for event in events for track in event.tracks}
    assert len(events) == 34
    assert len(tracks) <= 12, "it was a new one in each frame, over 50"
    assert names >= {"Rachel", "Joey", "Chandler", "Monica", "Ross", "Phoebe"}
