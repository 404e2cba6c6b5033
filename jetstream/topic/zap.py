"""Answers ZeroMQ's question who may connect (ZAP, RFC 27 of zeromq.org), by public keys.

Knows no file: whoever opens it says which keys are allowed, each time anew. One a ZeroMQ context.
"""

import threading
from collections.abc import Callable
from types import TracebackType

import zmq

DOMAIN = b"jetstream"
ADDRESS = "inproc://zeromq.zap.01"
"""where ZeroMQ asks, by RFC 27"""
_TURN_MS = 100


class ZapAuthenticator:
    """A context manager. A thread of its own answers, since ZeroMQ asks while the socket's owner is at work.

    `is_allowed` gets a client's public key (32 bytes). Where it raises OSError, that client isn't let in now.
    """

    def __init__(self, is_allowed: Callable[[bytes], bool]) -> None:
        self._is_allowed = is_allowed
        self._ended = threading.Event()
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REP)
        self._socket.set(zmq.LINGER, 0)
        self._socket.bind(ADDRESS)
        self._thread = threading.Thread(target=self._serve, name="doorman", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            while not self._ended.is_set():
                if self._socket.poll(_TURN_MS):
                    self._socket.send_multipart(self.answer(self._socket.recv_multipart()))
            self._socket.unbind(ADDRESS)  # at once; `close` would let go of it a moment later
        except zmq.ContextTerminated:
            pass
        finally:
            self._socket.close(linger=0)

    def answer(self, question: list[bytes]) -> list[bytes]:
        """A reply's frames; only a CURVE client with an allowed key in our domain gets in."""
        version, request, domain, _, _, mechanism, *credentials = [*question, *[b""] * max(0, 6 - len(question))]
        known = (
            (version, domain, mechanism) == (b"1.0", DOMAIN, b"CURVE")
            and len(credentials) == 1
            and self._lets_in(credentials[0])
        )
        status = (b"200", b"OK") if known else (b"400", b"this key is not on the list")
        return [b"1.0", request, *status, b"", b""]

    def _lets_in(self, public: bytes) -> bool:
        """Without this thread nobody would get in any more, so no moment without a file descriptor may end it."""
        try:
            return self._is_allowed(public)
        except OSError:
            return False

    def guard(self, socket: "zmq.Socket[bytes]") -> None:
        """Let nobody in whom this one doesn't, not even when it is gone."""
        socket.set(zmq.ZAP_DOMAIN, DOMAIN)
        socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    def __enter__(self) -> "ZapAuthenticator":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
