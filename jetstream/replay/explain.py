"""Why each track bears its name: its story over a replay, told at the end.

Knows no file, no stage and no vote but those in the messages.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from jetstream.messages import NameCandidate, Tracked, TrackedFace


@dataclass
class _TrackExplanation:
    """One track's; owned by its TrackExplanations alone."""

    first_s: float
    last: TrackedFace
    last_s: float
    names: list[tuple[float, str | None]] = field(default_factory=list)  # since when each was shown


class TrackExplanations:
    """The tracks of a replay, in order of appearance."""

    def __init__(self) -> None:
        self._stories: dict[tuple[str, int], _TrackExplanation] = {}

    def add(self, tracked: Tracked) -> None:
        camera, time_s = tracked.frame.camera, tracked.frame.pts_s
        for face in tracked.faces:
            story = self._stories.setdefault((camera, face.track_id), _TrackExplanation(time_s, face, time_s))
            story.last, story.last_s = face, time_s
            if not story.names or story.names[-1][1] != face.name:
                story.names.append((time_s, face.name))

    def lines(self) -> Iterator[str]:
        """For each track: camera, id, when it was seen, what was shown; then who it may be at its end, likeliest first.

        The number behind a candidate is its weight: the log odds of its answers, each fading with time.
        """
        for (camera, track_id), story in self._stories.items():
            yield f"{camera} #{track_id}: {story.first_s:.2f} to {story.last_s:.2f} s, {_shown(story.names)}"
            votes = story.last.votes
            widest = max((len(_who(vote.name)) for vote in votes), default=0)
            yield from (f"  {_who(vote.name):{widest}}  {_reason(vote)}" for vote in votes)
            if not votes:
                yield "  no answer: no look was good enough, or it was in sight too shortly"


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
