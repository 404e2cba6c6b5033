"""Commands about this machine: its engines and hardware."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from jetstream.cli.shared import ConfigFile, Json, Sets, app, console, log_as_command, progress_bars, settings_of
from jetstream.config import schema as configuration


@app.command("build")
def build_engines(config: ConfigFile, sets: Sets = None) -> None:
    """Build the TensorRT engines of a config and the GPU kernels ahead of time. `run` does this when needed."""
    from rich.table import Table

    from jetstream.networks import build

    settings = settings_of(config, sets=sets)
    log_as_command(settings)
    with progress_bars() as progress:
        build.prepare_models(settings, progress)
        built = build.build(settings, progress)
    table = Table(*build.COLUMNS, title=str(configuration.engines_dir(settings)))
    for row in build.rows(built):
        table.add_row(*row)
    console().print(table)
    if not built.is_whole:
        raise typer.Exit(1)


@app.command()
def doctor(
    config: Annotated[
        Path | None, typer.Argument(help="A TOML file. Without it, the defaults.", show_default=False)
    ] = None,
    as_json: Json = False,
    sets: Sets = None,
) -> None:
    """Report this machine's GPU, TensorRT, engines, shared memory, codecs and cameras, and the backend of `auto`."""
    from jetstream import doctor as diagnosis

    report = diagnosis.examine(settings_of(config, sets=sets))
    print(msgspec.json.encode(report).decode() if as_json else "\n".join(diagnosis.lines(report)))
