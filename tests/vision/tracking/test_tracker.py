import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from jetstream.vision.boxes import iou
from jetstream.vision.tracking.tracker import Track, Tracker
from tests.support import defaults

LEFT = (100.0, 100.0, 200.0, 220.0)
RIGHT = (500.0, 100.0, 600.0, 220.0)
Box = tuple[float, float, float, float]
NO_BOXES, NO_SCORES, ONE = np.empty((0, 4), np.float32), np.empty(0, np.float32), np.ones(1, np.float32)


def at(box: Box, right_px: float) -> Box:
    x1, y1, x2, y2 = box
    return (x1 + right_px, y1, x2 + right_px, y2)


def moved(box: Box, right_px: float, down_px: float) -> Box:
    x1, y1, x2, y2 = box
    return (x1 + right_px, y1 + down_px, x2 + right_px, y2 + down_px)


def see(tracker: Tracker, time_s: float, *boxes: Box, score: float = 1.0, cut: bool = False) -> list[Track]:
    """One frame in which each box was detected with the same score; its landmarks lie at its top left corner."""
    found = np.array(boxes, np.float32).reshape(-1, 4)
    landmarks = np.tile(found[:, None, :2], (1, 5, 1))
    return tracker.update(found, np.full(len(found), score, np.float32), landmarks, time_s, cut=cut)


def ids(tracks: list[Track]) -> list[int]:
    return [track.track_id for track in tracks]


def test_empty_frame_has_no_tracks() -> None:
    assert see(defaults.tracker(), 0.0) == []


def test_two_faces_get_ids_from_one_on() -> None:
    assert ids(see(defaults.tracker(), 0.0, LEFT, RIGHT)) == [1, 2]


def test_two_trackers_share_no_ids() -> None:
    see(defaults.tracker(), 0.0, LEFT)
    assert ids(see(defaults.tracker(), 0.0, LEFT)) == [1]


def test_face_that_moves_keeps_its_id() -> None:
    tracker = defaults.tracker()
    for step in range(25):
        tracks = see(tracker, step / 25, at(LEFT, 8.0 * step))
    assert ids(tracks) == [1]
    np.testing.assert_allclose(tracks[0].box, at(LEFT, 8.0 * 24), atol=10.0)


def test_order_of_detections_does_not_matter() -> None:
    tracker = defaults.tracker()
    see(tracker, 0.0, LEFT, RIGHT)
    tracks = see(tracker, 0.04, RIGHT, LEFT)
    assert ids(tracks) == [1, 2]
    assert tracks[0].box[0] < tracks[1].box[0]


def test_strong_face_is_confirmed_at_once_in_any_frame() -> None:
    tracker = defaults.tracker()
    assert see(tracker, 0.0, LEFT, score=0.99)[0].state == "confirmed"
    assert [track.state for track in see(tracker, 0.04, LEFT, RIGHT, score=0.99)] == ["confirmed", "confirmed"]


def test_fairly_strong_face_is_tentative_until_found_again() -> None:
    tracker = defaults.tracker()
    assert see(tracker, 0.0, LEFT, score=0.92)[0].state == "tentative"
    assert see(tracker, 0.04, LEFT, score=0.92)[0].state == "tentative"
    assert see(tracker, 0.08, LEFT, score=0.92)[0].state == "confirmed"


def test_confirmation_takes_time_and_not_frames() -> None:
    fast, slow = defaults.tracker(), defaults.tracker()
    fast_states = [see(fast, step / 100, LEFT, score=0.92)[0].state for step in range(8)]
    slow_states = [see(slow, step / 5, LEFT, score=0.92)[0].state for step in range(2)]
    assert fast_states == ["tentative"] * 6 + ["confirmed"] * 2
    assert slow_states == ["tentative", "confirmed"]


def test_false_alarm_is_gone_soon() -> None:
    tracker = defaults.tracker()
    see(tracker, 0.0, LEFT, score=0.92)
    assert [len(see(tracker, step * 0.05)) for step in range(1, 4)] == [1, 1, 0]


def test_weak_detection_makes_no_track() -> None:
    assert see(defaults.tracker(), 0.0, LEFT, score=0.75) == []


def test_weak_detection_continues_a_track() -> None:
    tracker = defaults.tracker()
    see(tracker, 0.0, LEFT)
    for step in range(1, 100):
        tracks = see(tracker, step * 0.04, LEFT, score=0.75)
    assert ids(tracks) == [1]
    assert tracks[0].detected
    assert tracks[0].score == pytest.approx(0.75)


def test_strong_detection_is_preferred_to_a_weak_one_at_the_same_place() -> None:
    tracker = defaults.tracker()
    see(tracker, 0.0, LEFT)
    boxes = np.array([LEFT, at(LEFT, 20.0)], np.float32)
    tracks = tracker.update(boxes, np.array([0.75, 1.0], np.float32), None, 0.04)
    assert [track.score for track in tracks] == [1.0]


def test_missed_face_is_confirmed_for_a_moment_then_lost_then_forgotten() -> None:
    tracker = defaults.tracker(hold_s=0.13, max_lost_s=2.0)
    see(tracker, 0.0, LEFT)
    states = {time_s: [track.state for track in see(tracker, time_s)] for time_s in (0.04, 0.12, 0.16, 1.96, 2.04)}
    assert states == {0.04: ["confirmed"], 0.12: ["confirmed"], 0.16: ["lost"], 1.96: ["lost"], 2.04: []}


def test_face_found_again_keeps_its_id() -> None:
    tracker = defaults.tracker()
    see(tracker, 0.0, LEFT)
    see(tracker, 1.0)
    tracks = see(tracker, 1.5, LEFT)
    assert ids(tracks) == [1]
    assert tracks[0].state == "confirmed"
    assert tracks[0].seen_s == 0.0
    assert tracks[0].age_s == pytest.approx(1.5)


def test_face_after_a_long_gap_in_frames_is_a_new_one() -> None:
    tracker = defaults.tracker()
    see(tracker, 0.0, LEFT)
    assert ids(see(tracker, 10.0, LEFT)) == [2]


def test_walking_face_is_found_again_where_it_was_going() -> None:
    tracker = defaults.tracker()
    for step in range(25):
        see(tracker, step / 25, at(LEFT, 8.0 * step))
    for step in range(25, 40):
        see(tracker, step / 25)
    assert ids(see(tracker, 40 / 25, at(LEFT, 8.0 * 40))) == [1]


def test_face_that_stopped_unseen_is_found_again_where_it_was_last_seen() -> None:
    tracker = defaults.tracker()
    for step in range(25):
        see(tracker, step / 25, at(LEFT, 8.0 * step))
    for step in range(25, 50):
        see(tracker, step / 25)
    assert ids(see(tracker, 2.0, at(LEFT, 8.0 * 24))) == [1]


def test_faces_that_cross_keep_their_ids() -> None:
    tracker = defaults.tracker()
    for step in range(50):
        first, second = at((0.0, 0.0, 80.0, 100.0), 12.0 * step), at((600.0, 30.0, 680.0, 130.0), -12.0 * step)
        tracks = see(tracker, step / 25, first, second)
    assert ids(tracks) == [1, 2]
    assert tracks[0].box[0] > tracks[1].box[0]


def test_cut_ends_all_tracks_even_where_a_face_stays_in_place() -> None:
    tracker = defaults.tracker()
    see(tracker, 0.0, LEFT, RIGHT)
    assert ids(see(tracker, 0.04, LEFT, cut=True)) == [3]


def test_cut_to_an_empty_scene_leaves_nothing() -> None:
    tracker = defaults.tracker()
    see(tracker, 0.0, LEFT)
    assert see(tracker, 0.04, cut=True) == []


def test_landmarks_are_only_those_of_this_frame() -> None:
    tracker = defaults.tracker()
    seen = see(tracker, 0.0, LEFT, RIGHT)
    assert seen[1].landmarks is not None
    np.testing.assert_array_equal(seen[1].landmarks, np.tile(np.float32([500.0, 100.0]), (5, 1)))
    missed = see(tracker, 0.04, LEFT)
    assert [track.detected for track in missed] == [True, False]
    assert missed[1].landmarks is None


@pytest.mark.parametrize("time_s", [1.0, 0.5, -1e9, math.nan, math.inf])
def test_time_that_stands_still_or_runs_back_keeps_the_tracks(time_s: float) -> None:
    tracker = defaults.tracker()
    see(tracker, 1.0, LEFT, RIGHT)
    tracks = see(tracker, time_s, LEFT)
    assert ids(tracks) == [1, 2]
    assert [track.detected for track in tracks] == [True, False]
    assert tracks[1].landmarks is None


def test_tracker_goes_on_after_time_ran_back() -> None:
    tracker = defaults.tracker()
    see(tracker, 100.0, LEFT)
    see(tracker, 0.0, LEFT)
    assert ids(see(tracker, 1.0, LEFT)) == [1]
    assert see(tracker, 3.5) == []


def test_boxes_that_are_none_are_passed_over() -> None:
    tracker = defaults.tracker()
    nan_box, inside_out = (math.nan, 0.0, 50.0, 50.0), (50.0, 50.0, 10.0, 10.0)
    tracks = see(tracker, 0.0, nan_box, LEFT, inside_out)
    assert ids(tracks) == [1]
    assert np.isfinite(see(tracker, 0.04, nan_box)[0].box).all()


def test_snapshot_does_not_change_later() -> None:
    tracker = defaults.tracker()
    before = see(tracker, 0.0, LEFT)[0]
    see(tracker, 0.04, at(LEFT, 20.0))
    np.testing.assert_allclose(before.box, LEFT, atol=1e-3)
    assert before.age_s == 0.0


def test_best_scores_win_when_there_is_no_room() -> None:
    tracker = defaults.tracker(max_tracks=2)
    boxes = np.array([at(LEFT, 300.0 * place) for place in range(3)], np.float32)
    tracks = tracker.update(boxes, np.array([0.91, 0.99, 0.95], np.float32), None, 0.0)
    assert [round(track.score, 2) for track in tracks] == [0.99, 0.95]


def test_noise_of_a_thousand_frames_stays_bounded() -> None:
    tracker, random = defaults.tracker(max_tracks=32), np.random.default_rng(0)
    most = 0
    for step in range(1000):
        corners = random.uniform(0.0, 1800.0, (20, 2))
        boxes = np.concatenate([corners, corners + random.uniform(20.0, 200.0, (20, 2))], axis=1)
        most = max(most, len(tracker.update(boxes.astype(np.float32), np.ones(20, np.float32), None, step / 25)))
    assert most == 32
    assert len(tracker.tracks) <= 32


frames = st.lists(
    st.tuples(
        st.floats(-1.0, 3.0),
        st.lists(st.tuples(st.floats(0.0, 900.0), st.floats(5.0, 300.0), st.floats(0.5, 1.0)), max_size=5),
        st.booleans(),
    ),
    max_size=15,
)


@given(frames)
def test_ids_are_never_used_again(frames: list[tuple[float, list[tuple[float, float, float]], bool]]) -> None:
    tracker, time_s = defaults.tracker(), 0.0
    gone: set[int] = set()
    alive: set[int] = set()
    for step_s, faces, cut in frames:
        time_s += step_s
        boxes = np.array([(x, x / 2, x + side, x / 2 + side) for x, side, _ in faces], np.float32).reshape(-1, 4)
        scores = np.array([score for *_, score in faces], np.float32)
        tracks = tracker.update(boxes, scores, None, time_s, cut=cut)
        now = set(ids(tracks))
        assert len(now) == len(tracks)
        assert not now & gone
        gone |= alive - now
        alive = now
        assert all(np.isfinite(track.box).all() and (track.box[2:] > track.box[:2]).all() for track in tracks)


def test_same_input_gives_the_same_tracks() -> None:
    random = np.random.default_rng(1)
    frames = [random.uniform(0.0, 500.0, (4, 2)).astype(np.float32) for _ in range(50)]
    runs = []
    for _ in range(2):
        tracker = defaults.tracker()
        for step, corners in enumerate(frames):
            tracks = tracker.update(np.concatenate([corners, corners + 60], axis=1), np.ones(4), None, step / 25)
        runs.append([(track.track_id, track.box.tobytes()) for track in tracks])
    assert runs[0] == runs[1]


def test_pedestrians_of_a_real_street_keep_their_ids(data_dir: Path) -> None:
    """TUD-Campus of MOT15: 8 people in 71 frames, several behind others for a while."""
    folder = data_dir / "mot15" / "TUD-Campus"
    detections, truth = (np.loadtxt(folder / kind, delimiter=",") for kind in ("det/det.txt", "gt/gt.txt"))
    tracker = defaults.tracker()
    follower: dict[int, int] = {}
    changes = 0
    for frame in range(1, 72):
        found, true = (xyxy(rows[rows[:, 0] == frame]) for rows in (detections, truth))
        scores = detections[detections[:, 0] == frame, 6].astype(np.float32)
        tracks = [t for t in tracker.update(found, scores, None, frame / 25) if t.state == "confirmed"]
        overlap = iou(true, np.array([track.box for track in tracks], np.float32).reshape(-1, 4))
        rows, columns = linear_sum_assignment(overlap, maximize=True)
        for row, column in zip(rows, columns, strict=True):
            if overlap[row, column] >= 0.5:
                person = int(truth[truth[:, 0] == frame][row, 1])
                changes += follower.get(person, tracks[column].track_id) != tracks[column].track_id
                follower[person] = tracks[column].track_id
    assert len(follower) == 8
    assert changes <= 1


def xyxy(rows: np.ndarray) -> np.ndarray:
    """Lines of MOT15 (frame, id, left, top, width, height, ...) to boxes."""
    return np.concatenate([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]], axis=1).astype(np.float32)


@pytest.mark.parametrize("every_s", [0.5, 1.0, 2.0, 2.5, 5.0])
def test_face_of_a_slow_camera_keeps_its_id(every_s: float) -> None:
    tracker = defaults.tracker()
    told = [ids(see(tracker, step * every_s, at(LEFT, 20.0 * (step % 3)), score=0.92)) for step in range(12)]
    assert told == [[1]] * 12
    assert tracker.tracks[0].state == "confirmed"


@pytest.mark.parametrize("every_s", [10.0, 60.0, 600.0])
def test_face_of_a_snapshot_camera_keeps_its_id_from_the_second_snapshot_on(every_s: float) -> None:
    tracker = defaults.tracker()
    told = [ids(see(tracker, step * every_s, LEFT)) for step in range(6)]
    assert told == [[1]] + [[2]] * 5


def test_slow_camera_may_miss_a_face_as_often_as_video_of_four_frames_a_second() -> None:
    def missed(every_s: float) -> list[int]:
        tracker = defaults.tracker()
        for step in range(4):
            see(tracker, step * every_s, LEFT)
        return [len(see(tracker, step * every_s)) for step in range(4, 14)]

    assert missed(2.5) == missed(0.25) == [1] * 8 + [0] * 2


def test_camera_that_slows_at_night_and_back_has_one_id() -> None:
    tracker, time_s, told = defaults.tracker(), 0.0, set()
    for every_s in [0.04] * 50 + [0.5] * 10 + [0.04] * 50:
        time_s += every_s
        told |= set(ids(see(tracker, time_s, LEFT)))
    assert told == {1}


def test_unevenly_slow_camera_has_one_id() -> None:
    tracker, time_s, told = defaults.tracker(), 0.0, set()
    for every_s in [2.5, 2.0, 4.0, 1.0, 8.0, 2.5, 0.5, 3.0, 6.0]:
        time_s += every_s
        told |= set(ids(see(tracker, time_s, LEFT)))
    assert told == {1}


def test_speed_between_two_slow_frames_does_not_carry_a_lost_face_away() -> None:
    tracker = defaults.tracker()
    for step, right_px in enumerate([0.0, 0.0, 0.0, 40.0]):
        see(tracker, step * 2.5, at(LEFT, right_px))
    for step in range(4, 10):
        tracks = see(tracker, step * 2.5)
    assert tracks[0].state == "lost"
    assert tracks[0].box[0] < LEFT[0] + 80.0


def test_first_frames_after_a_stall_of_video_are_new_tracks() -> None:
    tracker = defaults.tracker()
    for step in range(10):
        see(tracker, step * 0.04, LEFT)
    assert ids(see(tracker, 5.0, LEFT)) == [2]


def test_pairs_of_pictures_a_minute_apart_have_one_id_from_the_third_pair_on() -> None:
    tracker, told = defaults.tracker(), []
    for pair in range(6):
        told += [ids(see(tracker, 60.0 * pair, LEFT)), ids(see(tracker, 60.0 * pair + 0.2, LEFT))]
    assert told == [[1]] * 2 + [[2]] * 10


def test_lost_face_is_where_the_camera_turned_it() -> None:
    tracker = defaults.tracker()
    for step in range(10):
        see(tracker, step * 0.04, LEFT)
    for step in range(10, 20):  # it is hidden while the picture moves by three widths of the face
        tracker.update(NO_BOXES, NO_SCORES, None, step * 0.04, shift=(30.0, -5.0))
    tracks = see(tracker, 0.8, moved(LEFT, 300.0, -50.0))
    assert ids(tracks) == [1]


def test_face_seen_in_a_turning_picture_keeps_its_own_speed() -> None:
    tracker, box = defaults.tracker(), LEFT
    for step in range(25):
        far = 90.0 * math.sin(step)  # at 25 frames a second no face moves so
        box = moved(box, far, 0.0)
        tracks = tracker.update(np.array([box], np.float32), ONE, None, step * 0.04, shift=(far if step else 0.0, 0.0))
        assert ids(tracks) == [1]
    np.testing.assert_allclose(tracks[0].box, box, atol=3.0)


@pytest.mark.parametrize("shift", [(math.nan, 0.0), (0.0, math.inf)])
def test_shift_that_is_no_number_moves_nothing(shift: tuple[float, float]) -> None:
    tracker = defaults.tracker()
    see(tracker, 0.0, LEFT)
    tracks = tracker.update(np.array([LEFT], np.float32), ONE, None, 0.04, shift=shift)
    np.testing.assert_allclose(tracks[0].box, LEFT, atol=1.0)


def test_hidden_face_is_found_by_what_the_others_show_of_the_camera() -> None:
    tracker = defaults.tracker()
    crowd = [moved(LEFT, 150.0 * (i % 3), 160.0 * (i // 3)) for i in range(6)]
    for step in range(60):
        far = 200.0 * math.sin(step * 0.12)  # px: the camera turns left and right
        faces = [moved(box, far, 0.0) for box in crowd]
        hidden = 30 <= step < 45
        tracks = see(tracker, step * 0.04, *(faces[1:] if hidden else faces))
    assert ids(tracks) == [1, 2, 3, 4, 5, 6]


def test_cut_forgets_how_the_camera_moved() -> None:
    tracker = defaults.tracker()
    crowd = [moved(LEFT, 150.0 * i, 0.0) for i in range(5)]
    for step in range(25):
        see(tracker, step * 0.04, *(moved(box, 20.0 * step, 0.0) for box in crowd))
    see(tracker, 1.0, LEFT, cut=True)
    tracks = see(tracker, 1.04, LEFT)
    np.testing.assert_allclose(tracks[0].box, LEFT, atol=1.0)


def test_face_that_is_elsewhere_than_expected_jumped() -> None:
    """It walked to the right; another one comes from there."""
    tracker = defaults.tracker()
    for step in range(10):
        (track,) = see(tracker, step * 0.04, at(LEFT, step * 10.0))
        assert not track.jumped

    (track,) = see(tracker, 0.4, at(LEFT, 20.0))
    assert (track.track_id, track.jumped) == (1, True)


def test_face_that_appears_where_another_one_walked_out_of_sight_jumped() -> None:
    tracker = defaults.tracker()
    for step in range(10):
        see(tracker, step * 0.04, at(LEFT, step * 20.0))
    for step in range(10, 30):
        see(tracker, step * 0.04)

    (track,) = see(tracker, 1.2, at(LEFT, 180.0))
    assert (track.track_id, track.jumped) == (1, True)


def test_face_that_stayed_where_it_turned_away_did_not_jump() -> None:
    tracker = defaults.tracker()
    for step in range(10):
        see(tracker, step * 0.04, LEFT)
    for step in range(10, 30):
        see(tracker, step * 0.04)

    (track,) = see(tracker, 1.2, LEFT)
    assert (track.track_id, track.jumped) == (1, False)


def test_slow_camera_sees_no_jumps() -> None:
    tracker = defaults.tracker()
    for step in range(5):
        see(tracker, step * 1.0, LEFT)

    (track,) = see(tracker, 5.0, at(LEFT, 80.0))
    assert (track.track_id, track.jumped) == (1, False)


def test_both_kinds_of_filter_follow_the_same_faces() -> None:
    draws = np.random.default_rng(3)
    trackers = [defaults.tracker(kalman=kind) for kind in ("scalar", "filterpy")]
    starts, speeds = draws.uniform(0, 1000, (5, 2)), draws.normal(0, 80, (5, 2))
    for frame in range(250):
        places = starts + speeds * frame / 25 + draws.normal(0, 2, (5, 2))
        seen = draws.random(5) < (0.9 if frame % 60 < 40 else 0.2)
        boxes = np.concatenate([places, places + draws.normal(100, 3, (5, 2))], axis=1).astype(np.float32)[seen]
        scores = draws.uniform(0.5, 1, 5).astype(np.float32)[seen]
        ours, reference = (tracker.update(boxes, scores, None, frame / 25) for tracker in trackers)
        assert [(t.track_id, t.state, t.jumped) for t in ours] == [(t.track_id, t.state, t.jumped) for t in reference]
        for one, other in zip(ours, reference, strict=True):
            np.testing.assert_allclose(one.box, other.box, rtol=0, atol=1e-3)
    assert frame - ours[-1].age_s * 25 > 0, "tracks end and begin"
