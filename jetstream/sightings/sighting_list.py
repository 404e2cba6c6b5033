"""Sightings in memory, for runs that write no database."""

from jetstream.events import iso_time
from jetstream.sighting import Change, Sighting, ZoneVisit
from jetstream.sightings.writer import OpenSighting


class SightingList:
    """A `SightingSink` that keeps the newest state of each sighting."""

    def __init__(self) -> None:
        self._found: dict[str, OpenSighting] = {}

    def put(self, sighting: OpenSighting, change: Change | None = None) -> None:
        """See `SightingSink`."""
        self._found[sighting.id] = sighting

    def sightings(self) -> list[Sighting]:
        """Those that were not merged into another one, by begin."""
        found = [one for one in self._found.values() if one.state != "merged"]
        return [_public(one) for one in sorted(found, key=lambda one: (one.begin_s, one.id))]


def _public(one: OpenSighting) -> Sighting:
    visits = sorted(one.zones.items(), key=lambda visit: (visit[1], visit[0]))
    return Sighting(
        id=one.id,
        camera=one.camera,
        area=one.area,
        state=one.state,
        name=one.name,
        machine_name=one.name,
        stranger=None,
        begin=iso_time(one.begin_ns),
        end=iso_time(one.end_ns),
        begin_s=one.begin_s,
        end_s=one.end_s,
        confidence=one.confidence,
        correction="",
        zones=tuple(ZoneVisit(name, iso_time(first_ns)) for name, first_ns in visits),
        why=one.why,
        gallery=one.gallery,
        into=one.merged_into,
    )
