"""Commands that run the pipeline and watch it."""

import contextlib
import logging
import os
import signal
import time
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import tomli_w
import typer
from rich.live import Live

from jetstream.cli.shared import (
    ConfigFile,
    Faces,
    Json,
    Sets,
    app,
    log_as_run,
    once,
    out,
    plain,
    progress_bars,
    say,
    settings_of,
)
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
    from jetstream.config import secrets
    from jetstream.runtime.reload import Reloader
    from jetstream.runtime.systemd import patient

    def read() -> Config:
        return settings_of(config, sets=sets, sources=source, faces=faces, record=record, pace=pace, headless=headless)

    in_terminal = signals.has_terminal()  # asked now: one that hangs up is gone before SIGHUP comes
    if not in_terminal and signals.hang_up():
        signal.signal(signal.SIGHUP, signals.pass_over)  # until the pipeline runs there is nothing to reload
    written = read()
    log_as_run(written)
    for warning in secrets.seen_by_others(config, source or (), written.cameras):
        logging.getLogger("jetstream").warning("%s", warning)
    if stage is not None:
        startup.run_alone(stage, written)
        return
    with progress_bars() as progress:
        settings = startup.prepare(written, patient(progress))
    reloader = None if in_terminal else Reloader(read, written, startup.check_reload)
    startup.run(settings, duration_s=duration, reloader=reloader)


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
    from jetstream import startup
    from jetstream.replay import replay as replaying

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
        say(line)


@app.command()
def top(
    config: Annotated[
        Path | None, typer.Argument(help="Config of the pipeline, if it sets pipeline.run_dir.", show_default=False)
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print one table and end.")] = False,
    sets: Sets = None,
) -> None:
    """Watch a running pipeline: rate, latency, drops by reason and restarts of each process. Plain text in a pipe."""
    from jetstream.monitoring import top as toptable
    from jetstream.monitoring.status import statuses

    settings = settings_of(config, sets=sets, headless=False)
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        live = stack.enter_context(Live(console=out, auto_refresh=False)) if out.is_terminal and not once else None
        for status in statuses(configuration.run_dir(settings)):
            now_ns = time.monotonic_ns()
            if live is not None:
                live.update(toptable.tables(status, now_ns), refresh=True)
            elif out.is_terminal:
                out.print(toptable.tables(status, now_ns))
            else:
                print(toptable.text(status, now_ns), flush=True)
            if once:
                return


@app.command()
def trace(
    seconds: Annotated[float, typer.Argument(min=0.1, max=600, help="How long.", show_default=False)],
    file: Annotated[Path, typer.Option("--out", "-o", help="Write it here.", show_default=False)],
    config: Annotated[
        Path | None, typer.Argument(help="Config of the pipeline, if it sets pipeline.run_dir.", show_default=False)
    ] = None,
    sets: Sets = None,
) -> None:
    """Record what each process of a running pipeline does when, as a trace for ui.perfetto.dev or chrome://tracing."""
    from jetstream import files
    from jetstream.monitoring import trace as tracing

    settings = settings_of(config, sets=sets, headless=False)
    if os.path.isdir(file) or not os.path.isdir(file.parent):  # Path's raises in a folder that may not be entered
        raise UserError(f"--out {file}: name a file in a folder that is there")
    content = tracing.record(configuration.run_dir(settings), seconds)
    try:
        files.replace(file, msgspec.json.encode(content), mode=0o600)
    except OSError as error:
        raise UserError(f"--out {file}: {error.strerror}; name a file in a folder that can be written") from None
    say(f"{file}: {seconds:g} s; open it at ui.perfetto.dev or chrome://tracing")


@app.command()
def subscribe(
    endpoint: Annotated[
        str, typer.Argument(help="The topic's ZeroMQ endpoint.")
    ] = configuration.PublishConfig().endpoint,
    camera: Annotated[str, typer.Option(help="Only this camera.", show_default=False)] = "",
    key: Annotated[
        Path | None, typer.Option(help="Key file, where the topic asks for one.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the detections of a running pipeline, a line a frame."""
    from jetstream.topic import keys, subscriber

    pair = None if key is None else keys.read(key)
    with contextlib.suppress(KeyboardInterrupt):  # its only end
        for event in subscriber.detections(endpoint, camera, pair, once(say)):
            print(msgspec.json.encode(event).decode() if as_json else subscriber.line(event), flush=True)
