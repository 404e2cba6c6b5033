"""Landmarks over time, as a poster's and a person's are: who is found to be a picture when both claim a name."""

from collections.abc import Callable

import numpy as np
import pytest

from jetstream.vision.tracking.pictures import PictureFinder
from jetstream.vision.tracking.tracker import Track

FACE = np.array([(35, 50), (85, 50), (60, 80), (40, 110), (80, 110)], np.float64)
Points = Callable[[float], np.ndarray]
POSTER, PERSON = 1, 2
SURE, UNSURE = 0.999, 0.9


def random(time_s: float) -> np.random.Generator:
    return np.random.default_rng(round(time_s * 1000))


def still(time_s: float) -> np.ndarray:
    """A detector's landmarks on a still face are up to 2 % apart."""
    return FACE + random(time_s).normal(0, 0.4, (5, 2))


def talks(time_s: float) -> np.ndarray:
    turn, opened = 8 * np.sin(1.3 * time_s), 4 * np.sin(7 * time_s)
    return still(time_s) + np.array([(0, 0), (0, 0), (turn, 0), (0, opened), (0, opened)])


def walks(time_s: float) -> np.ndarray:
    return still(time_s) + np.array([60 * time_s, 0])


def shakes(time_s: float) -> np.ndarray:
    return still(time_s) + np.array([12 * np.sin(9 * time_s), 9 * np.sin(7 * time_s)])


def pans(time_s: float) -> np.ndarray:
    return still(time_s) + np.array([100 * np.sin(time_s / 2), 0])


def both(one: Points, other: Points) -> Points:
    return lambda time_s: one(time_s) + other(time_s) - FACE


def track(track_id: int, points: np.ndarray | None) -> Track:
    box = np.array((10, 10, 125, 150), np.float32)
    return Track(track_id, "confirmed", box, 1.0, points, 1.0, 0.0, points is not None)


def found(
    poster: Points,
    person: Points,
    *,
    seconds: float = 6.0,
    every_s: float = 0.04,
    drifts: tuple[float, float] = (0.05, 0.1),
    confidences: tuple[float, float] = (SURE, SURE),
    names: tuple[str | None, str | None] = ("Ada", "Ada"),
) -> frozenset[int]:
    pictures = PictureFinder()
    told: frozenset[int] = frozenset()
    for step in range(round(seconds / every_s)):
        time_s = step * every_s
        pictures.saw([track(POSTER, poster(time_s)), track(PERSON, person(time_s))], time_s)
        for track_id, drift in zip((POSTER, PERSON), drifts, strict=True):
            pictures.heard(track_id, None if step == 0 else drift)
        told = pictures.find(list(zip((POSTER, PERSON), names, confidences, strict=True)))
    return told


@pytest.mark.parametrize(
    ("poster", "person"),
    [
        (still, talks),
        (still, walks),
        (shakes, both(talks, shakes)),
        (shakes, both(walks, shakes)),
        (pans, both(talks, pans)),
        (pans, talks),  # the camera follows the person
    ],
)
def test_still_face_is_a_picture_beside_one_that_moves(poster: Points, person: Points) -> None:
    assert found(poster, person) == {POSTER}


def test_face_whose_embedding_changes_is_alive_although_its_landmarks_are_still() -> None:
    assert found(still, still, drifts=(0.05, 0.2)) == {POSTER}
    assert found(still, talks, drifts=(0.15, 0.2)) == frozenset(), "both are alive: somebody listens to a twin"


@pytest.mark.parametrize("both_do", [still, talks, walks, shakes, pans])
def test_two_faces_that_do_the_same_are_not_told_apart(both_do: Points) -> None:
    assert found(both_do, both_do) == frozenset()


@pytest.mark.parametrize("other", [None, "Grace"])
def test_still_face_whose_name_nobody_else_claims_is_no_picture(other: str | None) -> None:
    assert found(still, talks, names=("Ada", other)) == frozenset()


def test_face_that_moves_but_is_hardly_recognised_takes_no_name() -> None:
    assert found(still, talks, confidences=(SURE, UNSURE)) == frozenset()


def test_stillness_takes_three_seconds() -> None:
    assert found(still, talks, seconds=2.8) == frozenset()
    assert found(still, talks, seconds=3.6) == {POSTER}


@pytest.mark.parametrize("every_s", [0.2, 0.5, 2.5, 60.0])
def test_slow_camera_needs_six_looks(every_s: float) -> None:
    looks = max(6, round(3.3 / every_s))
    assert found(still, talks, every_s=every_s, seconds=every_s * (looks + 1)) == {POSTER}
    assert found(still, talks, every_s=every_s, seconds=every_s * 4) == frozenset()


def test_face_without_answers_is_no_picture() -> None:
    pictures = PictureFinder()
    for step in range(150):
        pictures.saw([track(POSTER, still(step / 25)), track(PERSON, talks(step / 25))], step / 25)
    assert pictures.find([(POSTER, "Ada", SURE), (PERSON, "Ada", SURE)]) == frozenset()


def walked_then(pictures: PictureFinder, poster: Points, person: Points, seconds: float) -> frozenset[int]:
    """Six seconds of a poster and somebody who talks; then more."""
    told: frozenset[int] = frozenset()
    for step in range(round((6.0 + seconds) * 25)):
        time_s = step / 25
        first, second = (still, talks) if time_s < 6 else (poster, person)
        pictures.saw([track(POSTER, first(time_s)), track(PERSON, second(time_s))], time_s)
        for track_id in (POSTER, PERSON):
            pictures.heard(track_id, 0.05)
        told = pictures.find([(POSTER, "Ada", SURE), (PERSON, "Ada", SURE)])
    return told


def test_person_who_then_reads_or_sleeps_stays_the_person() -> None:
    assert walked_then(PictureFinder(), still, still, 60.0) == {POSTER}


def test_picture_whose_face_begins_to_move_is_none() -> None:
    assert walked_then(PictureFinder(), talks, still, 6.0) == {PERSON}, "somebody slept, the other one now sleeps"
    assert walked_then(PictureFinder(), talks, talks, 6.0) == frozenset()


def test_one_sample_with_wrong_landmarks_does_not_bring_a_poster_to_life() -> None:
    def once_wrong(time_s: float) -> np.ndarray:
        return talks(0.2) * 3 if round(time_s, 2) == 4.8 else still(time_s)

    assert found(once_wrong, talks) == {POSTER}


def test_track_that_ended_is_forgotten() -> None:
    pictures = PictureFinder()
    assert walked_then(pictures, still, talks, 1.0) == {POSTER}
    pictures.saw([track(PERSON, talks(7.0))], 7.0)
    assert pictures.find([(PERSON, "Ada", SURE)]) == frozenset()


def test_clock_that_was_reset_starts_the_window_anew() -> None:
    pictures = PictureFinder()
    walked_then(pictures, still, still, 0.0)
    pictures.saw([track(POSTER, still(0.0))], -1000.0)
    pictures.saw([track(POSTER, still(0.3))], -999.7)


def test_landmarks_that_all_lie_in_one_place_are_no_error() -> None:
    assert found(lambda _: np.zeros((5, 2)), lambda _: np.zeros((5, 2))) == frozenset()
