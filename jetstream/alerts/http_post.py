"""One POST over HTTP or HTTPS within one time limit; a look-up of the name that hangs has the system's own.

The address that is checked is the one that is connected to: the name is looked up once. Follows no redirect, knows no
proxy, and reads no more of an answer than a sentence for people.
"""

import contextlib
import http.client
import io
import socket
import ssl
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from jetstream.alerts.host_check import is_public
from jetstream.errors import JetstreamError

LARGEST_TEXT_BYTES: Final = 400
_TARGET_SAFE: Final = "/:@!$&'()*+,;=-._~%?[]"


class PostError(JetstreamError):
    """No answer came; the text says why. `is_refused`: the address is one that must not be connected to."""

    def __init__(self, text: str, *, is_refused: bool = False) -> None:
        super().__init__(text)
        self.is_refused = is_refused


class HttpAnswer(NamedTuple):
    """What a server said."""

    status: int
    retry_after_s: float | None
    text: str  # the begin of its body, if it isn't a success


class HttpTarget(NamedTuple):
    """Where to post, and how."""

    url: str
    private: bool
    send_timeout_s: float
    tls: ssl.SSLContext


def post(target: HttpTarget, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
    """Post `body`. Raises PostError."""
    with _told(target.send_timeout_s):
        address = urllib.parse.urlsplit(target.url)
        host, deadline_s = str(address.hostname), time.monotonic() + target.send_timeout_s
        is_tls = address.scheme == "https"
        with _connected(host, address.port or (443 if is_tls else 80), target, deadline_s) as plain:
            plain.settimeout(_left_s(deadline_s))
            stream = target.tls.wrap_socket(plain, server_hostname=host) if is_tls else plain
            with stream:
                return _exchanged(stream, address, headers, body, deadline_s)


def post_over(stream: socket.socket, url: str, headers: Mapping[str, str], body: bytes, limit_s: float) -> HttpAnswer:
    """The same over a connection that is there. Raises PostError."""
    with _told(limit_s):
        return _exchanged(stream, urllib.parse.urlsplit(url), headers, body, time.monotonic() + limit_s)


@contextlib.contextmanager
def _told(limit_s: float) -> Iterator[None]:
    """Raises PostError instead of what may happen on a connection."""
    try:
        yield
    except TimeoutError:
        raise PostError(f"no answer within {limit_s:g} s") from None
    except ssl.SSLCertVerificationError as error:
        raise PostError(f"its certificate can't be verified ({error.verify_message})") from None
    except ssl.SSLError as error:
        raise PostError(f"TLS failed ({error.reason or 'the connection was cut off'})") from None
    except http.client.HTTPException as error:
        raise PostError(f"its answer is no HTTP ({type(error).__name__})") from None
    except ValueError:
        raise PostError("its host's name, its path or a header holds a character that can't be sent") from None
    except OSError as error:
        raise PostError(f"the connection failed ({error.strerror or type(error).__name__})") from None


def _exchanged(
    stream: socket.socket,
    address: urllib.parse.SplitResult,
    headers: Mapping[str, str],
    body: bytes,
    deadline_s: float,
) -> HttpAnswer:
    connection = http.client.HTTPConnection(address.netloc)
    connection.sock = _TimedSocket(stream, deadline_s)
    path = urllib.parse.quote(address.path or "/", safe=_TARGET_SAFE)
    query = f"?{urllib.parse.quote(address.query, safe=_TARGET_SAFE)}" if address.query else ""
    connection.request("POST", path + query, body, dict(headers))
    return _answer(connection.getresponse())


def _connected(host: str, port: int, target: HttpTarget, deadline_s: float) -> socket.socket:
    """A connection to the first address of `host` that takes one. Raises PostError, OSError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise PostError(f"{host}: its address wasn't found ({error.strerror})") from None
    failure: OSError = OSError(f"{host}: has no address")
    for number, (family, kind, protocol, _, place) in enumerate(found):
        _check(host, str(place[0]), target)
        stream = socket.socket(family, kind, protocol)
        try:  # one that doesn't answer, as where IPv6 is broken, leaves time for the others
            stream.settimeout(_left_s(deadline_s) / (len(found) - number))
            stream.connect(place)
            return stream
        except OSError as error:
            stream.close()
            failure = error
    raise failure


def _check(host: str, address: str, target: HttpTarget) -> None:
    """Raises PostError: the address must not be connected to."""
    if not target.private and not is_public(address):
        raise PostError(
            f"{host}: its address {address} is private or this machine's; set private = true if that is meant",
            is_refused=True,
        )
    if target.url.startswith("http:") and is_public(address):
        raise PostError(
            f"{host}: its address {address} is public, and http isn't encrypted; write https", is_refused=True
        )


def _left_s(deadline_s: float) -> float:
    """Raises TimeoutError: nothing is left."""
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _answer(response: http.client.HTTPResponse) -> HttpAnswer:
    """A success is told by the status alone: what follows may be cut off, or never end."""
    text = ""
    if not 200 <= response.status < 300:
        try:
            text = response.read(LARGEST_TEXT_BYTES).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            text = ""
    waits = (response.headers.get("Retry-After") or "").strip()
    retry_s = float(waits) if waits.isascii() and waits.isdecimal() and len(waits) < 7 else None
    return HttpAnswer(response.status, retry_s, " ".join(text.split()))


class _TimedSocket:
    """A socket for http.client, each of whose calls ends at the same moment."""

    def __init__(self, stream: socket.socket, deadline_s: float) -> None:
        self._stream, self._deadline_s = stream, deadline_s

    def sendall(self, content: bytes) -> None:
        left = memoryview(content)
        while left:
            self._stream.settimeout(_left_s(self._deadline_s))
            left = left[self._stream.send(left) :]

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._stream, self._deadline_s))

    def close(self) -> None:
        """Its owner closes the socket."""


class _TimedReader(io.RawIOBase):
    def __init__(self, stream: socket.socket, deadline_s: float) -> None:
        self._stream, self._deadline_s = stream, deadline_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._stream.settimeout(_left_s(self._deadline_s))
        return self._stream.recv_into(buffer)
