"""Where a page listens. Knows no HTTP, so that a check of the address costs no import of a server."""

import errno
import socket
from typing import TypeAlias

from jetstream.config.schema import MetricsConfig, WebConfig
from jetstream.errors import BusyError, UserError

PageConfig: TypeAlias = MetricsConfig | WebConfig


def of_endpoint(settings: PageConfig) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """`http://[::1]:5571` as the address family, host and port of a socket."""
    host, _, port = settings.endpoint.partition("://")[2].rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    return family, (host.strip("[]"), int(port))


def refusal(settings: PageConfig, error: OSError) -> UserError:
    """The error for an endpoint that can't be bound."""
    kind = BusyError if error.errno == errno.EADDRINUSE else UserError
    table = "metrics" if isinstance(settings, MetricsConfig) else "web"
    return kind(
        f"{table}.endpoint: {settings.endpoint}: {error.strerror or error}; choose another, stop the program that uses "
        f"it, or set {table}.enabled = false"
    )


def check_endpoint(settings: PageConfig) -> None:
    """Raise UserError when the endpoint can't be bound."""
    family, address = of_endpoint(settings)
    try:
        with socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            listener.bind(address)
            listener.listen(1)
    except OSError as error:
        raise refusal(settings, error) from None
