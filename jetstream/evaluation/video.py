"""Figures of the whole pipeline on a video with a ground truth: boxes named right, wrong and unknown, and how soon.

Counts over the events of `replay` or of any run; knows no picture.
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
"""Boxes are counted from these times on, in seconds after the first frame in which the person could be named."""


class BoxCounts(msgspec.Struct, frozen=True):
    """The counts of boxes from `after_s` after each start on; the first three are shares of known people's boxes."""

    after_s: float
    right: Proportion
    wrong: Proportion
    unknown: Proportion
    strangers_named: Proportion


class TimeToName(msgspec.Struct, frozen=True):
    """The time from a person's appearance until the right name was shown."""

    name: str
    since: int  # frame of the appearance
    after_s: float | None  # None: the name was never shown


class VideoFigures(msgspec.Struct, frozen=True):
    """All figures of a test with a video."""

    frames: int
    boxes: int
    counted: tuple[BoxCounts, ...]
    missed: int  # faces in the truth without a box; 0 where the truth has no boxes
    name_changes: int  # within a track; from unknown to the first name is not counted
    old_names: int  # boxes of visible faces with the name of somebody who was visible before and isn't now
    old_names_longest: int  # most consecutive frames with such a box
    first_right: tuple[TimeToName, ...]


class TimedBox(NamedTuple):
    """A judged box of a known person or a stranger, with its time."""

    time_s: float  # in the video
    since_s: float  # in the video, when this person could first be named
    judged: JudgedTrack
    known: bool  # whether the person is in the gallery


def figures(
    events: Sequence[Event], truth: Truth, known: Container[str], after_s: Sequence[float] = AFTER_S
) -> VideoFigures:
    """The figures of `events` by `truth`; a person who isn't in `known` is a stranger. Call `check` first."""
    boxes = judged_boxes(events, truth, known)
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
    """Raises UserError when `truth` can't be of a video with `frames` frames (0: unknown), or names nobody in `known`.

    `where` begins the error.
    """
    first, last = truth.frames
    if frames and first >= frames:
        raise UserError(f"{where}: it has frames {first} to {last}, the video has 0 to {frames - 1}; check the files")
    if not any(name in known for name in truth.names):
        names = ", ".join(sorted(truth.names)) or "nobody"
        raise UserError(f"{where}: nobody of the gallery is in it ({names}); spell names as in the faces folder")


def judged_boxes(events: Sequence[Event], truth: Truth, known: Container[str]) -> list[TimedBox]:
    """Every box that the truth judges, in the order of `events`."""
    numbers = [event.frame_id for event in events]
    found = []
    for event in events:
        for one in truth.judge(event):
            since_s = events[bisect_left(numbers, one.since)].pts_s  # a recording may lack that very frame
            found.append(TimedBox(event.pts_s, since_s, one, one.expected in known))
    return found


def count(boxes: Sequence[TimedBox], after_s: float) -> BoxCounts:
    """The counts of the boxes from `after_s` after each start on."""
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
    """How often a track shows another name than before; from unknown to a first name is not counted."""
    shown: dict[int, str | None] = {}
    found = 0
    for event in events:
        for track in event.tracks:
            before = shown.get(track.track_id)
            found += before is not None and track.name != before
            shown[track.track_id] = track.name
    return found


def first_right(boxes: Sequence[TimedBox]) -> tuple[TimeToName, ...]:
    """The time to the right name for each person and appearance, in order of time."""
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
    """The number of visible boxes with the name of somebody who has left. A lost track's box is not visible."""
    gone = truth.gone(event.frame_id)
    return sum(track.name in gone for track in event.tracks if track.state != "lost")


def _longest_run(counts: Sequence[int]) -> int:
    longest = run = 0
    for one in counts:
        run = run + 1 if one else 0
        longest = max(longest, run)
    return longest
