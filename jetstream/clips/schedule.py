"""From when to when a camera's clip goes: over all sightings that overlap, with the time before and after.

Knows no file and no clock. Times are CLOCK_MONOTONIC in ns.
"""

from typing import Final

MARGIN_NS: Final = 500_000_000
"""A clip is asked for so much earlier, and longer: packets arrive before their frame is captured, by what decoding
takes, and not in the order of the frames."""


class ClipSchedule:
    """The sightings of one camera that its next clip is for."""

    def __init__(self, pre_ns: int, post_ns: int) -> None:
        self._pre_ns, self._post_ns = pre_ns, post_ns
        self._open: set[str] = set()
        self._begins_ns: dict[str, int] = {}  # of those that the clip is for, in the order in which they came
        self._end_ns = 0  # of the last one that ended

    @property
    def is_wanted(self) -> bool:
        """Whether there is a clip to make."""
        return bool(self._begins_ns)

    @property
    def ids(self) -> tuple[str, ...]:
        """The sightings."""
        return tuple(self._begins_ns)

    @property
    def begin_ns(self) -> int:
        """When the first one began."""
        return min(self._begins_ns.values())

    @property
    def from_ns(self) -> int:
        """From when on the clip is wanted."""
        return self.begin_ns - self._pre_ns - MARGIN_NS

    @property
    def until_ns(self) -> int | None:
        """Until when; None: a sighting is still open."""
        return None if self._open else self._end_ns + self._post_ns + MARGIN_NS

    def enter(self, sighting_id: str, begin_ns: int) -> None:
        """A sighting began."""
        self._open.add(sighting_id)
        self._begins_ns.setdefault(sighting_id, begin_ns)

    def leave(self, sighting_id: str, end_ns: int) -> None:
        """It ended, or became part of another one. One that isn't known is left out."""
        if sighting_id in self._open:
            self._open.remove(sighting_id)
            self._end_ns = max(self._end_ns, end_ns)

    def clear(self) -> None:
        """Its clip was erased: no clip of these sightings is made any more."""
        self._open.clear()
        self._begins_ns.clear()

    def part_done(self, now_ns: int) -> None:
        """A clip is finished. The next one is for those that go on, from now on."""
        self._begins_ns = {one: now_ns for one in self._begins_ns if one in self._open}
