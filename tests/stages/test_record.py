"""The record and publish stages in one process, with real files and a real socket."""

import json
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest

from jetstream.errors import UserError
from jetstream.messages import Dropped, Finished, Tracked, TrackedFace, Vote
from jetstream.stages.record import open_events, record, unused
from tests.stages.making import config_of, frame_of, rings_for

FACE = TrackedFace(
    track_id=7,
    state="confirmed",
    box=(10.123, 20.0, 50.0, 60.0),
    score=0.98765,
    landmarks=(20.0, 30.0, 40.0, 30.0, 30.0, 40.0, 22.0, 50.0, 38.0, 50.0),
    name="Zoë Müller",
    confidence=0.91239,
    age_s=1.23456,
    votes=(
        Vote(name="Zoë Müller", log_odds=5.12345, answers=4, photo="Zoë Müller/1.jpg", distance=0.31234),
        Vote(name=None, log_odds=0.5, answers=1, photo="Zoë Müller/2.jpg", distance=0.6),
    ),
)


def tracked(frame_id: int, *faces: TrackedFace) -> Tracked:
    return Tracked(frame=frame_of(frame_id), faces=faces)


def run(folder: Path, n: int, **tables: str) -> list[Finished | Dropped]:
    config = config_of(folder, record={"dir": str(folder / "rec"), **tables})
    rings = rings_for(config)
    for _ in range(n):
        rings["a"].write(np.full((90, 160, 3), 120, np.uint8))
    return list(record((tracked(i, FACE) for i in range(n)), rings, config))


def test_event_line_is_what_the_readme_says(tmp_path: Path) -> None:
    run(tmp_path, 1)

    (line,) = next((tmp_path / "rec").glob("*.jsonl")).read_text().splitlines()
    assert json.loads(line) == {
        "schema": 1,
        "camera": "a",
        "frame_id": 0,
        "pts_s": 0.0,
        "captured_ns": 1000,
        "wall": "1970-01-01T00:00:00.000Z",
        "tracks": [
            {
                "track_id": 7,
                "state": "confirmed",
                "box": [10.12, 20.0, 50.0, 60.0],
                "score": 0.9877,
                "landmarks": [[20.0, 30.0], [40.0, 30.0], [30.0, 40.0], [22.0, 50.0], [38.0, 50.0]],
                "name": "Zoë Müller",
                "confidence": 0.9124,
                "age_s": 1.235,
                "votes": [
                    {
                        "name": "Zoë Müller",
                        "log_odds": 5.12,
                        "answers": 4,
                        "photo": "Zoë Müller/1.jpg",
                        "distance": 0.312,
                    },
                    {"name": None, "log_odds": 0.5, "answers": 1, "photo": None, "distance": 0.6},
                ],
            }
        ],
    }


def test_video_and_events_have_every_frame_and_are_private(tmp_path: Path) -> None:
    messages = run(tmp_path, 20)

    assert messages == [Finished(frame=frame_of(i)) for i in range(20)]
    (video,) = (tmp_path / "rec").glob("*.mp4")
    with av.open(str(video)) as container:
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert len(frames) == 20
    assert all((path.stat().st_mode & 0o077) == 0 for path in (tmp_path / "rec").iterdir())


@pytest.mark.parametrize(("video", "marked"), [("annotated", True), ("clean", False)])
def test_annotated_video_shows_the_box_and_a_clean_one_does_not(tmp_path: Path, video: str, marked: bool) -> None:
    run(tmp_path, 3, video=video)

    with av.open(str(next((tmp_path / "rec").glob("*.mp4")))) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="bgr24").astype(int)
    assert bool(np.abs(frame - 120).max() > 40) is marked


def test_events_alone_need_no_picture(tmp_path: Path) -> None:
    run(tmp_path, 3, video="none")

    assert [path.suffix for path in (tmp_path / "rec").iterdir()] == [".jsonl"]


def test_frame_that_left_the_ring_keeps_its_event_and_is_counted(tmp_path: Path) -> None:
    config = config_of(tmp_path, record={"dir": str(tmp_path / "rec")})
    rings = rings_for(config, slots=2)
    for _ in range(4):
        rings["a"].write(np.zeros((90, 160, 3), np.uint8))

    messages = list(record((tracked(i) for i in range(4)), rings, config))

    assert messages.count(Dropped(camera="a", reason="lapped")) == 2
    assert len(next((tmp_path / "rec").glob("*.jsonl")).read_text().splitlines()) == 4


def test_nothing_recorded_before_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    (tmp_path / "a-2.mp4").touch()

    assert unused(tmp_path, "a") == tmp_path / "a-3"


def test_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(UserError, match="name a folder that can be written"):
        open_events(tmp_path / "file" / "events.jsonl")


def test_empty_gallery_distance_is_null_in_json() -> None:
    assert msgspec.json.encode(float("inf")) == b"null"
