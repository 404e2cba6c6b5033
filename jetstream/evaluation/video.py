"""The whole pipeline on a video whose truth is known: boxes right, wrong and unknown, and how soon.

Counts over events of `replay` or of any run; knows no picture.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Container, Sequence
from typing import NamedTuple

import msgspec

from jetstream.errors import UserError
from jetstream.evaluation.ground_truth import JudgedTrack, Truth
from jetstream.evaluation.metrics import Proportion, share
from jetstream.events import Event

AFTER_S = (0.0, 0.5, 1.0)
"""Boxes are counted from so long after a person could first be told."""


class BoxCounts(msgspec.Struct, frozen=True):
    """Boxes from `after_s` after each start on; the first three are shares of the boxes of known people."""

    after_s: float
    right: Proportion
    wrong: Proportion
    unknown: Proportion
    strangers_named: Proportion


class TimeToName(msgspec.Struct, frozen=True):
    """How long it took from when a person came until his or her name was shown."""

    name: str
    since: int  # frame
    after_s: float | None  # None: it never was


class VideoFigures(msgspec.Struct, frozen=True):
    frames: int
    boxes: int
    counted: tuple[BoxCounts, ...]
    missed: int  # faces of the truth without a box, where it tells
    name_changes: int  # within a track; from unknown to the first name isn't one
    old_names: int  # boxes in sight with the name of somebody who was there before and isn't now
    old_names_longest: int  # most frames in a row with one
    first_right: tuple[TimeToName, ...]


class TimedBox(NamedTuple):
    """A judged box of a known person or a stranger, in time."""

    time_s: float
    since_s: float
    judged: JudgedTrack
    known: bool  # whether the gallery holds who it is


def figures(
    events: Sequence[Event], truth: Truth, known: Container[str], after_s: Sequence[float] = AFTER_S
) -> VideoFigures:
    """What `events` got right, by `truth`; whoever isn't `known` is a stranger. `check` both first."""
    boxes = judged(events, truth, known)
    old = [_old_names(event, truth) for event in events]
    return VideoFigures(
        frames=len(events),
        boxes=sum(len(event.tracks) for event in events),
        counted=tuple(count(boxes, after) for after in after_s),
        missed=sum(truth.missed(event) for event in events),
        name_changes=name_changes(events),
        old_names=sum(old),
        old_names_longest=_longest_run(old),
        first_right=first_right(boxes),
    )


def check(truth: Truth, known: Container[str], frames: int, where: str) -> None:
    """Raises UserError when `truth` can't be of a video of so many frames (0: not known), or names nobody known."""
    first, last = truth.frames
    if frames and first >= frames:
        raise UserError(
            f"{where}: it speaks of frames {first} to {last}, the video has 0 to {frames - 1}; check the files"
        )
    if not any(name in known for name in truth.names):
        names = ", ".join(sorted(truth.names)) or "nobody"
        raise UserError(f"{where}: nobody of the gallery is in it ({names}); spell names as the faces folder does")


def judged(events: Sequence[Event], truth: Truth, known: Container[str]) -> list[TimedBox]:
    """Every box of which the truth speaks."""
    numbers = [event.frame_id for event in events]
    found = []
    for event in events:
        for one in truth.judge(event):
            since_s = events[bisect_left(numbers, one.since)].pts_s  # a recording may lack the first frame itself
            found.append(TimedBox(event.pts_s, since_s, one, one.expected in known))
    return found


def count(boxes: Sequence[TimedBox], after_s: float) -> BoxCounts:
    late = [box for box in boxes if box.time_s - box.since_s >= after_s - 1e-6]
    known = [box.judged for box in late if box.known]
    strangers = [box.judged for box in late if not box.known]
    right = sum(one.track.name == one.expected for one in known)
    unknown = sum(one.track.name is None for one in known)
    return BoxCounts(
        after_s=after_s,
        right=share(right, len(known)),
        wrong=share(len(known) - right - unknown, len(known)),
        unknown=share(unknown, len(known)),
        strangers_named=share(sum(one.track.name is not None for one in strangers), len(strangers)),
    )


def name_changes(events: Sequence[Event]) -> int:
    """How often a track shows another name than before, from unknown to a first name not counted."""
    shown: dict[int, str | None] = {}
    found = 0
    for event in events:
        for track in event.tracks:
            before = shown.get(track.track_id)
            found += before is not None and track.name != before
            shown[track.track_id] = track.name
    return found


def first_right(boxes: Sequence[TimedBox]) -> tuple[TimeToName, ...]:
    """One a person and appearance, in order of time."""
    appearances: defaultdict[tuple[int, str], list[TimedBox]] = defaultdict(list)
    for box in boxes:
        if box.known and box.judged.expected is not None:
            appearances[box.judged.since, box.judged.expected].append(box)
    found = []
    for (since, name), own in sorted(appearances.items()):
        right = next((box for box in own if box.judged.track.name == name), None)
        found.append(TimeToName(name, since, None if right is None else round(right.time_s - right.since_s, 3)))
    return tuple(found)


def _old_names(event: Event, truth: Truth) -> int:
    """A lost box says itself that its person is out of sight; over somebody else's face it is a wrong name."""
    gone = truth.gone(event.frame_id)
    return sum(track.name in gone for track in event.tracks if track.state != "lost")


def _longest_run(counts: Sequence[int]) -> int:
    longest = run = 0
    for one in counts:
        run = run + 1 if one else 0
        longest = max(longest, run)
    return longest
