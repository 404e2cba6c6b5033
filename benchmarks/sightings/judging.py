"""Sightings that were found beside those that are true, by the boxes of every frame. Pure."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from benchmarks.sightings.timetable import TrueSighting

MIN_IOU: Final = 0.25
"""of a track's box with a true one, of which a part may be out of the picture"""
ANOTHER_S: Final = 1.0
"""a sighting that shows a second person for longer is of two people"""
FAR_S: Final = 0.5
"""an error that is noted"""

Box = Sequence[float]
FaceBoxes = Sequence[Sequence[tuple[str, Box]]]  # of each frame: who is where


class FoundSighting(NamedTuple):
    """One that was found."""

    sighting_id: str
    camera: str
    name: str | None
    begin_s: float
    end_s: float

    def __str__(self) -> str:
        return f"{self.camera} {self.begin_s:.1f} to {self.end_s:.1f} s {self.sighting_id[-4:]} {self.name}"


class SeenTrack(NamedTuple):
    """A track in one frame."""

    camera: str
    time_s: float
    sighting_id: str | None  # as it was then; None: in none
    name: str | None
    box: Box
    visible: bool


@dataclass
class Judged:
    """All figures. Times are s, errors found minus true."""

    true: int = 0
    found: int = 0
    missed: int = 0
    split: int = 0  # true sightings in several
    split_strangers: int = 0  # of them strangers, who have no name to go by
    merged: int = 0  # found ones of two people
    nobody: int = 0  # found ones of no face
    joined: int = 0  # found ones over a break that is too long
    known: int = 0  # found ones of known people
    unnamed: int = 0  # of them
    wrong: int = 0  # found ones with the name of somebody else
    begins_s: list[float] = field(default_factory=list)
    ends_s: list[float] = field(default_factory=list)
    named_s: list[float] = field(default_factory=list)  # from the true begin until the right name
    lent_s: list[float] = field(default_factory=list)  # how long somebody's boxes had another one's name, if they had
    notes: list[str] = field(default_factory=list)

    def add(self, other: "Judged") -> None:
        """Add the figures of another run."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


class _Shown:
    """What the boxes of each found sighting show, and when it had which name first."""

    def __init__(
        self, tracks: Iterable[SeenTrack], faces: Mapping[str, FaceBoxes], into: Mapping[str, str], fps: float
    ):
        self.frames: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.named_s: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self.lent: Counter[tuple[str, str, str]] = Counter()  # frames, by camera, name and who it is
        for track in tracks:
            frames = faces[track.camera]
            person = _person(track.box, frames[min(len(frames) - 1, round(track.time_s * fps))])
            if track.visible and person is not None and track.name not in (None, person):
                self.lent[track.camera, str(track.name), person] += 1
            if (sighting_id := track.sighting_id) is None:
                continue
            while sighting_id in into:
                sighting_id = into[sighting_id]
            if track.name is not None:
                self.named_s[sighting_id].setdefault(track.name, track.time_s)
            if track.visible and person is not None:
                self.frames[sighting_id][person] += 1

    def owner(self, sighting_id: str) -> str | None:
        return max(self.frames[sighting_id], key=self.frames[sighting_id].__getitem__, default=None)


def judge(
    true: Sequence[TrueSighting],
    faces: Mapping[str, FaceBoxes],
    found: Sequence[FoundSighting],
    tracks: Iterable[SeenTrack],
    into: Mapping[str, str],
    known: frozenset[str],
    fps: float,
) -> Judged:
    """Compare. `faces` has the true boxes of each camera's frames; `into` which sighting goes on as which other."""
    shown = _Shown(tracks, faces, into, fps)
    judged = Judged(true=len(true), found=len(found), lent_s=[frames / fps for frames in shown.lent.values()])
    judged.notes += [f"lent: {frames / fps:.2f} s {', '.join(who)}" for who, frames in shown.lent.items()]
    parts: defaultdict[TrueSighting, list[FoundSighting]] = defaultdict(list)
    for one in found:
        owner = shown.owner(one.sighting_id)
        if owner is None:
            judged.nobody += 1
            judged.notes.append(f"nobody: {one}")
            continue
        _judge_people(judged, one, owner, shown.frames[one.sighting_id], fps)
        _judge_name(judged, one, owner, known)
        met = [each for each in true if (each.person, each.camera) == (owner, one.camera) and _overlap(each, one) > 0]
        for each in met:
            parts[each].append(one)
        if len(met) > 1:
            judged.joined += 1
            judged.notes.append(f"joined: {one} of {owner}")
    for each in true:
        _judge_parts(judged, each, parts[each], shown, known)
    return judged


def _judge_people(judged: Judged, one: FoundSighting, owner: str, frames: Counter[str], fps: float) -> None:
    others = {name: round(count / fps, 1) for name, count in frames.items() if name != owner}
    if max(others.values(), default=0.0) > ANOTHER_S:
        judged.merged += 1
        judged.notes.append(f"two people: {one} shows {owner} {frames[owner] / fps:.1f} s, {others}")


def _judge_name(judged: Judged, one: FoundSighting, owner: str, known: frozenset[str]) -> None:
    judged.known += owner in known
    if one.name not in (None, owner):
        judged.wrong += 1
        judged.notes.append(f"wrong: {one} is {owner}")
    elif one.name is None and owner in known:
        judged.unnamed += 1
        judged.notes.append(f"unnamed: {one} is {owner}")


def _judge_parts(
    judged: Judged, true: TrueSighting, own: Sequence[FoundSighting], shown: _Shown, known: frozenset[str]
) -> None:
    breaks = ", ".join(f"{break_s:.1f}" for break_s in true.breaks_s)
    where = f"{true.camera} {true.begin_s:.1f} to {true.end_s:.1f} s {true.person}, breaks: {breaks or 'none'}"
    if not own:
        judged.missed += 1
        judged.notes.append(f"missed: {where}")
        return
    if len(own) > 1:
        judged.split += 1
        judged.split_strangers += true.person not in known
        judged.notes.append(f"split: {where}: {', '.join(map(str, own))}")
    for what, errors, error_s in (
        ("begin", judged.begins_s, min(one.begin_s for one in own) - true.begin_s),
        ("end", judged.ends_s, max(one.end_s for one in own) - true.end_s),
    ):
        errors.append(error_s)
        if abs(error_s) > FAR_S:
            judged.notes.append(f"{what} {error_s:+.2f} s: {where}")
    moments = [shown.named_s[one.sighting_id].get(true.person) for one in own]
    if true.person in known and (named := [moment for moment in moments if moment is not None]):
        judged.named_s.append(min(named) - true.begin_s)


def rows(judged: Judged) -> list[tuple[str, str]]:
    """The figures as text."""
    return [
        ("true sightings, found ones", f"{judged.true}, {judged.found}"),
        ("missed", _of(judged.missed, judged.true)),
        ("split", _of(judged.split, judged.true)),
        ("of them strangers", str(judged.split_strangers)),
        ("two people in one", _of(judged.merged, judged.found)),
        ("joined over a break longer than absence_s", _of(judged.joined, judged.found)),
        ("of nobody", _of(judged.nobody, judged.found)),
        ("wrongly named", _of(judged.wrong, judged.found)),
        ("known people unnamed", _of(judged.unnamed, judged.known)),
        ("another one's name on a box, times / s / most s", _lent(judged.lent_s)),
        ("begin off, median / 95 % / most s", _errors(judged.begins_s)),
        ("end off, median / 95 % / most s", _errors(judged.ends_s)),
        (f"begin, end off by {FAR_S:g} s at most", f"{_near(judged.begins_s)}, {_near(judged.ends_s)}"),
        ("begin to the name, median / 95 % / most s", _errors(judged.named_s)),
    ]


def _of(count: int, of: int) -> str:
    return f"{count} of {of} ({100 * count / of:.1f} %)" if of else "-"


def _near(values: Sequence[float]) -> str:
    return _of(sum(abs(value) <= FAR_S for value in values), len(values))


def _lent(values: Sequence[float]) -> str:
    return f"{len(values)} / {sum(values):.2f} / {max(values, default=0.0):.2f}"


def _errors(values: Sequence[float]) -> str:
    sizes = sorted(abs(value) for value in values)
    if not sizes:
        return "-"
    return f"{statistics.median(sizes):.2f} / {sizes[int(0.95 * (len(sizes) - 1))]:.2f} / {sizes[-1]:.2f}"


def _person(box: Box, faces: Sequence[tuple[str, Box]]) -> str | None:
    best, found = MIN_IOU, None
    for person, other in faces:
        overlap = _iou(box, other)
        if overlap > best:
            best, found = overlap, person
    return found


def _iou(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (areas - width * height)


def _overlap(true: TrueSighting, found: FoundSighting) -> float:
    return min(true.end_s, found.end_s) - max(true.begin_s, found.begin_s)
