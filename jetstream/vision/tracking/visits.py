"""Tracks of one camera to sightings: one person, or one stranger, without a longer break.

Knows no picture, no embedding, no clock and no database. Ids come from the caller.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

TELL_S: Final = 10.0
"""how long an end and a merge are told, so that a reader who missed frames still hears of it"""
SETTLE_S: Final = 2.0
"""A track whose face was exchanged may be nameless for so long before it counts as a stranger's. A head that turned
fast looks like an exchange, and has its name again within a second."""


class VisitTrack(NamedTuple):
    """What a track shows in one frame."""

    track_id: int
    confirmed: bool  # shown: neither tentative nor lost
    age_s: float  # since its first detection
    name: str | None
    doubtful: bool = False  # it may be no face
    switches: int = 0  # how often its face was exchanged for another, which only grows


class MergedSighting(NamedTuple):
    """`sighting_id` turned out to be a part of `into`."""

    sighting_id: str
    into: str


@dataclass(slots=True)
class _Visit:
    """A sighting that is open, or may still go on; owned by its SightingFinder alone."""

    sighting_id: str
    name: str | None
    seen_s: float
    tracks: set[int] = field(default_factory=set)  # that show it, among them lost ones


@dataclass(slots=True)
class _Member:
    """What is known of a track that belongs to a visit."""

    visit: _Visit
    switches: int
    seen_s: float
    switched_s: float | None = None  # when its face was exchanged; None: not, or settled since


class SightingFinder:
    """The sightings of one camera that are open or ended less than `absence_s` ago.

    A track belongs to a sighting once it was confirmed for `confirm_s`. A named track continues the sighting of its
    name; a track that continues an earlier one (`returned`) continues that one's sighting. A name that is learnt late
    is given to the sighting; where that person has one already, the two are merged. A track that shows another person
    than before leaves its sighting.

    Merges and ends are told for a while (`merged`, `ended`).
    """

    def __init__(self, *, confirm_s: float, absence_s: float) -> None:
        self._confirm_s, self._absence_s = confirm_s, absence_s
        self._visits: dict[str, _Visit] = {}
        self._members: dict[int, _Member] = {}  # by track, also of tracks that ended
        self._earlier: dict[int, int] = {}  # which track each one continues
        self._merged: dict[MergedSighting, float] = {}
        self._ended: dict[str, float] = {}
        self._now_s = -math.inf

    @property
    def merged(self) -> tuple[MergedSighting, ...]:
        """Merges of the last `TELL_S`, the oldest first."""
        return tuple(self._merged)

    @property
    def ended(self) -> tuple[str, ...]:
        """Sightings that ended in the last `TELL_S`, the oldest first."""
        return tuple(self._ended)

    def returned(self, track_id: int, earlier_id: int) -> None:
        """Take that `track_id` shows the person of `earlier_id`, which isn't seen any more."""
        if track_id != earlier_id:
            self._earlier[track_id] = earlier_id

    def rejoined(self, changed: Mapping[int, int]) -> None:
        """Take the ids under which tracks go on, by the ids that they had."""
        for track_id, earlier_id in changed.items():
            self._earlier.pop(track_id, None)
            member, earlier = self._members.pop(track_id, None), self._members.get(earlier_id)
            if member is None:
                continue
            member.visit.tracks.discard(track_id)
            if earlier is None:
                self._join(earlier_id, member.visit, member.switches)
            elif earlier.visit is not member.visit and _agree(member.visit, earlier.visit):
                self._merge(member.visit, earlier.visit)
            # else the earlier track's sighting goes on, as its track does

    def saw(
        self, tracks: Sequence[VisitTrack], time_s: float, new_id: Callable[[VisitTrack], str], *, slowness: float = 1.0
    ) -> dict[int, str]:
        """Take all tracks of a frame; the sighting of each track that belongs to one, by track id.

        time_s    of the frame, any origin. After a step back everything is forgotten
        new_id    the id of a sighting that begins with this track
        slowness  of the camera, see FrameRate: absences may be longer by it
        """
        self._forget(time_s, self._absence_s * slowness)
        for track in tracks:
            if track.confirmed:
                self._place(track, time_s, new_id)
        found = {}
        for track in tracks:
            if (member := self._members.get(track.track_id)) is not None:
                member.seen_s = time_s
                found[track.track_id] = member.visit.sighting_id
        return found

    def _forget(self, time_s: float, absence_s: float) -> None:
        if time_s < self._now_s:
            self._ended |= dict.fromkeys(self._visits, time_s)
            self._visits, self._members, self._earlier = {}, {}, {}
        self._now_s = time_s
        self._ended = {sighting_id: at_s for sighting_id, at_s in self._ended.items() if 0 <= time_s - at_s <= TELL_S}
        self._merged = {merge: at_s for merge, at_s in self._merged.items() if 0 <= time_s - at_s <= TELL_S}
        for track_id in [i for i, member in self._members.items() if time_s - member.seen_s > absence_s]:
            self._members.pop(track_id).visit.tracks.discard(track_id)
        for visit in [visit for visit in self._visits.values() if time_s - visit.seen_s > absence_s]:
            del self._visits[visit.sighting_id]
            self._ended[visit.sighting_id] = time_s
            for track_id in visit.tracks:  # lost ones
                del self._members[track_id]
        if self._earlier:
            self._earlier = {i: earlier for i, earlier in self._earlier.items() if earlier in self._members}

    def _place(self, track: VisitTrack, time_s: float, new_id: Callable[[VisitTrack], str]) -> None:
        member = self._members.get(track.track_id)
        if member is None:
            if track.age_s < self._confirm_s or track.doubtful:
                return
            member = self._join(track.track_id, self._continued(track) or self._begin(track, new_id), track.switches)
        else:
            member = self._checked(track, member, time_s, new_id)
        visit = member.visit
        visit.seen_s = time_s
        if track.name is not None and visit.name is None:
            self._name(visit, track.name)

    def _continued(self, track: VisitTrack) -> _Visit | None:
        """The sighting that a new track continues."""
        if track.name is not None and (named := self._of(track.name)) is not None:
            return named
        earlier = self._members.get(self._earlier.get(track.track_id, -1))
        if earlier is not None and (track.name is None or earlier.visit.name in (None, track.name)):
            return earlier.visit
        return None

    def _checked(
        self, track: VisitTrack, member: _Member, time_s: float, new_id: Callable[[VisitTrack], str]
    ) -> _Member:
        """The membership of a track, after a change of its name or of its face."""
        if track.switches > member.switches:
            member.switched_s = time_s
        member.switches = track.switches  # it is 0 again where a track continues one that had ended
        name = member.visit.name
        if track.name == name or name is None:
            # the same person, or one whose name isn't known yet
            if track.name is not None:
                member.switched_s = None
            return self._returned_late(track, member)
        if track.name is None:
            if member.switched_s is None or time_s - member.switched_s < SETTLE_S:
                return member
        elif member.switched_s is None and member.visit.tracks == {track.track_id}:
            # the same face under another name: the name was wrong
            known = self._of(track.name)
            if known is None:
                member.visit.name = track.name
                return member
            self._merge(member.visit, known)
            return self._members[track.track_id]
        member.visit.tracks.discard(track.track_id)
        known = self._of(track.name) if track.name is not None else None
        since_s = 0.0 if member.switched_s is None else time_s - member.switched_s
        visit = known or self._begin(track._replace(age_s=since_s), new_id)
        return self._join(track.track_id, visit, track.switches)

    def _returned_late(self, track: VisitTrack, member: _Member) -> _Member:
        """Recognition may say only after `confirm_s` that a track continues an earlier one."""
        earlier = self._members.get(self._earlier.pop(track.track_id, -1))
        if earlier is None or earlier.visit is member.visit or not _agree(member.visit, earlier.visit):
            return member
        self._merge(member.visit, earlier.visit)
        return self._members[track.track_id]

    def _name(self, visit: _Visit, name: str) -> None:
        known = self._of(name)
        if known is None:
            visit.name = name
        else:
            self._merge(visit, known)
            known.seen_s = max(known.seen_s, visit.seen_s)

    def _of(self, name: str) -> _Visit | None:
        return next((visit for visit in self._visits.values() if visit.name == name), None)

    def _begin(self, track: VisitTrack, new_id: Callable[[VisitTrack], str]) -> _Visit:
        visit = _Visit(new_id(track), track.name, self._now_s)
        self._visits[visit.sighting_id] = visit
        return visit

    def _join(self, track_id: int, visit: _Visit, switches: int) -> _Member:
        visit.tracks.add(track_id)
        self._members[track_id] = member = _Member(visit, switches, self._now_s)
        return member

    def _merge(self, visit: _Visit, into: _Visit) -> None:
        for track_id in sorted(visit.tracks):
            self._join(track_id, into, self._members[track_id].switches)
        into.seen_s = max(into.seen_s, visit.seen_s)
        into.name = into.name or visit.name
        del self._visits[visit.sighting_id]
        self._merged[MergedSighting(visit.sighting_id, into.sighting_id)] = self._now_s


def _agree(one: _Visit, other: _Visit) -> bool:
    """Whether the two may show one person."""
    return None in (one.name, other.name) or one.name == other.name
