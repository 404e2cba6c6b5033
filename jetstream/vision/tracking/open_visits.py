"""What a SightingFinder knows of a sighting that may go on, and of a track that shows it."""

import math
from dataclasses import dataclass, field
from typing import Final, NamedTuple

TOGETHER_S: Final = 0.5
"""Two faces that were in the picture at once for longer are two people. A face that is found twice for a moment, or
whose old track is still held, isn't."""
SETTLE_S: Final = 2.0
"""A track whose face was exchanged may be nameless for so long before it counts as a stranger's. A head that turned
fast looks like an exchange, and has its name again within a second."""
STABLE_S: Final = 3.0
"""A sighting that was nameless, or had its name, for so long loses it to no single answer: in 34 walk-ins of known
people the name came within 1.4 s. Scaled for slow cameras."""
NAME_S: Final = 1.0
"""how long another name must stay there. Somebody who walks past in front of a face lends it a name for less"""
LATELY_S: Final = 3.0
"""time from a change of the face until its name is there, at most"""


@dataclass(slots=True, eq=False)
class OpenVisit:
    """A sighting that is open, or may still go on; owned by its SightingFinder alone."""

    sighting_id: str
    name: str | None
    seen_s: float
    tracks: set[int] = field(default_factory=set)  # that show it, among them lost ones
    beside_s: dict[str, float] = field(default_factory=dict)  # how long with which other one in the picture
    stable_s: float = 0.0  # shown with the name that it has, or without one

    def is_stable(self, slowness: float) -> bool:
        """Whether no single answer takes its name, or that it has none."""
        return self.stable_s >= STABLE_S * slowness

    def was_beside(self, other: "OpenVisit") -> bool:
        """Whether the two show two people, since both were in the picture at once."""
        return self.beside_s.get(other.sighting_id, 0.0) > TOGETHER_S

    def may_be(self, other: "OpenVisit") -> bool:
        """Whether the two may show one person."""
        return not self.was_beside(other) and (None in (self.name, other.name) or self.name == other.name)


class NewName(NamedTuple):
    """A name that a track shows, and since when."""

    name: str
    since_s: float


@dataclass(slots=True)
class VisitMember:
    """What is known of a track that belongs to a visit."""

    visit: OpenVisit
    switches: int
    seen_s: float  # followed
    shown_s: float  # followed and confirmed
    since_s: float = -math.inf  # it shows this person; before its first detection: since then
    switched_s: float | None = None  # when its face was exchanged; None: not, or settled since
    back_s: float = -math.inf  # when it was in sight again, after it was not
    in_doubt: bool = False  # as its track
    jumped_s: float = -math.inf  # when that began last
    left: OpenVisit | None = None  # the sighting that it showed before this one
    naming: NewName | None = None  # another name than the sighting has, that isn't sure yet

    def has_settled(self, now_s: float) -> bool:
        """Whether an exchange is sure. One after the face was out of sight is: then it is no head that turned."""
        if self.switched_s is None:
            return False
        return self.switched_s - self.back_s <= LATELY_S or now_s - self.switched_s >= SETTLE_S

    def must_wait(self, naming: NewName, now_s: float, slowness: float) -> bool:
        """Whether a name isn't sure yet. After an exchange that recognition saw it is, where there was one before."""
        if not self.visit.is_stable(slowness) or (self.switched_s is not None and self.visit.name is not None):
            return False
        return now_s - naming.since_s < NAME_S

    @property
    def changed_s(self) -> float:
        """When its face may have been exchanged."""
        return self.back_s if self.switched_s is None else max(self.back_s, self.switched_s)

    @property
    def is_unsure(self) -> bool:
        """Whether the track may have ceased to show the person of its sighting."""
        return self.in_doubt or self.naming is not None or self.switched_s is not None
