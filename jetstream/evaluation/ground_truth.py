"""Who is where in a video, from a file that a person wrote. Two forms; both judge the tracks of an event.

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
"""Least overlap of a track's box with the box of the truth that it stands for: people draw boxes differently."""
APART_FRAMES = 25
"""A person who isn't in the truth for longer than this comes anew."""
FORMS = (
    'expected {"size": [w, h], "shots": [{"first", "last", "left", "right"}, ...]}, or a list or lines of '
    '{"frame": n, "faces": [{"box": [x1, y1, x2, y2], "name": "Ada" or null}]}'
)


class JudgedTrack(NamedTuple):
    """A track's box, and who the truth says it is."""

    track: EventTrack
    expected: str | None  # None: a person without a name
    since: int  # the frame from which on that could be told: the start of the shot, or of this appearance


class Truth(Protocol):
    """What both forms tell."""

    @property
    def names(self) -> frozenset[str]:
        """Everybody who is named somewhere."""

    @property
    def frames(self) -> tuple[int, int]:
        """The first and the last frame that it speaks of."""

    def judge(self, event: Event) -> list[JudgedTrack]:
        """The tracks of a frame of which it says who they are."""

    def missed(self, event: Event) -> int:
        """Faces of this frame without a track; 0 where the form doesn't tell."""

    def gone(self, frame_id: int) -> frozenset[str]:
        """Who was there before this frame, and isn't now."""


class TruthShot(msgspec.Struct, frozen=True):
    """Frames between two cuts, and the one person on either side."""

    first: int
    last: int
    left: str | None
    right: str | None

    @property
    def people(self) -> set[str]:
        return {name for name in (self.left, self.right) if name is not None}


class ShotTruth(msgspec.Struct, frozen=True):
    """The form with shots: whoever's box has its centre left of `middle` is `left`, everybody else `right`.

    `middle` is half the width of `size` where it isn't given. Boxes with a centre outside of `inside`, x from and to,
    are people of whom the truth doesn't speak.
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

    def gone(self, frame_id: int) -> frozenset[str]:
        index = self._index(frame_id)
        if index is None:
            return frozenset()
        before = {name for shot in self.shots[:index] for name in shot.people}
        return frozenset(before - self.shots[index].people)

    def _index(self, frame_id: int) -> int | None:
        return next((i for i, shot in enumerate(self.shots) if shot.first <= frame_id <= shot.last), None)


class TrueFace(msgspec.Struct, frozen=True):
    box: Box
    name: str | None = None
    state: str = ""  # of an event's track


class _TruthFrame(msgspec.Struct, frozen=True):
    """A frame's faces, also under the words of an event line, so that corrected events of a replay are a truth."""

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
    """The form with a box a face; frames that it leaves out are not judged."""

    def __init__(self, frames: dict[int, tuple[TrueFace, ...]]) -> None:
        self._frames = dict(sorted(frames.items()))
        self._since: dict[tuple[int, str], int] = {}
        self._gone: dict[int, frozenset[str]] = {}
        begun: dict[str, int] = {}
        last: dict[str, int] = {}
        for frame, faces in self._frames.items():
            here = {face.name for face in faces if face.name is not None}
            for name in here:
                if frame - last.get(name, -APART_FRAMES - 1) > APART_FRAMES:
                    begun[name] = frame
                last[name], self._since[frame, name] = frame, begun[name]
            self._gone[frame] = frozenset(last.keys() - here)

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

    def gone(self, frame_id: int) -> frozenset[str]:
        return self._gone.get(frame_id, frozenset())

    def _pairs(self, event: Event) -> list[tuple[int, TrueFace]]:
        """Each track with the face that it overlaps best, the best pair first, none twice."""
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
    """The truth in a JSON or JSON Lines file. Raises UserError: missing, damaged, or in neither form."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UserError(f"--truth {path}: can't be read ({error.strerror}); check the path") from None
    try:
        return parse(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"--truth {path}: {error}; {FORMS}") from None


def parse(text: bytes) -> Truth:
    """The truth that `text` tells. Raises ValueError (of which msgspec's errors are kinds)."""
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
        assert number is not None  # checked when it was made
        # the box of a lost track is a guess, nobody's truth
        merged[number] += tuple(face for face in frame.faces or frame.tracks or () if face.state != "lost")
    return merged


def _array(boxes: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array(boxes, np.float32).reshape(-1, 4)


def read_events(path: Path) -> Iterator[Event]:
    """The events of a replay or a recording. Raises OSError and what is in `messages.GARBLED`."""
    with path.open("rb") as file:
        for line in file:
            yield msgspec.json.decode(line, type=Event)
