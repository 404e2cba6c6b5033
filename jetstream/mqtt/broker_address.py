"""Where the broker is, who connects to it, and how TLS checks it. Connects to nothing."""

import ssl
import urllib.parse
from typing import Final, NamedTuple

from jetstream.config import secrets
from jetstream.config.load import is_loopback
from jetstream.config.schema import MqttConfig
from jetstream.errors import UserError

PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


class BrokerAddress(NamedTuple):
    """A broker, and who connects to it."""

    host: str
    port: int
    user: str | None
    password: str | None
    tls: ssl.SSLContext | None  # None: plain text

    def __str__(self) -> str:
        """As it may be shown."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtt' if self.tls is None else 'mqtts'}://{host}:{self.port}"

    @property
    def sends_password_openly(self) -> bool:
        """Whether others on the network could read the password."""
        return self.tls is None and self.password is not None and not is_loopback(self.host)


def address_of(settings: MqttConfig) -> BrokerAddress:
    """Of mqtt.broker, with its password. Raises UserError: that, or a certificate, can't be read."""
    parts = urllib.parse.urlsplit(secrets.broker(settings))
    user, password = (None if one is None else urllib.parse.unquote(one) for one in (parts.username, parts.password))
    tls = _context(settings) if parts.scheme == "mqtts" else None
    return BrokerAddress(parts.hostname or "", parts.port or PORTS[parts.scheme], user, password, tls)


def _context(settings: MqttConfig) -> ssl.SSLContext:
    """Checks the broker's certificate and name always. Raises UserError."""
    try:
        context = ssl.create_default_context(cafile=settings.ca or None)
    except (OSError, ValueError) as error:
        raise UserError(f"mqtt.ca: {settings.ca}: {_reason(error)}; name a PEM file with CERTIFICATE in it") from None
    if settings.cert:
        try:
            context.load_cert_chain(settings.cert, settings.key, lambda: "")  # without it, OpenSSL asks the terminal
        except (OSError, ValueError) as error:
            raise UserError(
                f"mqtt.cert: {settings.cert}: it or mqtt.key ({settings.key}) can't be used ({_reason(error)}); name "
                "two PEM files that belong together, the key without a password"
            ) from None
    return context


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no certificate").lower().replace("_", " ")
    return getattr(error, "strerror", None) or str(error)
