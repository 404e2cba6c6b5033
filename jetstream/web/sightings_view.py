"""Who was where: sightings, the pictures of their faces, strangers, and who is here now. Changes nothing."""

import re
import time
import unicodedata
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from jetstream.config.schema import area_of
from jetstream.sighting import Sighting
from jetstream.sightings import presence, reader, stranger_list
from jetstream.sightings.correction_history import CorrectionRecord, corrections
from jetstream.web import look_files
from jetstream.web.access import Caller
from jetstream.web.routes import FileAnswer, MissingError, Nothing, Route
from jetstream.web.site import Site

MOST: Final = 200
"""sightings or strangers in one answer"""
LOOKS_A_STRANGER: Final = 6
_NS = re.compile(r"\d{1,19}")

Text = Annotated[str, Meta(min_length=1, max_length=200)]
Number = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Most = Annotated[int, Meta(ge=1, le=MOST)]


class AskedSightings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which sightings are wanted. What isn't given isn't asked for."""

    person: Text | None = None
    stranger: Number | None = None
    unknown: bool = False
    """strangers only"""
    doubtful: bool = False
    """only names that aren't sure and that nobody looked at yet"""
    camera: Text | None = None
    area: Text | None = None
    """at the cameras that the config has in this area"""
    zone: Text | None = None
    from_: Text | None = msgspec.field(default=None, name="from")
    """those that ended at this time or later: ns since 1970, or ISO 8601"""
    to: Text | None = None
    """those that began before"""
    before: Text | None = None
    """id of the last sighting that is known: those that come after it in the list"""
    most: Most = 50


class SightingPage(msgspec.Struct, frozen=True):
    """A part of the list, the newest first."""

    sightings: tuple[Sighting, ...]
    next: str | None
    """what `before` has to be for the next part; null: this was the last one"""


class OneSighting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Text


class OneLook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Text
    n: Annotated[int, Meta(ge=0, le=1000)]
    file: str = ""
    """whatever is given, so that a browser doesn't take another picture for the one it has"""


class SightingView(msgspec.Struct, frozen=True):
    """All that is known of a sighting."""

    sighting: Sighting
    looks: tuple[str, ...]
    """addresses of the pictures, the best first"""
    corrections: tuple[CorrectionRecord, ...]
    """the newest first"""


class AskedStrangers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which strangers are wanted."""

    seen: Annotated[int, Meta(ge=1, le=1000)] = 1
    """with at least so many sightings"""
    from_: Text | None = msgspec.field(default=None, name="from")
    """seen at this time or later"""
    before: Number | None = None
    """number of the last stranger that is known: those that come after it in the list"""
    most: Most = 50


class StrangerView(msgspec.Struct, frozen=True):
    """One stranger."""

    number: int
    sightings: int
    first: str
    last: str
    cameras: tuple[str, ...]
    aliases: tuple[int, ...]
    """numbers that this stranger had, too"""
    looks: tuple[str, ...]
    """addresses of the best pictures, each of another sighting, the best first"""
    newest: str
    """id of the newest sighting"""


class StrangerPage(msgspec.Struct, frozen=True):
    """A part of the list, the one seen last first."""

    strangers: tuple[StrangerView, ...]
    next: int | None
    """what `before` has to be for the next part; null: this was the last one"""


class PersonView(presence.PersonPresence, frozen=True):
    """Where a person is."""

    look: str | None = None
    """address of the best picture of that sighting"""


class PresenceView(msgspec.Struct, frozen=True):
    """Who is where now, and who left a moment ago."""

    people: tuple[PersonView, ...]
    strangers: tuple[presence.StrangerPresence, ...]


class CameraPlace(msgspec.Struct, frozen=True):
    """A camera and where it is."""

    name: str
    area: str
    """empty: the config has no such camera any more"""


class NamesView(msgspec.Struct, frozen=True):
    """What sightings can be searched by: what the database has, and the cameras of the config."""

    people: tuple[str, ...]
    cameras: tuple[CameraPlace, ...]
    areas: tuple[str, ...]
    zones: tuple[str, ...]


def sightings(site: Site, asked: AskedSightings, _: Caller) -> SightingPage:
    """The newest sightings that are asked for."""
    from_ns, to_ns = _moment(asked.from_, "from"), _moment(asked.to, "to")
    wanted = reader.SightingFilter(
        person=None if asked.person is None else unicodedata.normalize("NFC", asked.person),
        stranger=asked.stranger,
        unknown=asked.unknown,
        doubtful=asked.doubtful,
        camera=asked.camera,
        cameras=None if asked.area is None else _cameras_in(site, asked.area),
        zone=asked.zone,
        from_ns=from_ns,
        to_ns=to_ns,
        most=asked.most + 1,
        before=asked.before,
    )
    with site.sightings() as connection:
        found = [] if connection is None else reader.find(connection, wanted)[::-1]
    shown, more = tuple(found[: asked.most]), len(found) > asked.most
    return SightingPage(shown, shown[-1].id if more else None)


def sighting(site: Site, one: OneSighting, _: Caller) -> SightingView:
    """One sighting by its id, or the end of it: why it has its name, its pictures, and what was corrected."""
    with site.sightings() as connection:
        if connection is None:
            raise MissingError(f"{one.id}: there is no sighting yet")
        found = reader.one(connection, one.id)
        said = corrections(connection, found.id)
    return SightingView(found, tuple(_look_of(found.id, n) for n in range(len(found.looks))), tuple(said))


def look(site: Site, one: OneLook, _: Caller) -> FileAnswer:
    """A picture of a sighting's face, 0 the best one, as JPEG."""
    with site.sightings() as connection:
        found = None if connection is None else reader.one(connection, one.id)
    if found is None or one.n >= len(found.looks):
        raise MissingError(f"{one.id}: there is no picture {one.n} of this sighting")
    return FileAnswer(look_files.read(Path(site.config.sightings.dir), found.looks[one.n]), "image/jpeg")


def strangers(site: Site, asked: AskedStrangers, _: Caller) -> StrangerPage:
    """People without a name, the one seen last first."""
    from_ns = _moment(asked.from_, "from")
    with site.sightings() as connection:
        if connection is None:
            return StrangerPage((), None)
        found = stranger_list.strangers(
            connection, most=asked.most + 1, seen=asked.seen, from_ns=from_ns, before=asked.before
        )
        shown = tuple(
            StrangerView(
                one.number,
                one.sightings,
                one.first,
                one.last,
                one.cameras,
                one.aliases,
                tuple(
                    _look_of(id_, 0) for id_ in stranger_list.best_sightings(connection, one.number, LOOKS_A_STRANGER)
                ),
                one.newest,
            )
            for one in found[: asked.most]
        )
    return StrangerPage(shown, shown[-1].number if len(found) > asked.most else None)


def who_is_here(site: Site, _: Nothing, __: Caller) -> PresenceView:
    """Who is where now, and who left within `presence.away_s`; everybody else is away."""
    with site.sightings() as connection:
        if connection is None:
            return PresenceView((), ())
        found = presence.presence(
            connection,
            away_s=site.config.presence.away_s,
            absence_s=site.config.sightings.absence_s,
            now_ns=time.time_ns(),
            with_away=False,
        )
        seen = reader.with_looks(connection, [one.sighting for one in found.people])
    return PresenceView(
        tuple(
            PersonView(**msgspec.structs.asdict(one), look=_look_of(one.sighting, 0) if one.sighting in seen else None)
            for one in found.people
        ),
        found.strangers,
    )


def names(site: Site, _: Nothing, __: Caller) -> NamesView:
    """What sightings can be searched by."""
    with site.sightings() as connection:
        people = [] if connection is None else reader.people(connection)
        cameras = [] if connection is None else reader.cameras(connection)
        zones = [] if connection is None else reader.zone_names(connection)
    areas = {camera.name: area_of(camera) for camera in site.config.cameras}
    return NamesView(
        tuple(people),
        tuple(CameraPlace(name, areas.get(name, "")) for name in _once([*areas, *cameras])),
        tuple(_once(areas.values())),
        tuple(_once([*(zone.name for camera in site.config.cameras for zone in camera.zones), *zones])),
    )


def _once(some: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(some))


def _look_of(id_: str, n: int) -> str:
    return f"/api/sightings/{id_}/looks/{n}"


def _cameras_in(site: Site, area: str) -> tuple[str, ...]:
    return tuple(camera.name for camera in site.config.cameras if area_of(camera) == area)


def _moment(text: str | None, field: str) -> int | None:
    """Raises UserError: it is no time."""
    if text is None:
        return None
    if _NS.fullmatch(text):
        return min(int(text), reader.LARGEST_NS)
    return reader.moment(text, field, datetime.now())


ROUTES: tuple[Route, ...] = (
    Route("GET", "/api/sightings", "look", sightings, AskedSightings, SightingPage),
    Route("GET", "/api/sightings/{id}", "look", sighting, OneSighting, SightingView),
    Route("GET", "/api/sightings/{id}/looks/{n}", "look", look, OneLook, FileAnswer),
    Route("GET", "/api/strangers", "look", strangers, AskedStrangers, StrangerPage),
    Route("GET", "/api/presence", "look", who_is_here, gives=PresenceView),
    Route("GET", "/api/names", "look", names, gives=NamesView),
)
