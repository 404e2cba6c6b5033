"""Who is known: the people of the gallery in use, what training made of each photo, and when they were seen.

Changes nothing: see `changes_view`.
"""

import sqlite3
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import quote

import msgspec
from msgspec import Meta

from jetstream.config.schema import Config
from jetstream.gallery import photos
from jetstream.gallery.report import refusal, words
from jetstream.gallery.store import PhotoWarning
from jetstream.sightings import reader
from jetstream.sightings.reader import SightingFilter
from jetstream.web import tasks
from jetstream.web.access import Caller
from jetstream.web.people_reader import GalleryPeople
from jetstream.web.routes import FileAnswer, MissingError, Nothing, Route
from jetstream.web.site import Site
from jetstream.web.tasks import PersonName

MOST: Final = 200
"""people in one answer"""
THUMBNAIL_PX: Final = 320


class AskedPeople(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which people are wanted."""

    name: Annotated[str, Meta(max_length=200)] = ""
    """a part of the name"""
    after: Annotated[str, Meta(max_length=200)] = ""
    """name of the last one that is known: those that come after it"""
    most: Annotated[int, Meta(ge=1, le=MOST)] = 100


class PersonSummary(msgspec.Struct, frozen=True):
    """One person."""

    name: str
    photos: int
    """that the gallery learnt from"""
    refused: int
    """that it didn't"""
    nearest: str | None
    """the other person who looks most alike"""
    distance: float | None
    """between both"""
    warnings: tuple[str, ...]
    photo: str | None
    """address of a picture"""
    last: str | None
    """end of the newest sighting, UTC, ISO 8601; null: not seen yet"""


class PeoplePage(msgspec.Struct, frozen=True):
    """A part of the list, by name."""

    people: tuple[PersonSummary, ...]
    total: int
    """people whose name has the part asked for"""
    next: str | None
    """what `after` has to be for the next part; null: this was the last one"""
    strangers: int
    """photos of strangers that shall get no name"""
    has_report: bool
    """whether there is a report of how well they are told apart"""


class OnePerson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: PersonName


class PhotoView(msgspec.Struct, frozen=True):
    """A photo, and what training made of it."""

    file: str
    """relative to the folder of faces"""
    picture: str
    """address"""
    is_learnt: bool
    why: str
    """why it isn't, or what is odd about it"""
    is_counter_example: bool
    """it shows somebody who isn't this person"""
    quality: float | None
    """0 to 1"""


class KnownPerson(msgspec.Struct, frozen=True):
    """All that is known of a person."""

    person: PersonSummary
    spread: float | None
    """how much the photos differ: root mean square distance of their embeddings to the mean"""
    photos: tuple[PhotoView, ...]
    unlearnt: tuple[str, ...]
    """photos in the folder that training hasn't seen yet"""


class OnePicture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    photo: Annotated[str, Meta(min_length=1, max_length=500)]


def people(site: Site, asked: AskedPeople, _: Caller) -> PeoplePage:
    """The people that are known, by name."""
    known = site.people.known()
    part = photos.normal(asked.name).casefold()
    found = sorted(name for name in known.reports if part in name.casefold())
    left = [name for name in found if name > asked.after]
    shown = left[: asked.most]
    with site.sightings() as connection:  # opened once for all of them
        summaries = tuple(_summary(connection, known, name) for name in shown)
    after = shown[-1] if len(left) > len(shown) else None
    has_report = (Path(site.config.web.dir) / tasks.EVALUATION).is_file()
    return PeoplePage(summaries, len(found), after, known.strangers, has_report)


def names(site: Site, _: Nothing, __: Caller) -> list[str]:
    """The names of all people that are known."""
    return sorted(site.people.known().reports)


def person(site: Site, one: OnePerson, _: Caller) -> KnownPerson:
    """One person: each photo and what training made of it."""
    known, name = site.people.known(), photos.normal(one.name)
    report = known.reports.get(name)
    in_folder = _photos_of(site.config, name)
    if report is None and not in_folder:
        raise MissingError(f"{one.name}: there is no such person")
    records = known.records.get(name, [])
    odd = (
        {warning.file: words(PhotoWarning(warning.code)) for warning in report.warnings if warning.file}
        if report
        else {}
    )
    views = tuple(
        PhotoView(
            record.file,
            _address(record.file),
            record.refused is None,
            refusal(record.refused) if record.refused else odd.get(record.file, ""),
            record.counter_example,
            record.quality.overall if record.quality else None,
        )
        for record in records
    )
    learnt = {record.file for record in records}
    spread = report.spread if report else None
    unlearnt = tuple(file for file in in_folder if file not in learnt)
    with site.sightings() as connection:
        return KnownPerson(_summary(connection, known, name), spread, views, unlearnt)


def picture(site: Site, one: OnePicture, caller: Caller) -> FileAnswer:
    """A small picture of a photo, as JPEG."""
    name, faces = one.photo.partition("/")[0], Path(site.config.recognize.faces)
    listed = {record.file for record in site.people.known().records.get(photos.normal(name), ())}
    if one.photo not in listed and one.photo not in _photos_of(site.config, photos.normal(name)):
        raise MissingError(f"{one.photo}: there is no such photo")
    try:
        changed_ns = (faces / one.photo).stat().st_mtime_ns
    except OSError:
        raise MissingError(f"{one.photo}: there is no such photo any more") from None
    jpeg = site.people.thumbnail(one.photo, changed_ns)
    if jpeg is None:  # decoded by the other process: photos may be of any kind
        jpeg = site.tasks.run(tasks.ThumbnailTask(one.photo, THUMBNAIL_PX), caller.name, bytes)
        site.people.keep(one.photo, changed_ns, jpeg)
    return FileAnswer(jpeg, "image/jpeg")


def _summary(connection: sqlite3.Connection | None, known: GalleryPeople, name: str) -> PersonSummary:
    report, last = known.reports.get(name), _last_seen(connection, name)
    if report is None:
        return PersonSummary(name, 0, 0, None, None, (), None, last)
    learnt = [one.file for one in known.records.get(name, ()) if not one.refused and not one.counter_example]
    return PersonSummary(
        name,
        report.used,
        len(report.refused),
        report.nearest,
        report.distance,
        tuple(words(warning) for warning in report.warnings),
        _address(learnt[0]) if learnt else None,
        last,
    )


def _last_seen(connection: sqlite3.Connection | None, name: str) -> str | None:
    found = [] if connection is None else reader.find(connection, SightingFilter(person=name, most=1))
    return found[0].end if found else None


def _photos_of(config: Config, name: str) -> list[str]:
    """Files in a person's folder now, relative to the folder of faces."""
    return [photo.file for photo in photos.of_person(Path(config.recognize.faces), name)]


def _address(file: str) -> str:
    return f"/api/picture?photo={quote(file)}"


ROUTES: tuple[Route, ...] = (
    Route("GET", "/api/people", "look", people, AskedPeople, PeoplePage),
    Route("GET", "/api/people/{name}", "look", person, OnePerson, KnownPerson),
    Route("GET", "/api/person-names", "look", names, gives=list[str]),
    Route("GET", "/api/picture", "look", picture, OnePicture, FileAnswer),
)
