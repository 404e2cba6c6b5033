"""A track as drawing functions take it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DrawnTrack:
    box: tuple[float, ...]
    name: str | None = None
    state: str = "confirmed"
    track_id: int = 1
    landmarks: tuple[float, ...] | None = None
    confidence: float = 0.9
    doubtful: bool = False
