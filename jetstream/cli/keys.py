"""Commands about who may listen to the detections topic, and what was done with people's data."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from jetstream.cli.shared import Json, Sets, app, say, settings_of
from jetstream.errors import UserError

keys_app = typer.Typer(no_args_is_help=True, help="Keys of the detections topic: who may listen from other machines.")
app.add_typer(keys_app, name="keys")
Folder = Annotated[Path, typer.Option("--dir", help="The folder of keys, publish.keys in the config.")]
KEYS = Path("keys")


@keys_app.command("new")
def new_key(
    name: Annotated[str, typer.Argument(help="Of a subscriber; none: the publisher's.", show_default=False)] = "",
    server: Annotated[
        str, typer.Option(help="The publisher's public key, where its folder isn't here.", show_default=False)
    ] = "",
    folder: Folder = KEYS,
) -> None:
    """Make a pair of keys: the publisher's, or a subscriber's in NAME.key, and print its public key."""
    from jetstream.topic import keys

    if not name:
        pair = keys.new(folder / keys.PUBLISHER, "publisher")
        say(f'{folder / keys.PUBLISHER}: made; set publish.keys="{folder}", and below is what subscribers need to know')
    else:
        if not server and os.path.exists(folder / keys.PUBLISHER):  # false where it may not be looked for
            server = keys.publisher(folder).public
        if not server:
            raise UserError(
                f"{folder / keys.PUBLISHER}: not here, so --server is needed: the publisher's public key, as "
                "`jetstream keys list` prints it where the pipeline runs"
            )
        path = Path(f"{keys.check_name(name)}.key")
        pair = keys.new(path, name, server)
        say(f"{path}: made; where the pipeline runs, `jetstream keys allow {name} PUBLIC` lets it listen; PUBLIC is")
    print(pair.public)


@keys_app.command()
def allow(
    name: str,
    public: Annotated[str, typer.Argument(help="The subscriber's public key, or its key file.", show_default=False)],
    folder: Folder = KEYS,
) -> None:
    """Let a subscriber listen, from now on."""
    from jetstream.topic import keys

    keys.allow(folder, name, public)
    say(f"{name}: may listen")


@keys_app.command()
def revoke(name: str, folder: Folder = KEYS) -> None:
    """Let a subscriber listen no more; a running pipeline disconnects it at once."""
    from jetstream.topic import keys

    keys.revoke(folder, name)
    say(f"{name}: may listen no more")


@keys_app.command("list")
def list_keys(folder: Folder = KEYS) -> None:
    """Who may listen, with each one's public key."""
    from jetstream.topic import keys

    print(f"publisher {keys.publisher(folder).public}")
    for name, public in keys.allowed(folder).items():
        print(f"{name} {public.hex()}")


@app.command()
def audit(
    name: Annotated[str, typer.Argument(help="Only what was done with this person's data.", show_default=False)] = "",
    as_json: Json = False,
    sets: Sets = None,
) -> None:
    """Who enrolled, renamed, merged, forgot or exported, and when. The file names nobody: ask for a name."""
    from jetstream.gallery import audit as auditing

    for line in auditing.lines(Path(settings_of(sets=sets).models.dir)):
        if name and not line.is_about(name):
            continue
        if as_json:
            print(msgspec.json.encode(line).decode())
        else:
            print(line.wall, line.who, line.what, *([name] if name else []), *([line.count] if line.count else []))
