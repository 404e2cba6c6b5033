"""A real HTTP server for a test, on a free port of this machine."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Quiet(http.server.BaseHTTPRequestHandler):
    """Answers a GET by `reply`."""

    def do_GET(self) -> None:
        self.reply()

    def reply(self) -> None:
        raise NotImplementedError

    def log_message(self, *args: object) -> None:
        """Tests stay quiet."""


@contextmanager
def serving(handler: type[Quiet]) -> Iterator[int]:
    """The port at which `handler` answers."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
