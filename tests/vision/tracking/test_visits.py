"""Sightings from tracks that are made in sight: who came when, and which track shows whom."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from jetstream.vision.tracking.visits import MergedSighting, SightingFinder, VisitTrack

FPS = 10.0


class Scene:
    """Feeds a finder with frames; ids of sightings are S1, S2, ... in the order of their begin."""

    def __init__(self, *, absence_s: float = 30.0, confirm_s: float = 0.5, fps: float = FPS, slowness: float = 1.0):
        self.finder = SightingFinder(confirm_s=confirm_s, absence_s=absence_s)
        self.time_s, self._step_s, self._slowness = 0.0, 1 / fps, slowness
        self._born_s: dict[int, float] = {}
        self.begun = 0
        self.found: dict[int, str] = {}
        self.merged: list[MergedSighting] = []
        self.ended: list[str] = []

    def show(self, seconds: float, *tracks: Mapping[str, Any]) -> dict[int, str]:
        """The same tracks for some time; the sighting of each in the last frame."""
        for _ in range(max(1, round(seconds / self._step_s))):
            self.frame(tracks)
        return self.found

    def frame(self, tracks: Iterable[Mapping[str, Any]]) -> None:
        seen = []
        for track in tracks:
            born_s = self._born_s.setdefault(track["track_id"], self.time_s)
            seen.append(VisitTrack(**{"confirmed": True, "age_s": self.time_s - born_s, "name": None, **track}))
        self.found = self.finder.saw(seen, self.time_s, self._new_id, slowness=self._slowness)
        self.merged += [merge for merge in self.finder.merged if merge not in self.merged]
        self.ended += [ended for ended in self.finder.ended if ended not in self.ended]
        self.time_s += self._step_s

    def _new_id(self, track: VisitTrack) -> str:
        self.begun += 1
        return f"S{self.begun}"


def face(track_id: int, name: str | None = None, **more: Any) -> dict[str, Any]:
    return {"track_id": track_id, "name": name, **more}


def lost(track_id: int, name: str | None = None) -> dict[str, Any]:
    return face(track_id, name, confirmed=False)


def test_track_begins_sighting_after_confirm_s() -> None:
    scene = Scene()

    assert scene.show(0.5, face(1)) == {}
    assert scene.show(0.2, face(1)) == {1: "S1"}


def test_doubtful_face_begins_no_sighting_until_it_is_a_face() -> None:
    scene = Scene()

    assert scene.show(5, face(1, doubtful=True)) == {}
    assert scene.show(0.1, face(1)) == {1: "S1"}


def test_name_learnt_late_belongs_to_the_whole_sighting() -> None:
    scene = Scene()
    scene.show(5, face(1))

    assert scene.show(2, face(1, "Ada")) == {1: "S1"}
    assert scene.show(1, face(2, "Ada")) == {2: "S1"}


def test_name_in_the_first_seconds_counts_at_once() -> None:
    scene = Scene()
    scene.show(2, face(1))
    scene.show(0.1, face(1, "Ada"))

    assert scene.show(1, face(2, "Ada")) == {2: "S1"}


def test_name_that_somebody_who_walks_past_lends_for_a_moment_counts_for_nothing() -> None:
    scene = Scene()
    scene.show(5, face(1))
    scene.show(0.3, face(1, "Ada"))
    scene.show(0.2, face(1), face(2, "Ada"))

    assert scene.show(2, face(1), face(2, "Ada")) == {1: "S1", 2: "S2"}
    assert scene.merged == []


def test_known_person_on_the_track_that_a_stranger_left_has_another_sighting() -> None:
    scene = Scene()
    scene.show(5, face(1))
    scene.show(1, lost(1))
    scene.show(0.5, face(1))

    assert scene.show(2, face(1, "Ada")) == {1: "S2"}
    scene.show(40)
    assert scene.ended == ["S1", "S2"]


def test_track_that_is_seen_for_a_moment_and_again_later_begins_no_sighting() -> None:
    scene = Scene()
    scene.show(0.2, face(1))
    scene.show(1, lost(1))

    assert scene.show(0.4, face(1)) == {}
    assert scene.show(0.3, face(1)) == {1: "S1"}


def test_name_learnt_late_merges_with_the_sighting_that_the_person_has() -> None:
    scene = Scene()
    scene.show(3, face(1, "Ada"))
    scene.show(5)
    scene.show(2, face(2))

    assert scene.show(1, face(2, "Ada")) == {2: "S1"}
    assert scene.merged == [MergedSighting("S2", "S1")]


def test_name_that_comes_when_the_face_has_gone_counts() -> None:
    scene = Scene()
    scene.show(1, face(1))
    scene.show(0.5, lost(1))
    scene.show(0.5, lost(1, "Ada"))
    scene.show(3)

    assert scene.show(1, face(2, "Ada")) == {2: "S1"}


def test_return_within_absence_continues_and_after_it_begins_another() -> None:
    scene = Scene(absence_s=10)
    scene.show(2, face(1, "Ada"))
    scene.show(9)
    assert scene.show(2, face(2, "Ada")) == {2: "S1"}

    scene.show(10.2)
    assert scene.ended == ["S1"]
    assert scene.show(2, face(3, "Ada")) == {3: "S2"}


def test_stranger_who_returns_continues_where_recognition_says_so() -> None:
    scene = Scene()
    scene.show(3, face(1))
    scene.show(4)
    scene.finder.returned(2, 1)

    assert scene.show(1, face(2)) == {2: "S1"}
    assert scene.begun == 1


def test_return_told_late_merges() -> None:
    scene = Scene()
    scene.show(3, face(1))
    scene.show(4)
    scene.show(2, face(2))
    scene.finder.returned(2, 1)

    assert scene.show(1, face(2)) == {2: "S1"}
    assert scene.merged == [MergedSighting("S2", "S1")]


@pytest.mark.parametrize("late", [False, True])
def test_return_of_somebody_who_is_still_there_does_not_count(late: bool) -> None:
    scene = Scene()
    scene.show(3, face(1))
    scene.show(2 if late else 0.2, face(1), face(2))
    scene.finder.returned(2, 1)

    assert scene.show(1, face(1), face(2)) == {1: "S1", 2: "S2"}


def test_chain_of_returns_ends_in_the_first_sighting() -> None:
    scene = Scene()
    for track_id in (1, 2, 3, 4):
        scene.show(1.5, face(track_id))
        scene.show(2)
    scene.finder.returned(4, 3)
    scene.show(0.1, face(4))
    scene.finder.returned(3, 2)
    scene.show(0.1, face(3))
    scene.finder.returned(2, 1)
    scene.show(0.1, face(2))

    assert scene.merged == [MergedSighting("S4", "S3"), MergedSighting("S3", "S2"), MergedSighting("S2", "S1")]


def test_track_that_goes_on_under_an_earlier_id_keeps_its_sighting() -> None:
    scene = Scene()
    scene.show(3, face(1, "Ada"))
    scene.show(3)
    scene.show(0.3, face(2))  # not yet a sighting
    scene.finder.rejoined({2: 1})
    assert scene.show(1, face(1, "Ada")) == {1: "S1"}

    scene.show(3)
    scene.show(2, face(3))
    scene.finder.rejoined({3: 1})
    assert scene.show(1, face(1, "Ada")) == {1: "S1"}
    assert scene.merged == [MergedSighting("S2", "S1")]


def test_corrected_name_renames_the_sighting() -> None:
    scene = Scene()
    scene.show(2, face(1, "Ada"))

    assert scene.show(2, face(1, "Bob")) == {1: "S1"}
    assert scene.show(2, face(1, "Bob"), face(2, "Ada")) == {1: "S1", 2: "S2"}


def test_wrong_name_for_a_moment_changes_nothing() -> None:
    scene = Scene()
    scene.show(2, face(1, "Bob"))
    scene.show(3)
    scene.show(5, face(2, "Ada"))
    scene.show(0.4, face(2, "Bob"))

    assert scene.show(1, face(2, "Ada")) == {2: "S2"}
    assert scene.merged == []


def test_known_person_on_the_track_that_another_one_left_has_another_sighting() -> None:
    scene = Scene()
    scene.show(5, face(1, "Ada"))
    scene.show(1, lost(1))
    scene.show(0.5, face(1, "Ada"))  # the votes still say so

    assert scene.show(2, face(1, "Bob")) == {1: "S2"}


def test_corrected_name_merges_with_the_sighting_that_the_person_had_before() -> None:
    scene = Scene()
    scene.show(2, face(1, "Bob"))
    scene.show(3)
    scene.show(2, face(2, "Ada"))

    assert scene.show(1, face(2, "Bob")) == {2: "S1"}
    assert scene.merged == [MergedSighting("S2", "S1")]


def test_switch_to_another_known_person_leaves_the_sighting() -> None:
    scene = Scene()
    scene.show(5, face(1, "Ada"))
    scene.show(0.5, face(1, switches=1))

    assert scene.show(1, face(1, "Bob", switches=1)) == {1: "S2"}
    assert scene.show(1, face(1, "Bob", switches=1), face(2, "Ada")) == {1: "S2", 2: "S1"}


def test_switch_to_a_stranger_belongs_to_neither_until_it_is_sure() -> None:
    scene = Scene()
    scene.show(5, face(1, "Ada"))

    assert scene.show(1.5, face(1, switches=1)) == {}
    assert scene.show(1, face(1, switches=1)) == {1: "S2"}
    assert scene.show(1, face(2, "Ada")) == {2: "S1"}


def test_switch_after_the_face_was_out_of_sight_is_sure_at_once() -> None:
    scene = Scene()
    scene.show(5, face(1, "Ada"))
    scene.show(1, lost(1))
    scene.show(1, face(1, "Ada"))  # the votes still say so

    assert scene.show(0.1, face(1, switches=1)) == {1: "S2"}


@pytest.mark.parametrize("rejoined", [False, True])
def test_stranger_who_returns_on_the_track_of_a_known_person_continues(rejoined: bool) -> None:
    scene = Scene()
    scene.show(3, face(1))
    scene.show(3)
    scene.show(5, face(2, "Ada"))
    scene.show(1, lost(2))
    scene.show(1, face(2, "Ada"))  # the votes still say so
    scene.show(0.5, face(2, switches=1))
    if rejoined:
        scene.finder.rejoined({2: 1})
    else:
        scene.finder.returned(2, 1)

    track_id = 1 if rejoined else 2
    assert scene.show(1, face(track_id, switches=1)) == {track_id: "S1"}
    assert scene.merged == [MergedSighting("S3", "S1")]


def test_return_of_somebody_who_left_in_doubt_does_not_continue_the_known_person() -> None:
    scene = Scene()
    scene.show(5, face(1, "Ada"))
    scene.show(1, face(1, switches=1))
    scene.show(5)
    scene.finder.returned(2, 1)

    assert scene.show(1, face(2)) == {2: "S2"}


def test_stranger_whom_a_known_person_hid_for_seconds_has_one_sighting() -> None:
    scene = Scene()
    scene.show(5, face(1))
    scene.show(1, lost(1))
    assert scene.show(4, face(1, "Ada")) == {1: "S2"}

    assert scene.show(3, face(1, switches=1)) == {1: "S1"}
    assert scene.begun == 2


def test_track_in_doubt_that_goes_on_as_an_earlier_one_merges_nothing() -> None:
    scene = Scene()
    scene.show(3, face(1))
    scene.show(3)
    scene.show(5, face(2, "Ada"))
    scene.show(0.5, face(2, switches=1))
    scene.finder.rejoined({2: 1})

    assert scene.show(1, face(1)) == {1: "S1"}
    assert scene.show(1, face(1), face(3, "Ada")) == {1: "S1", 3: "S2"}
    assert scene.merged == []


def test_head_that_turned_keeps_the_sighting() -> None:
    scene = Scene()
    scene.show(5, face(1, "Ada"))
    scene.show(1, face(1, switches=1))

    assert scene.show(10, face(1, "Ada", switches=1)) == {1: "S1"}
    assert scene.begun == 1


def test_people_who_were_there_at_once_are_never_merged() -> None:
    """Their tracks exchanged them without being caught at it: the name goes from one track to the other."""
    scene = Scene()
    assert scene.show(5, face(1, "Ada"), face(2)) == {1: "S1", 2: "S2"}

    assert scene.show(5, face(1), face(2, "Ada")) == {1: "S2", 2: "S1"}
    assert (scene.begun, scene.merged) == (2, [])


def test_two_known_people_whose_tracks_exchanged_them_exchange_sightings() -> None:
    scene = Scene()
    assert scene.show(5, face(1, "Ada"), face(2, "Bob")) == {1: "S1", 2: "S2"}

    scene.show(1, face(1, "Bob"), face(2))
    assert scene.show(5, face(1, "Bob"), face(2, "Ada")) == {1: "S2", 2: "S1"}
    assert (scene.begun, scene.merged) == (2, [])


def test_two_tracks_of_one_person_for_a_moment_are_one_sighting() -> None:
    scene = Scene()
    scene.show(5, face(1, "Ada"))
    scene.show(0.7, face(1, "Ada"), face(2))  # a second box on the same face

    assert scene.show(2, face(2, "Ada")) == {2: "S1"}
    assert len(scene.merged) <= 1


def test_name_at_another_face_leaves_the_first_one_to_a_stranger() -> None:
    """Somebody who was taken for Ada stays when she herself comes in."""
    scene = Scene()
    scene.show(5, face(1, "Ada"))

    found = scene.show(4, face(1), face(2, "Ada"))
    assert found[1] != found[2]


def test_step_back_of_time_ends_all() -> None:
    scene = Scene()
    scene.show(5, face(1, "Ada"), face(2))
    scene.time_s = 1.0

    assert scene.show(1, face(1, "Ada", age_s=6.0)) == {1: "S3"}
    assert scene.ended == ["S1", "S2"]


def test_slow_camera_keeps_the_absence_of_the_config() -> None:
    scene = Scene(fps=0.4, slowness=10.0)
    assert scene.show(10, face(1, "Ada")) == {1: "S1"}
    scene.show(25)
    assert scene.show(5, face(2, "Ada")) == {2: "S1"}
    scene.show(35)

    assert scene.ended == ["S1"]


def test_slow_camera_may_miss_some_frames() -> None:
    scene = Scene(fps=0.1, slowness=40.0, absence_s=15.0)
    scene.show(40, face(1, "Ada"))
    scene.show(60)

    assert scene.show(20, face(2, "Ada")) == {2: "S1"}


def test_ten_thousand_tracks_in_an_hour_leave_nothing_behind() -> None:
    finder, most, time_s = SightingFinder(confirm_s=0.5, absence_s=30.0), 0, 0.0
    for number in range(10_000):
        name = f"p{number % 500}" if number % 3 else None
        finder.returned(number, number - 7)
        for age_s in (0.0, 0.36, 0.72):
            time_s = number * 0.36 + age_s
            finder.saw([VisitTrack(number, True, age_s, name if age_s else None)], time_s, lambda t: f"S{t.track_id}")
        most = max(most, len(finder._visits), len(finder._members), len(finder._earlier), len(finder.ended))
        most = max(most, *(len(visit.beside_s) for visit in finder._visits.values()))

    assert most < 200
    finder.saw([], time_s + 31, str)
    finder.saw([], time_s + 42, str)
    left = (finder._visits, finder._members, finder._earlier, finder._new, finder.merged, finder.ended)
    assert [len(one) for one in left] == [0] * 6


@pytest.mark.parametrize("rejoined", [True, False])
def test_stranger_who_comes_back_with_a_name_learnt_meanwhile_has_one_sighting(rejoined: bool) -> None:
    scene = Scene()
    scene.show(5, face(1))
    scene.show(1, lost(1))
    scene.show(3)
    scene.show(0.2, face(2, "Ada"))
    if rejoined:
        scene.finder.rejoined({2: 1})
    else:
        scene.finder.returned(2, 1)

    track_id = 1 if rejoined else 2
    assert scene.show(2, face(track_id, "Ada")) == {track_id: "S1"}
    assert (scene.begun, scene.merged) == (1, [])
    assert scene.show(1, face(track_id, "Ada"), face(3)) == {track_id: "S1", 3: "S2"}


@pytest.mark.parametrize(("told_after_s", "sighting"), [(0.2, "S1"), (-0.8, "S2")])
def test_name_learnt_after_a_moment_out_of_sight_counts_where_the_face_is_the_same(
    told_after_s: float, sighting: str
) -> None:
    scene = Scene()
    scene.show(5, face(1))
    scene.show(1, lost(1))
    back_s = scene.time_s
    scene.show(0.5, face(1))
    scene.finder.stayed(1, back_s + told_after_s)

    assert scene.show(2, face(1, "Ada")) == {1: sighting}


def test_stranger_on_the_track_that_another_stranger_left_has_another_sighting() -> None:
    scene = Scene()
    scene.show(5, face(1))

    assert scene.show(1.5, face(1, switches=1)) == {}
    assert scene.show(1, face(1, switches=1)) == {1: "S2"}


def test_face_that_jumped_has_no_sighting_until_it_is_known_whose_it_is() -> None:
    scene = Scene()
    scene.show(5, face(1, "Ada"))
    assert scene.show(0.3, face(1, in_doubt=True)) == {}
    assert scene.show(1, face(1, "Ada")) == {1: "S1"}

    scene.show(0.3, face(1, in_doubt=True))
    assert scene.show(0.1, face(1, switches=1)) == {1: "S2"}, "it jumped, so an exchange is no head that turned"
    assert scene.begun == 2


def test_known_person_who_took_over_the_track_of_a_new_stranger_has_another_sighting() -> None:
    """A name in the first seconds counts for the whole sighting, unless the face jumped and was exchanged."""
    scene = Scene()
    scene.show(2, face(1))
    scene.show(0.2, face(1, in_doubt=True))

    assert scene.show(1, face(1, "Ada", switches=1)) == {1: "S2"}


def test_stranger_whose_track_went_over_to_another_one_continues_on_a_new_track() -> None:
    scene = Scene()
    scene.show(5, face(1))
    scene.finder.exchanged(1, -1)
    scene.show(5, face(1, switches=1))
    scene.finder.returned(2, -1)

    assert scene.show(2, face(1, switches=1), face(2)) == {1: "S2", 2: "S1"}


def test_stranger_who_has_a_new_track_since_another_one_took_the_old_continues() -> None:
    """The new track is told to be the old one's before recognition sees that the old one shows somebody else."""
    scene = Scene()
    scene.show(5, face(1))
    scene.show(0.4, face(1), face(2))
    scene.finder.returned(2, 1)
    scene.show(0.4, face(1), face(2))
    scene.finder.exchanged(1, -1)

    assert scene.show(3, face(1, switches=1), face(2)) == {1: "S3", 2: "S1"}
    assert scene.merged == [MergedSighting("S2", "S1")]


def test_return_that_was_said_of_the_face_before_an_exchange_does_not_count() -> None:
    scene = Scene()
    scene.show(3, face(1))
    scene.show(3)
    scene.show(0.2, face(2))
    scene.finder.returned(2, 1)
    scene.show(3, face(2))
    scene.show(0.2, face(2, in_doubt=True))
    scene.finder.returned(2, 1)  # an answer about an earlier frame

    assert scene.show(3, face(2, switches=1)) == {2: "S2"}


def test_recognition_that_was_started_again_counts_exchanges_from_the_first_id_again() -> None:
    scene = Scene(absence_s=2.0)
    scene.show(1.0, face(1, "Ada"), face(2, "Bob"))
    scene.finder.exchanged(1, -1)
    scene.finder.exchanged(2, -1)  # after the restart
    scene.show(3.0)
    assert sorted(scene.ended) == ["S1", "S2"]
