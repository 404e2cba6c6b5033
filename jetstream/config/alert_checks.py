"""Whether the alerts of a config can work: each of its keys has a meaning beside the others. Opens nothing."""

import re
import urllib.parse
from collections.abc import Collection, Iterator
from typing import Final, get_args

import msgspec

from jetstream.config.schema import AlertConfig, AlertKind, Config, area_of
from jetstream.errors import UserError
from jetstream.masking import HIDDEN, masked_source

OF_PEOPLE: Final = frozenset(("enter", "exit", "named", "zone"))
"""kinds that `who` chooses from"""
OF_WEBHOOK: Final = ("secret_file", "headers", "body", "looks", "private", "ca_file")
MOST: Final = 64
"""alerts; each may have a delivery under way"""
PLACEHOLDERS: Final = ("text", "alert", "type", "who", "camera", "area", "zone", "time")
HOURS: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")
PLACEHOLDER: Final = re.compile(r"(?<!\$)\{([^{}]*)\}")
_OWN_HEADERS: Final = frozenset(
    ("host", "content-length", "content-type", "transfer-encoding", "connection", "expect", "user-agent")
) | frozenset(("idempotency-key", "webhook-id", "webhook-timestamp", "webhook-signature"))
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def masked_alert(alert: AlertConfig) -> AlertConfig:
    """An alert as it may be shown: without the secrets in its address, headers and body."""
    return msgspec.structs.replace(
        alert,
        webhook=masked_source(alert.webhook) if alert.webhook else "",
        headers={name: value if "${" in value else HIDDEN for name, value in alert.headers.items()},
        body={
            name: value if not isinstance(value, str) or "{" in value else HIDDEN for name, value in alert.body.items()
        },
    )


def check_alerts(config: Config, where: str) -> None:
    """Raises UserError for the first key that can't be used, in one sentence that `where` begins."""
    names = [alert.name for alert in config.alerts]
    for alert in config.alerts:
        if names.count(alert.name) > 1:
            raise UserError(f"{where}: alerts: two alerts are named {alert.name}; give each its own name")
        for fault in (*_faults_of_rule(alert, config), *_faults_of_destination(alert, config)):
            raise UserError(f"{where}: alerts.{alert.name}.{fault}")
    if len(names) > MOST:
        raise UserError(f"{where}: alerts: {len(names)} are more than {MOST}; leave some out, or put some together")
    if config.alerts and not config.sightings.enabled:
        raise UserError(f"{where}: alerts: need sightings; set sightings.enabled = true, or leave the alerts out")


def _faults_of_rule(alert: AlertConfig, config: Config) -> Iterator[str]:
    cameras = config.cameras
    if not alert.when:
        yield f"when: is empty; name what is told, of {', '.join(get_args(AlertKind))}"
    yield from _unknown("cameras", alert.cameras, {camera.name for camera in cameras})
    yield from _unknown("areas", alert.areas, {area_of(camera) for camera in cameras})
    yield from _unknown("zones", alert.zones, {zone.name for camera in cameras for zone in camera.zones})
    if "zone" in alert.when and not alert.zones:
        yield 'zones: is empty; name the zones that when = ["zone"] tells of'
    if alert.zones and "zone" not in alert.when:
        yield 'zones: is for when = ["zone"]; add "zone" to when, or leave zones out'
    if alert.who and not OF_PEOPLE & set(alert.when):
        yield "who: chooses people for enter, exit, named and zone; add one of these to when, or leave who out"
    if "stranger_again" in alert.when and config.sightings.looks == 0:
        yield "when: stranger_again needs pictures of faces; set sightings.looks to 1 or more"
    if alert.hours:
        found = HOURS.fullmatch(alert.hours)
        if found is None or alert.hours[:5] == alert.hours[6:]:
            yield f"hours: expected a time of day such as 22:00-06:00, got {alert.hours!r}"


def _unknown(key: str, named: Collection[str], known: Collection[str]) -> Iterator[str]:
    for name in named:
        if name not in known:
            yield f"{key}: there is no {key[:-1]} {name}; there are: {', '.join(sorted(known)) or 'none'}"


def _faults_of_destination(alert: AlertConfig, config: Config) -> Iterator[str]:
    if [bool(alert.webhook), bool(alert.command), bool(alert.mqtt)].count(True) != 1:
        yield 'webhook: name one destination: webhook = "https://...", command = ["/path/to/program"] or mqtt = "topic"'
    if alert.mqtt and not config.mqtt.broker:
        yield "mqtt: needs a broker; name it in mqtt.broker"
    if alert.command:
        if not alert.command[0].startswith("/"):
            yield f"command[0]: {alert.command[0]!r}: write the program's whole path, such as /usr/local/bin/notify"
        if any("\0" in word for word in alert.command):
            yield "command: holds a NUL character; leave it out"
    if alert.webhook:
        yield from _faults_of_webhook(alert)
    else:
        yield from (f"{key}: is for a webhook; leave it out" for key in OF_WEBHOOK if getattr(alert, key))


def _faults_of_webhook(alert: AlertConfig) -> Iterator[str]:
    shown = masked_source(alert.webhook)
    try:
        address = urllib.parse.urlsplit(alert.webhook)
        is_usable = bool(address.hostname) and address.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or address.scheme not in ("http", "https") or re.search(r"[\s\x00-\x1f\x7f\\]", alert.webhook):
        yield f"webhook: {shown}: expected an address such as https://example.com/hook"
        return
    if "@" in address.netloc:
        yield "webhook: holds a login; send it in a header, such as headers = {Authorization = 'Basic ${NAME}'}"
    if address.scheme == "http" and not alert.private:
        yield f"webhook: {shown}: http sends names without encryption; write https, or private = true in your network"
    if address.scheme == "http" and alert.ca_file:
        yield "ca_file: is for https; leave it out"
    if alert.looks and alert.body:
        yield "looks: a picture is a part of jetstream's own JSON; leave body out, or looks"
    for name, value in alert.headers.items():
        if not _HEADER.fullmatch(name) or re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
            yield f"headers: {name!r}: is no header; write a name of letters and -, and a value without line breaks"
        elif name.lower() in _OWN_HEADERS:
            yield f"headers: {name}: is set by jetstream; leave it out"
    for text in alert.body.values():
        for name in PLACEHOLDER.findall(text) if isinstance(text, str) else ():
            if name not in PLACEHOLDERS:
                yield f"body: {{{name}}}: is not known; known are {', '.join(f'{{{one}}}' for one in PLACEHOLDERS)}"
