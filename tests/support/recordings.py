"""Recordings as the pipeline leaves them, made without one."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from jetstream.events import Event, EventTrack
from jetstream.messages import NameCandidate


def recorded(folder: Path, stem: str, name: str | None, votes: Sequence[str] = ()) -> None:
    """A recording of one line."""
    track = EventTrack(
        track_id=1,
        state="confirmed",
        box=(),
        score=1.0,
        landmarks=None,
        name=name,
        confidence=1.0,
        age_s=1.0,
        votes=tuple(
            NameCandidate(name=who, log_odds=0.4, answers=1, photo=f"{who}/1.png", distance=0.5) for who in votes
        ),
    )
    event = Event(schema=1, camera="a", frame_id=0, pts_s=0.0, captured_ns=1, wall="", tracks=(track,))
    folder.mkdir(exist_ok=True)
    (folder / f"{stem}.jsonl").write_bytes(msgspec.json.encode(event) + b"\n")
