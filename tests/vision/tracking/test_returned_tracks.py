"""Faces that go and come back, and what is said of them: under which id, with which votes and age they go on."""

import numpy as np
import pytest

from jetstream.vision.tracking.returned_tracks import FORGET_S, ReturnedTracks
from jetstream.vision.tracking.tracker import Track, Tracker
from jetstream.vision.tracking.votes import Votes
from tests.support import defaults

LEFT, RIGHT = (100.0, 100.0, 200.0, 220.0), (500.0, 100.0, 600.0, 220.0)
Box = tuple[float, float, float, float]


class Camera:
    """A tracker with its votes, at 10 frames a second."""

    def __init__(self) -> None:
        self.tracker: Tracker = defaults.tracker()
        self.returned = ReturnedTracks()
        self.votes: dict[int, Votes] = {}
        self.time_s = 0.0

    def see(self, *boxes: Box, frames: int = 1) -> list[Track]:
        tracks: list[Track] = []
        for _ in range(frames):
            self.returned.apply(self.tracker, self.votes)
            found = np.array(boxes, np.float32).reshape(-1, 4)
            tracks = self.tracker.update(found, np.ones(len(found), np.float32), None, self.time_s)
            self.votes = {track.track_id: self.votes.get(track.track_id) or defaults.votes() for track in tracks}
            self.returned.saw(tracks, self.votes, self.time_s, 1.0)
            self.time_s += 0.1
        return tracks

    def name(self, track_id: int, name: str) -> None:
        self.votes[track_id].add(name, 0.99, self.time_s)
        self.votes[track_id].name(self.time_s)


def ids(tracks: list[Track]) -> list[int]:
    return [track.track_id for track in tracks]


@pytest.mark.parametrize("away_s", [0.6, 4.0])
def test_lost_or_ended_track_goes_on_where_its_person_comes_back(away_s: float) -> None:
    camera = Camera()
    camera.see(LEFT, frames=10)
    camera.name(1, "Ada")
    camera.see(frames=round(away_s * 10))
    assert camera.see(RIGHT)[-1].track_id == 2

    camera.returned.heard(2, 1)
    tracks = camera.see(RIGHT)

    assert ids(tracks) == [1]
    assert tracks[0].age_s == pytest.approx(camera.time_s - 0.1)
    assert camera.votes[1].shown == "Ada"
    assert camera.returned.current(2) == 1


def test_two_who_are_seen_at_once_stay_two() -> None:
    camera = Camera()
    camera.see(LEFT, frames=5)
    camera.see(LEFT, RIGHT, frames=5)
    camera.returned.heard(2, 1)
    assert ids(camera.see(LEFT, RIGHT)) == [1, 2]
    camera.see(RIGHT, frames=40)
    camera.returned.heard(2, 1)
    assert ids(camera.see(RIGHT)) == [2], "nor when one of them has left"


def test_two_names_stay_two_tracks() -> None:
    camera = Camera()
    camera.see(LEFT, frames=5)
    camera.name(1, "Ada")
    camera.see(frames=30)
    camera.see(RIGHT)
    camera.name(2, "Grace")
    camera.returned.heard(2, 1)
    assert ids(camera.see(RIGHT)) == [2]


def test_track_without_a_name_takes_that_of_its_return() -> None:
    camera = Camera()
    camera.see(LEFT, frames=5)
    camera.see(frames=30)
    camera.see(RIGHT)
    camera.name(2, "Ada")
    camera.returned.heard(2, 1)
    assert ids(camera.see(RIGHT)) == [1]
    assert camera.votes[1].shown == "Ada"


def test_second_return_goes_on_as_the_first_track() -> None:
    camera = Camera()
    for track_id, box in ((1, LEFT), (2, RIGHT), (3, LEFT)):
        assert camera.see(box)[-1].track_id == track_id
        camera.returned.heard(track_id, track_id - 1 or None)
        assert ids(camera.see(box)) == [1]
        camera.see(frames=30)


@pytest.mark.parametrize("earlier_id", [7, 2])
def test_track_that_nobody_knows_is_passed_over(earlier_id: int) -> None:
    camera = Camera()
    camera.see(LEFT, frames=5)
    camera.see(frames=30)
    camera.see(RIGHT)
    camera.returned.heard(2, earlier_id)
    camera.returned.heard(9, 1)
    assert ids(camera.see(RIGHT)) == [2]


def test_ended_track_is_forgotten() -> None:
    camera = Camera()
    camera.see(LEFT, frames=5)
    camera.see(frames=round(FORGET_S * 10) + 5)
    camera.see(RIGHT)
    camera.returned.heard(2, 1)
    assert ids(camera.see(RIGHT)) == [2]


def test_others_keep_their_ids_and_their_order() -> None:
    camera = Camera()
    camera.see(LEFT, RIGHT, frames=5)
    camera.see(RIGHT, frames=30)
    middle = (300.0, 100.0, 400.0, 220.0)
    assert ids(camera.see(RIGHT, middle)) == [2, 3]
    camera.returned.heard(3, 1)
    assert ids(camera.see(RIGHT, middle)) == [1, 2]
