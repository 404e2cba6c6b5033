"""Commands that make jetstream a service of systemd."""

from pathlib import Path
from typing import Annotated

import typer

from jetstream.cli.shared import ConfigFile, app, say, settings_of

service_app = typer.Typer(no_args_is_help=True, help="jetstream as a service of systemd, which starts on boot.")
app.add_typer(service_app, name="service")
Force = Annotated[bool, typer.Option("--force", help="Also where the unit isn't jetstream's own, or was changed.")]
STATE = Path("/var/lib/jetstream")


@service_app.command("install")
def install_service(
    config: ConfigFile,
    user: Annotated[str, typer.Option(help="Who runs it; made where there is none.")] = "jetstream",
    state: Annotated[Path, typer.Option(help="Working folder: models, faces, recordings.")] = STATE,
    memory_max: Annotated[
        str, typer.Option(help="The most memory: of the machine's, or such as 2G; infinity.")
    ] = "75%",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the unit, and change nothing.")] = False,
    no_start: Annotated[bool, typer.Option("--no-start", help="Enable it, but don't start it now.")] = False,
    force: Force = False,
) -> None:
    """Write the unit for this machine, enable and start it."""
    from jetstream.service import manage, unit

    place = manage.place_for(config, settings_of(config, sets=None), user=user, state=state, memory_max=memory_max)
    manage.check_options(place)
    text = unit.text(place)
    if dry_run:
        print(text, end="")
        for line in manage.check(text, place, force=force):
            say(f"would be {line}")
        say(f"{manage.UNITS / manage.NAME}: would hold the lines above")
        return
    for line in manage.install(text, place, force=force, start=not no_start):
        say(line)


@service_app.command("uninstall")
def uninstall_service(force: Force = False) -> None:
    """Stop it and remove the unit; what it learnt and recorded stays."""
    from jetstream.service import manage

    for line in manage.uninstall(force=force):
        say(line)


@service_app.command("status")
def service_status() -> None:
    """Whether the unit is there, and how the service is. Exit code 1 where it doesn't run."""
    from jetstream.service import manage

    runs, lines = manage.status()
    for line in lines:
        print(line)
    if not runs:
        raise typer.Exit(1)
