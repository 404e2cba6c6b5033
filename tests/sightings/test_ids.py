"""Ids of sightings."""

import re
import secrets

import pytest

from jetstream.sightings import ids
from jetstream.sightings.ids import SightingIds
from jetstream.vision.tracking.visits import VisitTrack
from tests.support.sightings import IDS, at, face

TRACK = VisitTrack(1, confirmed=True, age_s=1.0, name=None)


def test_ids_sort_by_time_and_have_their_form() -> None:
    made = SightingIds(by_content=False)
    found = [made.for_frame(at(second))(TRACK) for second in (0, 0, 1, 1, 60)]

    assert found == sorted(set(found))
    assert all(re.fullmatch(f"[0-7][{ids.ALPHABET}]{{25}}", one) for one in found)


def test_clock_that_was_set_back_makes_no_smaller_id() -> None:
    made = SightingIds(by_content=False)
    first = made.for_frame(at(3600))(TRACK)

    assert made.for_frame(at(0))(TRACK) > first


def test_two_machines_make_different_ids_at_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (SightingIds(by_content=False).for_frame(at(0))(TRACK) for _ in range(2))

    assert one[:10] == other[:10]
    assert one != other
    assert secrets.randbits(ids.RANDOM_BITS) < 1 << 80


def test_same_input_makes_the_same_ids() -> None:
    frames = [at(0, face(None)), at(0, face(None, box=(1.0, 2.0, 3.0, 4.0))), at(0, face(None), camera="b")]
    once, again = ([SightingIds(by_content=True).for_frame(frame)(TRACK) for frame in frames] for _ in range(2))

    assert once == again
    assert len(set(once)) == 3


def test_gallery_that_learnt_makes_no_other_ids() -> None:
    frames = [at(0, face(IDS[0], name)) for name in (None, "Ada")]
    one, other = (SightingIds(by_content=True).for_frame(frame)(TRACK) for frame in frames)

    assert one == other


def test_known_time_is_encoded_as_the_specification_says() -> None:
    assert ids.encoded(1469918176385, 0) == "01ARYZ6S410000000000000000"
