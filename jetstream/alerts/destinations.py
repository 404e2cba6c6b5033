"""Where an alert is sent: a webhook, a program or an MQTT topic. A failure is a sentence, never an exception.

What the config names (environment, secret, certificates) is read when it is needed first, and again after a failure.
"""

import functools
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import msgspec

import jetstream
from jetstream.alerts import program, template
from jetstream.alerts.http_post import HttpAnswer, HttpTarget, PostError, post
from jetstream.alerts.message import AlertMessage, body_of
from jetstream.alerts.signature import signed_headers, signing_key
from jetstream.config.schema import AlertConfig, Config
from jetstream.errors import UserError
from jetstream.known_secrets import KNOWN
from jetstream.masking import learn, masked_source
from jetstream.mqtt.broker_address import address_of
from jetstream.mqtt.one_message import publish_once

MENDABLE: Final = frozenset((401, 403, 404, 407, 408, 409, 410, 421, 425, 426, 429))
"""4xx that say nothing of the message itself; after any other, the same message is refused again"""
SECRET_LETTERS: Final = 8
"""from which on a word in a header is taken for a secret, in logs and errors"""
SHOWN: Final = 200
"""characters of an answer or an output"""


class DeliveryOutcome(NamedTuple):
    """What became of one try."""

    is_sent: bool
    said: str
    is_refused: bool = False  # the receiver doesn't take this very message
    retry_after_s: float | None = None  # as the receiver asks
    output: str = ""  # the begin of what a program printed
    answer: str = ""  # the begin of a server's answer. It may repeat what was sent, so it is in no log and no file


class AlertDestination(Protocol):
    """Sends messages, one at a time."""

    def send(self, message: AlertMessage, now_s: int) -> DeliveryOutcome:
        """One try, which takes as long as `send_timeout_s` at most. `now_s`: Unix time."""

    def check(self) -> None:
        """Raises UserError: what the config names can't be used."""


class WebhookDestination:
    """A server that takes a POST."""

    def __init__(self, config: AlertConfig, environment: Mapping[str, str] = os.environ) -> None:
        self._config, self._environment = config, environment
        self._who = f"alerts.{config.name}"
        learn(config.webhook)
        for word in (word for value in config.headers.values() for word in value.split()):
            if len(word) >= SECRET_LETTERS and "${" not in word:
                KNOWN.add(word)

    def check(self) -> None:
        """Raises UserError: a variable isn't set, or a file can't be used."""
        try:
            template.filled_address(self._config.webhook, self._environment)
            self._headers()
            for text in self._config.body.values():
                template.filled(text if isinstance(text, str) else "", self._environment)
        except UserError as error:
            raise UserError(f"{self._who}: {error}") from None
        self._key()
        self._tls()

    def send(self, message: AlertMessage, now_s: int) -> DeliveryOutcome:
        try:
            url = template.filled_address(self._config.webhook, self._environment)
            learn(url)
            body = body_of(message, self._config.body, self._environment)
            headers = self._headers() | signed_headers(message.data.id, body, now_s, self._key())
            target = HttpTarget(url, self._config.private, self._config.send_timeout_s, self._tls())
            return _outcome(post(target, headers, body))
        except (UserError, PostError) as error:
            return DeliveryOutcome(False, str(error))

    def _headers(self) -> dict[str, str]:
        own = {"content-type": "application/json", "user-agent": f"jetstream/{jetstream.__version__}"}
        return own | {
            name: template.filled(value, self._environment).strip() for name, value in self._config.headers.items()
        }

    def _key(self) -> bytes | None:
        path = self._config.secret_file
        return signing_key(Path(path), self._who) if path else None

    def _tls(self) -> ssl.SSLContext:
        try:
            return _tls_context(self._config.ca_file)
        except (OSError, ValueError) as error:
            raise UserError(
                f"{self._who}: ca_file: {self._config.ca_file}: holds no certificates that can be read "
                f"({getattr(error, 'strerror', None) or error}); name a PEM file"
            ) from None


class ProgramDestination:
    """A program that takes the message on its standard input."""

    def __init__(self, config: AlertConfig) -> None:
        self._config = config

    def check(self) -> None:
        """Raises UserError: the program isn't there, or can't be executed."""
        path = self._config.command[0]
        if not os.access(path, os.X_OK) or os.path.isdir(path):
            raise UserError(
                f"alerts.{self._config.name}: command[0]: {path}: is no program that this user may execute; name one"
            )

    def send(self, message: AlertMessage, now_s: int) -> DeliveryOutcome:
        command, limit_s = self._config.command, self._config.send_timeout_s
        try:
            end = program.run(command, message.data.id, msgspec.json.encode(message), limit_s)
        except OSError as error:
            return DeliveryOutcome(False, f"{command[0]}: can't be started ({error.strerror})")
        if end.code == 0:
            return DeliveryOutcome(True, "exit code 0")
        how = f"took longer than {limit_s:g} s" if end.code is None else f"ended with exit code {end.code}"
        return DeliveryOutcome(False, f"{command[0]} {how}", output=end.output[:SHOWN])


class TopicDestination:
    """A topic of the broker in the config's table `mqtt`."""

    def __init__(self, alert: AlertConfig, config: Config) -> None:
        self._alert, self._config = alert, config

    def check(self) -> None:
        """Raises UserError: the broker's password or certificates can't be read."""
        address_of(self._config.mqtt)

    def send(self, message: AlertMessage, now_s: int) -> DeliveryOutcome:
        body = msgspec.json.encode(message)
        why = publish_once(self._config, self._alert.mqtt, body, self._alert.send_timeout_s)
        return DeliveryOutcome(
            not why, f"{masked_source(self._config.mqtt.broker)}: {why}" if why else "the broker has it"
        )


def destination_of(alert: AlertConfig, config: Config) -> AlertDestination:
    """The destination of an alert. Opens nothing."""
    if alert.webhook:
        return WebhookDestination(alert)
    return ProgramDestination(alert) if alert.command else TopicDestination(alert, config)


def shown(config: AlertConfig) -> str:
    """The destination for people, without secrets."""
    if config.webhook:
        return masked_source(config.webhook)
    return config.command[0] if config.command else f"MQTT topic {config.mqtt}"


@functools.lru_cache(maxsize=64)
def _tls_context(ca_file: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file or None)


def _outcome(answer: HttpAnswer) -> DeliveryOutcome:
    if 200 <= answer.status < 300:
        return DeliveryOutcome(True, f"HTTP {answer.status}")
    said = f"it answered HTTP {answer.status}"
    if 300 <= answer.status < 400:
        return DeliveryOutcome(False, f"{said}, and redirects are not followed; name the address that it leads to")
    is_refused = 400 <= answer.status < 500 and answer.status not in MENDABLE
    return DeliveryOutcome(False, said, is_refused, answer.retry_after_s, answer=answer.text[:SHOWN])
