"""Commands that compare the pictures of sightings: who the strangers are, and where a face was."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Annotated

import typer

from jetstream.cli.shared import ConfigOption, Json, Sets, app, progress_bars, say, settings_of, wide
from jetstream.cli.sighting_options import LARGEST, From, To, moment, period, print_lines, reading
from jetstream.config.schema import Config
from jetstream.gallery import audit


@app.command()
def strangers(
    from_: From = None,
    seen: Annotated[int, typer.Option(min=1, help="Only those with at least so many sightings.")] = 1,
    most: Annotated[int, typer.Option(min=0, help="Largest number of strangers. 0: all.")] = 100,
    merge: Annotated[
        list[int] | None,
        typer.Option(
            min=1, max=LARGEST, help="A stranger who is the same person as the others named.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
    config: ConfigOption = None,
    sets: Sets = None,
) -> None:
    """List strangers: who was seen without a name, how often, when and where. The one seen last comes first."""
    from jetstream.sightings import stranger_list, stranger_merges, tables

    settings = settings_of(config, sets=sets)
    with reading(settings):  # none is made here
        pass
    if merge:
        stranger_merges.request(Path(settings.sightings.dir), merge)
        audit.add(Path(settings.models.dir), "correct")
    _bring_up_to_date(settings)
    with reading(settings) as connection:
        found = stranger_list.strangers(connection, most=most or None, seen=seen, from_ns=moment(from_, "--from"))
    if as_json:
        print_lines(found)
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
    from jetstream.gallery.counter_examples import LookJudge
    from jetstream.networks.build import prepare_models
    from jetstream.sightings import search as searching
    from jetstream.sightings import tables

    settings = settings_of(config, sets=sets)
    folder = Path(settings.sightings.dir)
    from_ns, to_ns = period(from_, to)
    if sheet is not None:
        searching.check_sheet(sheet)
    with reading(settings), progress_bars() as progress:
        prepare_models(settings, progress)
    with LookJudge(settings) as judge:
        face = searching.embedding_of(photo, judge)
    _bring_up_to_date(settings)
    with reading(settings) as connection:
        found = searching.search(connection, face, settings, from_ns=from_ns, to_ns=to_ns, most=most)
    if sheet is not None:
        searching.write(sheet, searching.sheet_of(photo, found, folder))
        audit.add(Path(settings.models.dir), "export", count=len(found))
        say(f"{sheet}: the pictures; it shows faces, so only you can read it")
    if as_json:
        print_lines(found)
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
