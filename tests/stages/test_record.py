"""The record and publish stages in one process, with real files and a real socket."""

import io
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest

from jetstream import pipeline
from jetstream.errors import SourceError, UserError
from jetstream.messages import Dropped, Finished, NameCandidate, Tick, Tracked, TrackedFace
from jetstream.recording import outage
from jetstream.recording.events_file import is_open, open_events, unused, write_event
from jetstream.recording.writer import SILENT_S, Recorder
from jetstream.stages.record import record
from tests.support.fulldisk import files_of_at_most
from tests.support.stage_messages import FACE, config_of, frame_of, rings_for, tracked


def run(folder: Path, n: int, pace: str = "live", **settings: str | float) -> list[Finished | Dropped]:
    config = config_of(folder, record={"dir": str(folder / "rec"), **settings}, pipeline={"pace": pace})
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
                "doubtful": False,
                "sighting": None,
            }
        ],
        "hops_ms": None,
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


def test_new_files_are_begun_after_file_hours_and_no_frame_is_lost_between(tmp_path: Path) -> None:
    run(tmp_path, 20, file_hours=6.5 / 25 / 3600)

    parts = sorted(
        (tmp_path / "rec").glob("*.jsonl"), key=lambda path: msgspec.json.decode(first_line(path))["frame_id"]
    )
    frames = [msgspec.json.decode(line)["frame_id"] for part in parts for line in part.read_text().splitlines()]
    assert frames == list(range(20))
    assert [len(part.read_text().splitlines()) for part in parts] == [7, 7, 6]
    for part in parts:
        with av.open(str(part.with_suffix(".mp4"))) as container:
            assert sum(1 for _ in container.decode(video=0)) == len(part.read_text().splitlines())


def first_line(path: Path) -> str:
    return path.read_text().splitlines()[0]


@pytest.mark.parametrize("keep", [{"keep_days": 7}, {"keep_gb": 0.001}])
def test_old_recordings_go_while_one_is_made(tmp_path: Path, keep: dict[str, float]) -> None:
    run(tmp_path, 2)
    old = [path.rename(path.with_stem("a-20200101T000000")) for path in (tmp_path / "rec").iterdir()]
    for path in old:
        if path.suffix == ".mp4":
            path.write_bytes(bytes(2_000_000))
        os.utime(path, (1_577_836_800,) * 2)
    run(tmp_path, 2)  # of today: the clock is right
    for path in (tmp_path / "rec").glob("a-2*"):
        if path not in old:
            os.utime(path, (time.time() - 120,) * 2)

    run(tmp_path, 2, **keep)

    assert not any(path.exists() for path in old)
    assert {path.suffix for path in (tmp_path / "rec").iterdir()} == {".jsonl", ".mp4"}


def test_only_recordings_of_long_ago_are_kept_for_the_clock_may_be_wrong(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(tmp_path, 2)
    old = [path.rename(path.with_stem("a-20200101T000000")) for path in (tmp_path / "rec").iterdir()]
    for path in old:
        os.utime(path, (1_577_836_800,) * 2)

    for _ in range(2):  # the second time there is a recording of now: it proves nothing
        run(tmp_path, 2, keep_days=7)

    assert all(path.exists() for path in old)
    assert "days after the newest recordings, so nothing is deleted for its age" in caplog.text


@pytest.mark.parametrize(("pace", "opened"), [("live", [True, False]), ("every-frame", [True, True])])
def test_recording_is_over_a_minute_after_its_camera_fell_silent_live(
    tmp_path: Path, pace: str, opened: list[bool]
) -> None:
    config = config_of(tmp_path, record={"video": "none"}, pipeline={"pace": pace})
    rings, recorder = rings_for(config), Recorder("a", tmp_path, config)
    recorder.add(tracked(0), rings, 100.0)
    recorder.add(tracked(1), rings, 140.0)
    (first,) = tmp_path.iterdir()

    seen = []
    for now_s in (140.0 + SILENT_S, 140.1 + SILENT_S):
        recorder.end_if_silent(now_s)
        seen.append(is_open(first))
    recorder.add(tracked(2), rings, 500.0)
    recorder.close()

    assert seen == opened
    lines = sorted(len(path.read_text().splitlines()) for path in tmp_path.iterdir())
    assert lines == ([1, 2] if pace == "live" else [3])


def test_old_recording_of_a_silent_camera_goes_without_a_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jetstream.recording.writer.SILENT_S", 0.0)
    monkeypatch.setattr("jetstream.stages.record.SWEEP_EVERY_S", 0.0)
    config = config_of(tmp_path, record={"dir": str(tmp_path / "rec"), "keep_days": 7})
    rings = rings_for(config)
    rings["a"].write(np.zeros((90, 160, 3), np.uint8))
    left: list[int] = []

    def messages() -> Iterator[Tracked | Tick]:
        yield tracked(0)
        yield Tick()
        files = list((tmp_path / "rec").iterdir())
        for path in files:
            os.utime(path, (1_577_836_800,) * 2)
        yield Tick()
        left.extend((len(files), sum(path.exists() for path in files)))

    assert list(record(messages(), rings, config)) == [Finished(frame=frame_of(0))]
    assert left == [2, 0]
    assert 0 < (pipeline.stage_named("record").tick_s or 0) < SILENT_S


@pytest.mark.parametrize("video", ["annotated", "clean"])
@pytest.mark.parametrize(("blur", "hidden"), [("none", False), ("unknown", False), ("all", True)])
def test_known_face_is_hidden_in_the_video_where_all_are(tmp_path: Path, video: str, blur: str, hidden: bool) -> None:
    assert (detail(tmp_path, FACE, video, blur) < 5) is hidden


@pytest.mark.parametrize(("blur", "hidden"), [("none", False), ("unknown", True), ("all", True)])
def test_unknown_face_is_hidden_in_the_video_unless_nobody_is(tmp_path: Path, blur: str, hidden: bool) -> None:
    assert (detail(tmp_path, msgspec.structs.replace(FACE, name=None, state="lost"), "clean", blur) < 5) is hidden


def detail(folder: Path, face: TrackedFace, video: str, blur: str) -> float:
    """How much neighbours differ inside the face's box, in a video of chequered pictures."""
    config = config_of(
        folder, record={"dir": str(folder / "rec"), "video": video}, render={"blur": blur, "landmarks": False}
    )
    rings = rings_for(config)
    rings["a"].write(
        np.kron(np.indices((23, 40)).sum(0)[:, :, None] % 2 * 255, np.ones((4, 4, 3))).astype(np.uint8)[:90]
    )
    list(record(iter([tracked(0, face)]), rings, config))
    with av.open(str(next((folder / "rec").glob("*.mp4")))) as container:
        image = next(container.decode(video=0)).to_ndarray(format="gray").astype(int)
    x1, y1, x2, y2 = (round(value) for value in FACE.box)
    return float(np.abs(np.diff(image[y1 + 4 : y2 - 4, x1 + 4 : x2 - 4], axis=1)).max())


def test_nothing_recorded_before_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    (tmp_path / "a_2.mp4").touch()

    assert unused(tmp_path, "a") == tmp_path / "a_3"


@pytest.mark.parametrize("unfinished", ["", '{"schema": 1, "camera": "a", "frame'])
def test_frame_that_the_life_before_wrote_but_did_not_mark_as_done_is_not_written_again(
    tmp_path: Path, unfinished: str
) -> None:
    config = config_of(tmp_path, record={"dir": str(tmp_path), "video": "none"}, pipeline={"pace": "every-frame"})
    other = config_of(tmp_path, "a-b", record={"dir": str(tmp_path), "video": "none"})
    list(record((tracked(i, FACE) for i in range(3)), rings_for(config), config))
    (events,) = tmp_path.glob("*.jsonl")
    with events.open("a") as file:
        file.write(unfinished)
    list(record(iter([msgspec.structs.replace(tracked(7), frame=frame_of(7, "a-b"))]), rings_for(other), other))

    answers = list(record((tracked(i, FACE) for i in range(2, 5)), rings_for(config), config))

    assert answers == [Finished(frame=frame_of(i)) for i in range(2, 5)]
    assert ids_in(tmp_path, "a") == [0, 1, 2, 3, 4]


def test_same_number_in_another_run_is_another_frame(tmp_path: Path) -> None:
    config = config_of(tmp_path, record={"dir": str(tmp_path), "video": "none"}, pipeline={"pace": "every-frame"})
    list(record(iter([tracked(0), tracked(1)]), rings_for(config), config))
    later = msgspec.structs.replace(frame_of(1), captured_ns=frame_of(1).captured_ns + 1)

    list(record(iter([Tracked(frame=later, faces=())]), rings_for(config), config))

    assert ids_in(tmp_path, "a") == [0, 1, 1]


def ids_in(folder: Path, camera: str) -> list[int]:
    """Of whole lines."""
    ids = []
    for path in sorted(folder.glob(f"{camera}-2*.jsonl")):
        lines = path.read_bytes().split(b"\n")[:-1]
        ids += [json.loads(line)["frame_id"] for line in lines]
    return ids


def test_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(UserError, match="name a folder that can be written"):
        open_events(tmp_path / "file" / "events.jsonl")


def test_distance_to_nobody_is_null_in_an_event_line() -> None:
    vote = NameCandidate(name=None, log_odds=0.5, answers=1, photo=None, distance=math.inf)
    events = io.StringIO()
    write_event(events, tracked(0, msgspec.structs.replace(FACE, votes=(vote,))))
    assert json.loads(events.getvalue(), parse_constant=pytest.fail)["tracks"][0]["votes"][0]["distance"] is None


def test_full_disk_ends_no_frame_and_leaves_whole_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "RETRY_S", 0.0)
    with caplog.at_level("INFO", logger="jetstream"), files_of_at_most(6_000):
        messages = run(tmp_path, 60, video="none")

    said = [record.getMessage() for record in caplog.records]
    stops = [line for line in said if "recording stops" in line]
    assert len([m for m in messages if isinstance(m, Finished)]) == 60
    assert messages.count(Dropped(camera="a", reason="disk")) == len(stops) > 1
    assert "a: File too large; its recording stops, everything else continues" in stops[0]
    assert len([line for line in said if "recording continues" in line]) in (len(stops), len(stops) - 1)
    lines = [json.loads(line) for path in (tmp_path / "rec").iterdir() for line in path.read_text().splitlines()]
    assert len(lines) == 60 - len(stops)


@pytest.mark.parametrize(("limit", "faces"), [(0, 1), (100, 1), (50_000, 500)])
def test_recording_whose_first_event_does_not_fit_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, faces: int
) -> None:
    monkeypatch.setattr(outage, "RETRY_S", 0.0)
    config = config_of(tmp_path, record={"dir": str(tmp_path / "rec"), "video": "clean"})
    rings = rings_for(config)
    for _ in range(3):
        rings["a"].write(np.full((90, 160, 3), 120, np.uint8))
    with files_of_at_most(limit):
        messages = list(record((tracked(i, *[FACE] * faces) for i in range(3)), rings, config))

    assert messages.count(Dropped(camera="a", reason="disk")) == 3
    assert list((tmp_path / "rec").iterdir()) == []


def test_full_disk_where_every_frame_counts_is_one_sentence(tmp_path: Path) -> None:
    missing = r"rec: .*File too large; make room, since no frame may be missing"
    with files_of_at_most(6_000), pytest.raises(SourceError, match=missing):
        run(tmp_path, 60, video="none", pace="every-frame")
