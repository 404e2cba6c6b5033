"""Commands that back up what a site has learnt and recorded, and restore it."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from jetstream.backup import journal
from jetstream.backup.manifest import SIGHTINGS
from jetstream.cli.shared import (
    ConfigOption,
    Faces,
    Sets,
    app,
    literal,
    log_as_command,
    progress_bars,
    say,
    settings_of,
)
from jetstream.config import load
from jetstream.errors import UserError

if TYPE_CHECKING:  # these read networks' cards and the database, which other commands start without
    from jetstream.backup.manifest import BackupManifest
    from jetstream.backup.targets import RestoreTarget

_SINGLE = ("web", "audit.jsonl", "config.toml")
"""kinds of which there is one file"""
_WORDS = {
    "faces": "files of faces",
    "galleries": "files of galleries",
    "networks": "files of added networks",
    "keys": "files of keys",
    "passwords": "passwords",
    "web": "users and tokens",
    "audit.jsonl": "audit log",
    "config.toml": "config",
}
_MOST_LINES = 10
"""of what was left out; the rest is counted"""


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write, such as jetstream.tar.", show_default=False)],
    replace: Annotated[bool, typer.Option("--replace", help="Replace FILE if it is there already.")] = False,
    faces: Faces = None,
    config: ConfigOption = None,
    sets: Sets = None,
) -> None:
    """Write photos, galleries, added networks, sightings, keys, passwords and the config to one file.

    The pipeline may run meanwhile. Recordings are not in the file. It isn't encrypted.
    """
    from jetstream.backup.write import back_up

    settings = settings_of(config, sets=sets, faces=faces)
    log_as_command(settings)
    with progress_bars() as progress:
        made = back_up(settings, config, file, progress, replace=replace)
    _print(f"{file}: {_described(made.counts, made.sightings)}; {made.size / 1e6:.1f} MB")
    _say_some(made.left_out)
    if config is None:
        say(f"{file}: has no config; name it with --config, whose folders are then taken")
    say(f"{file}: holds faces, and keys and passwords if there are any; keep it where nobody else can read it")


@app.command()
def restore(
    file: Annotated[
        Path | None, typer.Argument(help="A file that `jetstream backup` made.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    config_too: Annotated[
        bool, typer.Option("--config-too", help="Replace the file of --config by the backup's.")
    ] = False,
    faces: Faces = None,
    sets: Sets = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask before replacing what is there.")] = False,
    is_continued: Annotated[bool, typer.Option("--continue", help="Finish a restore that was interrupted.")] = False,
) -> None:
    """Check a backup and restore it. What was there before is kept under another name.

    Everything goes to the folders of --config. If that file doesn't exist, it is restored first and used.
    """
    if config_too and config is None:
        raise UserError("--config-too: which config? name it with --config")
    if is_continued:
        _continue(config, faces, sets)
    elif file is None:
        raise UserError("restore: name a file that `jetstream backup` made, or --continue an interrupted restore")
    else:
        _restore(file, config, faces, sets, config_too=config_too, yes=yes)


def _restore(
    file: Path, config: Path | None, faces: Path | None, sets: list[str] | None, *, config_too: bool, yes: bool
) -> None:
    from jetstream.backup.restore import RestoreRequest
    from jetstream.backup.restore import restore as restore_backup

    new = config if config is not None and (config_too or not config.exists()) else None
    settings = settings_of(config, sets=_with(sets, faces), data=None if new is None else _config_in(file, new))
    log_as_command(settings)

    def confirm(manifest: "BackupManifest", there: "list[RestoreTarget]") -> None:
        _print(f"{file}: made at {manifest.made} by jetstream {manifest.jetstream}")
        for target in there:
            _print(f"{target.target}: will be replaced; what is there will be {target.aside}")
        if there and not yes:
            _ask()
        bars.append(shown.enter_context(progress_bars()))  # not while a question is on the screen

    bars: list[Any] = []
    with ExitStack() as shown:
        request = RestoreRequest(file, settings, new, kept_config=config if new is None else None)
        done = restore_backup(request, lambda what, share: bars[-1](what, share), confirm)
    _print(f"{file}: restored: {_described(done.counts, done.sightings)}")
    _say_some(done.skipped)
    _say_after(done.asides, done.forgotten)


def _say_after(asides: list[Path], forgotten: list[str]) -> None:
    for path in asides:
        _print(f"{path}: what was there before; erase it when you don't need it any more")
    for name in forgotten:
        say(f"{name}: was forgotten after this backup was made, and is back; run `jetstream forget` again")


def _config_in(file: Path, config: Path) -> dict[str, Any]:
    """The config in a backup, which becomes `config`. Raises UserError."""
    from jetstream.backup.restore import config_in

    content = config_in(file)
    if content is None:
        raise UserError(f"{config}: there is none, and {file} holds none; write one, or leave out --config")
    return load.parse_toml(content, f"{file}: config.toml")


def _continue(config: Path | None, faces: Path | None, sets: list[str] | None) -> None:
    from jetstream.backup.restore import finish

    note = journal.find(config, None)
    content = journal.staged_in(note, config) if note is not None and config is not None else None
    data = None if content is None else load.parse_toml(content, str(config))
    settings = settings_of(config, data=data, sets=_with(sets, faces), is_restore=True)
    note = note or journal.find(None, Path(settings.models.dir))
    if note is None:
        raise UserError("--continue: no restore of this config was interrupted; name its --config and --set")
    done, forgotten = finish(settings, note)
    _print(f"{done.backup}: restored")
    _say_after(done.asides, forgotten)


def _with(sets: list[str] | None, faces: Path | None) -> list[str]:
    """`--faces` as a setting: unlike other commands', the folder may be missing."""
    return [*(sets or []), *([f"recognize.faces={msgspec.json.encode(str(faces)).decode()}"] if faces else [])]


def _ask() -> None:
    """End the command unless the answer is yes. Raises UserError where nobody can answer."""
    try:
        is_yes = typer.confirm("Replace these?")
    except typer.Abort:  # the end of the input, or Ctrl-C
        raise UserError("nothing was changed: nobody answered; add --yes to replace without a question") from None
    if not is_yes:
        say("nothing was changed")
        raise typer.Exit(1)


def _described(counts: Mapping[str, int], sightings: int) -> str:
    parts = []
    for kind, words in _WORDS.items():
        if number := counts.get(kind, 0):
            parts.append(words if kind in _SINGLE else _counted(number, words))
    if counts.get(SIGHTINGS, 0):
        parts.append(_counted(sightings, "sightings"))
    return ", ".join(parts) or "nothing"


def _counted(number: int, words: str) -> str:
    first, _, rest = words.partition(" ")
    return f"{number} {first.removesuffix('s') if number == 1 else first} {rest}".strip()


def _say_some(lines: list[str]) -> None:
    for line in lines[:_MOST_LINES]:
        say(line)
    if len(lines) > _MOST_LINES:
        say(f"and {len(lines) - _MOST_LINES} more of these")


def _print(line: str) -> None:
    literal().print(line, highlight=False, soft_wrap=True)
