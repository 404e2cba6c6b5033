"""Commands that run the pipeline and watch it."""

import contextlib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import tomli_w
import typer
from rich.live import Live

from jetstream import config as configuration
from jetstream.cli.shared import (
    ConfigFile,
    Faces,
    Json,
    Sets,
    app,
    err,
    log_as_run,
    out,
    plain,
    progress_bars,
    settings_of,
)


@app.command()
def run(
    config: ConfigFile,
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="Camera index, device, URL, video file, folder of images or `demo`, instead of the config's cameras; "
            "give it again for more.",
            show_default=False,
        ),
    ] = None,
    faces: Faces = None,
    headless: Annotated[bool, typer.Option("--headless", help="No window.")] = False,
    record: Annotated[
        Path | None, typer.Option(help="Record video and events into this folder.", show_default=False)
    ] = None,
    pace: Annotated[
        Literal["live", "every-frame"] | None,
        typer.Option(help="live: late frames fall; every-frame: none does.", show_default=False),
    ] = None,
    duration: Annotated[
        float | None, typer.Option(min=0.1, help="Stop after so many seconds.", show_default=False)
    ] = None,
    sets: Sets = None,
    stage: Annotated[
        str | None,
        typer.Option(help="Run only this stage, here in the foreground, for debugging.", show_default=False),
    ] = None,
) -> None:
    """Run the pipeline: follow and name faces from cameras or files until they end, or Ctrl-C."""
    from jetstream import startup

    settings = settings_of(config, sets=sets, sources=source, faces=faces, record=record, pace=pace, headless=headless)
    log_as_run(settings)
    if stage is not None:
        startup.run_alone(stage, settings)
        return
    with progress_bars() as progress:
        settings = startup.prepare(settings, progress)
    startup.run(settings, duration_s=duration)


@app.command()
def replay(
    video: Annotated[str, typer.Argument(help="A video file, or a folder or glob of images.", show_default=False)],
    events: Annotated[
        Path | None,
        typer.Option("--out", help="Write events here, one line a frame; else print them.", show_default=False),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file; else the defaults.", show_default=False)] = None,
    faces: Faces = None,
    annotated: Annotated[
        Path | None, typer.Option("--video", help="Write the annotated video here.", show_default=False)
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say at the end, for each track, why it bears its name.")
    ] = False,
    sets: Sets = None,
) -> None:
    """Every frame of a file through the same stages in one process: the same input gives the same events."""
    from jetstream import replay as replaying
    from jetstream import startup

    settings = settings_of(config, sets=sets, sources=[video], faces=faces, pace="every-frame")
    log_as_run(settings)
    replaying.check_outputs(settings.cameras[0].source, events, annotated)  # before anything is learnt
    with progress_bars() as progress:
        settings = startup.prepare(settings, progress)
        replaying.to_files(settings, events, annotated, progress, explain=explain)


@app.command()
def check(config: ConfigFile, sets: Sets = None) -> None:
    """Validate a config, look for its cameras, files and people, and print what is in effect."""
    from jetstream import startup

    settings = settings_of(config, sets=sets, headless=False)
    print(tomli_w.dumps(plain(startup.masked_sources(settings))), end="")
    for line in startup.check(settings):
        err.print(line, highlight=False, markup=False, soft_wrap=True)


@app.command()
def top(
    config: Annotated[
        Path | None, typer.Argument(help="Config of the pipeline, if it sets pipeline.run_dir.", show_default=False)
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print one table and end.")] = False,
    sets: Sets = None,
) -> None:
    """Watch a running pipeline: rate, latency, drops by reason and restarts of each process."""
    from jetstream import top as view

    settings = settings_of(config, sets=sets, headless=False)
    statuses = view.statuses(configuration.run_dir(settings))
    if once:
        out.print(view.table(next(statuses)))
        return
    with contextlib.suppress(KeyboardInterrupt), Live(console=out, auto_refresh=False) as live:
        for status in statuses:
            live.update(view.table(status), refresh=True)


@app.command()
def subscribe(
    endpoint: Annotated[str, typer.Argument(help="The topic's ZeroMQ endpoint.")] = configuration.Publish().endpoint,
    camera: Annotated[str, typer.Option(help="Only this camera.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """Print the detections of a running pipeline, a line a frame."""
    from jetstream import top

    with contextlib.suppress(KeyboardInterrupt):  # its only end
        for event in top.detections(endpoint, camera):
            print(msgspec.json.encode(event).decode() if as_json else top.line(event), flush=True)
