"""Commands and exit codes: 0 done, 1 a failure at run time, 2 wrong usage or config.

Reads options and prints; what the commands do is in the modules below.
"""

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal

import msgspec
import tomli_w
import typer
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from jetstream import __version__, configfile
from jetstream import config as configuration
from jetstream.config import Config
from jetstream.errors import JetstreamError, PipelineError, UserError

MODELS = Path(configuration.Models().dir)
NO_LIBGL = (
    "OpenCV with a window was installed beside the one without, and this machine has no libGL for it; run "
    "`pip uninstall -y opencv-python && pip install --force-reinstall --no-deps opencv-python-headless`"
)

app = typer.Typer(
    name="jetstream",
    help="Live face recognition: cameras and video in, names out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
out = Console()
err = Console(stderr=True)

Faces = Annotated[Path | None, typer.Option(help="Folder of <name>/*.jpg: the people to know.", show_default=False)]
Sets = Annotated[
    list[str] | None, typer.Option("--set", help="Override a config key: table.key=value.", show_default=False)
]
ConfigFile = Annotated[Path, typer.Argument(help="A TOML file, such as configs/default.toml.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Images = Annotated[list[Path], typer.Argument(help="Pictures: jpg, png, webp, bmp, tiff.", show_default=False)]


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

    settings = _config(config, sets=sets, sources=source, faces=faces, record=record, pace=pace, headless=headless)
    _log(settings)
    if stage is not None:
        startup.run_alone(stage, settings)
        return
    with _progress() as progress:
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
    sets: Sets = None,
) -> None:
    """Every frame of a file through the same stages in one process: the same input gives the same events."""
    from jetstream import replay as replaying
    from jetstream import startup

    settings = _config(config, sets=sets, sources=[video], faces=faces, pace="every-frame")
    _log(settings)
    with _progress() as progress:
        settings = startup.prepare(settings, progress)
        replaying.to_files(settings, events, annotated, progress)


@app.command()
def train(
    faces: Faces = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file; else the defaults.", show_default=False)] = None,
    sets: Sets = None,
) -> None:
    """Learn the people of a folder of photos; only new or changed photos are looked at."""
    from jetstream import startup

    settings = _config(config, sets=sets, faces=faces)
    _log(settings)
    with _progress() as progress:
        startup.prepare_models(settings, progress)
        settings = startup.with_demo_faces(settings)
        report = startup.prepare_gallery(settings, progress)
    table = Table("person", "photos used", "left out", "several faces: the largest", title=settings.recognize.faces)
    for person in report.people:
        left_out = startup.refusals(person) if person.refused or not person.used else ""
        table.add_row(person.name, str(person.used), left_out, ", ".join(person.several))
    out.print(table)


@app.command()
def people(faces: Faces = None, sets: Sets = None) -> None:
    """List the known people and their photos; the same as `train`."""
    train(faces, None, sets)


@app.command()
def rename(old: str, new: str, faces: Faces = None, sets: Sets = None) -> None:
    """Give a person another name, and learn it."""
    from jetstream import people as known

    settings = _config(sets=sets, faces=faces)
    known.rename(old, new, Path(settings.recognize.faces))
    train(faces, None, sets)


@app.command()
def merge(source: str, target: str, faces: Faces = None, sets: Sets = None) -> None:
    """Make one person of two: all photos of SOURCE become TARGET's."""
    from jetstream import people as known

    settings = _config(sets=sets, faces=faces)
    known.merge(source, target, Path(settings.recognize.faces))
    train(faces, None, sets)


@app.command()
def forget(
    name: str,
    faces: Faces = None,
    recordings: Annotated[
        Path | None,
        typer.Option(help="Also remove recordings in this folder that hold the person.", show_default=False),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    sets: Sets = None,
) -> None:
    """Erase a person: photos, embeddings, classifier and, if asked, recordings; then look for what is left."""
    from jetstream import people as known

    settings = _config(sets=sets, faces=faces)
    folder = Path(settings.recognize.faces)
    known.folders_of(name, folder)
    if not yes:
        doomed = known.recordings_with(name, recordings) if recordings else []
        typer.confirm(f"Erase {name} and {len(doomed)} files of recordings?", abort=True)
    removed = known.forget(name, folder, recordings)
    train(faces, None, sets)
    if left := known.traces(name, folder, Path(settings.models.dir), recordings):
        raise PipelineError(f"{name}: still in {', '.join(left)}; remove these by hand")
    out.print(f"{name}: {len(removed)} files and folders erased; verified gone from photos and gallery")


@app.command()
def identify(images: Images, faces: Faces = None, as_json: Json = False, sets: Sets = None) -> None:
    """Who is in these pictures?"""
    _look(images, faces, as_json, sets, names=True)


@app.command()
def detect(images: Images, as_json: Json = False, sets: Sets = None) -> None:
    """Where are faces in these pictures?"""
    _look(images, None, as_json, sets, names=False)


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


@app.command()
def check(config: ConfigFile, sets: Sets = None) -> None:
    """Validate a config, look for its cameras, files and people, and print what is in effect."""
    from jetstream import startup

    settings = _config(config, sets=sets, headless=False)
    print(tomli_w.dumps(_plain(startup.masked_sources(settings))), end="")
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

    settings = _config(config, sets=sets, headless=False)
    statuses = view.statuses(configuration.run_dir(settings))
    if once:
        out.print(view.table(next(statuses)))
        return
    with contextlib.suppress(KeyboardInterrupt), Live(console=out, auto_refresh=False) as live:
        for status in statuses:
            live.update(view.table(status), refresh=True)


@app.command()
def models(
    folder: Annotated[Path, typer.Option("--dir", help="Where to.")] = MODELS,
) -> None:
    """Build the networks from the installed weight packages and check them. `run` does this by itself."""
    from jetstream import weights

    with _progress() as progress:
        weights.build(folder, progress)
    table = Table("file", "MB", title=str(folder))
    for path in weights.paths(folder):
        table.add_row(path.name, f"{path.stat().st_size / 1e6:.1f}")
    out.print(table)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"jetstream {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None: ...


def _look(images: list[Path], faces: Path | None, as_json: bool, sets: list[str] | None, *, names: bool) -> None:
    from jetstream import looking, startup

    settings = _config(sets=["detect.preset=still", *(sets or [])], faces=faces)
    _log(settings)
    with _progress() as progress:
        startup.prepare_models(settings, progress)
        settings = startup.with_demo_faces(settings)
        if names:
            startup.prepare_gallery(settings, progress)
    seen = []
    failures = 0
    for result in looking.look(images, settings, names=names):
        if isinstance(result, JetstreamError):
            failures += 1
            err.print(f"jetstream: {result}", highlight=False, markup=False, soft_wrap=True)
            continue
        seen.append(result)
        if not as_json:
            print(looking.line(result))
    if as_json:
        print(msgspec.json.encode(seen).decode())
    if failures:
        raise typer.Exit(UserError.exit_code)


def _config(
    path: Path | None = None,
    *,
    sets: list[str] | None,
    sources: list[str] | None = None,
    faces: Path | None = None,
    record: Path | None = None,
    pace: str | None = None,
    headless: bool = True,
) -> Config:
    data = configfile.read_toml(path) if path is not None else {}
    overrides: dict[str, Any] = {}
    if faces is not None:
        if str(faces) != "demo" and not faces.is_dir():
            raise UserError(f"--faces {faces}: no such folder; make it, with a folder of photos for each person in it")
        overrides["recognize"] = {"faces": str(faces)}
    if record is not None:
        overrides["record"] = {"dir": str(record)}
    if pace is not None:
        overrides["pipeline"] = {"pace": pace}
    if headless:
        overrides["render"] = {"window": False}
    where = str(path) if path is not None else "command line"
    settings = configfile.build(data, where=where, sets=sets or (), overrides=overrides)
    if sources:
        settings = msgspec.structs.replace(settings, cameras=configfile.cameras_for(sources, settings))
    return settings


def _plain(settings: Config) -> dict[str, Any]:
    """A config as TOML can hold it: without the keys that are unset."""
    tree = msgspec.to_builtins(settings)
    return {
        table: {key: value for key, value in keys.items() if value is not None} if isinstance(keys, dict) else keys
        for table, keys in tree.items()
    }


def _log(settings: Config) -> None:
    from jetstream.process import set_up_logging

    set_up_logging("run", settings.pipeline.log_level)


@contextlib.contextmanager
def _progress() -> Iterator[Any]:
    """A bar on standard error for what takes long; a callback (what, 0..1)."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def report(what: str, share: float) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=1.0)
            bars.update(tasks[what], completed=share)

        yield report


def _end(signum: int, frame: FrameType | None) -> None:
    """Unwind as at Ctrl-C: files are closed and shared memory is removed, in start-up and clean-up too."""
    sys.exit(1)


def main() -> None:
    """Entry point: every failure that a user can mend is one sentence on standard error."""
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _end)
    try:
        app()
    except JetstreamError as error:
        print(f"jetstream: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except ImportError as error:
        if "libGL" not in str(error):
            raise
        print(f"jetstream: {NO_LIBGL}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
