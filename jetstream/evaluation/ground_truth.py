"""Ground truth: who is where in a video, from a file in one of two forms. Both forms judge the tracks of an event.

Knows no video, no gallery and no classifier.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np

from jetstream.errors import UserError
from jetstream.events import Event, EventTrack
from jetstream.messages import Box
from jetstream.vision.boxes import iou

MIN_IOU = 0.3
"""Least IoU of a track's box with its box in the truth; low, because annotators draw boxes differently."""
APART_FRAMES = 25
"""A person who is missing in the truth for longer than this, in frames, starts a new appearance."""
FORMS = (
    'expected {"size": [w, h], "shots": [{"first", "last", "left", "right"}, ...]}, or a list or lines of '
    '{"frame": n, "faces": [{"box": [x1, y1, x2, y2], "name": "Ada" or null}]}'
)


class JudgedTrack(NamedTuple):
    """A track's box with the person that the truth names for it."""

    track: EventTrack
    expected: str | None  # None: a person without a name
    since: int  # the first frame in which this person could be named: the start of the shot or of this appearance


class Truth(Protocol):
    """The methods of both forms."""

    @property
    def names(self) -> frozenset[str]:
        """All names in the file."""

    @property
    def frames(self) -> tuple[int, int]:
        """The numbers of the first and the last frame in the file."""

    def judge(self, event: Event) -> list[JudgedTrack]:
        """The tracks of a frame for which the file names a person or says that there is no name."""

    def missed(self, event: Event) -> int:
        """The number of faces of this frame without a track; 0 in a form that has no boxes."""

    def visible(self, frame_id: int) -> frozenset[str]:
        """The people who are in this frame."""

    def gone(self, frame_id: int) -> frozenset[str]:
        """The people who were visible before this frame and are not in it."""


class TruthShot(msgspec.Struct, frozen=True):
    """The frames between two cuts, and the one person on either side of the picture."""

    first: int
    last: int
    left: str | None
    right: str | None

    @property
    def people(self) -> set[str]:
        return {name for name in (self.left, self.right) if name is not None}


class ShotTruth(msgspec.Struct, frozen=True):
    """The form with shots: a box with its centre left of `middle` (px) is the person `left`, any other is `right`.

    `middle` is half the width of `size` if it isn't given. Boxes with a centre outside `inside` (x from and to, px) are
    not judged.
    """

    shots: tuple[TruthShot, ...]
    size: tuple[int, int] | None = None
    middle: float | None = None
    inside: tuple[float, float] = (float("-inf"), float("inf"))

    def __post_init__(self) -> None:
        if not self.shots or (self.middle is None and self.size is None):
            raise ValueError("shots, and size or middle, are needed")
        ends = [frame for shot in self.shots for frame in (shot.first, shot.last)]
        if ends != sorted(ends) or len({shot.first for shot in self.shots}) < len(self.shots):
            raise ValueError("shots must follow one another")

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for shot in self.shots for name in shot.people)

    @property
    def frames(self) -> tuple[int, int]:
        return self.shots[0].first, self.shots[-1].last

    def judge(self, event: Event) -> list[JudgedTrack]:
        index = self._index(event.frame_id)
        if index is None:
            return []
        shot, judged = self.shots[index], []
        middle = self.middle if self.middle is not None else (self.size or (0, 0))[0] / 2
        for track in event.tracks:
            centre = (track.box[0] + track.box[2]) / 2
            if self.inside[0] <= centre <= self.inside[1]:
                judged.append(JudgedTrack(track, shot.left if centre < middle else shot.right, shot.first))
        return judged

    def missed(self, event: Event) -> int:
        return 0

    def visible(self, frame_id: int) -> frozenset[str]:
        index = self._index(frame_id)
        return frozenset() if index is None else frozenset(self.shots[index].people)

    def gone(self, frame_id: int) -> frozenset[str]:
        index = self._index(frame_id)
        if index is None:
            return frozenset()
        before = {name for shot in self.shots[:index] for name in shot.people}
        return frozenset(before - self.shots[index].people)

    def _index(self, frame_id: int) -> int | None:
        return next((i for i, shot in enumerate(self.shots) if shot.first <= frame_id <= shot.last), None)


class TrueFace(msgspec.Struct, frozen=True):
    """A face in the truth."""

    box: Box  # xyxy px
    name: str | None = None
    state: str = ""  # of the track, where the truth is a corrected event file


class _TruthFrame(msgspec.Struct, frozen=True):
    """The faces of a frame. Accepts the keys of an event line too, so that corrected events of a replay are a truth."""

    frame: int | None = None
    frame_id: int | None = None
    faces: tuple[TrueFace, ...] | None = None
    tracks: tuple[TrueFace, ...] | None = None

    def __post_init__(self) -> None:
        if (self.frame is None) == (self.frame_id is None) or (self.faces is None) == (self.tracks is None):
            raise ValueError("expected frame and faces, or frame_id and tracks")
        if min(self.frame or 0, self.frame_id or 0) < 0:
            raise ValueError("frames are counted from 0")


class BoxTruth:
    """The form with a box for each face; frames that it leaves out are not judged."""

    def __init__(self, frames: dict[int, tuple[TrueFace, ...]]) -> None:
        self._frames = dict(sorted(frames.items()))
        self._since: dict[tuple[int, str], int] = {}
        self._gone: dict[int, frozenset[str]] = {}
        begun: dict[str, int] = {}
        last: dict[str, int] = {}
        for frame, faces in self._frames.items():
            visible = {face.name for face in faces if face.name is not None}
            for name in visible:
                if frame - last.get(name, -APART_FRAMES - 1) > APART_FRAMES:
                    begun[name] = frame
                last[name], self._since[frame, name] = frame, begun[name]
            self._gone[frame] = frozenset(last.keys() - visible)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for _, name in self._since)

    @property
    def frames(self) -> tuple[int, int]:
        return next(iter(self._frames)), next(reversed(self._frames))

    def judge(self, event: Event) -> list[JudgedTrack]:
        judged = []
        for track, face in self._pairs(event):
            since = self._since[event.frame_id, face.name] if face.name is not None else self.frames[0]
            judged.append(JudgedTrack(event.tracks[track], face.name, since))
        return judged

    def missed(self, event: Event) -> int:
        return len(self._frames.get(event.frame_id, ())) - len(self._pairs(event))

    def visible(self, frame_id: int) -> frozenset[str]:
        return frozenset(face.name for face in self._frames.get(frame_id, ()) if face.name is not None)

    def gone(self, frame_id: int) -> frozenset[str]:
        return self._gone.get(frame_id, frozenset())

    def _pairs(self, event: Event) -> list[tuple[int, TrueFace]]:
        """Pairs of a track's index and the face that it overlaps, chosen greedily by IoU, each at most once."""
        faces = self._frames.get(event.frame_id, ())
        if not faces or not event.tracks:
            return []
        overlaps = iou(_array([track.box for track in event.tracks]), _array([face.box for face in faces]))
        pairs = []
        while overlaps.max() >= MIN_IOU:
            track, face = np.unravel_index(overlaps.argmax(), overlaps.shape)
            pairs.append((int(track), faces[face]))
            overlaps[track, :] = overlaps[:, face] = 0.0
        return sorted(pairs, key=lambda pair: pair[0])


def load(path: Path) -> Truth:
    """The truth in a JSON or JSON Lines file. Raises UserError when it can't be read or is in neither form."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UserError(f"--truth {path}: can't be read ({error.strerror}); check the path") from None
    try:
        return parse(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"--truth {path}: {error}; {FORMS}") from None


def parse(text: bytes) -> Truth:
    """The truth in a file's content. Raises ValueError, of which msgspec's errors are subclasses, or RecursionError."""
    try:
        content = msgspec.json.decode(text)
    except msgspec.DecodeError:
        content = [msgspec.json.decode(line) for line in text.splitlines() if line.strip()]
    if isinstance(content, dict) and "shots" in content:
        return msgspec.convert(content, ShotTruth)
    frames = msgspec.convert(content if isinstance(content, list) else [content], list[_TruthFrame])
    if not frames:
        raise ValueError("it is empty")
    return BoxTruth(_merged(frames))


def _merged(frames: Sequence[_TruthFrame]) -> dict[int, tuple[TrueFace, ...]]:
    merged: defaultdict[int, tuple[TrueFace, ...]] = defaultdict(tuple)
    for frame in frames:
        number = frame.frame if frame.frame is not None else frame.frame_id
        assert number is not None  # __post_init__ checks it
        # the box of a lost track is a prediction, not an observation
        merged[number] += tuple(face for face in frame.faces or frame.tracks or () if face.state != "lost")
    return merged


def _array(boxes: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array(boxes, np.float32).reshape(-1, 4)


def read_events(path: Path) -> Iterator[Event]:
    """The events of a replay or a recording. Raises OSError and the exceptions in `errors.GARBLED`."""
    with path.open("rb") as file:
        for line in file:
            yield msgspec.json.decode(line, type=Event)
