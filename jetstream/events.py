"""The public form of tracked frames: an event line of a recording, and a message of the detections topic.

Knows no socket and no file.
"""

import math
from collections.abc import Sequence
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any, get_type_hints

import msgspec

from jetstream.messages import FrameRef, InUse, NameCandidate, Tracked, TrackedFace

SCHEMA = 1
"""Version of the event line and of the detections topic."""


class EventTrack(msgspec.Struct, frozen=True):
    """One track in a frame."""

    track_id: int
    """number of the track, unique within its camera and run"""
    state: str
    """`tentative`: seen once or twice; `confirmed`; `lost`: out of sight for less than `track.max_lost_s`, its box is
    a prediction"""
    box: tuple[float, ...]
    """x1, y1, x2, y2 in the frame as captured [px]"""
    score: float
    """detection score of the newest detection of this track, 0 to 1"""
    landmarks: tuple[tuple[float, float], ...] | None
    """x, y of left eye, right eye, nose, left and right mouth corner as seen in the picture; null where this frame had
    no detection of the track [px]"""
    name: str | None
    """the name that the votes give; null while unknown"""
    confidence: float
    """probability that the name is right, 0 to 1"""
    age_s: float
    """time since the track's first detection"""
    votes: tuple[NameCandidate, ...] = ()
    """candidate names, the likeliest first; empty before the first answer"""
    doubtful: bool = False
    """true: it may be no face. It has been still for 3 s, never moved before and was never seen well, as a pattern that
    the detector takes for a face; false as soon as it moves, is seen well or gets a name"""
    sighting: str | None = None
    """id of the sighting that the track belongs to; null until it was followed for `sightings.confirm_s`"""


class Event(msgspec.Struct, frozen=True):
    """One frame: a line of `events.jsonl`, and, with `epoch` and `seq`, the map of a `detections.<camera>` message."""

    schema: int
    """version of this format"""
    camera: str
    """`name` of the camera in the config"""
    frame_id: int
    """number of the frame, counted from 0 within its camera and run"""
    pts_s: float
    """the source's own time, from its first frame"""
    captured_ns: int
    """CLOCK_MONOTONIC of the machine when the frame was captured"""
    wall: str
    """the same moment in UTC, ISO 8601 to the millisecond"""
    tracks: tuple[EventTrack, ...]
    """every followed face of the frame"""
    hops_ms: dict[str, float] | None = None
    """time from capture until the frame was `detected`, `tracked`, and `recorded` or `published`; null in a replay,
    which has no clock"""


class MessageNumber(msgspec.Struct, frozen=True):
    """Two more fields of every message of the topic. They show what a subscriber missed."""

    epoch: int
    """start of the publisher; changes when it starts again [ns]"""
    seq: int
    """counts the camera's messages of this epoch from 0, without gaps: a jump is what was missed. In a `gallery`
    message: counts the galleries"""


class GalleryMessage(MessageNumber, frozen=True):
    """The map of a `gallery` message: which gallery the names come from. It holds no names."""

    schema: int
    """version of this format"""
    wall: str
    """when the message was sent, UTC, ISO 8601 to the millisecond"""
    hash: str
    """SHA-256 of the gallery's archive, hexadecimal"""
    people: int
    """number of people in the gallery"""
    photos: int
    """number of photos that it was trained on"""


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
    fraction, seconds = math.modf(wall_ns * 1e-9)
    microseconds = round(fraction * 1e6)  # as datetime.fromtimestamp rounds; milliseconds are cut off
    carry, microseconds = divmod(microseconds, 1_000_000)
    return f"{_iso_second(int(seconds) + carry)}.{microseconds // 1000:03}Z"


def iso_ns(iso: str) -> int:
    """A time as `iso_time` writes it, in ns of CLOCK_REALTIME, to the millisecond."""
    return round(datetime.fromisoformat(iso.replace("Z", "+00:00")).timestamp() * 1000) * 1_000_000


@lru_cache(maxsize=64)  # all frames of a second share it
def _iso_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


DetectionsMessage = msgspec.defstruct(
    "DetectionsMessage",
    [(name, kind) for struct in (MessageNumber, Event) for name, kind in get_type_hints(struct).items()],
    frozen=True,
)
"""The map of a `detections.<camera>` message: an event line, with `epoch` and `seq` before it."""


def topic_of(event: Event, *, epoch: int, seq: int) -> Any:
    """The DetectionsMessage of an event; its number shows a subscriber lost messages."""
    return DetectionsMessage(epoch, seq, *[getattr(event, name) for name in Event.__struct_fields__])


def gallery_topic_of(in_use: InUse, *, epoch: int, seq: int, wall_ns: int) -> dict[str, Any]:
    """The map of a `gallery` message: the hash and the counts of the gallery in use; no names."""
    message = GalleryMessage(epoch, seq, SCHEMA, iso_time(wall_ns), in_use.sha256, in_use.people, in_use.photos)
    fields: dict[str, Any] = msgspec.to_builtins(message)
    return fields


def _event_track(face: TrackedFace) -> EventTrack:
    points = face.landmarks
    return EventTrack(
        track_id=face.track_id,
        state=face.state,
        box=tuple([round(value, 2) for value in face.box]),
        score=round(face.score, 4),
        landmarks=None if points is None else pairs(points),
        name=face.name,
        confidence=round(face.confidence, 4),
        age_s=round(face.age_s, 3),
        votes=tuple([_event_vote(vote) for vote in face.votes]),
        doubtful=face.doubtful,
        sighting=face.sighting,
    )


@lru_cache(maxsize=4096)  # votes change with an answer, not with each frame
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
    rounded = [round(value, 2) for value in landmarks]
    return tuple(zip(rounded[::2], rounded[1::2], strict=True))
