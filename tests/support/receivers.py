"""Real servers that take webhooks, each with its own way to answer, and what they were sent."""

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

HANG_S = 60.0
Answer = Callable[[socket.socket, int], None]
"""answers a request on its connection; the number counts requests from 0"""


class Posted(NamedTuple):
    """A request that came in."""

    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """A server on this machine, in threads of this process."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.posted: list[Posted] = []
        self._answer, self._tls = answer, tls
        self._listening = socket.create_server((host, 0))
        self._open: list[socket.socket] = []
        self.port = self._listening.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://{host}:{self.port}/hook"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for one in (self._listening, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            connection.settimeout(HANG_S)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            with connection:
                self.posted.append(_read(connection))
                self._answer(connection, len(self.posted) - 1)


@contextlib.contextmanager
def receiver(answer: Answer, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Receiver]:
    server = Receiver(answer, tls, host)
    try:
        yield server
    finally:
        server.close()


def _read(connection: socket.socket) -> Posted:
    content = b""
    while b"\r\n\r\n" not in content:
        content += _some(connection)
    head, _, body = content.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += _some(connection)
    return Posted(first.split()[1], headers, body)


def _some(connection: socket.socket) -> bytes:
    if not (chunk := connection.recv(65536)):
        raise ValueError("ended amid a request")
    return chunk


def says(*statuses: int, body: bytes = b"", **headers: str) -> Answer:
    """Answers with one status after the other; the last one again and again."""

    def answer(connection: socket.socket, number: int) -> None:
        lines = [f"HTTP/1.1 {statuses[min(number, len(statuses) - 1)]} Said", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    return answer


def hangs(connection: socket.socket, _: int) -> None:
    connection.recv(1)


def closes(connection: socket.socket, _: int) -> None:
    pass


def cuts_off(connection: socket.socket, _: int) -> None:
    connection.sendall(b"HTTP/1.1 20")


def drips(connection: socket.socket, _: int) -> None:
    """A byte each time, more often than any time-out between two bytes."""
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Slow: " + b"x" * 10000:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def lies(connection: socket.socket, _: int) -> None:
    """Less than it announces, and no end."""
    connection.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 1000000000000\r\n\r\nsorry")
    connection.recv(1)


def endless(connection: socket.socket, _: int) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-More: yes\r\n" * 1000)


def garbage(connection: socket.socket, _: int) -> None:
    connection.sendall(b"\x00\xff\x16\x03garbage\r\n\r\n")
