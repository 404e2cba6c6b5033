"""Figures of the sightings of a video with a ground truth: found, missed, named right, wrong or not at all.

Counts over the events of `replay`; knows no picture and no database.
"""

from collections import Counter, defaultdict
from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple

import msgspec

from jetstream.evaluation.ground_truth import Truth
from jetstream.evaluation.metrics import Proportion, share
from jetstream.events import Event


class SightingFigures(msgspec.Struct, frozen=True):
    """Sightings that were found beside those of the people whom the truth names."""

    true: int
    """in the truth: one person without a break longer than `sightings.absence_s`"""
    found: Proportion
    """of those in the truth, the ones with a sighting"""
    missed: Proportion
    """of those in the truth, the ones without"""
    split: int
    """of those in the truth, the ones with several sightings"""
    right: Proportion
    """of the sightings of known people, those with the right name at their end"""
    wrong: Proportion
    """of them, those with somebody else's name"""
    unnamed: Proportion
    """of them, those without a name"""
    strangers_named: Proportion
    """of the sightings of strangers, those with a name"""
    false_names: Proportion
    """of all these sightings, those with a false name"""
    unjudged: int
    """sightings of which the truth says nothing"""


class _TrueSighting(NamedTuple):
    """In the truth, from the first to the last frame."""

    name: str
    first: int
    last: int


class _FoundSighting:
    """One that was found: its name, and whom the truth named for its boxes."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.people: Counter[str | None] = Counter()
        self.first = self.last = -1

    @property
    def person(self) -> str | None:
        """Whom it shows most; None: a person whom the truth doesn't name."""
        return self.people.most_common(1)[0][0]

    def shows(self, frame: int, person: str | None) -> None:
        self.people[person] += 1
        self.first, self.last = frame if self.first < 0 else self.first, frame


def figures(
    events: Sequence[Event], truth: Truth, known: Container[str], merged: Mapping[str, str], absence_s: float
) -> SightingFigures:
    """The figures of `events`, of one camera, by `truth`. Who isn't in `known` is a stranger.

    merged     ids of sightings that turned out to be a part of another one, with that one's id
    absence_s  a person who is away for longer has another sighting
    """
    found = _found(events, truth, merged)
    judged = [one for one in found.values() if one.people]
    true = _true(events, truth, absence_s)
    parts = [sum(one.person == each.name and _meet(one, each) for one in judged) for each in true]
    seen = sum(count > 0 for count in parts)
    of_known = [one for one in judged if one.person in known]
    strangers = [one for one in judged if one.person not in known]
    right = sum(one.name == one.person for one in of_known)
    unnamed = sum(one.name is None for one in of_known)
    wrong = len(of_known) - right - unnamed
    named = sum(one.name is not None for one in strangers)
    return SightingFigures(
        true=len(true),
        found=share(seen, len(true)),
        missed=share(len(true) - seen, len(true)),
        split=sum(count > 1 for count in parts),
        right=share(right, len(of_known)),
        wrong=share(wrong, len(of_known)),
        unnamed=share(unnamed, len(of_known)),
        strangers_named=share(named, len(strangers)),
        false_names=share(wrong + named, len(judged)),
        unjudged=len(found) - len(judged),
    )


def _found(events: Sequence[Event], truth: Truth, merged: Mapping[str, str]) -> dict[str, _FoundSighting]:
    """The sightings of the events, by id; one that was merged counts with the one that it is a part of."""
    found: defaultdict[str, _FoundSighting] = defaultdict(_FoundSighting)
    for event in events:
        people = {id(one.track): one.expected for one in truth.judge(event)}
        for track in event.tracks:
            if track.sighting is None:
                continue
            one = found[_goes_on_as(track.sighting, merged)]
            is_shown = track.state == "confirmed"
            # as it is recorded: the newest name, and of a face that has gone the first one
            if track.name is not None and (is_shown or one.name is None):
                one.name = track.name
            if is_shown and id(track) in people:
                one.shows(event.frame_id, people[id(track)])
    return dict(found)


def _goes_on_as(sighting: str, merged: Mapping[str, str]) -> str:
    while sighting in merged:
        sighting = merged[sighting]
    return sighting


def _true(events: Sequence[Event], truth: Truth, absence_s: float) -> list[_TrueSighting]:
    """The sightings of everybody whom the truth names, in order of time."""
    frames: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events:
        for name in truth.visible(event.frame_id):
            frames[name].append(event)
    found = []
    for name, own in sorted(frames.items()):
        times_s = [event.pts_s for event in own]
        begins = [0, *(i for i in range(1, len(own)) if times_s[i] - times_s[i - 1] > absence_s)]
        ends = [*begins[1:], len(own)]
        found += [
            _TrueSighting(name, own[first].frame_id, own[end - 1].frame_id)
            for first, end in zip(begins, ends, strict=True)
        ]
    return sorted(found, key=lambda one: (one.first, one.name))


def _meet(found: _FoundSighting, true: _TrueSighting) -> bool:
    return found.first <= true.last and true.first <= found.last
