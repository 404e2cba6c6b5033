"""The parts that all commands share: the app, its consoles, options, settings and progress bars.

Contains no command.
"""

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from jetstream.backup import journal
from jetstream.config import load, merging, secrets
from jetstream.config.paths import expanded
from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.masking import masked

if TYPE_CHECKING:  # `jetstream run` prints no table, and starts sooner without it
    from rich.console import Console


class MaskingGroup(typer.core.TyperGroup):
    """The command line, whose complaints about arguments quote them: passwords in them are masked."""

    def make_context(self, *words: Any, **options: Any) -> Any:
        with _masked_complaint():
            return super().make_context(*words, **options)

    def invoke(self, ctx: Any) -> Any:
        with _masked_complaint():
            return super().invoke(ctx)


@contextlib.contextmanager
def _masked_complaint() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if isinstance(said := getattr(error, "message", None), str):
            error.message = masked(said)  # type: ignore[attr-defined]
        raise


class CommandLine(typer.Typer):
    """Commands whose options and arguments that are paths take `~` and `${NAME}`, as paths in a config do, and whose
    log lines bear their names."""

    def command(  # type: ignore[override]
        self, *words: Any, **options: Any
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        register = super().command(*words, **options)

        def add(function: Callable[..., Any]) -> Callable[..., Any]:
            name = words[0] if words else options.get("name") or function.__name__
            register(_named(name, _taking_paths(function)))
            return function

        return add

    def callback(self, *words: Any, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # type: ignore[override]
        register = super().callback(*words, **options)

        def add(function: Callable[..., Any]) -> Callable[..., Any]:
            register(_taking_paths(function))
            return function

        return add


_command: ContextVar[str] = ContextVar("_command", default="jetstream")
"""name of the command that runs"""


def _named(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(**values: Any) -> Any:
        token = _command.set(name)
        try:
            return function(**values)
        finally:
            _command.reset(token)

    return call


def _taking_paths(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(**values: Any) -> Any:
        return function(**{name: _whole(value) for name, value in values.items()})

    return call


def _whole(value: Any) -> Any:
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return Path(expanded(str(value), "command line")) if isinstance(value, Path) else value


app = CommandLine(
    name="jetstream",
    cls=MaskingGroup,
    help="Live face recognition: cameras and video in, names out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
WIDEST = 1000
"""characters of a line that isn't shown on a terminal"""
Faces = Annotated[
    Path | None, typer.Option(help="Folder with a folder of photos for each person: <name>/*.jpg.", show_default=False)
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a config key: table.key=value. Repeatable.", show_default=False),
]
ConfigFile = Annotated[Path, typer.Argument(help="A TOML file, such as configs/default.toml.", show_default=False)]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="A TOML file. Without it, the defaults.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Images = Annotated[
    list[Path], typer.Argument(help="Image files: JPEG, PNG, WebP, HEIC, AVIF, TIFF and others.", show_default=False)
]


@functools.cache
def console(*, stderr: bool = False, literal: bool = False) -> "Console":
    """A console for tables; `literal`: it doesn't interpret markup and emoji codes in what it prints."""
    from rich.console import Console

    return Console(stderr=stderr, markup=not literal, emoji=not literal)


def settings_of(
    path: Path | None = None,
    *,
    sets: list[str] | None,
    sources: list[str] | None = None,
    faces: Path | None = None,
    record: Path | None = None,
    pace: str | None = None,
    headless: bool = True,
    data: Mapping[str, Any] | None = None,
    is_restore: bool = False,
) -> Config:
    """The config in the file `path`, or the defaults, overridden by the command line's options.

    `data`: what the file holds, where it isn't there yet.

    Raises UserError for a file or an option that isn't valid, and where a restore of this config was interrupted.
    """
    if not is_restore:
        _check_no_restore(path, None)
    if data is None:
        data = load.read_toml(path) if path is not None else {}
    if faces is not None and str(faces) != "demo" and not os.path.isdir(faces):
        raise UserError(f"--faces {faces}: no such folder; make it, with a folder of photos for each person in it")
    overrides = overrides_of(faces, record, pace, headless)
    where = str(path) if path is not None else "command line"
    settings = load.build(data, where=where, sets=sets or (), overrides=overrides)
    if sources:
        settings = msgspec.structs.replace(settings, cameras=load.cameras_for(sources, settings))
    secrets.know(settings)
    if not is_restore:
        _check_no_restore(None, Path(settings.models.dir))
    return settings


def origins_of(
    path: Path, settings: Config, *, sets: list[str] | None, sources: list[str] | None, overrides: Mapping[str, Any]
) -> dict[str, str]:
    """Where each key of `settings` came from, which `settings_of` made of the same, as `merging.origins` says it."""
    found = merging.origins(load.read_toml(path), sets or (), overrides)
    if not sources:
        return found
    first = next((key.split(".")[1] for key in found if key.startswith("cameras.")), "")
    template = {key.split(".")[2]: found[key] for key in found if key.startswith(f"cameras.{first}.")}
    found = {key: origin for key, origin in found.items() if not key.startswith("cameras.")}
    for camera in settings.cameras:
        given = {**template, "name": merging.OPTION, "source": merging.OPTION}
        found |= {f"cameras.{camera.name}.{key}": origin for key, origin in given.items()}
    return found


def overrides_of(faces: Path | None, record: Path | None, pace: str | None, headless: bool) -> dict[str, Any]:
    """The keys that options of the command line set, by table."""
    overrides: dict[str, Any] = {}
    if faces is not None:
        overrides["recognize"] = {"faces": str(faces)}
    if record is not None:
        overrides["record"] = {"dir": str(record)}
    if pace is not None:
        overrides["pipeline"] = {"pace": pace}
    if headless:
        overrides["render"] = {"window": False}
    return overrides


def _check_no_restore(config: Path | None, models_dir: Path | None) -> None:
    """Raises UserError where `jetstream restore` was interrupted while it replaced files."""
    if (note := journal.find(config, models_dir)) is not None:
        raise UserError(
            f"{note}: a restore was interrupted; run `jetstream restore --continue`, with the --config and --set of "
            "that restore"
        )


def plain(settings: Config) -> dict[str, Any]:
    """A config as maps that TOML can hold: without the keys that are unset."""
    tree = msgspec.to_builtins(settings)
    return {
        table: {key: value for key, value in keys.items() if value is not None} if isinstance(keys, dict) else keys
        for table, keys in tree.items()
    }


def say(line: str) -> None:
    """Print a line for the user on standard error."""
    if sys.stderr is not None:  # closed by whoever started this
        print(masked(line), file=sys.stderr, flush=True)


def literal() -> "Console":
    """The console on standard output that prints [red] and :smile: as they are: people and folders may be called so."""
    return console(literal=True)


def wide() -> "Console":
    """`literal`, with lines of up to WIDEST characters in a pipe, which has no width: no name is broken there."""
    from rich.console import Console

    has_width = literal().is_terminal or "COLUMNS" in os.environ
    return literal() if has_width else Console(width=WIDEST, markup=False, emoji=False)


def once(say: Callable[[str], None]) -> Callable[[str], None]:
    """A function that calls `say` with each line once: it ignores a line that it was called with before."""
    printed: set[str] = set()

    def say_once(line: str) -> None:
        if line not in printed:
            printed.add(line)
            say(line)

    return say_once


def log_as_command(settings: Config) -> None:
    """Log this process under the name of the command that runs, in the config's form and from its level up."""
    from jetstream.logs import set_up_logging

    set_up_logging(_command.get(), settings.pipeline.log_level, settings.pipeline.log_format)


@contextlib.contextmanager
def progress_bars() -> Iterator[Any]:
    """A callback (task, fraction done 0..1) that draws a bar for each task on standard error, if that is a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda what, share: None
        return
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, console=console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def report(what: str, share: float) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=1.0)
            bars.update(tasks[what], completed=share)

        yield report
