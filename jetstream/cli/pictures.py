"""Commands that evaluate the gallery, identify people in pictures, and detect faces in them."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from jetstream.cli.shared import (
    ConfigOption,
    Faces,
    Images,
    Json,
    Sets,
    app,
    literal,
    log_as_command,
    progress_bars,
    say,
    settings_of,
)
from jetstream.config.schema import Config
from jetstream.errors import JetstreamError, UserError
from jetstream.gallery import audit

Explain = Annotated[bool, typer.Option("--explain", help="Print for each face why it got a name or none.")]


@app.command()
def evaluate(
    faces: Faces = None,
    test: Annotated[
        Path | None,
        typer.Option(
            help="Folder of <name>/*.jpg to test on, strangers too; with --truth a video. Default: cross-validation.",
            show_default=False,
        ),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Who is where in the video, as JSON or JSON Lines.", show_default=False)
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Write the report to this file. Default: evaluation.html, or none with --json.",
            show_default=False,
        ),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Measure every network on the same photos, and show them side by side.")
    ] = False,
    as_json: Json = False,
    config: ConfigOption = None,
    sets: Sets = None,
) -> None:
    """Measure how well people are recognised: a table, and a report with curves and pictures of the errors."""
    from jetstream.evaluation import html_report, tables
    from jetstream.evaluation.comparison import evaluate_one
    from jetstream.evaluation.evaluate import check_options

    path = report or (None if as_json or compare else Path("evaluation.html"))
    check_options(test, truth, path)
    sources = [str(test)] if truth is not None else None
    settings = settings_of(config, sets=sets, sources=sources, faces=faces, pace="every-frame")
    log_as_command(settings)
    if compare:
        if report is not None:
            raise UserError("--out: --compare writes no report; leave one of them out")
        _compare(settings, test, truth, as_json=as_json)
        return
    with progress_bars() as progress:
        result, shown = evaluate_one(settings, test, truth, progress)
    if path is not None:
        html_report.write(path, result, shown)
        audit.add(Path(settings.models.dir), "export")
        say(f"{path}: the report; it shows faces, so only you can read it")
    if as_json:
        print(msgspec.json.encode(result).decode())
        return
    for table in tables.tables(result):
        literal().print(table)
    for note in result.notes:
        literal().print(note, highlight=False)


def _compare(settings: Config, test: Path | None, truth: Path | None, *, as_json: bool) -> None:
    from jetstream.evaluation import tables
    from jetstream.evaluation.comparison import compare
    from jetstream.networks.embedders import embedder_of

    with progress_bars() as progress:
        results = compare(settings, test, truth, progress)
    if as_json:
        print(msgspec.json.encode(results).decode())
        return
    literal().print(tables.comparison(results))
    literal().print(f"in use: {embedder_of(settings).spec.name}; recognize.model chooses", highlight=False)


@app.command()
def identify(
    images: Images,
    faces: Faces = None,
    as_json: Json = False,
    explain: Explain = False,
    config: ConfigOption = None,
    sets: Sets = None,
) -> None:
    """Identify the people in pictures."""
    _look(images, _for_pictures(config, faces, sets), as_json=as_json, names=True, explain=explain)


@app.command()
def detect(images: Images, as_json: Json = False, config: ConfigOption = None, sets: Sets = None) -> None:
    """Detect the faces in pictures."""
    _look(images, _for_pictures(config, None, sets), as_json=as_json, names=False)


def _for_pictures(config: Path | None, faces: Path | None, sets: list[str] | None) -> Config:
    """The settings of `settings_of`, with the preset for single pictures unless --set names one: a config's presets
    rely on tracks, which confirm a face."""
    return settings_of(config, sets=["detect.preset=still", *(sets or [])], faces=faces)


def _look(images: list[Path], settings: Config, *, as_json: bool, names: bool, explain: bool = False) -> None:
    from jetstream.gallery.identify import explanation, line, look
    from jetstream.gallery.prepare import prepare_gallery, with_gallery
    from jetstream.networks.build import prepare_models

    log_as_command(settings)
    with progress_bars() as progress:
        prepare_models(settings, progress)
        settings = with_gallery(settings)
        if names:
            prepare_gallery(settings, progress)
    seen = []
    failures = 0
    for result in look(images, settings, names=names):
        if isinstance(result, JetstreamError):
            failures += 1
            say(f"jetstream: {result}")
            continue
        seen.append(result)
        if not as_json:
            print(line(result), *(explanation(result) if explain else ()), sep="\n")
    if as_json:
        print(msgspec.json.encode(seen).decode())
    if failures:
        raise typer.Exit(UserError.exit_code)
