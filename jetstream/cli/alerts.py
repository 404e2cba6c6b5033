"""Commands about alerts: which there are, whether one arrives, and what they would have told."""

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from jetstream.cli.shared import CommandLine, ConfigOption, Json, Sets, app, say, settings_of, wide
from jetstream.cli.sighting_options import From, To, period, print_lines, reading
from jetstream.config.schema import AlertConfig, Config, area_of
from jetstream.errors import PipelineError, UserError

if TYPE_CHECKING:
    from jetstream.alerts.message import AlertMessage
    from jetstream.alerts.outbox import AlertCounts

alerts_app = CommandLine(
    no_args_is_help=True, help="Send a test alert, list alerts, and say what they would have told."
)
app.add_typer(alerts_app, name="alerts")


class ListedAlert(msgspec.Struct, frozen=True):
    """A line of `jetstream alerts list --json`."""

    name: str
    when: tuple[str, ...]
    to: str
    waiting: int
    sent: int
    dropped: int
    last_sent: str | None
    fault: str


class ReplayedAlert(msgspec.Struct, frozen=True):
    """A line of `jetstream alerts replay --json`."""

    alert: str
    type: str
    at: str
    camera: str
    sighting: str
    text: str


@alerts_app.command("test")
def try_alert(
    name: Annotated[str, typer.Argument(help="`name` of the alert in the config.", show_default=False)],
    config: ConfigOption = None,
    sets: Sets = None,
) -> None:
    """Send one made-up alert now, and say what became of it."""
    from jetstream.alerts import made_up
    from jetstream.alerts.destinations import destination_of, shown

    settings = settings_of(config, sets=sets)
    alert = _named(name, settings)
    destination = destination_of(alert, settings)
    destination.check()
    begun_s = time.monotonic()
    outcome = destination.send(made_up.message(alert, settings, time.time_ns()), int(time.time()))
    told = f" and said: {said}" if (said := outcome.answer or outcome.output) else ""
    if not outcome.is_sent:
        raise PipelineError(f"alert {alert.name}: wasn't sent to {shown(alert)}: {outcome.said}{told}")
    say(f"alert {alert.name}: sent to {shown(alert)} in {time.monotonic() - begun_s:.1f} s: {outcome.said}")


@alerts_app.command("list")
def list_alerts(as_json: Json = False, config: ConfigOption = None, sets: Sets = None) -> None:
    """List the alerts: what each tells, when it was sent last, what waits, and why it can't be sent."""
    from jetstream.alerts.destinations import shown
    from jetstream.events import iso_time

    settings = settings_of(config, sets=sets)
    counts = _counts(settings)
    listed = [
        ListedAlert(
            name=alert.name,
            when=alert.when,
            to=shown(alert),
            waiting=counts[alert.name].waiting,
            sent=counts[alert.name].sent,
            dropped=counts[alert.name].dropped,
            last_sent=iso_time(counts[alert.name].sent_ns) if counts[alert.name].sent_ns else None,
            fault=counts[alert.name].fault,
        )
        for alert in settings.alerts
    ]
    if as_json:
        print_lines(listed)
    elif listed:
        _print_table(listed)
    else:
        say("no alerts; docs/alerts.md says how to write one")
    for note in _strange_names(settings):
        say(note)


@alerts_app.command("replay")
def replay_alerts(
    from_: From = None, to: To = None, as_json: Json = False, config: ConfigOption = None, sets: Sets = None
) -> None:
    """Say what the alerts would have told of the stored sightings. Sends nothing."""
    from jetstream.alerts import dry_run, message

    settings = settings_of(config, sets=sets)
    _check_some(settings)
    from_ns, to_ns = period(from_, to)
    areas = {camera.name: area_of(camera) for camera in settings.cameras}
    folder, count = Path(settings.sightings.dir), 0
    with reading(settings) as connection:
        for told in dry_run.told(
            settings.alerts, connection, from_ns=from_ns or 0, to_ns=time.time_ns() if to_ns is None else to_ns
        ):
            composed = message.composed(told.as_delivery(), connection, folder, areas, looks=False)
            if composed is not None:
                count += 1
                _print_told(told.alert, composed, as_json=as_json)
    if not (count or as_json):
        say("nothing would have been told")
    if any("camera_down" in alert.when for alert in settings.alerts):
        say("camera_down isn't replayed: it isn't stored when cameras gave no frames")


def _print_told(alert: str, composed: "AlertMessage", *, as_json: bool) -> None:
    data = composed.data
    line = ReplayedAlert(
        alert, composed.type, composed.timestamp, data.camera, data.sighting.id if data.sighting else "", data.text
    )
    if as_json:
        print_lines([line])
    else:
        day = datetime.fromisoformat(line.at.replace("Z", "+00:00")).astimezone()
        print(f"{day:%Y-%m-%d %H:%M:%S}  {line.alert}  {line.type}  {line.text}  {line.sighting}")


def _named(name: str, settings: Config) -> AlertConfig:
    _check_some(settings)
    for alert in settings.alerts:
        if alert.name == name:
            return alert
    raise UserError(f"{name}: there is no such alert; there are: {', '.join(one.name for one in settings.alerts)}")


def _check_some(settings: Config) -> None:
    if not settings.alerts:
        raise UserError("alerts: the config has none; name its file with --config, and write [[alerts]] there")


def _counts(settings: Config) -> "dict[str, AlertCounts]":
    from jetstream.alerts import alert_file
    from jetstream.alerts.outbox import AlertCounts, AlertOutbox

    folder = Path(settings.sightings.dir)
    if not alert_file.is_there(folder):
        return {alert.name: AlertCounts() for alert in settings.alerts}
    with alert_file.opened(folder) as connection:
        outbox = AlertOutbox(connection)
        return {alert.name: outbox.counts(alert.name) for alert in settings.alerts}


def _print_table(listed: list[ListedAlert]) -> None:
    from rich.table import Table
    from rich.text import Text

    from jetstream.sightings.tables import local

    made = Table()
    for header in ("alert", "when", "to", "sent", "last", "waiting", "dropped", "newest try"):
        made.add_column(header, overflow="fold")
    for one in listed:
        last = local(one.last_sent) if one.last_sent else ""
        cells = (
            one.name,
            ", ".join(one.when),
            one.to,
            str(one.sent),
            last,
            str(one.waiting),
            str(one.dropped),
            one.fault,
        )
        made.add_row(*map(Text, cells))
    wide().print(made)


def _strange_names(settings: Config) -> list[str]:
    """A line for each name in `who` that no enrolled person has: most likely a slip."""
    from jetstream.gallery import photos

    faces = Path(settings.recognize.faces)
    if not faces.is_dir():
        return []
    known = set(photos.list_photos(faces).people)
    return [
        f"alert {alert.name}: who: nobody is enrolled as {name}; `jetstream people` lists who is"
        for alert in settings.alerts
        for name in alert.who
        if photos.normal(name) not in known
    ]
