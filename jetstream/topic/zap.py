"""The ZAP authenticator: decides by their public keys which CURVE clients may connect (RFC 27 of zeromq.org).

Knows no file: a function says for each connection whether its key is allowed. One authenticator per ZeroMQ context.
"""

import threading
from collections.abc import Callable
from types import TracebackType

import zmq

DOMAIN = b"jetstream"
ADDRESS = "inproc://zeromq.zap.01"
"""Where ZeroMQ sends its requests, by RFC 27."""
_TURN_MS = 100


class ZapAuthenticator:
    """A context manager. Its own thread answers, because ZeroMQ asks while the socket's owner is busy.

    `is_allowed` gets a client's public key (32 bytes). Where it raises OSError, that connection is refused.
    """

    def __init__(self, is_allowed: Callable[[bytes], bool]) -> None:
        self._is_allowed = is_allowed
        self._ended = threading.Event()
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REP)
        self._socket.set(zmq.LINGER, 0)
        self._socket.bind(ADDRESS)
        self._thread = threading.Thread(target=self._serve, name="zap", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            while not self._ended.is_set():
                if self._socket.poll(_TURN_MS):
                    self._socket.send_multipart(self.answer(self._socket.recv_multipart()))
            self._socket.unbind(ADDRESS)  # at once; `close` would release it a moment later
        except zmq.ContextTerminated:
            pass
        finally:
            self._socket.close(linger=0)

    def answer(self, question: list[bytes]) -> list[bytes]:
        """The frames of the reply to a ZAP request: 200 for a CURVE client with an allowed key in DOMAIN, else 400."""
        version, request, domain, _, _, mechanism, *credentials = [*question, *[b""] * max(0, 6 - len(question))]
        known = (
            (version, domain, mechanism) == (b"1.0", DOMAIN, b"CURVE")
            and len(credentials) == 1
            and self._is_admitted(credentials[0])
        )
        status = (b"200", b"OK") if known else (b"400", b"this key is not on the list")
        return [b"1.0", request, *status, b"", b""]

    def _is_admitted(self, public: bytes) -> bool:
        """`is_allowed`, or False on OSError, such as no free file descriptor: this thread must survive that."""
        try:
            return self._is_allowed(public)
        except OSError:
            return False

    def guard(self, socket: "zmq.Socket[bytes]") -> None:
        """Make `socket` refuse every client that this authenticator doesn't admit, also after it is closed."""
        socket.set(zmq.ZAP_DOMAIN, DOMAIN)
        socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def close(self) -> None:
        """End the thread and release the address."""
        self._ended.set()
        self._thread.join()

    def __enter__(self) -> "ZapAuthenticator":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
