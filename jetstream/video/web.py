"""GET requests to one address of the web, as cameras answer them: logins, redirects, kept connections, time limits.

Understands no picture. No message contains a password of the address.
"""

import contextlib
import http.client
import socket
import ssl
import time
import urllib.parse
from collections.abc import Mapping

from jetstream.errors import SourceError
from jetstream.masking import masked_source
from jetstream.video.digest import Challenge, Login, authorization, challenge_of
from jetstream.video.troubles import silence

MOST_REDIRECTS = 5
PIECE_BYTES = 1 << 16
SAFE = "%/:=&?~#+!$,;'@()*[]"
"""characters of a path that are sent as they are"""
REDIRECTS = (301, 302, 303, 307, 308)


class Answer:
    """A response whose body is read piece by piece. `failure`: why reading ended too early; None if it didn't."""

    def __init__(self, response: http.client.HTTPResponse, client: "WebClient") -> None:
        self._response, self._client = response, client
        self._peeked = b""
        self.status, self.headers = response.status, response.headers
        self.kind = response.headers.get("Content-Type", "").strip().lower()
        self.length = response.length  # bytes; None: not stated, or sent in chunks
        self.beginning = b""
        self.until_s: float | None = None  # of time.monotonic(), for all of `read`
        self.failure: SourceError | None = None

    def piece(self) -> bytes:
        """What has arrived, at least a byte; none at the end. Raises OSError, HTTPException; TimeoutError after the
        client's time limit."""
        piece, self._peeked = self._peeked, b""
        piece = piece or self._response.read1(PIECE_BYTES)
        if not piece:
            self._response.close()  # read1 doesn't, where a length is stated, and the connection would stay in use
        return piece

    def peek(self) -> bytes:
        """The beginning of the body, which is read again. Errors as of `piece`."""
        self._peeked = self.piece()
        return self._peeked

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end, after a failure or a time-out, since FFmpeg would read again."""
        if self.failure is not None:
            return b""
        try:
            if self.until_s is not None and time.monotonic() > self.until_s:
                raise TimeoutError
            piece = self.piece()
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.failure = SourceError(f"{self._client.shown}: {web_trouble(error, self._client.limit_s)}")
            return b""
        self._peeked = piece[size:]
        return piece[:size]

    def close(self) -> None:
        self._client.close()


class WebClient:
    """GETs of one address, over one connection while the server keeps it. `limit_s`: time limit of each wait."""

    def __init__(self, url: str, limit_s: float) -> None:
        self.shown, self.limit_s, self._left_s = masked_source(url), limit_s, limit_s
        self._connection: http.client.HTTPConnection | None = None
        self._socket: socket.socket | None = None
        self._challenge: Challenge | None = None
        self._count = 0
        self._go_to(url)

    def get(self, headers: Mapping[str, str]) -> Answer:
        """The answer, once redirects are followed and the login was asked for. Raises SourceError: no answer in time,
        access denied, no such page; HTTPException: an answer that is no HTTP."""
        try:
            for _ in range(MOST_REDIRECTS + 2):
                response = self._ask(headers)
                if response.status in REDIRECTS and response.headers.get("Location"):
                    self._redirect(response)
                elif response.status != 401 or not self._learn(response):
                    self._refuse(response)
                    return Answer(response, self)
        except OSError as error:
            self.close()
            raise SourceError(f"{self.shown}: {web_trouble(error, self.limit_s)}") from None
        raise SourceError(f"{self.shown}: it redirects in a circle; check the address")

    def patience(self, limit_s: float, left_s: float | None = None) -> None:
        """Set the time limit of each wait from now on, of which `left_s` are left."""
        self.limit_s = limit_s
        self._left_s = limit_s if left_s is None else left_s
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it is closed: the answer has ended
                self._socket.settimeout(self._left_s)

    @property
    def host(self) -> str:
        return self._url.hostname or ""

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._socket = None

    def _go_to(self, url: str) -> None:
        try:
            self._url = urllib.parse.urlsplit(url)
            host, _ = self._url.hostname, self._url.port
        except ValueError:
            host = None
        if not host:
            remedy = "percent-encode its password, or use password_file" if "@" in url else "check the address"
            raise SourceError(f"{self.shown}: no host or no valid port in it; {remedy}")
        if self._url.username is not None:
            user, password = self._url.username, self._url.password or ""
            self._login: Login | None = Login(urllib.parse.unquote(user), urllib.parse.unquote(password))
        elif not hasattr(self, "_login"):
            self._login = None
        path = urllib.parse.quote(self._url.path or "/", safe=SAFE)
        self._target = path + (f"?{urllib.parse.quote(self._url.query, safe=SAFE)}" if self._url.query else "")

    def _redirect(self, response: http.client.HTTPResponse) -> None:
        before, to = self._url, urllib.parse.urljoin(self._url.geturl(), response.headers["Location"])
        self.close()
        self._go_to(to)
        if self._url.scheme not in ("http", "https"):
            raise SourceError(f"{self.shown}: it redirects to {self._url.scheme}://; name that address instead")
        if self._url.hostname != before.hostname:  # no other host gets the password
            self._login = None

    def _ask(self, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """The response. A kept connection that the server has closed meanwhile is opened anew, once."""
        was_open = self._connection is not None
        self._connection = self._connection or self._connect()
        if self._connection.sock is not None:
            self._connection.sock.settimeout(self._left_s)
        try:
            return self._sent(self._connection, headers)
        except TimeoutError:
            raise
        except (http.client.HTTPException, OSError):
            self.close()
            if not was_open:
                raise
        self._connection = self._connect()
        return self._sent(self._connection, headers)

    def _sent(self, connection: http.client.HTTPConnection, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        connection.request("GET", self._target, headers={**headers, **self._identity()})
        self._socket = connection.sock  # which the connection gives up where the answer's end will close it
        return connection.getresponse()

    def _connect(self) -> http.client.HTTPConnection:
        host = self._url.hostname or ""
        if self._url.scheme == "http":
            return http.client.HTTPConnection(host, self._url.port, timeout=self._left_s)
        # Cameras have certificates of their own making, so none is verified, as FFmpeg does by default.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return http.client.HTTPSConnection(host, self._url.port, timeout=self._left_s, context=context)

    def _identity(self) -> dict[str, str]:
        headers = {"User-Agent": "jetstream", "Accept": "*/*"}
        if self._challenge is not None and self._login is not None:
            self._count += 1
            headers["Authorization"] = authorization(self._challenge, self._login, self._target, self._count)
        return headers

    def _learn(self, response: http.client.HTTPResponse) -> bool:
        """Whether the login can be tried, or tried again because the server's nonce is another."""
        found = challenge_of(response.headers.get_all("WWW-Authenticate") or [])
        before = self._challenge
        if self._login is None or found is None or (before is not None and before.values == found.values):
            return False
        if before is not None and self._count <= 1 and found.values.get("stale", "").lower() != "true":
            return False  # the first answer was refused: the password is wrong
        self._challenge, self._count = found, 0
        self._finish(response)
        return True

    def _finish(self, response: http.client.HTTPResponse) -> None:
        """Read the rest of a short body, so that the connection can be used again."""
        if response.length is None or response.length > PIECE_BYTES:
            self.close()
        else:
            response.read()

    def _refuse(self, response: http.client.HTTPResponse) -> None:
        status = response.status
        if status in (200, 203, 206, 304):
            return
        self.close()
        if status in (401, 403):
            why = "access is denied; check the user name and the password in the address"
        elif status in (404, 410):
            why = "there is no such stream; check the path in the address"
        else:
            why = f"its answer is {status} {http.client.responses.get(status, '')}".rstrip() + "; check the device"
        raise SourceError(f"{self.shown}: {why}")


def web_trouble(error: Exception, limit_s: float) -> str:
    """The reason for a failed request and what to do, without the address."""
    if isinstance(error, TimeoutError):
        return silence(limit_s)
    if isinstance(error, ConnectionRefusedError):
        return "the connection is refused; check the address and the port"
    if isinstance(error, socket.gaierror):
        return "its host name isn't known; check the address"
    if isinstance(error, ssl.SSLError):
        return f"no secure connection ({error.reason or 'TLS'}); check that it is https and not http"
    reason = getattr(error, "strerror", None) or type(error).__name__
    return f"the connection broke off ({reason}); check the address and the network"


def left_s(begun_s: float, limit_s: float) -> float:
    """What is left of a time limit that began at `begun_s` of time.monotonic(); never 0, which would mean none."""
    return max(0.01, limit_s - (time.monotonic() - begun_s))
