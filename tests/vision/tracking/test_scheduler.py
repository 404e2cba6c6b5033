import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetstream.vision.recognition.quality import LEAST_POSE
from jetstream.vision.tracking.scheduler import RecognitionScheduler, quality
from jetstream.vision.tracking.tracker import Track
from tests.support import defaults

# A frontal face on a box of 100 x 100 px: eyes, nose, mouth corners, as fractions of the box.
FRONTAL = np.array([[0.3, 0.35], [0.7, 0.35], [0.5, 0.58], [0.34, 0.78], [0.66, 0.78]], np.float32)


@dataclass
class Told:
    settled: bool


SURE, UNSURE = Told(True), Told(False)


def face(track_id: int = 1, side_px: float = 100.0, turned: float = 0.0) -> Track:
    """A confirmed track seen in this frame; `turned` shifts the nose, in sides of the box."""
    landmarks = FRONTAL * side_px
    landmarks[2, 0] += turned * side_px
    box = np.array([0.0, 0.0, side_px, side_px], np.float32)
    return Track(track_id, "confirmed", box, 1.0, landmarks.astype(np.float32), 1.0, 0.0, True)


def missed(track: Track) -> Track:
    return track._replace(landmarks=None, detected=False, seen_s=0.04)


def frontal(side_px: float = 100.0) -> float:
    track = face(side_px=side_px)
    assert track.landmarks is not None
    return quality(track.box, track.landmarks, 1.0)


def asked_at(
    asking: RecognitionScheduler, votes: dict[int, Told], until_s: float, *, answer: bool = True
) -> list[float]:
    """Times at which track 1, seen 100 times a second, was asked about."""
    times_s = []
    for step in range(round(until_s * 100)):
        if asking.choose([face()], votes, step / 100):
            times_s.append(step / 100)
            if answer:
                asking.answered([1])
    return times_s


def test_new_track_is_asked_about_at_once() -> None:
    assert defaults.scheduler().choose([face()], {}, 0.0) == [1]


@pytest.mark.parametrize(
    "track",
    [missed(face()), face()._replace(state="tentative"), face()._replace(state="lost"), face(side_px=21.0)],
    ids=["not seen now", "tentative", "lost", "tiny"],
)
def test_track_without_a_look_is_not_asked_about(track: Track) -> None:
    assert defaults.scheduler().choose([track], {}, 0.0) == []


def test_track_is_not_asked_about_while_an_answer_is_due() -> None:
    asking = defaults.scheduler(retry_s=0.1, answer_timeout_s=1.0)
    asking.choose([face()], {}, 0.0)
    assert asking.choose([face()], {1: UNSURE}, 0.9) == []
    asking.answered([1])
    assert asking.choose([face()], {1: UNSURE}, 0.91) == [1]


def test_lost_answer_does_not_block_for_ever() -> None:
    assert asked_at(defaults.scheduler(answer_timeout_s=1.0), {1: UNSURE}, 2.5, answer=False) == [0.0, 1.0, 2.0]


def test_unsure_track_is_asked_about_again_after_ever_longer_waits() -> None:
    times_s = asked_at(defaults.scheduler(retry_s=0.2, refresh_s=1.0), {1: UNSURE}, 6.0)
    waits_s = np.diff(times_s)
    assert waits_s[0] == pytest.approx(0.2, abs=0.011)
    assert (np.diff(waits_s) >= -0.011).all()
    assert waits_s[-1] == pytest.approx(1.0, abs=0.011)


def test_settled_track_is_asked_about_again_after_refresh() -> None:
    assert asked_at(defaults.scheduler(retry_s=0.1, refresh_s=1.0), {1: SURE}, 2.5) == pytest.approx(
        [0.0, 1.0, 2.0], abs=0.011
    )


def test_track_that_was_sure_and_is_in_doubt_is_asked_about_soon() -> None:
    asking = defaults.scheduler(retry_s=0.1, refresh_s=2.0)
    for step in range(20):
        if asking.choose([face()], {1: UNSURE}, step * 1.0):
            asking.answered([1])
    assert asking.choose([face()], {1: SURE}, 22.0) == [1]
    asking.answered([1])
    assert asking.choose([face()], {1: UNSURE}, 22.1) == [1]


def test_clearly_better_look_is_asked_about_before_refresh() -> None:
    asking = defaults.scheduler(retry_s=0.1, refresh_s=10.0, better_by=0.2)
    asking.choose([face(side_px=50.0)], {}, 0.0)
    asking.answered([1])
    assert asking.choose([face(side_px=52.0)], {1: SURE}, 1.0) == []
    assert asking.choose([face(side_px=100.0)], {1: SURE}, 1.1) == [1]
    asking.answered([1])
    assert asking.choose([face(side_px=100.0)], {1: SURE}, 2.0) == []


def test_look_that_was_never_answered_is_still_better() -> None:
    asking = defaults.scheduler(retry_s=0.1, refresh_s=10.0, answer_timeout_s=1.0)
    asking.choose([face(side_px=50.0)], {}, 0.0)
    asking.answered([1])
    assert asking.choose([face()], {1: SURE}, 1.0) == [1]
    assert asking.choose([face()], {1: SURE}, 2.0) == [1]


def test_budget_is_kept_over_time() -> None:
    asking, asked = defaults.scheduler(budget_per_s=10.0, retry_s=0.0, burst_s=0.5), 0
    crowd = [face(track_id) for track_id in range(50)]
    for step in range(1000):
        chosen = asking.choose(crowd, {}, step / 100)
        asking.answered(chosen)
        asked += len(chosen)
    assert 100 <= asked <= 105


def test_small_budget_serves_everybody_in_turn() -> None:
    asking = defaults.scheduler(budget_per_s=1.0, retry_s=0.0)
    crowd = [face(track_id) for track_id in range(1, 6)]
    order = []
    for step in range(10):
        chosen = asking.choose(crowd, {}, float(step))
        asking.answered(chosen)
        order += chosen
    assert order == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]


def test_never_asked_comes_before_longest_waiting() -> None:
    asking = defaults.scheduler(budget_per_s=1.0, retry_s=0.0)
    assert asking.choose([face(1)], {}, 0.0) == [1]
    asking.answered([1])
    assert asking.choose([face(1), face(2)], {}, 5.0) == [2]


def test_choice_is_the_same_for_any_order_of_tracks() -> None:
    crowd = [face(track_id) for track_id in range(30)]
    assert defaults.scheduler().choose(crowd, {}, 0.0) == defaults.scheduler().choose(crowd[::-1], {}, 0.0)


def test_track_that_is_gone_is_forgotten() -> None:
    asking = defaults.scheduler()
    for track_id in range(1000):
        asking.choose([face(track_id)], {}, track_id * 1.0)
    assert len(asking._asked) == 1
    assert asking.quality(0) == 0.0


def test_answer_for_a_track_that_is_gone_is_passed_over() -> None:
    asking = defaults.scheduler()
    asking.answered([17])
    assert asking.choose([face(17)], {}, 0.0) == [17]


@pytest.mark.parametrize("time_s", [5.0, 4.0, -1e9, math.nan, math.inf])
def test_time_that_stands_still_or_runs_back_gives_no_budget(time_s: float) -> None:
    asking = defaults.scheduler(budget_per_s=1.0, burst_s=1.0)
    asking.choose([face(1)], {}, 5.0)
    assert asking.choose([face(2)], {}, time_s) == []


def test_quality_of_the_look_asked_about_is_remembered() -> None:
    asking = defaults.scheduler()
    asking.choose([face(side_px=60.0)], {}, 0.0)
    assert asking.quality(1) == pytest.approx(frontal(60.0))


def test_large_frontal_face_has_full_quality() -> None:
    assert frontal() == pytest.approx(1.0)


def test_smaller_face_has_less_quality() -> None:
    assert 1.0 == frontal(150.0) > frontal(80.0) > frontal(40.0) > frontal(20.0) == 0.0


def test_more_turned_face_has_less_quality() -> None:
    looks = [face(turned=turned) for turned in (0.0, 0.08, 0.15, 0.25)]
    values = [quality(look.box, look.landmarks, 1.0) for look in looks if look.landmarks is not None]
    assert values == sorted(values, reverse=True)
    assert values[0] == 1.0
    assert values[-1] == pytest.approx(LEAST_POSE)


def test_weaker_detection_has_less_quality() -> None:
    track = face()
    assert track.landmarks is not None
    assert quality(track.box, track.landmarks, 0.7) == pytest.approx(0.7)


@given(st.floats(-math.pi, math.pi), st.floats(-0.2, 0.2))
def test_tilted_face_is_as_good_as_an_upright_one(angle: float, turned: float) -> None:
    track = face(turned=turned)
    assert track.landmarks is not None
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    tilted = (track.landmarks @ rotation.T).astype(np.float32)
    assert quality(track.box, tilted, 1.0) == pytest.approx(quality(track.box, track.landmarks, 1.0), abs=1e-3)


@given(
    st.lists(st.floats(-1e4, 1e4, width=32), min_size=14, max_size=14),
    st.one_of(st.floats(-1.0, 2.0), st.just(math.nan)),
)
def test_quality_is_a_share_whatever_comes(numbers: list[float], score: float) -> None:
    box, landmarks = np.float32(numbers[:4]), np.float32(numbers[4:]).reshape(5, 2)
    assert 0.0 <= quality(box, landmarks, score) <= 1.0


def test_landmarks_on_one_point_have_no_quality() -> None:
    assert quality(face().box, np.zeros((5, 2), np.float32), 1.0) == 0.0


def test_track_that_begins_to_be_suspected_is_asked_about_at_once_and_then_soon() -> None:
    asking, votes = defaults.scheduler(), {1: SURE}
    asking.choose([face()], votes, 0.0)
    asking.answered([1])
    assert asking.choose([face()], votes, 0.05) == []

    assert asking.choose([face()], votes, 0.1, {1}) == [1]
    asking.answered([1])
    assert asking.choose([face()], votes, 0.15, {1}) == []
    assert asking.choose([face()], votes, 0.3, {1}) == [1]
    asking.answered([1])
    assert asking.choose([face()], votes, 0.6) == [], "it isn't suspected any more"


def test_track_that_was_unlike_itself_is_asked_about_again_soon() -> None:
    asking, votes = defaults.scheduler(), {1: SURE}
    asking.choose([face()], votes, 0.0)
    asking.answered([1], {1})

    assert asking.choose([face()], votes, 0.2) == [1]
    asking.answered([1])
    assert asking.choose([face()], votes, 0.8) == []
