"""Where the metrics page listens. Knows no HTTP, so that a check of the address costs no import of a server."""

import errno
import socket

from jetstream.config.schema import MetricsConfig
from jetstream.errors import BusyError, UserError


def of_endpoint(settings: MetricsConfig) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """`http://[::1]:5571` as the address family, host and port of a socket."""
    host, _, port = settings.endpoint.removeprefix("http://").rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    return family, (host.strip("[]"), int(port))


def refusal(settings: MetricsConfig, error: OSError) -> UserError:
    """The error for an endpoint that can't be bound."""
    kind = BusyError if error.errno == errno.EADDRINUSE else UserError
    return kind(
        f"metrics.endpoint: {settings.endpoint}: {error.strerror or error}; choose another, stop the program that uses "
        "it, or set metrics.enabled = false"
    )


def check_endpoint(settings: MetricsConfig) -> None:
    """Raise UserError when the endpoint can't be bound."""
    family, address = of_endpoint(settings)
    try:
        with socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            listener.bind(address)
            listener.listen(1)
    except OSError as error:
        raise refusal(settings, error) from None
