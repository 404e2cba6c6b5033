"""Commands that train the gallery, and list, enroll, rename, merge and forget people."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from jetstream.cli.shared import (
    ConfigOption,
    Faces,
    Json,
    Sets,
    app,
    literal,
    log_as_command,
    progress_bars,
    say,
    settings_of,
    wide,
)
from jetstream.config.paths import source_path
from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.gallery import audit


@app.command()
def train(
    faces: Faces = None,
    config: ConfigOption = None,
    sets: Sets = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Go back to the previous gallery. Run again to undo that.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train the gallery on a folder of photos. Only new and changed photos are processed."""
    settings = settings_of(config, sets=sets, faces=faces)
    if rollback:
        _roll_back(settings)
    else:
        _learn(settings, as_json=as_json)


@app.command()
def people(faces: Faces = None, as_json: Json = False, config: ConfigOption = None, sets: Sets = None) -> None:
    """List the people in the gallery and their photos. Trains it first if photos changed."""
    _learn(settings_of(config, sets=sets, faces=faces), stay_rolled_back=True, as_json=as_json)


@app.command()
def enroll(
    name: str,
    source: Annotated[
        list[str],
        typer.Option(
            "--from",
            help="Picture, video, camera, stream, or `track:<id>` of the running pipeline. Repeatable.",
            show_default=False,
        ),
    ],
    at: Annotated[
        str | None,
        typer.Option(help="X,Y or X,Y@SECONDS: choose the face at that pixel.", show_default=False),
    ] = None,
    most: Annotated[
        int | None,
        typer.Option(
            "--photos",
            min=1,
            max=100,
            help="Most photos to keep. Default: 6, or the number of pictures if larger.",
            show_default=False,
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.5, max=600, help="Longest time to watch a camera or a track, in seconds.")
    ] = 10.0,
    force: Annotated[
        bool,
        typer.Option("--force", help="Enroll even if the face doesn't match the person, or matches another one."),
    ] = False,
    faces: Faces = None,
    config: ConfigOption = None,
    sets: Sets = None,
) -> None:
    """Take photos of a person from pictures, video, a camera or a running track, and train the gallery on them."""
    from jetstream.enroll.enroll import TRACK, EnrollRequest, check, other_gallery
    from jetstream.enroll.enroll import enroll as enroll_person
    from jetstream.enroll.table import kept, summary, table
    from jetstream.enroll.target import parse_at
    from jetstream.networks.build import prepare_models

    settings = settings_of(config, sets=sets, faces=faces)
    log_as_command(settings)
    source = [source_path(spec, "--from") for spec in source]
    request = EnrollRequest(name, source, parse_at(at) if at else None, most, seconds, force)
    with progress_bars() as progress:
        check(request, settings)
        prepare_models(settings, progress)
        enrolled = enroll_person(request, settings, progress, say)
    audit.add(Path(settings.models.dir), "enroll", name)
    try:
        console = wide()
        console.print(table(name, enrolled, console.width))
        console.print(summary(enrolled), highlight=False, soft_wrap=True)
        if source[0].startswith(TRACK) and (note := other_gallery(settings)):
            say(note)
        _learn(settings)
    except BaseException:  # whatever ends it, Ctrl-C too
        say(kept(enrolled, Path(settings.recognize.faces)))
        raise


@app.command()
def rename(old: str, new: str, faces: Faces = None, config: ConfigOption = None, sets: Sets = None) -> None:
    """Rename a person, and train the gallery again."""
    from jetstream.changes import naming

    _change_name(naming.rename, old, new, settings_of(config, sets=sets, faces=faces))


@app.command()
def merge(source: str, target: str, faces: Faces = None, config: ConfigOption = None, sets: Sets = None) -> None:
    """Merge two people: all photos of SOURCE become TARGET's."""
    from jetstream.changes import naming

    _change_name(naming.merge, source, target, settings_of(config, sets=sets, faces=faces))


@app.command()
def forget(
    names: Annotated[list[str], typer.Argument(help="One or more names; former names too.")],
    faces: Faces = None,
    recordings: Annotated[
        Path | None,
        typer.Option(help="Also remove recordings in this folder that hold the person.", show_default=False),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask for confirmation.")] = False,
    config: ConfigOption = None,
    sets: Sets = None,
) -> None:
    """Erase people: photos, embeddings, sightings and, with --recordings, recordings; then verify that all is gone."""
    from jetstream.changes import forgetting

    settings = settings_of(config, sets=sets, faces=faces)
    planned = forgetting.plan(names, settings, recordings)
    for line in planned.found.what_goes():
        literal().print(line, highlight=False, soft_wrap=True)
    if not yes:
        for line in planned.found.what_stays():
            say(line)
        if recordings is None:
            say("recordings are not erased: --recordings names their folder")
        _confirm(f"Erase {planned.who}: {planned}, and their data in the gallery?")
    done = forgetting.forget(planned, lambda: _learn(settings))
    verified = ", ".join(map(str, done.verified))
    literal().print(
        f"{planned.who}: erased: {done.gone}, and their data in the gallery"
        f"{'; verified gone from ' * bool(verified)}{verified}. "
        "Folders of other configs are not searched: name one with --config. Reports of `jetstream evaluate` and "
        "backups are not searched either: delete those yourself",
        highlight=False,
        soft_wrap=True,
    )
    for line in done.notes:
        say(line)


def _confirm(question: str) -> None:
    """Ask, and end the command unless the answer is yes. Raises UserError where nobody can answer."""
    try:
        is_yes = typer.confirm(question)
    except typer.Abort:  # the end of the input, or Ctrl-C
        raise UserError("nothing was erased: nobody answered; add --yes to erase without a question") from None
    if not is_yes:
        say("nothing was erased")
        raise typer.Exit(1)


def _learn(settings: Config, *, stay_rolled_back: bool = False, as_json: bool = False) -> None:
    from jetstream.gallery.prepare import prepare_gallery, with_gallery
    from jetstream.gallery.table import table
    from jetstream.networks.build import prepare_models
    from jetstream.networks.embedders import embedder_of

    log_as_command(settings)
    with progress_bars() as progress:
        prepare_models(settings, progress)
        settings = with_gallery(settings)
        report = prepare_gallery(settings, progress, stay_rolled_back=stay_rolled_back)
    if as_json:
        print(msgspec.json.encode(report).decode())
        return
    wide().print(table(report, settings.recognize.faces))
    if caveat := embedder_of(settings).caveat:
        say(caveat)


def _roll_back(settings: Config) -> None:
    from jetstream.gallery.origin import origin_of
    from jetstream.gallery.prepare import with_gallery
    from jetstream.gallery.train import roll_back

    settings = with_gallery(settings)
    faces = Path(settings.recognize.faces)
    known = roll_back(faces, Path(settings.models.dir), origin_of(settings))
    literal().print(f"{faces}: in use: {known.summary}", highlight=False, soft_wrap=True)


def _change_name(change: Callable[[str, str, Config], list[Path]], old: str, new: str, settings: Config) -> None:
    """Call `change` to rename `old` to `new`, and train the gallery again."""
    for link in change(old, new, settings):
        say(f"{link}: a link into the folder of {old}; it may lead nowhere now, so make it anew or remove it")
    _learn(settings)
    say(f"recordings made until now keep the name {old}: to erase them one day, give `jetstream forget` that name too")
