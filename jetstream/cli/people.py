"""Commands about people: who is known, how well, and who is in a picture."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from jetstream.cli.shared import Faces, Images, Json, Sets, app, log_as_run, progress_bars, say, settings_of
from jetstream.config.schema import Config
from jetstream.errors import JetstreamError, PipelineError, UserError
from jetstream.gallery import audit

WIDEST = 1000
"""characters of a line that isn't shown on a terminal"""
literal = Console(markup=False, emoji=False)  # people and folders may be called [red] or :smile:


@app.command()
def train(
    faces: Faces = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file; else the defaults.", show_default=False)] = None,
    sets: Sets = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Go back to what was learnt before; again: forward.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Learn the people of a folder of photos; only new or changed photos are looked at."""
    settings = settings_of(config, sets=sets, faces=faces)
    if rollback:
        _roll_back(settings)
    else:
        _learn(settings, as_json=as_json)


@app.command()
def people(faces: Faces = None, as_json: Json = False, sets: Sets = None) -> None:
    """List the known people and their photos; learns them if photos changed."""
    _learn(settings_of(sets=sets, faces=faces), stay_rolled_back=True, as_json=as_json)


@app.command()
def enroll(
    name: str,
    source: Annotated[
        list[str],
        typer.Option(
            "--from",
            help="Picture, video, camera, stream, or `track:<id>` of the pipeline that runs; again for more.",
            show_default=False,
        ),
    ],
    at: Annotated[
        str | None,
        typer.Option(help="X,Y or X,Y@SECONDS: the face at that pixel, where there are several.", show_default=False),
    ] = None,
    most: Annotated[
        int | None, typer.Option("--photos", min=1, max=100, help="Most looks to keep; 6.", show_default=False)
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.5, max=600, help="How long to look at a camera, or for a track.")
    ] = 10.0,
    force: Annotated[
        bool, typer.Option("--force", help="Also who looks unlike the photos there, or like somebody else.")
    ] = False,
    faces: Faces = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file; else the defaults.", show_default=False)] = None,
    sets: Sets = None,
) -> None:
    """Make photos of a person from pictures, video, a camera or a running track, and learn them."""
    from jetstream.enroll import enroll as enrolling
    from jetstream.enroll import table as told
    from jetstream.enroll.target import parse_at
    from jetstream.networks.build import prepare_models

    settings = settings_of(config, sets=sets, faces=faces)
    log_as_run(settings)
    request = enrolling.EnrollRequest(name, source, parse_at(at) if at else None, most, seconds, force)
    with progress_bars() as progress:
        enrolling.check(request, settings)
        prepare_models(settings, progress)
        enrolled = enrolling.enroll(request, settings, progress, say)
    _audit("enroll", settings, name)
    try:
        console = _wide()
        console.print(told.table(name, enrolled, console.width))
        console.print(told.summary(enrolled), highlight=False, soft_wrap=True)
        if source[0].startswith(enrolling.TRACK) and (note := enrolling.other_gallery(settings)):
            say(note)
        train(faces, config, sets)
    except BaseException:  # whatever ends it, Ctrl-C too
        say(told.kept(enrolled, Path(settings.recognize.faces)))
        raise


@app.command()
def rename(old: str, new: str, faces: Faces = None, sets: Sets = None) -> None:
    """Give a person another name, and learn it."""
    from jetstream.gallery import people as known

    settings = settings_of(sets=sets, faces=faces)
    known.rename(old, new, Path(settings.recognize.faces))
    _audit("rename", settings, old, new)
    train(faces, None, sets)
    _say_of_recordings(old)


@app.command()
def merge(source: str, target: str, faces: Faces = None, sets: Sets = None) -> None:
    """Make one person of two: all photos of SOURCE become TARGET's."""
    from jetstream.gallery import people as known

    settings = settings_of(sets=sets, faces=faces)
    known.merge(source, target, Path(settings.recognize.faces))
    _audit("merge", settings, source, target)
    train(faces, None, sets)
    _say_of_recordings(source)


@app.command()
def forget(
    names: Annotated[list[str], typer.Argument(help="One or more; also names that somebody had before.")],
    faces: Faces = None,
    recordings: Annotated[
        Path | None,
        typer.Option(help="Also remove recordings in this folder that hold the person.", show_default=False),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    sets: Sets = None,
) -> None:
    """Erase people: photos, embeddings, classifier and, if asked, recordings; then look for what is left."""
    from jetstream.gallery import people as known

    settings = settings_of(sets=sets, faces=faces)
    folder, models = Path(settings.recognize.faces), Path(settings.models.dir)
    who = ", ".join(names)
    if not yes:
        found = known.find(names, folder, models, recordings)
        typer.confirm(f"Erase {who}: {found}, and what was learnt?", abort=True)
    erased = known.forget(names, folder, models, recordings)
    for name in names:
        audit.add(models, "forget", name, erased.photos)
    try:
        train(faces, None, sets)
        known.forget_earlier_version(folder, models)
    except JetstreamError as error:
        raise PipelineError(
            f"{who}: erased: {erased}, but the embeddings are still there, because of this: {error}; "
            "then run `jetstream forget` again with the same names"
        ) from None
    if left := known.traces(names, folder, models, recordings):
        raise PipelineError(f"{who}: still in {', '.join(left)}; remove these by hand")
    literal.print(
        f"{who}: erased: {erased}, and what was learnt; verified gone from there. Reports of `jetstream evaluate` "
        "aren't known here: delete those yourself",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def evaluate(
    faces: Faces = None,
    test: Annotated[
        Path | None,
        typer.Option(
            help="Folder of <name>/*.jpg to ask, strangers too, or, with --truth, a video. Else cross-validation.",
            show_default=False,
        ),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Who is where in the video, JSON or JSON Lines.", show_default=False)
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--out", help="The report; evaluation.html, but none with --json.", show_default=False),
    ] = None,
    as_json: Json = False,
    config: Annotated[Path | None, typer.Option(help="A TOML file; else the defaults.", show_default=False)] = None,
    sets: Sets = None,
) -> None:
    """How well are the people known? A table here, and a report with curves and the mistakes in pictures."""
    from jetstream.evaluation import evaluate as run
    from jetstream.evaluation import html_report, tables
    from jetstream.gallery.prepare import prepare_gallery, with_demo_faces
    from jetstream.networks.build import prepare_models

    path = report or (None if as_json else Path("evaluation.html"))
    run.check_options(test, truth, path)
    sources = [str(test)] if truth is not None else None
    settings = settings_of(config, sets=sets, sources=sources, faces=faces, pace="every-frame")
    log_as_run(settings)
    with progress_bars() as progress:
        if truth is not None:
            from jetstream import startup

            settings = startup.prepare(settings, progress)
        else:
            prepare_models(settings, progress)
            settings = with_demo_faces(settings)
            prepare_gallery(settings, progress)
        result, shown = run.evaluate(settings, test, truth, progress)
    if path is not None:
        html_report.write(path, result, shown)
        audit.add(Path(settings.models.dir), "export")
        say(f"{path}: the report; it shows faces and can be read by you alone")
    if as_json:
        print(msgspec.json.encode(result).decode())
        return
    for table in tables.tables(result):
        literal.print(table)
    for note in result.notes:
        literal.print(note, highlight=False)


@app.command()
def identify(
    images: Images,
    faces: Faces = None,
    as_json: Json = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say for each face why it got a name or none.")] = False,
    sets: Sets = None,
) -> None:
    """Who is in these pictures?"""
    _look(images, faces, as_json, sets, names=True, explain=explain)


@app.command()
def detect(images: Images, as_json: Json = False, sets: Sets = None) -> None:
    """Where are faces in these pictures?"""
    _look(images, None, as_json, sets, names=False)


def _learn(settings: Config, *, stay_rolled_back: bool = False, as_json: bool = False) -> None:
    from jetstream.gallery import table as peopletable
    from jetstream.gallery.prepare import prepare_gallery, with_demo_faces
    from jetstream.networks.build import prepare_models

    log_as_run(settings)
    with progress_bars() as progress:
        prepare_models(settings, progress)
        settings = with_demo_faces(settings)
        report = prepare_gallery(settings, progress, stay_rolled_back=stay_rolled_back)
    if as_json:
        print(msgspec.json.encode(report).decode())
        return
    _wide().print(peopletable.table(report, settings.recognize.faces))


def _audit(what: audit.What, settings: Config, *names: str) -> None:
    for name in names:
        audit.add(Path(settings.models.dir), what, name)


def _wide() -> Console:
    """A pipe has no width of its own: no name is broken there."""
    known = literal.is_terminal or "COLUMNS" in os.environ
    return literal if known else Console(width=WIDEST, markup=False, emoji=False)


def _say_of_recordings(old: str) -> None:
    say(f"recordings made until now keep the name {old}: to erase them one day, give `jetstream forget` that name too")


def _roll_back(settings: Config) -> None:
    from jetstream.gallery import train as gallery
    from jetstream.gallery.prepare import with_demo_faces

    faces = Path(with_demo_faces(settings).recognize.faces)
    known = gallery.roll_back(faces, Path(settings.models.dir))
    literal.print(f"{faces}: in use: {known.summary}", highlight=False, soft_wrap=True)


def _look(
    images: list[Path],
    faces: Path | None,
    as_json: bool,
    sets: list[str] | None,
    *,
    names: bool,
    explain: bool = False,
) -> None:
    from jetstream.gallery import identify as looking
    from jetstream.gallery.prepare import prepare_gallery, with_demo_faces
    from jetstream.networks.build import prepare_models

    settings = settings_of(sets=["detect.preset=still", *(sets or [])], faces=faces)
    log_as_run(settings)
    with progress_bars() as progress:
        prepare_models(settings, progress)
        settings = with_demo_faces(settings)
        if names:
            prepare_gallery(settings, progress)
    seen = []
    failures = 0
    for result in looking.look(images, settings, names=names):
        if isinstance(result, JetstreamError):
            failures += 1
            say(f"jetstream: {result}")
            continue
        seen.append(result)
        if not as_json:
            print(looking.line(result), *(looking.explanation(result) if explain else ()), sep="\n")
    if as_json:
        print(msgspec.json.encode(seen).decode())
    if failures:
        raise typer.Exit(UserError.exit_code)
