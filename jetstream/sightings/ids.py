"""Ids of sightings: ULIDs, 26 letters and digits that sort by time and are unique over restarts and machines.

https://github.com/ulid/spec: 48 bits of Unix time in ms, then 80 random bits, in Crockford's base 32.
"""

import hashlib
import secrets
from collections.abc import Callable
from typing import Final

import msgspec

from jetstream.messages import Tracked
from jetstream.vision.tracking.visits import VisitTrack

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH: Final = 26
RANDOM_BITS: Final = 80


class SightingIds:
    """New ids, each greater than the one before, also when the wall clock was set back.

    `by_content`: in the every-frame pace, where the same input must give the same ids: the time is the source's own,
    and the random bits are those of a digest of what was seen, whatever its names: the gallery may know more now.
    """

    def __init__(self, *, by_content: bool) -> None:
        self._by_content = by_content
        self._newest = 0

    def for_frame(self, tracked: Tracked) -> Callable[[VisitTrack], str]:
        """What makes the id of a sighting that begins in this frame."""

        def new_id(track: VisitTrack) -> str:
            if self._by_content:
                return encoded(int(tracked.frame.pts_s * 1000), _digest(tracked, track.track_id))
            value = _value(tracked.frame.wall_ns // 1_000_000, secrets.randbits(RANDOM_BITS))
            if value <= self._newest:
                value = self._newest + 1
            self._newest = value
            return _text(value)

        return new_id


def encoded(time_ms: int, random: int) -> str:
    """The id of a time (ms since 1970, 48 bits of it) and 80 further bits."""
    return _text(_value(time_ms, random))


def _digest(tracked: Tracked, track_id: int) -> int:
    frame = tracked.frame
    content = msgspec.msgpack.encode(
        (frame.camera, frame.frame_id, frame.pts_s, track_id, [face.box for face in tracked.faces])
    )
    return int.from_bytes(hashlib.blake2b(content, digest_size=RANDOM_BITS // 8).digest(), "big")


def _value(time_ms: int, random: int) -> int:
    return (max(time_ms, 0) & (1 << 48) - 1) << RANDOM_BITS | random


def _text(value: int) -> str:
    return "".join(ALPHABET[value >> 5 * place & 31] for place in reversed(range(LENGTH)))
