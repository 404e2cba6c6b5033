"""Every struct that crosses a process border.

Pixels and embeddings never travel; a frame is a `FrameRef` into its camera's ring. What a message adds to the counts of
the process that sends it, it says itself (`add_to`). Knows no socket and no process.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Literal, Protocol, TypeAlias, cast, get_args, runtime_checkable

import msgspec

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the full frame."""
Landmarks = tuple[float, float, float, float, float, float, float, float, float, float]
"""x, y of left eye, right eye, nose, left and right mouth corner, in pixels of the full frame."""
TrackState: TypeAlias = Literal["tentative", "confirmed", "lost"]
_STATES: tuple[TrackState, ...] = get_args(TrackState)


class Tally(Protocol):
    """Where the messages that a process sends are counted. A name is words without spaces: `faces`, a camera."""

    @property
    def process(self) -> str:
        """Name of the process that is counted."""

    @property
    def min_quality(self) -> float:
        """0..1; faces of a lower quality were not embedded."""

    def add(self, *name: str, by: int = 1) -> None:
        """Raise a count."""

    def add_new(self, numbers: Iterable[int], *name: str) -> None:
        """Raise a count by how many of the numbers, which only grow, are above all numbers counted there before."""

    def set_level(self, value: int, *name: str) -> None:
        """Set a level, the current value."""


class FrameRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A frame in its camera's ring."""

    camera: str
    frame_id: int
    captured_ns: int  # CLOCK_MONOTONIC, one clock for all processes of a machine
    wall_ns: int
    pts_s: float  # the source's own time, from its first frame
    live: bool  # a camera or a stream: its time is the capture clock
    detected_ns: int = 0  # as captured_ns, when `detect` had found its faces; 0: not in processes, or not yet
    tracked_ns: int = 0  # when `track` had updated its tracks

    @property
    def time_s(self) -> float:
        """The tracker's time: pts for files, so that a replay repeats exactly; the capture clock for cameras."""
        return self.captured_ns * 1e-9 if self.live else self.pts_s


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """Base of what travels between stages: a msgpack map with its type's name under `type`."""

    is_sent: ClassVar[bool] = True
    """to the readers of its type; else it ends in the process of the stage that yields it"""

    def add_to(self, tally: Tally) -> None:
        """Add what this message reports to the tally of the process that sends it."""

    def stamped(self, now_ns: int) -> "Message":
        """With the time at which it is sent (CLOCK_MONOTONIC), where its frame carries that on. Stages have no clock,
        so a replay's frames have no such times."""
        return self


class Framed(Message, frozen=True):
    """Base of messages about one frame."""

    begins_work: ClassVar[bool] = True
    """the reader's work on the frame begins with it"""
    ends_work: ClassVar[bool] = True
    """the sender's work on the frame ends with it"""

    frame: FrameRef


class Captured(Framed, frozen=True):
    """The frame is in its ring."""


class Demuxed(Message, frozen=True):
    """Packets of a camera are in its packet ring. Told now and then: `decode` looks into the ring itself."""

    camera: str
    count: int  # packets since the last one of these
    arrived_ns: int  # CLOCK_MONOTONIC, of the newest

    def add_to(self, tally: Tally) -> None:
        tally.add("packets", self.camera, by=self.count)
        tally.set_level(self.arrived_ns, "newest", self.camera)


class Face(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    box: Box
    score: float  # 0..1
    landmarks: Landmarks


class Detected(Framed, frozen=True):
    faces: tuple[Face, ...]
    cut: bool = False  # the picture changed at once: no track continues
    ignored: tuple[Box, ...] = ()  # faces that must not be tracked: in an ignored region, or too large
    shift: tuple[float, float] = (0.0, 0.0)  # px by which the picture moved right and down since the frame before

    def add_to(self, tally: Tally) -> None:
        tally.add("faces", self.frame.camera, by=len(self.faces))

    def stamped(self, now_ns: int) -> "Detected":
        return msgspec.structs.replace(self, frame=msgspec.structs.replace(self.frame, detected_ns=now_ns))


class WantedFace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    track_id: int
    landmarks: Landmarks
    suspect: bool = False  # it jumped: it may be another person's than before


class Wanted(Framed, frozen=True):
    """`track` asks `recognize`: who are these faces of this frame?"""

    ends_work: ClassVar[bool] = False

    faces: tuple[WantedFace, ...]


class NamedFace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    track_id: int
    name: str | None  # None: nobody in the gallery
    confidence: float  # 0..1
    distance: float  # to the nearest person, in embedding space
    nearest: str | None
    photo: str | None = None  # the nearest photo of `nearest`, relative to the faces folder
    quality: float = 1.0  # 0..1, of the face in this frame; below recognize.min_quality it was not embedded
    moved: bool = False  # far from what this track showed before: probably another person's face
    same: bool | None = None  # near to what this track showed before; None: nothing before, or too poor to say
    drift: float | None = None  # distance of the embedding from what this track showed before; None: nothing before
    returned: int | None = None  # an earlier track of this camera that showed the same person
    before: int | None = None  # where it moved: the id, as of an earlier track, of what it showed before


class Named(Framed, frozen=True):
    """The answers to one `Wanted`; faces whose frame had left the ring are missing."""

    begins_work: ClassVar[bool] = False

    faces: tuple[NamedFace, ...]

    def add_to(self, tally: Tally) -> None:
        for face in self.faces:
            outcome = "poor" if face.quality < tally.min_quality else "named" if face.name else "unknown"
            tally.add("votes", self.frame.camera, outcome)


class NameCandidate(msgspec.Struct, frozen=True):
    """A person whom a track may show, and why."""

    name: str | None
    """the person; null: unknown, a candidate like any other"""
    log_odds: float
    """summed weight of the answers for this candidate, each faded with its age"""
    answers: int
    """how many of the last twelve answers were for this candidate"""
    photo: str | None
    """the photo nearest to the closest answer, relative to the faces folder; null for unknown"""
    distance: float | None
    """how far the closest answer was from the person, in embedding space; null where no answer had one"""


class TrackedFace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    track_id: int
    state: TrackState
    box: Box
    score: float
    landmarks: Landmarks | None  # only where this frame has a detection
    name: str | None
    confidence: float
    age_s: float
    votes: tuple[NameCandidate, ...] = ()  # the likeliest first; empty before the first answer
    doubtful: bool = False  # it may be no face: it never moved and never looked like one
    sighting: str | None = None  # id of the sighting that the track belongs to


class Tracked(Framed, frozen=True):
    faces: tuple[TrackedFace, ...]
    others: tuple[Box, ...] = ()  # faces found that no track follows: ignored, or of too low a score. In no event
    merged: tuple[tuple[str, str], ...] = ()  # sightings that turned out to be a part of another, with that one's id
    ended: tuple[str, ...] = ()  # sightings that ended. Both are told for some seconds, since frames may be dropped

    def add_to(self, tally: Tally) -> None:
        camera = self.frame.camera
        in_state, named = dict.fromkeys(_STATES, 0), 0
        for face in self.faces:
            in_state[face.state] += 1
            named += face.state == "confirmed" and face.name is not None
        for state, count in in_state.items():
            tally.set_level(count, "tracks", camera, state)
        tally.set_level(named, "named", camera)
        tally.add_new([face.track_id for face in self.faces], "tracks", camera)

    def stamped(self, now_ns: int) -> "Tracked":
        return msgspec.structs.replace(self, frame=msgspec.structs.replace(self.frame, tracked_ns=now_ns))


class Finished(Framed, frozen=True):
    """A stage at the end of the pipeline is done with a frame."""

    is_sent: ClassVar[bool] = False


class Dropped(Message, frozen=True):
    """Frames that a stage dropped, and why."""

    is_sent: ClassVar[bool] = False
    LOST_AT: ClassVar[Mapping[str, str]] = {
        "lapped": "ring",
        "busy": "camera",
        "unread": "camera",
        "reconnect": "camera",
        "decoder": "camera",
        "damaged": "camera",
        "too_large": "camera",
        "disk": "disk",
        "clips": "shared memory",
    }
    """where a frame was lost, by reason; else in the process itself"""

    camera: str
    reason: str
    count: int = 1

    def add_to(self, tally: Tally) -> None:
        tally.add("drops", self.reason, self.LOST_AT.get(self.reason, tally.process), by=self.count)


class Searching(Message, frozen=True):
    """`detect` searches one picture in `every` whole from now on, and verifies known faces in the others."""

    is_sent: ClassVar[bool] = False

    every: int

    def add_to(self, tally: Tally) -> None:
        tally.set_level(self.every, "search_every")


class Building(Message, frozen=True):
    """`build` builds the engine of this network; `now` false: not any more."""

    is_sent: ClassVar[bool] = False

    network: str
    now: bool

    def add_to(self, tally: Tally) -> None:
        tally.set_level(int(self.now), "building", self.network)


class Built(Message, frozen=True):
    """`build` has built so many engines, which stages may use from now on."""

    is_sent: ClassVar[bool] = False

    engines: int

    def add_to(self, tally: Tally) -> None:
        tally.add("engines", by=self.engines)


class Ended(Message, frozen=True):
    """`sender` will send nothing more."""

    sender: str


class InUse(Message, frozen=True):
    """The gallery that `recognize` uses, sent to `publish`, `sightings` and `web`: at its start, when it has loaded a
    new one, and at intervals."""

    sha256: str  # of the gallery's archive
    people: int
    photos: int

    def add_to(self, tally: Tally) -> None:
        tally.set_level(self.people, "gallery", "people")
        tally.set_level(self.photos, "gallery", "photos")


class Untold(Message, frozen=True):
    """Changes of sightings that a broker will never be told, as it was away for too long or doesn't take them."""

    is_sent: ClassVar[bool] = False

    count: int = 1

    def add_to(self, tally: Tally) -> None:
        tally.add("untold", by=self.count)


class Tick(Message, frozen=True):
    """No message came for some time, or an interval has passed. The inbox makes it, so that a stage can look at its
    clock."""

    is_sent: ClassVar[bool] = False


class Heartbeat(Message, frozen=True):
    """What a process reports of itself to the supervisor, from its work loop."""

    process: str
    pid: int
    frames: int  # handled since its start
    fps: float
    latency_p50_ms: float  # capture to this stage's answer, over the last seconds
    latency_p95_ms: float
    counts: dict[str, int]  # since its start, named as `runtime.counters` says
    levels: dict[str, int]  # as they are now, named in the same way
    patience_s: float = 0.0  # it opens a source or waits for a driver, and may be silent for so long; 0: as usual


@runtime_checkable
class PatientTicks(Protocol):
    """Ticks whose giver is told of a call that may take long, so that the process isn't taken for one that hangs."""

    def opens(self, limit_s: float) -> None:
        """The stage opens a source or waits for a driver: up to `limit_s` may pass until its next tick but one."""


@runtime_checkable
class ReportingTicks(Protocol):
    """Ticks whose giver counts what a process without output reports."""

    def report(self, message: Message) -> None:
        """Add what the message reports to the process's tally."""


class ProcessStatus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    process: str
    state: Literal["starting", "running", "restarting", "done"]
    restarts: int
    beat: Heartbeat | None  # its counts are summed over every start of this process
    silent_s: float | None  # since its last heartbeat; None before the first one


class Status(Message, frozen=True):
    """What the supervisor publishes of all processes, once a second, from its loop; `jetstream top` and `metrics` show
    it."""

    pid: int
    wall_ns: int
    turn_ns: int  # CLOCK_MONOTONIC, when this was sent
    processes: tuple[ProcessStatus, ...]


class Span(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A period in which a process did one thing."""

    kind: Literal["turn", "frame", "capture"]
    """turn: one turn of the work loop, from taking messages until asking for more; frame: from taking a frame to the
    answer; capture: from a frame's capture until it was announced"""
    begin_ns: int  # CLOCK_MONOTONIC
    end_ns: int
    camera: str = ""
    frame_id: int = -1


class Spans(Message, frozen=True):
    """What a process sends to `jetstream trace` while that listens."""

    process: str
    pid: int
    spans: tuple[Span, ...]


def box_of(values: Sequence[float]) -> Box:
    """Four numbers as a message holds them. Raises ValueError when there are not four."""
    x1, y1, x2, y2 = values
    return x1, y1, x2, y2


def landmarks_of(values: Sequence[float]) -> Landmarks:
    """Ten numbers, x and y of each point, as a message holds them. Raises ValueError when there are not ten."""
    if len(values) != 10:
        raise ValueError(f"landmarks: expected 10 numbers, got {len(values)}")
    return cast("Landmarks", tuple(values))
