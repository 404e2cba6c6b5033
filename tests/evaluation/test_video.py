"""Figures of a video, counted by hand."""

import json

import msgspec
import pytest

from jetstream.errors import UserError
from jetstream.evaluation import ground_truth, video
from jetstream.events import Event, EventTrack
from tests.support.evaluation import box_truth

SHOTS = {
    "size": [200, 100],
    "inside": [10, 190],
    "shots": [
        {"first": 0, "last": 1, "left": "Ada", "right": "Bob"},
        {"first": 2, "last": 3, "left": "Eve", "right": "Bob"},
    ],
}


def track(number: int, x: float, name: str | None) -> EventTrack:
    box = (x - 5, 10.0, x + 5, 20.0)
    return EventTrack(
        track_id=number, state="confirmed", box=box, score=1.0, landmarks=None, name=name, confidence=1.0, age_s=0.0
    )


def event(frame_id: int, *tracks: EventTrack) -> Event:
    return Event(
        schema=1, camera="c", frame_id=frame_id, pts_s=0.4 * frame_id, captured_ns=0, wall="", tracks=tuple(tracks)
    )


EVENTS = [
    event(0, track(1, 50, None), track(2, 150, "Bob"), track(9, 195, "Ada")),  # 9: outside, nobody's
    event(1, track(1, 50, "Ada"), track(2, 150, "Ada")),  # Bob is called Ada
    event(2, track(3, 50, "Ada"), track(4, 150, None)),  # a stranger bears Ada's name, who is gone
    event(3, track(3, 50, None), track(4, 150, "Bob")),
]


def test_shots_are_counted_by_hand() -> None:
    told = ground_truth.parse(json.dumps(SHOTS).encode())
    figures = video.figures(EVENTS, told, known={"Ada", "Bob"}, after_s=(0.0, 0.4))

    whole, later = figures.counted
    # Ada: unknown, right; Bob: right, wrong, unknown, right; Eve isn't known: one of her two boxes is named
    assert [share.count for share in (whole.right, whole.wrong, whole.unknown)] == [3, 1, 2]
    assert (whole.strangers_named.count, whole.strangers_named.of) == (1, 2)
    assert [share.count for share in (later.right, later.wrong, later.unknown)] == [2, 1, 0]
    assert (figures.frames, figures.boxes) == (4, 9)
    assert figures.name_changes == 2  # track 2: Bob to Ada; 3: Ada to unknown
    assert (figures.old_names, figures.old_names_longest) == (1, 1)
    assert [(one.name, one.since, one.after_s) for one in figures.first_right] == [
        ("Ada", 0, 0.4),
        ("Bob", 0, 0.0),
        ("Bob", 2, 0.4),
    ]


LOST_EVENTS = [
    event(0, track(1, 50, "Ada"), track(2, 150, "Bob")),
    event(1, track(2, 150, "Bob"), msgspec.structs.replace(track(1, 40, "Ada"), state="lost")),
    event(2, track(2, 150, "Ada")),
]


@pytest.mark.parametrize("form", ["events", "shots"])
def test_lost_box_of_somebody_gone_is_no_old_name(form: str) -> None:
    """Its box says itself that nobody is seen there; the one in sight, over somebody else's face, is."""
    told = b"\n".join(map(msgspec.json.encode, [*LOST_EVENTS[:2], event(2, track(2, 150, "Bob"))]))
    if form == "shots":
        both = [
            {"first": 0, "last": 0, "left": "Ada", "right": "Bob"},
            {"first": 1, "last": 2, "left": None, "right": "Bob"},
        ]
        told = json.dumps({"size": [200, 100], "shots": both}).encode()
    figures = video.figures(LOST_EVENTS, ground_truth.parse(told), known={"Ada", "Bob"})

    assert (figures.old_names, figures.old_names_longest) == (1, 1)
    assert figures.counted[0].wrong.count == 1


BOXES = [box_truth(0, Ada=50, Bob=150, nobody=100), box_truth(1, Ada=150, Bob=50), box_truth(3, Bob=150)]


@pytest.mark.parametrize("lines", [False, True], ids=["a list", "lines"])
def test_boxes_are_counted_by_hand(lines: bool) -> None:
    text = "\n".join(json.dumps(frame) for frame in BOXES) if lines else json.dumps(BOXES, indent=1)
    figures = video.figures(EVENTS, ground_truth.parse(text.encode()), known={"Ada", "Bob"})

    whole = figures.counted[0]
    # frame 0: Ada unknown, Bob right; 1: Bob called Ada, Ada right; 3: Bob right; frame 2 isn't in the truth
    assert [share.count for share in (whole.right, whole.wrong, whole.unknown)] == [3, 1, 1]
    assert whole.strangers_named.of == 0
    assert figures.missed == 1  # nobody at 100
    assert [(one.name, one.after_s) for one in figures.first_right] == [("Ada", 0.4), ("Bob", 0.0)]


def test_corrected_events_are_a_truth() -> None:
    text = b"\n".join(
        json.dumps({"frame_id": e.frame_id, "tracks": [{"box": t.box, "name": "Ada"} for t in e.tracks]}).encode()
        for e in EVENTS
    )
    (whole, *_) = video.figures(EVENTS, ground_truth.parse(text), known={"Ada"}).counted

    assert [share.count for share in (whole.right, whole.wrong, whole.unknown)] == [4, 2, 3]


def test_truth_of_another_video_is_said() -> None:
    told = ground_truth.parse(json.dumps([box_truth(500, Ada=1)]).encode())

    with pytest.raises(UserError, match="frames 500 to 500, the video has 0 to 9"):
        video.check(told, {"Ada"}, 10, "truth.json")
    with pytest.raises(UserError, match=r"nobody of the gallery is in it \(Ada\)"):
        video.check(told, {"Bob"}, 501, "truth.json")
