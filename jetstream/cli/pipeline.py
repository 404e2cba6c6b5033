"""Commands that run the pipeline and monitor it."""

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from jetstream.cli.shared import (
    ConfigFile,
    ConfigOption,
    Faces,
    Json,
    Sets,
    app,
    console,
    log_as_command,
    once,
    origins_of,
    overrides_of,
    plain,
    progress_bars,
    say,
    settings_of,
)
from jetstream.config import merging, parts
from jetstream.config import schema as configuration
from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.runtime import signals


@app.command()
def run(
    config: ConfigFile,
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="Source instead of the config's cameras: index, device, URL, video, folder or `demo`. Repeatable.",
            show_default=False,
        ),
    ] = None,
    faces: Faces = None,
    headless: Annotated[bool, typer.Option("--headless", help="Show no window.")] = False,
    record: Annotated[
        Path | None, typer.Option(help="Record video and events into this folder.", show_default=False)
    ] = None,
    pace: Annotated[
        Literal["live", "every-frame"] | None,
        typer.Option(help="live: late frames are dropped. every-frame: no frame is dropped.", show_default=False),
    ] = None,
    duration: Annotated[
        float | None, typer.Option(min=0.1, help="Stop after this many seconds.", show_default=False)
    ] = None,
    sets: Sets = None,
    stage: Annotated[
        str | None,
        typer.Option(help="Run only this stage, in the foreground, for debugging.", show_default=False),
    ] = None,
) -> None:
    """Run the pipeline: track and identify faces in cameras or files, until they end or Ctrl-C."""
    from jetstream.config import secrets

    def read() -> Config:
        return settings_of(config, sets=sets, sources=source, faces=faces, record=record, pace=pace, headless=headless)

    in_terminal = signals.has_terminal()  # read now: a terminal that closes is gone before SIGHUP arrives
    if not in_terminal and signals.hang_up():
        signal.signal(signal.SIGHUP, signals.pass_over)  # until the pipeline runs there is nothing to reload
    written = read()
    log_as_command(written)
    for warning in secrets.seen_by_others(config, source or (), written):
        logging.getLogger("jetstream").warning("%s", warning)
    if stage is not None:
        from jetstream import startup

        startup.run_alone(stage, written)
        return
    origins = origins_of(
        config, written, sets=sets, sources=source, overrides=overrides_of(faces, record, pace, headless)
    )
    _run(written, None if in_terminal else read, duration, origins)


def _run(written: Config, read: Callable[[], Config] | None, duration_s: float | None, origins: dict[str, str]) -> None:
    """Prepare and run the pipeline. `read` reads the config again at SIGHUP; None: SIGHUP ends the run. `origins`:
    where the keys of `written` came from."""
    from jetstream.runtime.prestart import allow_many_files, held_processes

    allow_many_files()
    with held_processes(written) as held:
        from jetstream import startup  # what it imports takes as long as the stages' own imports, beside which it runs
        from jetstream.runtime.reload import Reloader, changes
        from jetstream.runtime.systemd import patient

        startup.check_sightings(written)
        startup.check_alerts(written)
        with progress_bars() as progress:
            settings = startup.prepare(written, patient(progress), for_supervisor=True)
        reloader = None if read is None else Reloader(read, written, startup.check_reload)
        origins |= {key: merging.STARTED for key, _ in changes(written, settings)}
        startup.run(settings, duration_s=duration_s, reloader=reloader, held=held, origins=origins)


@app.command()
def replay(
    video: Annotated[
        str, typer.Argument(help="A video file or animated picture, or a folder or glob of images.", show_default=False)
    ],
    events: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Write the events to this file, a line per frame. Without it, print them.", show_default=False
        ),
    ] = None,
    config: ConfigOption = None,
    faces: Faces = None,
    annotated: Annotated[
        Path | None, typer.Option("--video", help="Write the annotated video to this file.", show_default=False)
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print at the end, for each track, why it has its name.")
    ] = False,
    sightings: Annotated[
        Path | None, typer.Option(help="Write the sightings to this file, a line each.", show_default=False)
    ] = None,
    sets: Sets = None,
) -> None:
    """Run every frame of a file through the same stages in one process. The same input gives the same events."""
    from jetstream import startup
    from jetstream.replay import replay as replays

    settings = settings_of(config, sets=sets, sources=[video], faces=faces, pace="every-frame")
    log_as_command(settings)
    replays.check_outputs(settings.cameras[0].source, events, annotated, sightings)  # before training
    with progress_bars() as progress:
        settings = startup.prepare(parts.alone(settings), progress)
        replays.to_files(settings, events, annotated, progress, explain=explain, sightings_file=sightings)


@app.command()
def check(config: ConfigFile, sets: Sets = None) -> None:
    """Validate a config, check its cameras, files and people, and print the effective settings."""
    import tomli_w

    from jetstream import startup

    settings = settings_of(config, sets=sets, headless=False)
    print(tomli_w.dumps(plain(startup.masked_sources(settings))), end="")
    for line in startup.check(settings):
        say(line)


@app.command()
def top(
    config: Annotated[
        Path | None,
        typer.Argument(help="The pipeline's config. Needed only if it sets pipeline.run_dir.", show_default=False),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print one table and exit.")] = False,
    sets: Sets = None,
) -> None:
    """Show the rate, latency, drops by reason and restarts of each process of a running pipeline. Text in a pipe."""
    from rich.live import Live

    from jetstream.monitoring import top as status_table
    from jetstream.monitoring.status import statuses

    settings, out = settings_of(config, sets=sets, headless=False), console()
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        live = stack.enter_context(Live(console=out, auto_refresh=False)) if out.is_terminal and not once else None
        for status in statuses(configuration.run_dir(settings)):
            now_ns = time.monotonic_ns()
            if live is not None:
                live.update(status_table.tables(status, now_ns), refresh=True)
            elif out.is_terminal:
                out.print(status_table.tables(status, now_ns))
            else:
                print(status_table.text(status, now_ns), flush=True)
            if once:
                return


@app.command()
def trace(
    seconds: Annotated[float, typer.Argument(min=0.1, max=600, help="Length of the trace.", show_default=False)],
    file: Annotated[Path, typer.Option("--out", "-o", help="Write the trace to this file.", show_default=False)],
    config: Annotated[
        Path | None,
        typer.Argument(help="The pipeline's config. Needed only if it sets pipeline.run_dir.", show_default=False),
    ] = None,
    sets: Sets = None,
) -> None:
    """Record a timeline of every process of a running pipeline, for ui.perfetto.dev or chrome://tracing."""
    from jetstream import files
    from jetstream.monitoring import trace as traces

    settings = settings_of(config, sets=sets, headless=False)
    if os.path.isdir(file) or not os.path.isdir(file.parent):  # Path.is_dir raises in a folder without access
        raise UserError(f"--out {file}: name a file in a folder that exists")
    content = traces.record(configuration.run_dir(settings), seconds)
    try:
        files.replace(file, msgspec.json.encode(content), mode=0o600)
    except OSError as error:
        raise UserError(f"--out {file}: {error.strerror}; name a file in a folder that can be written") from None
    say(f"{file}: {seconds:g} s; open it at ui.perfetto.dev or chrome://tracing")


@app.command()
def subscribe(
    endpoint: Annotated[
        str, typer.Argument(help="ZeroMQ endpoint of the topic.")
    ] = configuration.PublishConfig().endpoint,
    camera: Annotated[str, typer.Option(help="Print only this camera's detections.", show_default=False)] = "",
    key: Annotated[Path | None, typer.Option(help="Your key file, if the topic uses keys.", show_default=False)] = None,
    sightings: Annotated[
        bool, typer.Option("--sightings", help="Print who comes, gets a name and goes, instead of detections.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print the detections of a running pipeline, a line per frame."""
    from jetstream.topic import keys, subscriber

    pair = None if key is None else keys.read(key)
    with contextlib.suppress(KeyboardInterrupt):  # the only way to end it
        if sightings:
            from jetstream.sightings import tables

            for message in subscriber.sightings(endpoint, camera, pair, once(say)):
                print(msgspec.json.encode(message).decode() if as_json else tables.change(message), flush=True)
        for event in subscriber.detections(endpoint, camera, pair, once(say)):
            print(msgspec.json.encode(event).decode() if as_json else subscriber.line(event), flush=True)
