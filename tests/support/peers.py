"""Fixtures, known to every test: peers at the other end of a camera's address, some of which misbehave."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.serving import Quiet, serving


@pytest.fixture
def silent_peer() -> Iterator[str]:
    """host:port of a peer that accepts and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted: list[socket.socket] = []

        def accept() -> None:
            try:
                while True:
                    accepted.append(listener.accept()[0])
            except OSError:
                return

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in accepted:
            connection.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """serve(path, stall_after=None, status=200): URL of a real HTTP server that sends the file.

    With `stall_after` it sends that share of it, then nothing more, and keeps the connection.
    """
    servers = ExitStack()
    released = threading.Event()

    def start(path: Path, *, stall_after: float | None = None, status: int = 200) -> str:
        data = path.read_bytes()

        class Handler(Quiet):
            def reply(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                try:
                    self.wfile.write(data[: int(len(data) * (1 if stall_after is None else stall_after))])
                except OSError:
                    return
                if stall_after is not None:
                    released.wait(30)

        port = servers.enter_context(serving(Handler))
        return f"http://127.0.0.1:{port}/cam{path.suffix}"

    yield start
    released.set()
    servers.close()
