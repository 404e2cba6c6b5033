"""Frames to the database, in one process: what is written, kept open, ended, and what the disk may do meanwhile."""

import errno
import os
import shutil
import sqlite3
import stat
from collections.abc import Sequence
from pathlib import Path

import cv2
import msgspec
import pytest

from jetstream.config.schema import Config
from jetstream.messages import Tracked
from jetstream.sightings import database, lock
from jetstream.sightings.database import transaction
from jetstream.sightings.recorder import RETRY_S, SightingRecorder
from tests.support.sightings import IDS, at, changes, config_with, face, pictures, record, seconds, stored
from tests.support.stage_messages import rings_for

ADA, BOB = "Ada", "Bob"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_with(tmp_path, "a", "b")


def test_sighting_is_stored_with_all_that_is_known(config: Config) -> None:
    record(config, seconds([face(IDS[0], ADA)], [face(IDS[0], ADA, age_s=2.0)], [face(IDS[0], ADA, age_s=3.0)]))

    (sighting,) = stored(config)
    assert (sighting.id, sighting.camera, sighting.area, sighting.state) == (IDS[0], "a", "a", "ended")
    assert (sighting.name, sighting.machine_name, sighting.confidence) == (ADA, ADA, 0.9)
    assert (sighting.begin, sighting.end) == ("2026-11-28T21:06:39.000Z", "2026-11-28T21:06:42.000Z")
    assert (sighting.begin_s, sighting.end_s) == (-1.0, 2.0)
    assert [(candidate.name, candidate.photo) for candidate in sighting.why] == [(ADA, "Ada/1.jpg")]
    assert changes(config) == [("enter", IDS[0]), ("exit", IDS[0])]


def test_name_that_is_learnt_late_is_given_to_the_same_sighting(config: Config) -> None:
    record(config, seconds([face(IDS[0])], [face(IDS[0])], [face(IDS[0], ADA)]))

    (sighting,) = stored(config)
    assert (sighting.name, sighting.confidence) == (ADA, 0.9)
    assert [change for change, _ in changes(config)] == ["enter", "named", "exit"]


def test_merged_sighting_becomes_a_part_of_the_other(config: Config) -> None:
    frames = [at(0, face(IDS[0], ADA)), at(5, face(IDS[1])), at(6, face(IDS[0], ADA), merged=((IDS[1], IDS[0]),))]
    record(config, frames, pictures(config))

    (sighting,) = stored(config)
    assert (sighting.id, sighting.end_s) == (IDS[0], 6.0)
    assert {look.split("/")[-1][:26] for look in sighting.looks} == set(IDS[:2]), "those of both"
    assert changes(config) == [("enter", IDS[0]), ("enter", IDS[1]), ("merged", IDS[1]), ("exit", IDS[0])]


def test_sighting_ends_when_track_says_so(config: Config) -> None:
    record(config, [at(0, face(IDS[0])), at(1), at(40, ended=(IDS[0],)), at(41, ended=(IDS[0],))], ended=False)

    (sighting,) = stored(config)
    assert (sighting.state, sighting.end_s) == ("ended", 0.0)
    assert [change for change, _ in changes(config)] == ["enter", "exit"]


def test_camera_without_frames_ends_its_sightings_by_the_clock(config: Config) -> None:
    recorder = SightingRecorder(config, rings_for(config))
    recorder.saw(at(0, face(IDS[0])), 1000.0)
    recorder.tend(1000.0 + config.sightings.absence_s)
    assert len(recorder.follower) == 1
    recorder.tend(1000.0 + config.sightings.absence_s + 6.0)

    assert [sighting.state for sighting in stored(config)] == ["ended"]
    recorder.close(ended=True, now_s=1100.0)


def test_sightings_that_a_killed_process_left_open_go_on(config: Config) -> None:
    record(config, [at(0, face(IDS[0], ADA)), at(1, face(IDS[1]))], ended=False)
    assert [sighting.state for sighting in stored(config)] == ["open", "open"]

    record(config, [at(3, face(IDS[0], ADA)), at(50), at(51)])

    ada, stranger = stored(config)
    assert (ada.state, ada.begin_s, ada.end_s, ada.end) == ("ended", -1.0, 3.0, "2026-11-28T21:06:43.000Z")
    assert (stranger.state, stranger.end_s) == ("ended", 1.0), "closed at its last seen time"
    assert [change for change, _ in changes(config)] == ["enter", "enter", "exit", "exit"]


def test_person_goes_on_in_one_sighting_when_track_was_restarted(config: Config) -> None:
    """It has forgotten the ids, and gives Ada a new one."""
    record(config, [at(0, face(IDS[0], ADA)), at(4, face(IDS[1], ADA)), at(5, face(IDS[1], ADA))])

    (sighting,) = stored(config)
    assert (sighting.id, sighting.end_s) == (IDS[0], 5.0)


@pytest.mark.parametrize("jump_s", [3600, -3600])
def test_wall_clock_that_jumps_changes_no_length(config: Config, jump_s: int) -> None:
    import msgspec

    frames = seconds(*[[face(IDS[0])] for _ in range(10)])
    jumped = [
        msgspec.structs.replace(
            tracked, frame=msgspec.structs.replace(tracked.frame, wall_ns=tracked.frame.wall_ns + jump_s * 10**9)
        )
        for tracked in frames[5:]
    ]
    record(config, frames[:5] + jumped)

    (sighting,) = stored(config)
    assert (sighting.begin, sighting.end) == ("2026-11-28T21:06:39.000Z", "2026-11-28T21:06:49.000Z")


def test_zones_tell_when_the_face_was_in_them_first(tmp_path: Path) -> None:
    camera = {
        "name": "a",
        "source": "demo",
        "area": "hall",
        "zones": [
            {"name": "door", "polygon": [[0, 0], [60, 0], [60, 100], [0, 100]]},
            {"name": "desk", "polygon": [[60, 0], [160, 0], [160, 100], [60, 100]]},
            {"name": "far", "polygon": [[300, 0], [400, 0], [400, 100]]},
        ],
    }
    config = config_with(tmp_path, cameras=[camera])
    left, right = (10.0, 20.0, 50.0, 60.0), (90.0, 20.0, 130.0, 60.0)
    record(config, seconds([face(IDS[0], box=left)], [face(IDS[0], box=left)], [face(IDS[0], box=right)]))

    (sighting,) = stored(config)
    assert sighting.area == "hall"
    assert [(zone.name, zone.first) for zone in sighting.zones] == [
        ("door", "2026-11-28T21:06:40.000Z"),
        ("desk", "2026-11-28T21:06:42.000Z"),
    ]
    assert [found.id for found in stored(config, zone="desk")] == [IDS[0]]
    assert stored(config, zone="far") == []


def test_looks_are_private_bounded_and_readable(config: Config) -> None:
    record(config, seconds(*[[face(IDS[0], ADA)] for _ in range(20)]), pictures(config))

    (sighting,) = stored(config)
    assert len(sighting.looks) == config.sightings.looks
    folder = Path(config.sightings.dir)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    paths = [path for path in folder.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg")) == sorted(sighting.looks)
    image = cv2.imread(str(folder / sighting.looks[0]))
    assert image is not None
    assert max(image.shape) <= 320


@pytest.mark.parametrize(
    ("blur", "name", "looks"), [("none", None, 1), ("unknown", None, 0), ("unknown", ADA, 1), ("all", ADA, 0)]
)
def test_face_that_is_blurred_has_no_look(tmp_path: Path, blur: str, name: str | None, looks: int) -> None:
    config = config_with(tmp_path, render={"blur": blur})
    record(config, seconds([face(IDS[0], name)], [face(IDS[0], name)])[:2], pictures(config))

    (sighting,) = stored(config)
    assert bool(sighting.looks) == bool(looks)


def test_sightings_wait_while_another_program_writes(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    recorder = SightingRecorder(config, rings_for(config))
    recorder.saw(at(0, face(IDS[0])), 1000.0)
    other = sqlite3.connect(database.path_in(Path(config.sightings.dir)), isolation_level=None)
    with transaction(other):
        recorder.saw(at(1, face(IDS[0]), face(IDS[1], BOB)), 1001.0)
        recorder.saw(at(2, face(IDS[1], BOB)), 1002.0)
    other.close()
    recorder.tend(1002.0 + 2 * RETRY_S)
    recorder.close(ended=True, now_s=1010.0)

    assert [sighting.name for sighting in stored(config)] == [None, BOB]
    assert changes(config) == [("enter", IDS[0]), ("enter", IDS[1]), ("exit", IDS[0]), ("exit", IDS[1])]
    assert caplog.text.count("database is locked; sightings wait in memory") == 1


def test_damaged_database_is_kept_beside_a_new_one(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    record(config, [at(0, face(IDS[0], ADA))])
    path = database.path_in(Path(config.sightings.dir))
    path.write_bytes(b"x" * path.stat().st_size)

    record(config, [at(1, face(IDS[1], BOB))])

    assert [sighting.id for sighting in stored(config)] == [IDS[1]]
    (away,) = database.copies(Path(config.sightings.dir))
    assert away.read_bytes().startswith(b"xxx")
    assert f"it is now {away.name}, and a new one begins" in caplog.text


def test_damaged_database_that_cant_be_moved_is_waited_for(
    config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(folder: Path) -> Path:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    database.path_in(Path(config.sightings.dir)).parent.mkdir()
    database.path_in(Path(config.sightings.dir)).write_bytes(b"x" * 5000)
    with monkeypatch.context() as patch:
        patch.setattr(database, "move_away", refused)
        recorder = SightingRecorder(config, rings_for(config))
        recorder.saw(at(0, face(IDS[0], ADA)), 1000.0)
    assert caplog.text.count("Permission denied") == 1
    recorder.close(ended=True, now_s=1010.0)

    assert [sighting.id for sighting in stored(config)] == [IDS[0]]


def test_file_that_is_run_again_keeps_as_many_looks(config: Config) -> None:
    frames = [at(second * 0.5, face(IDS[0], ADA)) for second in range(8)]
    record(config, frames, pictures(config))
    (first,) = stored(config)

    record(config, an_hour_later(frames), pictures(config))

    (again,) = stored(config)
    assert (len(again.looks), len(set(again.looks))) == (len(first.looks), len(first.looks))
    assert all(Path(config.sightings.dir, look).exists() for look in again.looks)


def test_file_that_is_run_again_tells_nothing_twice(config: Config) -> None:
    frames = seconds([face(IDS[0])], [face(IDS[0], ADA), face(IDS[1])], [face(IDS[0], ADA)], [face(IDS[0], ADA)])
    record(config, frames)
    before = changes(config)
    assert before == [("enter", IDS[0]), ("named", IDS[0]), ("enter", IDS[1]), ("exit", IDS[0]), ("exit", IDS[1])]

    record(config, an_hour_later(frames))

    assert changes(config) == before
    assert stored(config)[0].begin == "2026-11-28T22:06:39.000Z", "the times of the newest run"


def test_file_that_is_run_again_tells_what_is_known_now(config: Config) -> None:
    frames = seconds([face(IDS[0])], [face(IDS[0])], [face(IDS[1])])
    record(config, frames)
    told = len(changes(config))

    record(config, an_hour_later(seconds([face(IDS[0], ADA)], [face(IDS[0], ADA)], [face(IDS[1])])))
    assert changes(config)[told:] == [("named", IDS[0]), ("exit", IDS[0])]

    record(config, an_hour_later([*frames, at(9, face(IDS[1]))]))
    assert changes(config)[told + 2 :] == [("exit", IDS[0]), ("exit", IDS[1])], "no name any more, and a later end"


def an_hour_later(frames: Sequence[Tracked]) -> list[Tracked]:
    hour_ns = 3600 * 1_000_000_000
    return [
        msgspec.structs.replace(
            frame, frame=msgspec.structs.replace(frame.frame, wall_ns=frame.frame.wall_ns + hour_ns)
        )
        for frame in frames
    ]


@pytest.mark.parametrize("becomes", ["damaged", "gone"])
def test_database_that_is_replaced_during_a_run_loses_no_open_sighting(config: Config, becomes: str) -> None:
    recorder = SightingRecorder(config, pictures(config))
    recorder.saw(at(0, face(IDS[0], ADA)), 1000.0)
    if becomes == "gone":
        shutil.rmtree(config.sightings.dir)
    else:
        (broken := Path(config.sightings.dir, "broken")).write_bytes(b"x" * 5000)
        broken.replace(database.path_in(Path(config.sightings.dir)))
    for second in range(1, 6):
        recorder.saw(at(second, face(IDS[0], ADA)), 1000.0 + second)
    recorder.close(ended=True, now_s=1020.0)

    (sighting,) = stored(config)
    assert (sighting.name, sighting.begin_s, sighting.end_s) == (ADA, -1.0, 5.0)
    assert changes(config) == [("enter", IDS[0]), ("exit", IDS[0])]
    assert all(Path(config.sightings.dir, look).exists() for look in sighting.looks)


def test_second_pipeline_on_a_folder_records_once_the_first_has_ended(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    with lock.held(Path(config.sightings.dir) / "writer.lock"):
        recorder = SightingRecorder(config, rings_for(config))
        recorder.saw(at(0, face(IDS[0], ADA)), 1000.0)
        assert f"process {os.getpid()} writes sightings there; give each pipeline its own sightings.dir" in caplog.text
    recorder.tend(1000.0 + RETRY_S)
    recorder.close(ended=True, now_s=1010.0)

    assert [sighting.name for sighting in stored(config)] == [ADA]


def test_full_disk_stops_nothing_and_nothing_is_missing_afterwards(config: Config) -> None:
    from tests.support.fulldisk import files_of_at_most

    recorder = SightingRecorder(config, pictures(config))
    recorder.saw(at(0, face(IDS[0], ADA)), 1000.0)
    with files_of_at_most(4096):
        for second in range(1, 20):
            recorder.saw(at(second, face(IDS[0], ADA), face(IDS[1], BOB)), 1000.0 + second)
    for second in range(20, 25):
        recorder.saw(at(second, face(IDS[0], ADA)), 1000.0 + second)
    recorder.close(ended=True, now_s=1030.0)

    assert [(sighting.name, sighting.end_s) for sighting in stored(config)] == [(ADA, 24.0), (BOB, 19.0)]
    assert changes(config) == [("enter", IDS[0]), ("enter", IDS[1]), ("exit", IDS[0]), ("exit", IDS[1])]


def test_sighting_that_somebody_deletes_while_it_is_open_doesnt_come_back(config: Config) -> None:
    from jetstream.sightings import erasure

    recorder = SightingRecorder(config, pictures(config))
    recorder.saw(at(0, face(IDS[0], ADA)), 1000.0)
    erasure.erase([ADA], Path(config.sightings.dir))
    for second in range(1, 5):
        recorder.saw(at(second, face(IDS[0], ADA)), 1000.0 + second)
    recorder.close(ended=True, now_s=1010.0)

    assert stored(config) == []
    assert list(Path(config.sightings.dir).rglob("*.jpg")) == []
