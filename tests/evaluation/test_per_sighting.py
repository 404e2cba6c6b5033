"""Figures of sightings, counted by hand."""

import json

from jetstream.evaluation import ground_truth, per_sighting, tables, video
from jetstream.evaluation.evaluate import Evaluation, ReportContext
from jetstream.evaluation.html_report import page
from jetstream.evaluation.per_sighting import SightingFigures
from jetstream.events import Event, EventTrack
from tests.support.evaluation import box_truth

KNOWN = {"Ada", "Bob"}
ABSENCE_S = 3.0


def track(x: float, sighting: str | None, name: str | None = None, state: str = "confirmed") -> EventTrack:
    return EventTrack(
        track_id=1, state=state, box=(x - 5, 10.0, x + 5, 20.0), score=1.0, landmarks=None, name=name, confidence=1.0,
        age_s=0.0, sighting=sighting,
    )  # fmt: skip


def events(*frames: tuple[EventTrack, ...]) -> list[Event]:
    return [
        Event(schema=1, camera="c", frame_id=i, pts_s=float(i), captured_ns=0, wall="", tracks=tracks)
        for i, tracks in enumerate(frames)
    ]


def counted(found: list[Event], *frames: dict, **merged: str) -> SightingFigures:
    truth = ground_truth.parse(json.dumps(list(frames)).encode())
    return per_sighting.figures(found, truth, KNOWN, merged, ABSENCE_S)


def test_sightings_are_counted_by_hand() -> None:
    found = events(
        (track(50, None), track(150, "S2")),
        (track(50, "S1"), track(150, "S2", "Ada")),  # Bob is called Ada
        (track(50, "S1", "Ada"), track(150, "S2", "Ada")),
        (track(90, "S3", "Bob"),),  # a stranger is called Bob
        (track(90, "S4"),),  # and has another sighting
        (track(300, "S5"),),  # of which the truth says nothing
    )
    told = counted(
        found,
        *(box_truth(i, Ada=50, Bob=150) for i in range(3)),
        *(box_truth(i, Eve=90) for i in (3, 4)),
        box_truth(5, Ada=500),  # 3 s later: the same sighting
    )

    assert (told.true, told.found.count, told.missed.count, told.split) == (3, 3, 0, 1)
    assert (told.right.count, told.wrong.count, told.unnamed.count, told.right.of) == (1, 1, 0, 2)
    assert (told.strangers_named.count, told.strangers_named.of) == (1, 2)
    assert (told.false_names.count, told.false_names.of, told.unjudged) == (2, 4, 1)


def test_break_longer_than_absence_makes_two_of_which_one_is_missed() -> None:
    found = events((track(50, "S1", "Ada"),), *[()] * 5, ())
    told = counted(found, box_truth(0, Ada=50), box_truth(6, Ada=50))

    assert (told.true, told.found.count, told.missed.count) == (2, 1, 1)


def test_merged_sightings_are_one_and_a_name_counts_that_came_when_the_face_had_gone() -> None:
    found = events((track(50, "S1"),), (track(50, "S2"),), (track(50, "S3"),), (track(50, "S1", "Ada", "lost"),))
    told = counted(found, *(box_truth(i, Ada=50) for i in range(4)), S3="S2", S2="S1")

    assert (told.true, told.split, told.right.count, told.right.of) == (1, 0, 1, 1)


def test_sightings_of_shots_are_one_a_person_and_shot() -> None:
    shots = [
        {"first": 0, "last": 1, "left": "Ada", "right": "Bob"},
        {"first": 2, "last": 3, "left": "Eve", "right": "Bob"},
    ]
    truth = ground_truth.parse(json.dumps({"size": [200, 100], "shots": shots}).encode())
    found = events(
        (track(50, "S1", "Ada"), track(150, "S2", "Bob")),
        (track(50, "S1", "Ada"), track(150, "S2", "Bob")),
        (track(50, "S3"), track(150, "S2", "Bob")),
        (track(50, "S3"), track(150, "S2")),
    )
    told = per_sighting.figures(found, truth, KNOWN, {}, ABSENCE_S)

    assert (told.true, told.found.count, told.split) == (3, 3, 0)
    assert (told.right.count, told.right.of, told.strangers_named.count, told.strangers_named.of) == (2, 2, 0, 1)


def test_table_and_report_say_false_names_a_day() -> None:
    told = counted(events((track(50, "S1", "Bob"),), ()), box_truth(0, Ada=50), box_truth(1, Bob=90))
    rows = {what: (share, count) for what, share, count, _ in tables.sighting_rows(told)}

    assert rows["missed"] == ("50.0 %", "1 of 2")
    assert rows["false names a day of 100 sightings"] == ("100.0", "1 of 1 here")
    truth = ground_truth.parse(json.dumps([box_truth(0, Ada=50)]).encode())
    figures = video.figures(events((track(50, "S1", "Bob"),)), truth, KNOWN)
    result = Evaluation("video", "faces", "clip.mp4", 2, 2, (), video=figures, sightings=told)
    assert [str(table.title) for table in tables.tables(result)][1] == tables.PER_SIGHTING
    assert "of known people: named wrong" in page(result, ReportContext([], []))
