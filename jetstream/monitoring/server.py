"""/metrics, /healthz and /readyz over HTTP, answered from the supervisor's last status.

Each client has a thread of its own, so a slow one delays no other; beyond MOST_CLIENTS they wait in the kernel.
"""

import http.server
import socketserver
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from jetstream.config.schema import Config, MetricsConfig
from jetstream.messages import Status
from jetstream.monitoring import address, health
from jetstream.monitoring.meters import Readings
from jetstream.monitoring.prometheus import MetricsPage

CLIENT_S = 5.0
"""a client that sends or reads nothing for so long is disconnected"""
MOST_CLIENTS = 16
PLAIN = "text/plain; charset=utf-8"


class LastStatus:
    """The last status and readings: set by the work loop in one step, read by the threads that answer."""

    def __init__(self, config: Config) -> None:
        self._cameras = [camera.name for camera in config.cameras]
        self._fresh_s = config.metrics.fresh_s
        self.last: tuple[Status | None, Readings] = (None, Readings())
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(MetricsPage(lambda: (*self.last, time.monotonic_ns())))

    def answer(self, path: str, accepts: str) -> tuple[int, str, bytes]:
        """HTTP status, content type and body."""
        now_ns, (status, _) = time.monotonic_ns(), self.last
        if path == "/metrics":
            encode, kind = choose_encoder(accepts)
            return 200, kind, encode(self._registry)
        if path == "/healthz":
            return _verdict(list(health.ailments(status, now_ns)), status, now_ns)
        if path == "/readyz":
            return _verdict(list(health.unready(status, self._cameras, self._fresh_s, now_ns)), status, now_ns)
        if path == "/":
            return 200, PLAIN, b"jetstream: /metrics /healthz /readyz\n"
        return 404, PLAIN, b"there are /metrics, /healthz and /readyz\n"


def _verdict(troubles: list[str], status: Status | None, now_ns: int) -> tuple[int, str, bytes]:
    """200 and `ok`, or 503 and the reasons; both with the age of the status."""
    age = "" if status is None else f"reported {health.age_s(status, now_ns):.1f} s ago\n"
    body = "".join(f"{trouble}\n" for trouble in troubles or ["ok"]) + age
    return (503 if troubles else 200), PLAIN, body.encode()


class MetricsServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Listens once it is made, answers once it serves. Raises UserError when the endpoint can't be bound."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, settings: MetricsConfig, latest: LastStatus) -> None:
        self.latest = latest
        self._room = threading.BoundedSemaphore(MOST_CLIENTS)
        self.address_family, where = address.of_endpoint(settings)
        try:
            super().__init__(where, _Handler)
        except OSError as error:
            raise address.refusal(settings, error) from None

    def server_bind(self) -> None:
        """As HTTPServer's, without looking up this host's name, which can take long."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def process_request(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        self._room.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        """Ignore errors of clients that disconnected."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: MetricsServer
    timeout = CLIENT_S
    server_version, sys_version = "jetstream", ""

    def do_GET(self) -> None:
        path = urllib.parse.urlsplit(self.path).path
        status, kind, body = self.server.latest.answer(path, self.headers.get("Accept", ""))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def log_message(self, *args: object) -> None:
        """Log nothing: each scrape would be a line."""


@contextmanager
def serving(settings: MetricsConfig, latest: LastStatus) -> Iterator[None]:
    """Answer requests within the context. Raises UserError when the endpoint can't be bound."""
    with MetricsServer(settings, latest) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.5}, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
