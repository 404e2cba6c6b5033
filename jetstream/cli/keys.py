"""Commands about the detections topic's keys, and about the audit log."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from jetstream.cli.shared import CommandLine, ConfigOption, Json, Sets, app, say, settings_of
from jetstream.errors import UserError

keys_app = CommandLine(
    no_args_is_help=True, help="Manage the detections topic's keys, which say who may listen from other machines."
)
app.add_typer(keys_app, name="keys")
Folder = Annotated[Path, typer.Option("--dir", help="Folder of the publisher's keys: publish.keys in the config.")]
KEYS = Path("keys")


@keys_app.command("new")
def new_key(
    name: Annotated[
        str,
        typer.Argument(help="Name of the subscriber. Without it, the publisher's keys are made.", show_default=False),
    ] = "",
    server: Annotated[
        str,
        typer.Option(help="The publisher's public key. Needed where --dir has no publisher's key.", show_default=False),
    ] = "",
    folder: Folder = KEYS,
) -> None:
    """Make the publisher's key pair, or with NAME a subscriber's in NAME.key, and print the public key."""
    from jetstream.topic import keys

    if not name:
        pair = keys.new(folder / keys.PUBLISHER, "publisher")
        say(f'{folder / keys.PUBLISHER}: made; set publish.keys="{folder}"; subscribers need this public key:')
    else:
        if not server and os.path.exists(folder / keys.PUBLISHER):  # false, not an error, in a folder without access
            server = keys.publisher(folder).public
        if not server:
            raise UserError(
                f"{folder / keys.PUBLISHER}: not here, so --server is needed: the publisher's public key, which "
                "`jetstream keys list` prints where the pipeline runs"
            )
        path = Path(f"{keys.check_name(name)}.key")
        pair = keys.new(path, name, server)
        say(f"{path}: made; run `jetstream keys allow {name} PUBLIC` where the pipeline runs; PUBLIC is")
    print(pair.public)


@keys_app.command()
def allow(
    name: str,
    public: Annotated[str, typer.Argument(help="The subscriber's public key, or its key file.", show_default=False)],
    folder: Folder = KEYS,
) -> None:
    """Allow a subscriber to listen; takes effect at once."""
    from jetstream.topic import keys

    keys.allow(folder, name, public)
    say(f"{name}: may listen")


@keys_app.command()
def revoke(name: str, folder: Folder = KEYS) -> None:
    """Remove a subscriber's permission to listen; a running pipeline disconnects it at once."""
    from jetstream.topic import keys

    keys.revoke(folder, name)
    say(f"{name}: may no longer listen")


@keys_app.command("list")
def list_keys(folder: Folder = KEYS) -> None:
    """Print the publisher's public key, and the subscribers that may listen with theirs."""
    from jetstream.topic import keys

    print(f"publisher {keys.publisher(folder).public}")
    for name, public in keys.allowed(folder).items():
        print(f"{name} {public.hex()}")


@app.command()
def audit(
    name: Annotated[str, typer.Argument(help="Only what was done with this person's data.", show_default=False)] = "",
    as_json: Json = False,
    config: ConfigOption = None,
    sets: Sets = None,
) -> None:
    """Print who changed or copied people's data, and when.

    These are enrolments, renamings, mergers, corrections, forgettings, exports, backups and restores. The log holds no
    names: to ask for one person, give NAME.
    """
    from jetstream.gallery.audit import lines

    for line in lines(Path(settings_of(config, sets=sets).models.dir)):
        if name and not line.is_about(name):
            continue
        if as_json:
            print(msgspec.json.encode(line).decode())
        else:
            print(line.wall, line.who, line.what, *([name] if name else []), *([line.count] if line.count else []))
