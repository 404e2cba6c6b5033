"""What is recorded of sightings, from frames that are made in sight."""

import copy
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jetstream.config import load
from jetstream.messages import FrameRef, Tracked, TrackedFace
from jetstream.sighting import Change
from jetstream.sightings import database, reader
from jetstream.sightings.following import GRACE_S, SightingFollower
from jetstream.sightings.recorder import SightingRecorder
from jetstream.sightings.writer import OpenSighting
from tests.support.stage_messages import FACE, rings_for

FPS = 10.0
ABSENCE_S = 30.0


class Recorded:
    """Keeps what a follower puts."""

    def __init__(self) -> None:
        self.sightings: dict[str, OpenSighting] = {}
        self.changes: list[tuple[Change, str]] = []

    def put(self, sighting: OpenSighting, change: Change | None = None) -> None:
        self.sightings[sighting.id] = sighting
        if change is not None:
            self.changes.append((change, sighting.id))

    def span(self, sighting_id: str) -> tuple[float, float]:
        """Begin and end in the source's time; the wall clock says the same."""
        one = self.sightings[sighting_id]
        assert one.begin_ns * 1e-9 == pytest.approx(one.begin_s + 1000, abs=1e-3)
        assert one.end_ns * 1e-9 == pytest.approx(one.end_s + 1000, abs=1e-3)
        return round(one.begin_s, 2), round(one.end_s, 2)


class Scene:
    """Frames of camera `a`, one after the other, whose wall clock is 1000 s ahead."""

    def __init__(self, pace: str = "live") -> None:
        self.recorded = Recorded()
        self.config = load.build(
            {"cameras": [{"name": "a", "source": "demo"}, {"name": "b", "source": "demo"}], "pipeline": {"pace": pace}},
            where="test",
        )
        self.follower = SightingFollower(self.config, self.recorded)
        self.frames, self.time_s, self._born_s = 0, 0.0, dict[int, float]()

    def restart(self, away_s: float = 0.0) -> None:
        """The process was killed, and started `away_s` later; its database has what was put."""
        self.time_s += away_s
        left_open = [one for one in self.recorded.sightings.values() if one.state == "open"]
        self.follower = SightingFollower(self.config, self.recorded)
        for number, one in enumerate(left_open):
            one.n = number
            self.follower.restore(one, self.time_s, one.end_ns + round(away_s * 1e9))

    def show(self, seconds: float, *faces: TrackedFace, **told: Any) -> None:
        for _ in range(max(1, round(seconds * FPS))):
            self.frame(*faces, **told)

    def frame(self, *faces: TrackedFace, **told: Any) -> None:
        frame = FrameRef(
            camera="a", frame_id=self.frames, captured_ns=0, wall_ns=round((1000 + self.time_s) * 1e9),
            pts_s=self.time_s, live=False,
        )  # fmt: skip
        aged = []
        for face in faces:
            born_s = self._born_s.setdefault(face.track_id, self.time_s)
            aged.append(msgspec.structs.replace(face, age_s=face.age_s or self.time_s - born_s))
        self.follower.saw(Tracked(frame=frame, faces=tuple(aged), **told), self.time_s)
        self.frames, self.time_s = self.frames + 1, self.time_s + 1 / FPS


def face(track_id: int, sighting: str | None, name: str | None = None, **more: Any) -> TrackedFace:
    changes = {"track_id": track_id, "sighting": sighting, "name": name, "age_s": 0.0, "votes": (), **more}
    return msgspec.structs.replace(FACE, **changes)


def test_sighting_lasts_from_first_to_last_detection() -> None:
    scene = Scene()
    scene.show(1)
    scene.show(0.5, face(1, None))
    scene.show(3, face(1, "S1"))
    scene.show(0.2, face(1, "S1", landmarks=None))  # the box is held
    scene.show(1, face(1, "S1", state="lost", landmarks=None))
    scene.frame(ended=("S1",))

    assert scene.recorded.span("S1") == (1.0, 4.4)
    assert scene.recorded.changes == [("enter", "S1"), ("exit", "S1")]


def test_name_learnt_late_is_told_once() -> None:
    scene = Scene()
    scene.show(2, face(1, "S1"))
    scene.show(2, face(1, "S1", "Ada"))

    assert scene.recorded.changes == [("enter", "S1"), ("named", "S1")]
    assert scene.recorded.sightings["S1"].name == "Ada"


def test_name_of_a_face_that_has_gone_is_told_and_lengthens_nothing() -> None:
    scene = Scene()
    scene.show(2, face(1, "S1"))
    scene.show(0.5, face(1, "S1", state="lost", landmarks=None))
    scene.show(1, face(1, "S1", "Ada", state="lost", landmarks=None))

    assert scene.recorded.changes == [("enter", "S1"), ("named", "S1")]
    assert scene.recorded.span("S1") == (0.0, 1.9)


def test_two_tracks_of_a_sighting_are_one() -> None:
    scene = Scene()
    scene.show(2, face(1, "S1", "Ada"))
    scene.show(2, face(1, "S1"), face(2, "S1", "Ada"))

    assert scene.recorded.span("S1") == (0.0, 3.9)
    assert scene.recorded.changes == [("enter", "S1")]


def test_sighting_after_a_switch_begins_where_the_other_one_ended() -> None:
    scene = Scene()
    scene.show(5, face(1, "S1", "Ada"))
    scene.show(2, face(1, None))  # `track` doesn't know yet whose face it is
    scene.show(3, face(1, "S2"))

    assert scene.recorded.span("S1") == (0.0, 4.9)
    assert scene.recorded.span("S2") == (4.9, 9.9)


def test_sighting_after_a_switch_out_of_sight_begins_where_the_face_came_back() -> None:
    scene = Scene()
    scene.show(5, face(1, "S1", "Ada"))
    scene.show(1, face(1, "S1", state="lost", landmarks=None))
    scene.show(1, face(1, "S1", "Ada"))  # somebody else, as recognition finds later
    scene.show(3, face(1, "S2"))

    assert scene.recorded.span("S1") == (0.0, 4.9)
    assert scene.recorded.span("S2") == (6.0, 9.9)


def test_sighting_that_another_track_shows_keeps_its_end_after_a_switch() -> None:
    scene = Scene()
    scene.show(5, face(1, "S1", "Ada"))
    scene.show(1, face(1, "S1", state="lost", landmarks=None), face(2, "S1", "Ada"))
    scene.show(1, face(1, "S1"), face(2, "S1", "Ada"))
    scene.show(3, face(1, "S2"), face(2, "S1", state="lost", landmarks=None))

    assert scene.recorded.span("S1") == (0.0, 6.9)


def test_sighting_of_a_track_that_was_out_of_sight_before_begins_when_it_is_seen_again() -> None:
    scene = Scene()
    scene.show(0.2, face(1, None))
    scene.show(1, face(1, None, state="lost", landmarks=None))
    scene.show(0.5, face(1, None))
    scene.show(1, face(1, "S1"))

    assert scene.recorded.span("S1") == (1.2, 2.6)


def test_sighting_of_a_track_that_goes_on_as_an_ended_one_begins_when_it_is_seen_again() -> None:
    scene = Scene()
    scene.show(2, face(1, "S1"))
    scene.show(6)
    scene.show(0.1, ended=("S1",))
    scene.show(0.4, face(2, None))
    scene.show(1, face(1, "S2"))  # 2 goes on as 1, which was seen first 8 s ago

    begin_s, end_s = scene.recorded.span("S2")
    assert begin_s == pytest.approx(8.1, abs=0.5)
    assert end_s == 9.4


def test_step_back_of_time_begins_sightings_there() -> None:
    scene = Scene(pace="every-frame")
    scene.show(5, face(1, "S1", "Ada"))
    scene.time_s = 2.0
    scene.show(1, face(1, "S2", "Ada", age_s=5.0), ended=("S1",))

    assert scene.recorded.span("S1") == (0.0, 4.9)
    assert scene.recorded.span("S2")[0] == 2.0


def test_chain_of_merges_ends_in_one() -> None:
    scene = Scene()
    for number in (1, 2, 3):
        scene.show(1, face(number, f"S{number}"))
        scene.show(1)
    scene.frame(merged=(("S3", "S2"),))
    scene.frame(merged=(("S3", "S2"), ("S2", "S1")))
    scene.show(1, face(3, "S1", "Ada"), merged=(("S3", "S2"), ("S2", "S1")))

    assert [one.merged_into for one in scene.recorded.sightings.values()] == [None, "S1", "S2"]
    assert scene.recorded.span("S1") == (0.0, scene.recorded.sightings["S1"].end_s.__round__(2))
    assert scene.recorded.sightings["S1"].end_s == pytest.approx(scene.time_s - 0.1)
    assert len(scene.follower) == 1


def test_return_in_the_frame_that_ends_the_sighting_begins_another() -> None:
    scene = Scene()
    scene.show(2, face(1, "S1", "Ada"))
    scene.time_s += ABSENCE_S + 1
    scene.show(2, face(2, "S2", "Ada"), ended=("S1",))

    assert scene.recorded.span("S1") == (0.0, 1.9)
    assert [one.state for one in scene.recorded.sightings.values()] == ["ended", "open"]


def test_camera_without_frames_ends_its_sightings_by_the_clock() -> None:
    scene = Scene()
    scene.show(2, face(1, "S1", "Ada"))
    scene.follower.passed(scene.time_s + ABSENCE_S + GRACE_S + 1)

    assert scene.recorded.changes == [("enter", "S1"), ("exit", "S1")]
    assert scene.recorded.span("S1") == (0.0, 1.9)


def test_sighting_that_the_clock_ended_goes_on_where_track_says_so() -> None:
    scene = Scene()
    scene.show(2, face(1, "S1", "Ada"))
    scene.time_s += 100
    scene.follower.passed(scene.time_s)
    scene.show(2, face(2, "S1", "Ada"))

    assert scene.recorded.span("S1") == (0.0, 103.9)
    assert scene.recorded.changes == [("enter", "S1"), ("exit", "S1"), ("enter", "S1")]


def test_killed_process_goes_on_with_open_sightings() -> None:
    scene = Scene()
    scene.show(3, face(1, "S1", "Ada"))
    scene.restart(2)
    scene.show(3, face(1, "S1", "Ada"))

    assert scene.recorded.span("S1") == (0.0, 7.9)
    assert [change for change, _ in scene.recorded.changes] == ["enter"]


def test_killed_process_does_not_end_a_sighting_early_after_minutes() -> None:
    scene = Scene()
    scene.show(3, face(1, "S1", "Ada"))
    scene.restart(200)
    scene.show(3, face(1, "S1", "Ada"))

    assert scene.recorded.span("S1") == (0.0, 205.9)
    assert [change for change, _ in scene.recorded.changes] == ["enter", "exit", "enter"]


def test_sighting_that_was_left_open_long_ago_is_not_joined_to_todays() -> None:
    scene = Scene()
    scene.show(3, face(1, "S1", "Ada"))
    scene.restart(86400)
    scene.show(3, face(1, "S2", "Ada"))

    assert scene.recorded.span("S1") == (0.0, 2.9)
    assert scene.recorded.sightings["S1"].state == "ended"
    assert scene.recorded.changes == [("enter", "S1"), ("exit", "S1"), ("enter", "S2")]


def test_input_without_a_clock_ends_what_was_left_open_too() -> None:
    scene = Scene(pace="every-frame")
    scene.show(3, face(1, "S1", "Ada"))
    scene.restart(86400)
    scene.show(3, face(1, "S2", "Ada"))

    assert [one.state for one in scene.recorded.sightings.values()] == ["ended", "open"]


def test_joined_sighting_ends_when_track_says_so_of_its_newer_part() -> None:
    scene = Scene(pace="every-frame")
    scene.show(3, face(1, "S1", "Ada"))
    scene.show(2, face(50, "S2", "Ada"))
    scene.frame(ended=("S2",))

    assert scene.recorded.sightings["S2"].merged_into == "S1"
    assert scene.recorded.sightings["S1"].state == "ended"


def test_sighting_that_went_on_before_the_database_could_be_read_keeps_its_begin() -> None:
    scene = Scene()
    scene.show(3, face(1, "S1", "Ada"))
    left_open = copy.copy(scene.recorded.sightings["S1"])
    scene.follower = SightingFollower(scene.config, scene.recorded)
    scene.show(1, face(2, "S1", "Ada"))
    left_open.n = 7
    scene.follower.restore(left_open, scene.time_s, left_open.end_ns)
    scene.show(1, face(2, "S1", "Ada"))

    assert scene.recorded.span("S1") == (0.0, 4.9)
    assert scene.recorded.sightings["S1"].n == 7


def test_wall_clock_that_is_set_during_a_sighting_changes_no_length() -> None:
    scene = Scene()
    scene.show(2, face(1, "S1"))
    for number in range(10):
        pts_s = 2 + number / FPS
        frame = FrameRef(camera="a", frame_id=99, captured_ns=0, wall_ns=10**18, pts_s=pts_s, live=False)
        scene.follower.saw(Tracked(frame=frame, faces=(face(1, "S1", age_s=pts_s),)), pts_s)

    assert scene.recorded.span("S1") == (0.0, 2.9)


def test_restarted_track_stage_gives_a_person_no_second_sighting() -> None:
    scene = Scene()
    scene.show(3, face(1, "S1", "Ada"))
    scene.show(1, face(50, None))
    scene.show(2, face(50, "S2"))
    scene.show(2, face(50, "S2", "Ada"))

    assert scene.recorded.sightings["S2"].merged_into == "S1"
    assert scene.recorded.span("S1") == (0.0, 7.9)


def test_ten_thousand_tracks_leave_nothing_behind() -> None:
    scene = Scene()
    for number in range(10_000):
        scene.frame(face(number, f"S{number}", f"p{number % 50}" if number % 2 else None))
        scene.follower.passed(scene.time_s)
    scene.follower.end_all()

    follower = scene.follower
    left = (follower._open, follower._heard_s, follower._times_s, follower._put_s, follower._into)
    assert [len(one) for one in left] == [0] * 5
    assert len(follower._held) <= 1000
    assert len(list(follower._tracks.of("a"))) == 1


def test_database_of_a_killed_recorder_goes_on_with_its_open_rows(tmp_path: Path) -> None:
    config = load.build(
        {
            "cameras": [{"name": "a", "source": "demo"}],
            "sightings": {"dir": str(tmp_path / "sightings"), "looks": 0},
        },
        where="test",
    )
    folder, time_s = Path(config.sightings.dir), 0.0

    def seen_by(recorder: SightingRecorder, frames: int) -> None:
        nonlocal time_s
        for _ in range(frames):
            wall_ns = round((1000 + time_s) * 1e9)
            frame = FrameRef(camera="a", frame_id=0, captured_ns=0, wall_ns=wall_ns, pts_s=time_s, live=False)
            recorder.saw(Tracked(frame=frame, faces=(face(1, "S1", "Ada", age_s=time_s),)), time_s + 100)
            time_s += 1 / FPS

    killed = SightingRecorder(config, rings_for(config))
    seen_by(killed, 30)
    killed._opened.close()  # as a kill does, with the lock and the connection
    seen_by(again := SightingRecorder(config, rings_for(config)), 30)
    again.close(ended=False, now_s=time_s + 100)

    with database.opened(folder) as connection:
        (one,) = reader.find(connection, reader.SightingFilter())
        assert (one.state, one.name, one.begin_s) == ("open", "Ada", 0.0)
        assert one.end_s == pytest.approx(5.9, abs=1.0)
        assert [change for _, _, change, _ in reader.changes_after(connection, 0)] == ["enter"]
