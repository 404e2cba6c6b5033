"""Commands about sightings: who was where, from when to when."""

import contextlib
import sqlite3
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from jetstream.cli.shared import (
    ConfigOption,
    Json,
    Sets,
    app,
    literal,
    say,
    settings_of,
    wide,
)
from jetstream.cli.sighting_options import LARGEST, From, To, period, print_lines, reading
from jetstream.config.schema import Config
from jetstream.errors import UserError

if TYPE_CHECKING:
    from jetstream.sighting import Sighting
    from jetstream.sightings.change_follower import ChangeFollower
    from jetstream.sightings.reader import SightingFilter

FOLLOW_EVERY_S = 0.2

Id = Annotated[
    str,
    typer.Argument(metavar="id", help="Id of the sighting, or its last 4 characters or more.", show_default=False),
]


@app.command()
def sightings(
    person: Annotated[str | None, typer.Option(help="Only of this person.", show_default=False)] = None,
    stranger: Annotated[
        int | None, typer.Option(min=1, max=LARGEST, help="Only of this stranger, by number.", show_default=False)
    ] = None,
    unknown: Annotated[bool, typer.Option("--unknown", help="Only of strangers.")] = False,
    camera: Annotated[str | None, typer.Option(help="Only at this camera.", show_default=False)] = None,
    zone: Annotated[str | None, typer.Option(help="Only of faces that were in this zone.", show_default=False)] = None,
    from_: From = None,
    to: To = None,
    most: Annotated[
        int, typer.Option(min=0, max=LARGEST, help="Largest number of sightings, the newest ones. 0: all.")
    ] = 100,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Then print each change when it happens, until Ctrl-C.")
    ] = False,
    config: ConfigOption = None,
    sets: Sets = None,
) -> None:
    """List sightings: who was at which camera, from when to when."""
    from jetstream.sightings import reader
    from jetstream.sightings.change_follower import ChangeFollower

    settings = settings_of(config, sets=sets)
    _check_form(as_json=as_json, as_csv=as_csv, follow=follow)
    from_ns, to_ns = period(from_, to)
    wanted = reader.SightingFilter(
        person=None if person is None else unicodedata.normalize("NFC", person),
        stranger=stranger,
        unknown=unknown,
        camera=camera,
        zone=zone,
        from_ns=from_ns,
        to_ns=to_ns,
        most=most or None,
    )
    changes = ChangeFollower(Path(settings.sightings.dir))
    with reading(settings) as connection:
        _check(wanted, settings, connection)
        changes.begin(reader.newest_change(connection))
        count = _list(lambda: reader.pages(connection, wanted), as_json=as_json, as_csv=as_csv)
    if not (as_json or as_csv or count or follow):
        say("no sightings")
    if not (as_json or as_csv) and 0 < count == most:
        say(f"the newest {most}; --most 0 shows all")
    if follow:
        with contextlib.suppress(KeyboardInterrupt):  # the only way to end it
            _follow(changes, wanted, as_json=as_json)


def _check_form(*, as_json: bool, as_csv: bool, follow: bool) -> None:
    """Raises UserError: CSV goes with neither of the others."""
    if as_json and as_csv:
        raise UserError("--csv: --json prints another form; leave one of them out")
    if follow and as_csv:
        raise UserError("--follow: prints lines or JSON; leave --csv out")


def _list(pages: "Callable[[], Iterable[list[Sighting]]]", *, as_json: bool, as_csv: bool) -> int:
    """Print sightings, a page after the other, since all may be more than memory holds; how many there were."""
    from jetstream.sightings import tables

    if not (as_json or as_csv):
        return _list_as_table(pages)
    if as_csv:
        print(tables.as_csv([]), end="")
    count = 0
    for page in pages():
        count += len(page)
        if as_json:
            print_lines(page)
        else:
            print(tables.as_csv(page, with_header=False), end="")
    return count


def _list_as_table(pages: "Callable[[], Iterable[list[Sighting]]]") -> int:
    """As `_list`. On a narrow terminal, each page has columns of its own."""
    from jetstream.sightings import reader, tables

    layout, console, count = tables.TableLayout(), wide(), 0
    for page in pages():
        layout.take(page)
    for page in pages():
        if layout.count <= reader.PAGE or layout.width > console.width:
            console.print(tables.table(page))
        else:
            print(tables.part(console, page, layout, count), end="")
        count += len(page)
    return count


@app.command()
def sighting(
    id_: Id,
    as_json: Json = False,
    config: ConfigOption = None,
    sets: Sets = None,
) -> None:
    """Show all that is known of one sighting: times, zones, why it has its name, and the pictures of the face."""
    from jetstream.sightings import reader, tables

    settings = settings_of(config, sets=sets)
    with reading(settings) as connection:
        found = reader.one(connection, id_)
    if as_json:
        print(msgspec.json.encode(found).decode())
    else:
        literal().print(tables.whole(found, Path(settings.sightings.dir)), highlight=False, soft_wrap=True)


@app.command()
def presence(as_json: Json = False, config: ConfigOption = None, sets: Sets = None) -> None:
    """Show who is where now, and since when."""
    from jetstream.sightings import presence as now
    from jetstream.sightings import tables

    settings = settings_of(config, sets=sets)
    with reading(settings) as connection:
        found = now.presence(
            connection,
            away_s=settings.presence.away_s,
            absence_s=settings.sightings.absence_s,
            now_ns=time.time_ns(),
        )
    if as_json:
        print(msgspec.json.encode(found).decode())
    elif found.people or found.strangers:
        wide().print(tables.presence_table(found))
    else:
        say("nobody has been seen yet")


def _check(wanted: "SightingFilter", settings: Config, connection: sqlite3.Connection) -> None:
    """Raises UserError for a person, camera or zone that nothing knows: most likely a slip."""
    from jetstream.gallery import photos
    from jetstream.sightings import reader

    cameras = {camera.name for camera in settings.cameras}
    zones = {zone.name for camera in settings.cameras for zone in camera.zones}
    faces = Path(settings.recognize.faces)
    enrolled = set(photos.list_photos(faces).people) if wanted.person is not None and faces.is_dir() else set()
    for option, name, known, seen in (
        ("person", wanted.person, enrolled, reader.people),
        ("camera", wanted.camera, cameras, reader.cameras),
        ("zone", wanted.zone, zones, reader.zone_names),
    ):
        if name is not None and name not in known and name not in (stored := seen(connection)):
            names = ", ".join(sorted({*known, *stored})) or "none"
            raise UserError(f"--{option} {name}: there is no such {option} in the config or among sightings: {names}")


def _follow(changes: "ChangeFollower", wanted: "SightingFilter", *, as_json: bool) -> None:
    """Print each change of a sighting that `wanted` asks for, until Ctrl-C."""
    from jetstream.sightings import tables

    sys.stdout.flush()  # what was before: the first change may be hours away
    was_gone = False
    while True:
        for message in changes.look(wanted):
            print(msgspec.json.encode(message).decode() if as_json else tables.change(message), flush=True)
        if changes.is_gone and not was_gone:
            say("the database of sightings is gone; the changes follow of one that is made or restored")
        was_gone = changes.is_gone
        time.sleep(FOLLOW_EVERY_S)
