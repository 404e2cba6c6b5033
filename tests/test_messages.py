"""What messages count as, and where they go."""

from collections.abc import Iterable

from jetstream import messages
from jetstream.messages import (
    Building,
    Built,
    Captured,
    Detected,
    Dropped,
    Face,
    Finished,
    Framed,
    FrameRef,
    InUse,
    Message,
    Named,
    NamedFace,
    Searching,
    Tick,
    Tracked,
    TrackedFace,
    TrackState,
    Untold,
    Wanted,
)
from jetstream.runtime.counters import Counts

FRAME = FrameRef(camera="door", frame_id=7, captured_ns=1, wall_ns=2, pts_s=0.0, live=True)
BOX = (0.0, 0.0, 1.0, 1.0)
LANDMARKS = (0.0,) * 10


def counted(*said: Message) -> Counts:
    counts = Counts("track", min_quality=0.1)
    for message in said:
        message.add_to(counts)
    return counts


def tracked(*tracks: tuple[int, TrackState, str | None]) -> Tracked:
    return Tracked(
        frame=FRAME,
        faces=tuple(TrackedFace(number, state, BOX, 1.0, None, name, 0.0, 0.0) for number, state, name in tracks),
    )


def named(*faces: tuple[str | None, float]) -> Named:
    return Named(frame=FRAME, faces=tuple(NamedFace(1, name, 0.0, 0.5, name, quality=q) for name, q in faces))


def test_faces_are_counted_by_camera() -> None:
    counts = counted(Detected(frame=FRAME, faces=(Face(BOX, 1.0, LANDMARKS),) * 2), Detected(frame=FRAME, faces=()))

    assert (counts.as_dict(), counts.levels()) == ({"faces door": 2}, {})


def test_answers_are_counted_by_outcome_and_without_names() -> None:
    counts = counted(named(("ada", 0.9), (None, 0.9), ("ada", 0.05), ("eve", 0.1)))

    assert counts.as_dict() == {"votes door named": 2, "votes door unknown": 1, "votes door poor": 1}


def test_tracks_are_levels_and_each_is_counted_once() -> None:
    counts = counted(
        tracked((1, "confirmed", "ada"), (2, "tentative", None)),
        tracked((1, "confirmed", None), (3, "lost", "eve"), (4, "confirmed", "eve")),
        tracked((1, "confirmed", "ada"), (4, "confirmed", "eve")),
    )

    assert counts.as_dict() == {"tracks door": 4}
    states = {"tracks door tentative": 0, "tracks door confirmed": 2, "tracks door lost": 0}
    assert counts.levels() == {**states, "named door": 2}


def test_dropped_frames_are_counted_where_they_were_lost() -> None:
    counts = counted(
        Dropped(camera="door", reason="lapped"),
        Dropped(camera="door", reason="unread", count=3),
        Dropped(camera="door", reason="other"),
    )

    assert counts.as_dict() == {"drops lapped ring": 1, "drops unread camera": 3, "drops other track": 1}


def test_gallery_and_search_interval_are_levels() -> None:
    counts = counted(InUse(sha256="ab", people=3, photos=9), Searching(every=4))

    assert (counts.as_dict(), counts.levels()) == ({}, {"gallery people": 3, "gallery photos": 9, "search_every": 4})


def test_what_never_leaves_its_process_is_not_sent() -> None:
    kept = {kind for kind in _subclasses(Message) if not kind.is_sent}

    assert kept == {Building, Built, Finished, Dropped, Searching, Tick, Untold}


def test_work_on_a_frame_ends_with_every_answer_but_a_question() -> None:
    framed = set(_subclasses(Framed))

    assert {kind for kind in framed if not kind.ends_work} == {Wanted}
    assert {kind for kind in framed if not kind.begins_work} == {Named}, "names come behind their frame"


def test_hops_are_stamped_on_the_frame() -> None:
    assert Detected(frame=FRAME, faces=()).stamped(5).frame.detected_ns == 5
    assert tracked().stamped(6).frame.tracked_ns == 6
    assert Captured(frame=FRAME).stamped(7) == Captured(frame=FRAME)


def _subclasses(kind: type[Message]) -> Iterable[type[Message]]:
    for one in kind.__subclasses__():
        if one.__module__ == messages.__name__:
            yield one
            yield from _subclasses(one)
