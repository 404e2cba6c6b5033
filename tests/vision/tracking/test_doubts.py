"""Tracks with looks and motions: which ones may be no face."""

import numpy as np
import pytest

from jetstream.vision.tracking.doubts import GOOD, LEAST_ANSWERS, DoubtFinder
from jetstream.vision.tracking.pictures import LIVELY_SHAPE, STILL_S, STILL_SHAPE, Motion
from jetstream.vision.tracking.tracker import Track

FRONTAL = np.array([(35, 50), (85, 50), (60, 80), (40, 110), (80, 110)], np.float32)
PROFILE = FRONTAL + np.array([(0, 0), (0, 0), (30, 0), (0, 0), (0, 0)], np.float32)
STILL = Motion(STILL_S, 11, STILL_SHAPE / 2, 0.0)
LIVELY = Motion(STILL_S, 11, LIVELY_SHAPE * 1.2, 0.0)


def track(points: np.ndarray | None = FRONTAL, track_id: int = 1) -> Track:
    box = np.array((10, 10, 125, 150), np.float32)
    return Track(track_id, "confirmed", box, 1.0, points, 1.0, 0.0, points is not None)


def finder(*qualities: float, points: np.ndarray = FRONTAL) -> DoubtFinder:
    doubts = DoubtFinder()
    doubts.saw([track(points)])
    for measured in qualities:
        doubts.heard(1, measured)
    return doubts


def test_what_is_still_and_never_looks_good_is_doubtful() -> None:
    assert finder(0.2, 0.3, 0.1).doubts(1, STILL)


@pytest.mark.parametrize("qualities", [(0.1, 0.1, GOOD), (0.9, 0.2), (0.2, 0.9)])
def test_person_who_sits_still_has_one_good_look_and_is_not(qualities: tuple[float, ...]) -> None:
    assert not finder(*qualities).doubts(1, STILL)


@pytest.mark.parametrize(
    "motion",
    [
        STILL._replace(span_s=STILL_S * 0.9),
        STILL._replace(samples=5),
        STILL._replace(shape=(STILL_SHAPE + LIVELY_SHAPE) / 2),
        LIVELY,
    ],
)
def test_face_that_moves_or_was_hardly_watched_is_not(motion: Motion) -> None:
    assert not finder(0.1, 0.1).doubts(1, motion)


def test_face_that_moved_once_is_never_doubtful_again() -> None:
    doubts = finder(0.1, 0.1)
    assert doubts.doubts(1, STILL)
    doubts.doubts(1, LIVELY)
    assert not doubts.doubts(1, STILL)


def test_without_recognition_the_estimate_decides() -> None:
    assert not finder(*[0.1] * (LEAST_ANSWERS - 1)).doubts(1, STILL)
    assert finder(points=PROFILE).doubts(1, STILL)


def test_track_that_ended_is_forgotten() -> None:
    doubts = finder(0.1, 0.1)
    doubts.saw([track(track_id=2)])
    doubts.heard(1, 0.1)
    assert not doubts.doubts(1, STILL)


def test_tracks_do_not_share_looks() -> None:
    doubts = DoubtFinder()
    doubts.saw([track(), track(track_id=2)])
    for _ in range(LEAST_ANSWERS):
        doubts.heard(1, 0.9)
        doubts.heard(2, 0.1)
    assert [doubts.doubts(track_id, STILL) for track_id in (1, 2)] == [False, True]
