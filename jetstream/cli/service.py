"""Commands that install, remove and check jetstream as a systemd service."""

from pathlib import Path
from typing import Annotated

import typer

from jetstream.cli.shared import CommandLine, ConfigFile, app, say, settings_of
from jetstream.config import load
from jetstream.config.paths import refuse_home

service_app = CommandLine(no_args_is_help=True, help="Run jetstream as a systemd service that starts at boot.")
app.add_typer(service_app, name="service")
Force = Annotated[
    bool, typer.Option("--force", help="Replace or remove a unit that jetstream didn't write, or that was changed.")
]
STATE = Path("/var/lib/jetstream")


@service_app.command("install")
def install_service(
    config: ConfigFile,
    user: Annotated[str, typer.Option(help="User that runs the service; created if missing.")] = "jetstream",
    state: Annotated[Path, typer.Option(help="Working folder for models, faces and recordings.")] = STATE,
    memory_max: Annotated[
        str, typer.Option(help="Memory limit: a share of the machine's memory, a size such as 2G, or infinity.")
    ] = "75%",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the unit and change nothing.")] = False,
    no_start: Annotated[bool, typer.Option("--no-start", help="Enable the service, but don't start it now.")] = False,
    force: Force = False,
) -> None:
    """Write the systemd unit for this machine, enable the service and start it."""
    from jetstream.service import manage, unit

    refuse_home(load.read_toml(config), str(config))
    place = manage.place_for(config, settings_of(config, sets=None), user=user, state=state, memory_max=memory_max)
    manage.check_options(place)
    text = unit.text(place)
    if dry_run:
        print(text, end="")
        for line in manage.check(text, place, force=force):
            say(f"would be {line}")
        say(f"{manage.UNITS / manage.NAME}: would contain the lines above")
        return
    for line in manage.install(text, place, force=force, start=not no_start):
        say(line)


@service_app.command("uninstall")
def uninstall_service(force: Force = False) -> None:
    """Stop the service and remove its unit. Galleries and recordings stay."""
    from jetstream.service import manage

    for line in manage.uninstall(force=force):
        say(line)


@service_app.command("status")
def service_status() -> None:
    """Print the state of the unit and the service. Exit code 1 if it doesn't run."""
    from jetstream.service import manage

    runs, lines = manage.status()
    for line in lines:
        print(line)
    if not runs:
        raise typer.Exit(1)
