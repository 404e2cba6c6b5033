"""Where in a camera's newest seconds a clip begins and ends. Knows no file and no clock."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from jetstream.video.gop.fragment_folder import StoredFragment

LONGEST_GAP_NS: Final = 2_000_000_000
"""between two fragments without a break"""


class ClipStart(NamedTuple):
    """Where a clip begins."""

    first: int  # place of the first fragment, which begins with a key frame
    start_ns: int  # the moment on the fragments' own time
    arrived_ns: int  # the same moment, CLOCK_MONOTONIC
    short: str  # why it is later than it was asked for; empty: it isn't


def start_at(fragments: Sequence[StoredFragment], wanted_ns: int, begin_ns: int) -> ClipStart | None:
    """The start of a clip of a sighting that began at `begin_ns`, asked for from `wanted_ns` on (CLOCK_MONOTONIC).

    None: there is no key frame yet.
    """
    keys = [place for place, one in enumerate(fragments) if one.is_key]
    if not keys:
        return None
    before = [place for place in keys if fragments[place].first_ns <= wanted_ns]
    if before and _has(fragments, before[-1], wanted_ns):
        return ClipStart(before[-1], moment_of(fragments, wanted_ns), wanted_ns, "")
    later = [place for place in keys if fragments[place].first_ns > wanted_ns]
    if not later:  # the camera sends again, and has sent no key frame yet
        return None
    first = fragments[later[0]]
    return ClipStart(later[0], first.begin_ns, first.first_ns, _why(fragments, later[0], begin_ns))


def moment_of(fragments: Sequence[StoredFragment], arrived_ns: int) -> int:
    """What the camera sent at this moment, on the fragments' time. A connection may begin with seconds at once."""
    one = next((one for one in reversed(fragments) if one.first_ns <= arrived_ns), fragments[0])
    return one.begin_ns + min(max(arrived_ns - one.first_ns, 0), one.end_ns - one.begin_ns)


def _has(fragments: Sequence[StoredFragment], place: int, wanted_ns: int) -> bool:
    """Whether the camera sent without a break from this fragment to that moment."""
    newest = max(at for at, one in enumerate(fragments) if at >= place and one.first_ns <= wanted_ns)
    after = fragments[newest + 1 : newest + 2]
    last_ns = fragments[newest].last_ns
    if not after:
        return wanted_ns < last_ns + LONGEST_GAP_NS
    return wanted_ns <= last_ns or after[0].first_ns - last_ns < LONGEST_GAP_NS


def _why(fragments: Sequence[StoredFragment], place: int, begin_ns: int) -> str:
    ahead = f"{max(begin_ns - fragments[place].first_ns, 0) * 1e-9:.1f} s"
    if place > 0:
        return f"the camera's picture came back {ahead} before the sighting"
    if fragments[0].number == 0:
        return f"the camera's first picture came {ahead} before the sighting"
    return f"clips.ring_mb holds the last {ahead} before the sighting; raise it"
