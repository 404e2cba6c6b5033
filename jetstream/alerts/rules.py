"""One alert of the config: which occasions a change of a sighting gives, and which of them it tells.

Pure: time is an argument. Knows no database; what was told before, and the cooldown, are in `book`.
"""

import unicodedata
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from typing import Final, NamedTuple

from jetstream.alerts.occasions import OF_CAMERAS, Occasion, OccasionKind, of_sighting
from jetstream.config.schema import AlertConfig, Weekday
from jetstream.events import iso_ns
from jetstream.sighting import Change, Sighting

DAYS: Final[tuple[Weekday, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class MarkedOccasion(NamedTuple):
    """An occasion, and what is told with it: once for each sighting."""

    occasion: Occasion
    mark: str  # told before: it isn't told again
    also: str = ""  # told with it, too


class AlertRule:
    """What an alert tells. `zone`: of local time; None: the machine's."""

    def __init__(self, config: AlertConfig, zone: tzinfo | None = None) -> None:
        self.config = config
        self.name = config.name
        self._zone = zone
        self._who = frozenset(unicodedata.normalize("NFC", name) for name in config.who)

    def tells(self, kind: OccasionKind) -> bool:
        """Whether the alert is about this kind."""
        return ("camera_down" if kind == "camera_up" else kind) in self.config.when

    def of_change(self, change: Change, at_ns: int, sighting: Sighting, *, was_seen: bool) -> Iterator[MarkedOccasion]:
        """What a change of a sighting, as it is after it, may be told as. `was_seen`: it shows a stranger who has
        earlier sightings."""
        by_name = f"name:{sighting.name}" if sighting.name is not None else ""
        if change in ("enter", "named") and self._is_about(sighting):
            if self.tells("enter") and (change == "enter" or self._who):
                # with `who`, a name that is learnt later makes it the enter of that person
                mark = by_name if self._who else "enter"
                yield MarkedOccasion(of_sighting("enter", at_ns, sighting), mark, by_name)
            if self.tells("named") and by_name:
                yield MarkedOccasion(of_sighting("named", at_ns, sighting), by_name)
        if change == "exit" and self.tells("exit") and self._is_about(sighting):
            yield MarkedOccasion(of_sighting("exit", at_ns, sighting), "exit")
        if change == "stranger" and self.tells("stranger_again") and was_seen and _is_stranger(sighting):
            yield MarkedOccasion(of_sighting("stranger_again", at_ns, sighting), "again")
        yield from self.of_zones(sighting)

    def of_zones(self, sighting: Sighting) -> Iterator[MarkedOccasion]:
        """What the zones in which a face was may be told as."""
        if not self.tells("zone") or not self._is_about(sighting):
            return
        for visit in sighting.zones:
            if visit.name in self.config.zones:
                occasion = of_sighting("zone", iso_ns(visit.first), sighting, visit.name)
                yield MarkedOccasion(occasion, f"zone:{visit.name}")

    def waits_for_name(self, change: Change, sighting: Sighting) -> bool:
        """Whether the sighting begins without a name, and is told as unknown if it gets none in time."""
        return change == "enter" and self.tells("unknown") and _is_stranger(sighting)

    def accepts(self, occasion: Occasion) -> bool:
        """Whether the place and the time are those of the alert."""
        config = self.config
        if config.cameras and occasion.camera not in config.cameras:
            return False
        if config.areas and occasion.area not in config.areas:
            return False
        return occasion.kind == "camera_up" or self.is_on(occasion.at_ns)

    def is_on(self, at_ns: int) -> bool:
        """Whether `hours` and `days` have this moment."""
        when = datetime.fromtimestamp(at_ns // 1_000_000_000, self._zone)
        if self.config.hours:
            begin, end = self.config.hours[:5], self.config.hours[6:]
            clock = f"{when:%H:%M}"
            is_early = clock < end and begin > end  # the part after midnight, which belongs to the day before
            if not (begin <= clock < end or (begin > end and (clock >= begin or is_early))):
                return False
            when = when - timedelta(days=1) if is_early else when
        return not self.config.days or DAYS[when.weekday()] in self.config.days

    def _is_about(self, sighting: Sighting) -> bool:
        return not self._who or sighting.name in self._who


def of_camera(camera: str, area: str, at_ns: int, *, is_down: bool) -> Occasion:
    """A camera that gives no frames, or gives some again."""
    kind: OccasionKind = "camera_down" if is_down else "camera_up"
    assert kind in OF_CAMERAS
    return Occasion(kind=kind, at_ns=at_ns, camera=camera, area=area)


def _is_stranger(sighting: Sighting) -> bool:
    """Not one of whom a human said that no name is wanted."""
    return sighting.name is None and sighting.correction != "ignore"
