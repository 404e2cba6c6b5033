"""Every struct that crosses a process border: the one book of words.

Pixels and embeddings never travel; a frame is a `FrameRef` into its camera's ring. Knows no socket and no process.
"""

from collections.abc import Sequence
from typing import Literal, cast

import msgspec

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the full frame."""
Landmarks = tuple[float, float, float, float, float, float, float, float, float, float]
"""x, y of left eye, right eye, nose, left and right mouth corner, in pixels of the full frame."""


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """Base of what travels between stages: a msgpack map with its type's name under `type`."""


class FrameRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A frame in its camera's ring."""

    camera: str
    frame_id: int
    captured_ns: int  # CLOCK_MONOTONIC, one clock for all processes of a machine
    wall_ns: int
    pts_s: float  # the source's own time, from its first frame
    live: bool  # a camera or a stream: its time is the capture clock
    detected_ns: int = 0  # as captured_ns, when `detect` had its faces; 0: it didn't go through processes, or not yet
    tracked_ns: int = 0  # when `track` had its tracks

    @property
    def time_s(self) -> float:
        """The tracker's time: pts for files, so that a replay repeats exactly; the capture clock for cameras."""
        return self.captured_ns * 1e-9 if self.live else self.pts_s


class Framed(Message, frozen=True):
    """Base of what is said of one frame."""

    frame: FrameRef


class Captured(Framed, frozen=True):
    """The frame is in its ring."""


class Face(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    box: Box
    score: float  # 0..1
    landmarks: Landmarks


class Detected(Framed, frozen=True):
    faces: tuple[Face, ...]
    cut: bool = False  # the picture changed at once: nothing seen before goes on
    ignored: tuple[Box, ...] = ()  # faces that nobody shall follow: there, or too large


class WantedFace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    track_id: int
    landmarks: Landmarks


class Wanted(Framed, frozen=True):
    """`track` asks `recognize`: who are these faces of this frame?"""

    faces: tuple[WantedFace, ...]


class NamedFace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    track_id: int
    name: str | None  # None: nobody of the gallery
    confidence: float  # 0..1
    distance: float  # to the nearest person, in embedding space
    nearest: str | None
    photo: str | None = None  # the nearest photo of `nearest`, relative to the faces folder
    quality: float = 1.0  # 0..1, of this look; 0: too poor to be embedded
    moved: bool = False  # far from what this track showed before: probably another person's face


class Named(Framed, frozen=True):
    """The answers to one `Wanted`; faces whose frame had left the ring are missing."""

    faces: tuple[NamedFace, ...]


class NameCandidate(msgspec.Struct, frozen=True):
    """Somebody whom a track may show, and why."""

    name: str | None  # None: nobody known
    log_odds: float  # of all answers that count, faded to now
    answers: int
    photo: str | None  # nearest photo of its closest answer
    distance: float | None  # of that answer, in embedding space


class TrackedFace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    track_id: int
    state: Literal["tentative", "confirmed", "lost"]
    box: Box
    score: float
    landmarks: Landmarks | None  # only where this frame had a detection
    name: str | None
    confidence: float
    age_s: float
    votes: tuple[NameCandidate, ...] = ()  # the likeliest first; empty before the first answer


class Tracked(Framed, frozen=True):
    faces: tuple[TrackedFace, ...]
    others: tuple[Box, ...] = ()  # faces found that no track follows: ignored, or not sure enough. In no event


class Finished(Framed, frozen=True):
    """A sink is done with a frame. Never sent: `process` counts it and frees the ring."""


class Dropped(Message, frozen=True):
    """Frames that fell, and why. Never sent: `process` counts it."""

    camera: str
    reason: str
    count: int = 1


class Searching(Message, frozen=True):
    """`detect` searches one picture in `every` whole from now on. Never sent: `process` tells it as a level."""

    every: int


class Ended(Message, frozen=True):
    """`sender` has sent all that it ever will."""

    sender: str


class InUse(Message, frozen=True):
    """`recognize` tells `publish` which gallery it answers from: at its start, when it has taken a new one, and
    again and again."""

    sha256: str  # of the gallery's archive
    people: int
    photos: int


class Tick(Message, frozen=True):
    """Nothing came for a while. Never sent: the inbox makes it, so that a stage can look at its clock."""


class Heartbeat(Message, frozen=True):
    """What a process says of itself, from its work loop."""

    process: str
    pid: int
    frames: int  # handled since its start
    fps: float
    latency_p50_ms: float  # capture to this stage's answer, over the last seconds
    latency_p95_ms: float
    counts: dict[str, int]  # since its start, as `counting` names them
    levels: dict[str, int]  # as they are now, named in the same way


class ProcessStatus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    process: str
    state: Literal["starting", "running", "restarting", "done"]
    restarts: int
    beat: Heartbeat | None  # its counts are of all its lives
    silent_s: float | None  # since its last heartbeat; None before the first one


class Status(Message, frozen=True):
    """What the supervisor says of all, once a second, from its loop; `jetstream top` and `metrics` show it."""

    pid: int
    wall_ns: int
    turn_ns: int  # CLOCK_MONOTONIC of the loop's turn
    processes: tuple[ProcessStatus, ...]


class Span(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that a process did."""

    kind: Literal["turn", "frame", "capture"]
    """turn: of the loop, from what it took until it wanted more; frame: from taking one to its answer; capture: from a
    frame's capture until it was told of"""
    begin_ns: int  # CLOCK_MONOTONIC
    end_ns: int
    camera: str = ""
    frame_id: int = -1


class Spans(Message, frozen=True):
    """To `jetstream trace`, while it listens."""

    process: str
    pid: int
    spans: tuple[Span, ...]


def box_of(values: Sequence[float]) -> Box:
    """Four numbers as a message holds them."""
    x1, y1, x2, y2 = values
    return x1, y1, x2, y2


def landmarks_of(values: Sequence[float]) -> Landmarks:
    """Ten numbers, x and y of each point, as a message holds them. Raises ValueError when there are not ten."""
    if len(values) != 10:
        raise ValueError(f"landmarks: expected 10 numbers, got {len(values)}")
    return cast("Landmarks", tuple(values))
