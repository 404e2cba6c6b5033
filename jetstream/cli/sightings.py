"""Commands about sightings: who was where, from when to when."""

import contextlib
import difflib
import sqlite3
import time
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from jetstream.cli.shared import (
    ConfigOption,
    Faces,
    Json,
    Sets,
    app,
    literal,
    log_as_run,
    progress_bars,
    say,
    settings_of,
    wide,
)
from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.gallery import audit

if TYPE_CHECKING:
    from jetstream.sighting import Correction
    from jetstream.sightings.change_follower import ChangeFollower
    from jetstream.sightings.correction import CorrectedSighting
    from jetstream.sightings.reader import SightingFilter

FOLLOW_EVERY_S = 0.2
LARGEST = 2**31 - 1
"""what a count or a number may be: SQLite refuses those beyond 64 bits"""

Id = Annotated[
    str,
    typer.Argument(metavar="id", help="Id of the sighting, or its last 4 characters or more.", show_default=False),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="Only from this time on: 2026-11-29, 2026-11-29T18:30, today, yesterday, or an age such as 2h or 3d.",
        show_default=False,
    ),
]
To = Annotated[
    str | None,
    typer.Option("--to", help="Only before this time, in the same forms. A date is its beginning.", show_default=False),
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
    from jetstream.sightings import reader, tables
    from jetstream.sightings.change_follower import ChangeFollower

    settings = settings_of(config, sets=sets)
    if as_json and as_csv:
        raise UserError("--csv: --json prints another form; leave one of them out")
    if follow and as_csv:
        raise UserError("--follow: prints lines or JSON; leave --csv out")
    from_ns, to_ns = _period(from_, to)
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
    with _reading(settings) as connection:
        _check(wanted, settings, connection)
        changes.begin(reader.newest_change(connection))
        found = reader.find(connection, wanted)
        if as_json:
            _print_lines(found)
        elif as_csv:
            print(tables.as_csv(found), end="")
        elif found:
            wide().print(tables.table(found))
            if len(found) == most:
                say(f"the newest {most}; --most 0 shows all")
        elif not follow:
            say("no sightings")
    if follow:
        with contextlib.suppress(KeyboardInterrupt):  # the only way to end it
            _follow(changes, wanted, as_json=as_json)


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
    with _reading(settings) as connection:
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
    with _reading(settings) as connection:
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


@app.command()
def strangers(
    from_: From = None,
    seen: Annotated[int, typer.Option(min=1, help="Only those with at least so many sightings.")] = 1,
    most: Annotated[int, typer.Option(min=0, help="Largest number of strangers. 0: all.")] = 100,
    as_json: Json = False,
    config: ConfigOption = None,
    sets: Sets = None,
) -> None:
    """List strangers: who was seen without a name, how often, when and where. The one seen last comes first."""
    from jetstream.sightings import stranger_list, tables

    settings = settings_of(config, sets=sets)
    with _reading(settings):  # none is made here
        pass
    _bring_up_to_date(settings)
    with _reading(settings) as connection:
        found = stranger_list.strangers(connection, most=most or None, seen=seen, from_ns=_moment(from_, "--from"))
    if as_json:
        _print_lines(found)
    elif found:
        wide().print(tables.strangers_table(found))
    else:
        say("no strangers")


@app.command()
def search(
    photo: Annotated[Path, typer.Argument(help="A photo that shows the face.", show_default=False)],
    from_: From = None,
    to: To = None,
    most: Annotated[int, typer.Option(min=1, max=1000, help="Largest number of sightings.")] = 20,
    sheet: Annotated[
        Path | None, typer.Option("--out", help="Write the pictures side by side to this file.", show_default=False)
    ] = None,
    as_json: Json = False,
    config: ConfigOption = None,
    sets: Sets = None,
) -> None:
    """Search all sightings for the face in a photo: the likeliest first, each with its probability."""
    from jetstream.networks.build import prepare_models
    from jetstream.sightings import search as searching
    from jetstream.sightings import tables

    settings = settings_of(config, sets=sets)
    folder = Path(settings.sightings.dir)
    from_ns, to_ns = _period(from_, to)
    if sheet is not None:
        searching.check_sheet(sheet)
    with _reading(settings), progress_bars() as progress:
        prepare_models(settings, progress)
    face = searching.embedding_of(photo, settings)
    _bring_up_to_date(settings)
    with _reading(settings) as connection:
        found = searching.search(connection, face, settings, from_ns=from_ns, to_ns=to_ns, most=most)
    if sheet is not None:
        searching.write(sheet, searching.sheet_of(photo, found, folder))
        audit.add(Path(settings.models.dir), "export", count=len(found))
        say(f"{sheet}: the pictures; it shows faces, so only you can read it")
    if as_json:
        _print_lines(found)
    elif found:
        wide().print(tables.search_table(found))
    else:
        say("no sighting with a picture in that time")


def _bring_up_to_date(settings: Config) -> None:
    """Embed and group what no running pipeline has embedded yet: after a run at the pace every-frame, for example."""
    from jetstream.errors import JetstreamError
    from jetstream.sightings import database, grouper, look_embedding

    with contextlib.suppress(JetstreamError, sqlite3.Error):  # it is done by another process, or can't be written
        with database.opened(Path(settings.sightings.dir)) as connection:
            is_due = look_embedding.has_new(connection, look_embedding.network_of(settings))
        if is_due:
            grouper.group(settings, idle_s=0.0)


@app.command()
def correct(
    ids: Annotated[
        list[str],
        typer.Argument(help="Ids of sightings, or their last 4 characters or more.", show_default=False),
    ],
    name: Annotated[
        str | None, typer.Option(help="It is this person: the picture becomes their photo.", show_default=False)
    ] = None,
    not_: Annotated[
        bool,
        typer.Option("--not", help="It isn't the person whose name it got: the picture becomes a counter-example."),
    ] = False,
    ignore: Annotated[
        bool, typer.Option("--ignore", help="It is a stranger who shall get no name: the picture goes to _unknown.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take the newest correction back, and its photo.")] = False,
    config: ConfigOption = None,
    faces: Faces = None,
    sets: Sets = None,
) -> None:
    """Correct who a sighting shows. The gallery learns from its picture; the machine's own name is kept beside it."""
    from jetstream.gallery.counter_examples import LookJudge
    from jetstream.sightings import correction

    settings = settings_of(config, sets=sets, faces=faces)
    if (name is not None) + not_ + ignore + undo != 1:
        raise UserError("correct: say one of --name NAME, --not, --ignore and --undo")
    verdict: Correction = "name" if name is not None else "not" if not_ else "ignore"
    with _reading(settings):  # none is made here
        pass
    if name is not None:
        _hint_at_slip(name, settings)
    log_as_run(settings)
    done = []
    try:
        with LookJudge(settings) as judge:
            for id_ in ids:
                made = (
                    correction.undo(settings, id_) if undo else correction.correct(settings, id_, verdict, name, judge)
                )
                done.append(made)
                print(_sentence(made, undone=undo))
                audit.add(Path(settings.models.dir), "correct", made.sighting.name or made.sighting.machine_name or "")
    finally:
        if any(made.photo is not None for made in done):
            _train(settings)


def _hint_at_slip(name: str, settings: Config) -> None:
    """Say that a name is new, and which one it resembles: it may be a slip."""
    from jetstream.gallery import photos

    faces = Path(settings.recognize.faces)
    known = photos.list_photos(faces).people if faces.is_dir() else ()
    if photos.normal(name) not in known:
        near = difflib.get_close_matches(photos.normal(name), known, n=1)
        say(f"{name}: a new person" + (f"; if you meant {near[0]}, run `jetstream correct ID --undo`" if near else ""))


def _print_lines(found: Sequence[msgspec.Struct]) -> None:
    """Print JSON, a line each."""
    for one in found:
        print(msgspec.json.encode(one).decode())


def _sentence(made: "CorrectedSighting", *, undone: bool) -> str:
    sighting = made.sighting
    who = f"not {sighting.denied}" if sighting.correction == "not" else sighting.who
    if undone:
        return f"{sighting.id}: {who} again" + (f"; {_shortened(made.photo)} is removed" if made.photo else "")
    if made.photo is None:
        return f"{sighting.id}: {who}; the gallery learns nothing from it: {made.note}"
    return f"{sighting.id}: {who}; the gallery learns from {made.photo}"


def _shortened(path: Path) -> Path:
    """The path from the working folder, where it is below that."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _train(settings: Config) -> None:
    """Train the gallery on the photos as they are now, as a running pipeline does by itself."""
    from jetstream.gallery.prepare import prepare_gallery, with_gallery
    from jetstream.networks.build import prepare_models

    with progress_bars() as progress:
        prepare_models(settings, progress)
        prepare_gallery(with_gallery(settings), progress)


@contextlib.contextmanager
def _reading(settings: Config) -> Iterator[sqlite3.Connection]:
    """The database as it is at the first look into it, whatever is written meanwhile. Raises JetstreamError."""
    from jetstream.sightings import database

    with database.opened(Path(settings.sightings.dir)) as connection:
        connection.execute("BEGIN")
        yield connection


def _moment(text: str | None, option: str) -> int | None:
    from jetstream.sightings import reader

    return None if text is None else reader.moment(text, option, datetime.now())


def _period(from_: str | None, to: str | None) -> tuple[int | None, int | None]:
    """Begin and end of the time asked for, ns. Raises UserError: no time, or the end is before the begin."""
    from_ns, to_ns = _moment(from_, "--from"), _moment(to, "--to")
    if from_ns is not None and to_ns is not None and to_ns <= from_ns:
        raise UserError(f"--to {to}: is not after --from {from_}; give an earlier begin or a later end")
    return from_ns, to_ns


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

    was_gone = False
    while True:
        for message in changes.look(wanted):
            print(msgspec.json.encode(message).decode() if as_json else tables.change(message), flush=True)
        if changes.is_gone and not was_gone:
            say("the database of sightings is gone; the changes follow of one that is made or restored")
        was_gone = changes.is_gone
        time.sleep(FOLLOW_EVERY_S)
