"""The public form of tracked frames: an event line of a recording, and a message of the detections topic.

Knows no socket and no file.
"""

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

import msgspec

from jetstream.messages import FrameRef, InUse, NameCandidate, Tracked, TrackedFace

SCHEMA = 1
"""Version of the event line and of the detections topic."""


class EventTrack(msgspec.Struct, frozen=True):
    track_id: int
    state: str
    box: tuple[float, ...]
    score: float
    landmarks: tuple[tuple[float, float], ...] | None
    name: str | None
    confidence: float
    age_s: float
    votes: tuple[NameCandidate, ...] = ()


class Event(msgspec.Struct, frozen=True):
    """One frame's line in events.jsonl, and, with `epoch` and `seq`, one message of the detections topic."""

    schema: int
    camera: str
    frame_id: int
    pts_s: float
    captured_ns: int
    wall: str
    tracks: tuple[EventTrack, ...]
    hops_ms: dict[str, float] | None = None  # since captured_ns


def event_of(tracked: Tracked, hop: str = "", at_ns: int = 0) -> Event:
    """The public form of `tracked`: px to 2 decimals, scores to 4, pts to a microsecond, other times to a millisecond.

    `hop` names the last hop (`published`, `recorded`) and `at_ns` is its time of CLOCK_MONOTONIC. Frames of `replay`,
    which runs in one process, have no hops. A vote for unknown is written without its photo, so that the record of a
    stranger names no enrolled person.
    """
    frame = tracked.frame
    return Event(
        schema=SCHEMA,
        camera=frame.camera,
        frame_id=frame.frame_id,
        pts_s=round(frame.pts_s, 6),
        captured_ns=frame.captured_ns,
        wall=iso_time(frame.wall_ns),
        tracks=tuple(_event_track(face) for face in tracked.faces),
        hops_ms=_hops_ms(frame, hop, at_ns) if hop and frame.tracked_ns else None,
    )


def _hops_ms(frame: FrameRef, hop: str, at_ns: int) -> dict[str, float]:
    times_ns = {"detected": frame.detected_ns, "tracked": frame.tracked_ns, hop: at_ns}
    return {name: round((time_ns - frame.captured_ns) * 1e-6, 3) for name, time_ns in times_ns.items()}


def iso_time(wall_ns: int) -> str:
    """A time of CLOCK_REALTIME as ISO 8601 in UTC, to the millisecond."""
    return (
        datetime.fromtimestamp(wall_ns * 1e-9, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def topic_of(event: Event, *, epoch: int, seq: int) -> dict[str, Any]:
    """The map of a detections message: an event line, with `epoch` and `seq`, which show a subscriber lost messages."""
    return {"epoch": epoch, "seq": seq, **msgspec.to_builtins(event)}


def gallery_topic_of(in_use: InUse, *, epoch: int, seq: int, wall_ns: int) -> dict[str, Any]:
    """The map of a `gallery` message: the hash and the counts of the gallery in use; no names."""
    return {
        "epoch": epoch,
        "seq": seq,
        "schema": SCHEMA,
        "wall": iso_time(wall_ns),
        "hash": in_use.sha256,
        "people": in_use.people,
        "photos": in_use.photos,
    }


def _event_track(face: TrackedFace) -> EventTrack:
    points = face.landmarks
    return EventTrack(
        track_id=face.track_id,
        state=face.state,
        box=tuple(round(value, 2) for value in face.box),
        score=round(face.score, 4),
        landmarks=None if points is None else pairs(points),
        name=face.name,
        confidence=round(face.confidence, 4),
        age_s=round(face.age_s, 3),
        votes=tuple(_event_vote(vote) for vote in face.votes),
    )


def _event_vote(vote: NameCandidate) -> NameCandidate:
    return NameCandidate(
        name=vote.name,
        log_odds=round(vote.log_odds, 2),
        answers=vote.answers,
        photo=vote.photo if vote.name is not None else None,
        distance=None if vote.distance is None else round(vote.distance, 3),
    )


def pairs(landmarks: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """x1, y1, ..., x5, y5 as five (x, y), px to 2 decimals."""
    return tuple((round(landmarks[i], 2), round(landmarks[i + 1], 2)) for i in range(0, 10, 2))
