"""Tracks of one camera to sightings: one person, or one stranger, without a longer break.

Knows no picture, no embedding, no clock and no database. Ids come from the caller. It is long for a file: which
sighting a track belongs to is one decision, whose rules depend on each other.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import combinations
from typing import Final, NamedTuple

from jetstream.vision.tracking.new_tracks import NewTracks, is_gap
from jetstream.vision.tracking.open_visits import LATELY_S as LATELY_S
from jetstream.vision.tracking.open_visits import TOGETHER_S, NewName, OpenVisit, VisitMember

TELL_S: Final = 10.0
"""how long an end and a merge are told, so that a reader who missed frames still hears of it"""
HELD_S: Final = 0.3
"""how long a track may still be shown while a new one has the face: more than `track.hold_s`"""
LEAST_ABSENCE_S: Final = 2.0
"""of a camera with 4 frames a second; a slower one has as many frames, so that a few missed ones end no sighting"""


class VisitTrack(NamedTuple):
    """What a track shows in one frame."""

    track_id: int
    confirmed: bool  # shown: neither tentative nor lost
    age_s: float  # since its first detection
    name: str | None
    doubtful: bool = False  # it may be no face
    switches: int = 0  # how often its face was exchanged for another, which only grows
    in_doubt: bool = False  # its face jumped, and recognition hasn't said yet whose it is


class MergedSighting(NamedTuple):
    """`sighting_id` turned out to be a part of `into`."""

    sighting_id: str
    into: str


class SightingFinder:
    """The sightings of one camera that are open or ended less than `absence_s` ago.

    A track belongs to a sighting once it was confirmed for `confirm_s`. A named track continues the sighting of its
    name; a track that continues an earlier one (`returned`) continues that one's sighting. A name that is learnt late
    is given to the sighting; where that person has one already, the two are merged. A track that shows another person
    than before leaves its sighting. Sightings that were in the picture at once are never merged: there the track goes
    over, and where two tracks exchanged their people, so does the other one.

    Merges and ends are told for a while (`merged`, `ended`).
    """

    def __init__(self, *, confirm_s: float, absence_s: float) -> None:
        self._confirm_s, self._absence_s = confirm_s, absence_s
        self._visits: dict[str, OpenVisit] = {}
        self._members: dict[int, VisitMember] = {}  # by track, also of tracks that ended
        self._earlier: dict[int, int] = {}  # which track each one continues
        self._merged: dict[MergedSighting, float] = {}
        self._ended: dict[str, float] = {}
        self._shown: dict[int, VisitTrack] = {}  # the confirmed tracks of this frame
        self._new = NewTracks()
        self._now_s = -math.inf
        self._elapsed_s, self._slowness = 0.0, 1.0

    @property
    def merged(self) -> tuple[MergedSighting, ...]:
        """Merges of the last `TELL_S`, the oldest first."""
        return tuple(self._merged)

    @property
    def ended(self) -> tuple[str, ...]:
        """Sightings that ended in the last `TELL_S`, the oldest first."""
        return tuple(self._ended)

    def returned(self, track_id: int, earlier_id: int) -> None:
        """Take that `track_id` shows the person of `earlier_id`. It doesn't count where both were seen at once."""
        if track_id != earlier_id:
            self._earlier[track_id] = earlier_id

    def exchanged(self, track_id: int, before_id: int) -> None:
        """Take that a track shows another face, and that what it showed before goes by `before_id`, which is negative,
        as if it was an earlier track. Nothing is remembered where it isn't known whose that was.

        Where another track is said to continue this one, though both were seen at once, its face had gone there.
        """
        member = self._members.get(track_id)
        if member is None or member.switched_s is not None:
            return
        if (stale := self._members.get(before_id)) is not None:  # recognition was started again, and counts anew
            stale.visit.tracks.discard(before_id)
            self._earlier = {other: earlier for other, earlier in self._earlier.items() if earlier != before_id}
        before = self._join(before_id, member.visit, 0)
        for other in [other for other, earlier in self._earlier.items() if earlier == track_id]:
            self._earlier[other], before.shown_s = before_id, -math.inf

    def stayed(self, track_id: int, time_s: float) -> None:
        """Take that a track showed the same face at `time_s` as before: if it was out of sight, nobody else came."""
        member = self._members.get(track_id)
        if member is not None and time_s >= member.back_s:
            member.back_s = -math.inf

    def rejoined(self, changed: Mapping[int, int]) -> None:
        """Take the ids under which tracks go on, by the ids that they had: recognition saw the same face again."""
        for track_id, earlier_id in changed.items():
            self._earlier.pop(track_id, None)
            member, earlier = self._members.pop(track_id, None), self._members.get(earlier_id)
            if earlier is not None:
                earlier.shown_s = self._now_s  # so that its time out of sight is no chance for somebody else
                earlier.switches = member.switches if member is not None else earlier.switches
            if member is None:
                self._new.rejoined(track_id, earlier_id, self._now_s)
                continue
            member.visit.tracks.discard(track_id)
            if earlier is None:
                self._join(earlier_id, member.visit, member.switches)
            elif earlier.visit is not member.visit and not member.is_unsure and member.visit.may_be(earlier.visit):
                self._merge(member.visit, earlier.visit)
            # else the earlier track's sighting goes on, as its track does

    def saw(
        self, tracks: Sequence[VisitTrack], time_s: float, new_id: Callable[[VisitTrack], str], *, slowness: float = 1.0
    ) -> dict[int, str]:
        """Take all tracks of a frame; the sighting of each track that belongs to one, by track id.

        A track whose face seems to be another one has none until it is known whose it is, `SETTLE_S` at most.

        time_s    of the frame, any origin. After a step back everything is forgotten
        new_id    the id of a sighting that begins with this track
        slowness  of the camera, see FrameRate: `absence_s` is `LEAST_ABSENCE_S` times it at least
        """
        self._elapsed_s, self._slowness = max(0.0, time_s - self._now_s), slowness
        self._forget(time_s, max(self._absence_s, LEAST_ABSENCE_S * slowness))
        self._shown = {track.track_id: track for track in tracks if track.confirmed}
        self._new.keep({track.track_id for track in tracks})
        for track in self._shown.values():
            self._place(track, time_s, new_id)
        for track in tracks:
            if not track.confirmed and track.name is not None:
                self._name_lost(track.track_id, track.name)
        found, shown = {}, {}
        for track in tracks:
            if (member := self._members.get(track.track_id)) is None:
                continue
            member.seen_s = time_s
            if track.confirmed:
                member.shown_s = time_s
            if not (track.confirmed and member.is_unsure):
                found[track.track_id] = member.visit.sighting_id
                if track.confirmed:
                    shown[member.visit.sighting_id] = member.visit
        self._count_shown(shown.values(), min(self._elapsed_s, TOGETHER_S * slowness))
        return found

    def _count_shown(self, shown: Collection[OpenVisit], elapsed_s: float) -> None:
        for visit in shown:
            visit.stable_s += elapsed_s
        for one, other in combinations(shown, 2):
            together_s = one.beside_s.get(other.sighting_id, 0.0) + elapsed_s
            one.beside_s[other.sighting_id] = other.beside_s[one.sighting_id] = together_s

    def _forget(self, time_s: float, absence_s: float) -> None:
        if time_s < self._now_s:
            self._ended |= dict.fromkeys(self._visits, time_s)
            self._visits, self._members, self._earlier, self._new = {}, {}, {}, NewTracks()
        self._now_s = time_s
        if self._ended:
            self._ended = {sighting: at_s for sighting, at_s in self._ended.items() if 0 <= time_s - at_s <= TELL_S}
        if self._merged:
            self._merged = {merge: at_s for merge, at_s in self._merged.items() if 0 <= time_s - at_s <= TELL_S}
        for track_id in [i for i, member in self._members.items() if time_s - member.seen_s > absence_s]:
            self._members.pop(track_id).visit.tracks.discard(track_id)
        for visit in [visit for visit in self._visits.values() if time_s - visit.seen_s > absence_s]:
            self._drop(visit)
            self._ended[visit.sighting_id] = time_s
            for track_id in visit.tracks:  # lost ones
                del self._members[track_id]
        if self._earlier:
            self._earlier = {i: earlier for i, earlier in self._earlier.items() if earlier in self._members}

    def _drop(self, visit: OpenVisit) -> None:
        del self._visits[visit.sighting_id]
        for other in visit.beside_s:
            self._visits[other].beside_s.pop(visit.sighting_id, None)

    def _place(self, track: VisitTrack, time_s: float, new_id: Callable[[VisitTrack], str]) -> None:
        member = self._members.get(track.track_id)
        if member is None:
            shown_s = self._new.shown_for_s(track.track_id, track.age_s, time_s, self._elapsed_s)
            if shown_s < self._confirm_s or track.doubtful:
                return
            self._new.forget(track.track_id)
            member = self._join(track.track_id, self._continued(track) or self._begin(track, new_id), track.switches)
            self._doubt_others(track)
        member = self._checked(track, member, new_id)
        if not member.is_unsure:
            member.visit.seen_s = time_s

    def _continued(self, track: VisitTrack) -> OpenVisit | None:
        """The sighting that a new track continues."""
        if track.name is not None and (named := self._of(track.name)) is not None:
            return named
        earlier = self._seen_before(track)
        return earlier if earlier is not None and (track.name is None or earlier.name in (None, track.name)) else None

    def _checked(self, track: VisitTrack, member: VisitMember, new_id: Callable[[VisitTrack], str]) -> VisitMember:
        """The membership of a track, after a change of its name or of its face."""
        if track.switches > member.switches:
            member.switched_s = self._now_s
            self._earlier.pop(track.track_id, None)  # it was said of the face before
        if is_gap(self._now_s - member.shown_s, self._elapsed_s) or (track.in_doubt and not member.in_doubt):
            member.back_s, member.naming = self._now_s, None
            member.jumped_s = self._now_s if track.in_doubt else member.jumped_s
        member.in_doubt = track.in_doubt
        if track.in_doubt:
            return member
        member.switches = track.switches  # it is 0 again where a track continues one that had ended
        if track.name is not None and track.name == member.visit.name:
            member.naming = member.switched_s = None
        if track.name is None or track.name == member.visit.name:
            member.naming = None
            if member.has_settled(self._now_s):
                return self._go_over(track, self._left_by(member) or self._begin(track, new_id))
            return self._returned_late(track, member) if track.name == member.visit.name else member
        if member.naming is None or member.naming.name != track.name:
            member.naming = NewName(track.name, self._now_s)
        if member.must_wait(member.naming, self._now_s, self._slowness):
            return member
        return self._renamed(track, member, member.naming, new_id)

    def _left_by(self, member: VisitMember) -> OpenVisit | None:
        """The stranger's sighting that a track showed before a known person came in front, if nothing else shows it."""
        left = member.left if member.visit.name is not None else None
        if left is None or left.name is not None or self._visits.get(left.sighting_id) is not left:
            return None
        return left if left.tracks.isdisjoint(self._shown) else None

    def _renamed(
        self, track: VisitTrack, member: VisitMember, naming: NewName, new_id: Callable[[VisitTrack], str]
    ) -> VisitMember:
        """Its sighting is nameless, or was named wrongly, or the track shows another face."""
        visit, known = member.visit, self._of(naming.name)
        is_another = visit.is_stable(self._slowness) and naming.since_s - member.changed_s <= LATELY_S
        is_another |= member.switched_s is not None and member.switched_s - member.jumped_s <= LATELY_S
        if visit.name is not None:
            is_another |= member.switched_s is not None or {i for i in visit.tracks if i > 0} != {track.track_id}
        if is_another or (known is not None and visit.was_beside(known)):
            return self._go_over(track, known or self._begin(track, new_id))
        member.naming = member.switched_s = None
        visit.name, visit.stable_s = naming.name, 0.0
        if known is not None:
            self._merge(visit, known)
        return self._members[track.track_id]

    def _returned_late(self, track: VisitTrack, member: VisitMember) -> VisitMember:
        """Recognition may say only after `confirm_s` that a track continues an earlier one."""
        earlier = self._seen_before(track)
        if earlier is None or earlier is member.visit or not member.visit.may_be(earlier):
            return member
        self._merge(member.visit, earlier)
        return self._members[track.track_id]

    def _seen_before(self, track: VisitTrack) -> OpenVisit | None:
        """The sighting of the track that this one is said to continue, unless both were seen at once."""
        earlier = self._members.get(self._earlier.get(track.track_id, 0))
        if earlier is None:
            return None
        since_s, member = self._now_s - track.age_s, self._members.get(track.track_id)
        if member is not None:
            since_s = max(since_s, member.since_s)
        if earlier.is_unsure or earlier.shown_s - since_s > HELD_S:
            return None
        return earlier.visit

    def _name_lost(self, track_id: int, name: str) -> None:
        """The answer may come when the face has gone: its sighting gets the name, if that was nobody else."""
        member = self._members.get(track_id)
        if member is None or member.visit.name is not None or member.visit.is_stable(self._slowness):
            return
        if not member.visit.tracks.isdisjoint(self._shown):
            return
        known = self._of(name)
        if known is None:
            member.visit.name = name
        elif not member.visit.was_beside(known):
            self._merge(member.visit, known)

    def _go_over(self, track: VisitTrack, visit: OpenVisit) -> VisitMember:
        """The track shows the person of `visit` from now on. What showed that one until now has the sighting left."""
        before = self._members[track.track_id]
        left = before.visit
        left.tracks.discard(track.track_id)
        member = self._join(track.track_id, visit, track.switches)
        member.since_s, member.left = before.changed_s, left
        if left.tracks.isdisjoint(self._shown):
            for other in sorted(visit.tracks & self._shown.keys() - {track.track_id}):
                if self._shown[other].name in (None, left.name):
                    visit.tracks.discard(other)
                    exchanged = self._join(other, left, self._shown[other].switches)
                    exchanged.switched_s = None if left.name is None else self._now_s  # until its name says so
        self._doubt_others(track)
        return member

    def _doubt_others(self, track: VisitTrack) -> None:
        """A name is at one track: another one in the same sighting shows somebody else, unless its name returns."""
        if track.name is None:
            return
        for other in self._members[track.track_id].visit.tracks & self._shown.keys() - {track.track_id}:
            member = self._members[other]
            if member.switched_s is None:
                member.switched_s = self._now_s

    def _of(self, name: str) -> OpenVisit | None:
        return next((visit for visit in self._visits.values() if visit.name == name), None)

    def _begin(self, track: VisitTrack, new_id: Callable[[VisitTrack], str]) -> OpenVisit:
        visit = OpenVisit(new_id(track), track.name, self._now_s)
        self._visits[visit.sighting_id] = visit
        return visit

    def _join(self, track_id: int, visit: OpenVisit, switches: int) -> VisitMember:
        visit.tracks.add(track_id)
        self._members[track_id] = member = VisitMember(visit, switches, self._now_s, self._now_s)
        return member

    def _merge(self, visit: OpenVisit, into: OpenVisit) -> None:
        for track_id in sorted(visit.tracks):
            self._join(track_id, into, self._members[track_id].switches)
        into.seen_s = max(into.seen_s, visit.seen_s)
        into.stable_s += visit.stable_s if visit.name == into.name else 0.0
        into.name = into.name or visit.name
        for sighting_id, together_s in visit.beside_s.items():
            if sighting_id != into.sighting_id:
                other = self._visits[sighting_id]
                longest_s = max(together_s, into.beside_s.get(sighting_id, 0.0))
                into.beside_s[sighting_id] = other.beside_s[into.sighting_id] = longest_s
        self._drop(visit)
        self._merged[MergedSighting(visit.sighting_id, into.sighting_id)] = self._now_s
