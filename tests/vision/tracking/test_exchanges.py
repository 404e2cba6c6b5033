"""Faces that jumped, were out of sight, or were found to be somebody else's."""

import numpy as np
import pytest

from jetstream.vision.tracking.exchanges import LONGEST_S, FaceExchanges
from jetstream.vision.tracking.tracker import Track

SEEN = Track(1, "confirmed", np.array([0.0, 0.0, 100.0, 100.0], np.float32), 1.0, None, 1.0, 0.0, True)
JUMPED = SEEN._replace(jumped=True)


def heard(
    exchanges: FaceExchanges,
    time_s: float,
    *,
    name: str | None = "Ada",
    shown: str | None = "Ada",
    moved: bool = False,
    same: bool | None = True,
) -> None:
    exchanges.heard(1, time_s, name=name, shown=shown, moved=moved, same=same)


def after_jump() -> FaceExchanges:
    exchanges = FaceExchanges()
    exchanges.saw([SEEN], 0.9)
    exchanges.saw([JUMPED], 1.0)
    return exchanges


def test_jump_is_a_doubt_until_an_answer_about_a_later_look() -> None:
    exchanges = after_jump()
    assert exchanges.jumped(1)

    heard(exchanges, 0.9)
    assert exchanges.jumped(1), "an answer about the face before it jumped"
    heard(exchanges, 1.0, same=None)
    assert exchanges.jumped(1), "too poor a look"
    heard(exchanges, 1.0)
    assert 1 not in exchanges
    assert not exchanges.jumped(1)


def test_exchange_ends_the_doubt() -> None:
    exchanges = after_jump()
    heard(exchanges, 1.1, name="Bob", same=False)
    assert exchanges.jumped(1), "one odd look may be a turned head"
    heard(exchanges, 1.2, name="Bob", moved=True, same=False)

    assert 1 not in exchanges
    assert exchanges.count(1) == 1


def test_jump_that_recognition_cannot_tell_is_forgotten() -> None:
    exchanges = after_jump()
    exchanges.saw([SEEN], 1.0 + LONGEST_S)
    assert exchanges.jumped(1)

    exchanges.saw([SEEN], 1.1 + LONGEST_S)
    assert 1 not in exchanges


def test_face_that_was_out_of_sight_is_a_doubt_but_did_not_jump() -> None:
    exchanges = FaceExchanges()
    exchanges.saw([SEEN], 0.0)
    exchanges.saw([SEEN._replace(detected=False, seen_s=0.7)], 0.7)
    assert 1 not in exchanges

    exchanges.saw([SEEN], 0.8)
    assert 1 in exchanges
    assert not exchanges.jumped(1)


@pytest.mark.parametrize(("name", "count"), [(None, 1), ("Bob", 1), ("Ada", 0)])
def test_face_that_moved_is_exchanged_unless_its_name_stays(name: str | None, count: int) -> None:
    exchanges = FaceExchanges()
    exchanges.saw([SEEN], 0.0)
    heard(exchanges, 0.0)
    heard(exchanges, 0.2, name=name, same=False, moved=True)

    assert exchanges.count(1) == count


def test_stranger_who_is_followed_by_another_one_is_exchanged() -> None:
    exchanges = FaceExchanges()
    exchanges.saw([SEEN], 0.0)
    heard(exchanges, 0.0, name=None, shown=None)
    heard(exchanges, 0.2, name=None, shown=None, same=False, moved=True)

    assert exchanges.count(1) == 1


def test_name_that_came_with_the_first_odd_look_is_not_the_one_that_stays() -> None:
    exchanges = FaceExchanges()
    exchanges.saw([SEEN], 0.0)
    heard(exchanges, 0.0, name=None, shown=None)
    heard(exchanges, 0.2, shown=None, same=False)
    heard(exchanges, 0.4, shown="Ada", same=False, moved=True)

    assert exchanges.count(1) == 1


def test_track_that_goes_on_as_an_earlier_one_is_in_no_doubt() -> None:
    exchanges = after_jump()
    exchanges.rejoined({1: 7})

    assert 1 not in exchanges
    assert 7 not in exchanges


def test_tracks_that_are_gone_leave_nothing_behind() -> None:
    exchanges = after_jump()
    exchanges.saw([], 2.0)
    heard(exchanges, 2.0, moved=True)

    assert 1 not in exchanges
    assert exchanges.count(1) == 0
