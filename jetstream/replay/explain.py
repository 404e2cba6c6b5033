"""Why each track has its name: an explanation of each track, printed at the end of a replay.

Knows no file and no stage; reads the candidates in Tracked messages.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from jetstream.messages import NameCandidate, Tracked, TrackedFace


@dataclass
class _TrackExplanation:
    """One track's history; owned by its TrackExplanations alone."""

    first_s: float
    last: TrackedFace
    last_s: float
    names: list[tuple[float, str | None]] = field(default_factory=list)  # (time, name) of each change of the shown name


class TrackExplanations:
    """The tracks of a replay, in order of appearance."""

    def __init__(self) -> None:
        self._tracks: dict[tuple[str, int], _TrackExplanation] = {}

    def add(self, tracked: Tracked) -> None:
        camera, time_s = tracked.frame.camera, tracked.frame.pts_s
        for face in tracked.faces:
            track = self._tracks.setdefault((camera, face.track_id), _TrackExplanation(time_s, face, time_s))
            track.last, track.last_s = face, time_s
            if not track.names or track.names[-1][1] != face.name:
                track.names.append((time_s, face.name))

    def lines(self) -> Iterator[str]:
        """For each track: camera, id, time and shown names; then its candidates at its end, the likeliest first.

        The number behind a candidate is its weight: the sum of the log odds of its answers, each decayed with time.
        """
        for (camera, track_id), track in self._tracks.items():
            yield f"{camera} #{track_id}: {track.first_s:.2f} to {track.last_s:.2f} s, {_shown(track.names)}"
            votes = track.last.votes
            widest = max((len(_who(vote.name)) for vote in votes), default=0)
            yield from (f"  {_who(vote.name):{widest}}  {_reason(vote)}" for vote in votes)
            if not votes:
                yield "  no answer: no sample of the face was good enough, or the track was too short"


def _shown(names: list[tuple[float, str | None]]) -> str:
    (_, first), *others = names
    return _who(first) + "".join(f", from {since_s:.2f} s {_who(name)}" for since_s, name in others)


def _reason(vote: NameCandidate) -> str:
    answers = "1 answer" if vote.answers == 1 else f"{vote.answers} answers"
    closest = "" if vote.distance is None else f", closest at {vote.distance:.2f}"
    photo = f", nearest photo {vote.photo}" if vote.photo else ""
    return f"{vote.log_odds:5.2f}  {answers}{closest}{photo}"


def _who(name: str | None) -> str:
    return name or "unknown"
