"""The benchmark of sightings: its timetable keeps its promises, and its judge counts what was made wrong in sight."""

from itertools import pairwise

import pytest

from benchmarks.sightings.judging import FoundSighting, Judged, SeenTrack, judge
from benchmarks.sightings.timetable import TrueSighting, timetable, true_sightings

PEOPLE = [f"p{number}" for number in range(12)]
ADA, EVE = (0.0, 0.0, 10.0, 10.0), (50.0, 0.0, 60.0, 10.0)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_timetable_has_nobody_twice_at_once_and_clear_breaks(seed: int) -> None:
    walks = timetable(PEOPLE, ("a", "b"), length_s=300.0, absence_s=30.0, seed=seed)

    assert len(walks) > 40
    for person in PEOPLE:
        own = [walk for walk in walks if walk.person == person]
        assert all(one.end_s < other.begin_s for one, other in pairwise(own))
        for camera in ("a", "b"):
            here = [walk for walk in own if walk.camera == camera]
            assert not any(26 < other.begin_s - one.end_s < 34 for one, other in pairwise(here))
    true = true_sightings(walks, 30.0)
    assert any(one.breaks_s for one in true)
    assert {one.person for one in true} == {walk.person for walk in walks}


def judged(*found: FoundSighting, tracks: list[SeenTrack], into: dict[str, str] | None = None) -> Judged:
    """Ada, who is known, and Eve, a stranger, both from 1 to 3 s at 10 frames a second."""
    true = [TrueSighting("Ada", "a", 1.0, 3.0), TrueSighting("Eve", "a", 1.0, 3.0)]
    frames = [[("Ada", ADA), ("Eve", EVE)] if 10 <= number <= 30 else [] for number in range(40)]
    return judge(true, {"a": frames}, found, tracks, into or {}, frozenset({"Ada"}), 10.0)


def seen(sighting_id: str, box: tuple[float, ...], begin: int, end: int, name: str | None = None) -> list[SeenTrack]:
    return [SeenTrack("a", number / 10, sighting_id, name, box, True) for number in range(begin, end)]


def test_all_right_is_all_right() -> None:
    told = judged(
        FoundSighting("S1", "a", "Ada", 1.1, 3.2),
        FoundSighting("S2", "a", None, 1.0, 2.9),
        tracks=seen("S1", ADA, 11, 15) + seen("S1", ADA, 15, 31, "Ada") + seen("S2", EVE, 10, 30),
    )

    assert (told.missed, told.split, told.merged, told.wrong, told.unnamed, told.nobody) == (0, 0, 0, 0, 0, 0)
    assert told.named_s == pytest.approx([0.5])
    assert told.begins_s == pytest.approx([0.1, 0.0])
    assert told.ends_s == pytest.approx([0.2, -0.1])


def test_split_missed_wrong_and_nobody_are_counted() -> None:
    told = judged(
        FoundSighting("S1", "a", None, 1.0, 2.0),
        FoundSighting("S2", "a", "Bob", 2.0, 3.0),
        FoundSighting("S3", "a", None, 1.0, 3.0),
        tracks=seen("S1", ADA, 10, 20) + seen("S2", ADA, 20, 30, "Bob") + seen("S3", (90, 0, 99, 9), 10, 30),
    )

    assert (told.split, told.missed, told.wrong, told.unnamed, told.nobody) == (1, 1, 1, 1, 1)


def test_two_people_in_one_are_counted_and_merged_parts_belong_to_it() -> None:
    told = judged(
        FoundSighting("S1", "a", "Ada", 1.0, 3.0),
        tracks=seen("S1", ADA, 10, 30, "Ada") + seen("S2", EVE, 10, 30),
        into={"S2": "S1"},
    )

    assert (told.merged, told.missed) == (1, 1)


def test_name_on_the_box_of_somebody_else_is_counted_also_where_there_is_no_sighting() -> None:
    tracks = seen("S2", EVE, 10, 20, "Ada") + seen("S2", EVE, 20, 30)
    tracks += [track._replace(sighting_id=None) for track in seen("", ADA, 10, 12, "Bob")]

    told = judged(FoundSighting("S2", "a", None, 1.0, 3.0), tracks=tracks)

    assert sorted(told.lent_s) == pytest.approx([0.2, 1.0])
