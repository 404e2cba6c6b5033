"""The page's server in a thread: it listens, answers, and says whether its loop works."""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Iterator
from typing import Any, Final

import uvicorn

from jetstream.config.schema import WebConfig
from jetstream.errors import JetstreamError
from jetstream.monitoring import address
from jetstream.web.app import guarded
from jetstream.web.connections import ACCEPTED_AT_ONCE, IDLE_S, ConnectionTable
from jetstream.web.site import Site
from jetstream.web.tls import date_fault, tls_context

END_S: Final = 2
MOST_MESSAGE_BYTES: Final = 64_000
"""of a WebSocket, from the page"""

log = logging.getLogger(__name__)


class PageServer:
    """Runs the event loop. `turn` returns once the loop has worked, so that a caller's heartbeat is the loop's, too."""

    def __init__(self, settings: WebConfig, site: Site) -> None:
        """Raises UserError: the endpoint can't be bound, or the certificate can't be used."""
        self.connections = ConnectionTable(tls_context(settings))
        if fault := date_fault(settings):
            log.warning("%s", fault)
        self._listener = _listener(settings)
        self._site = site
        http: Any = self.connections.protocol  # uvicorn asks for classes, and calls them
        ws: Any = self.connections.socket_protocol
        self._server = uvicorn.Server(
            uvicorn.Config(
                guarded(site),
                lifespan="off",
                log_config=None,
                log_level="error",  # a warning for each request that is no HTTP would fill the log
                access_log=False,
                server_header=False,
                proxy_headers=False,
                http=http,
                ws=ws,
                ws_max_size=MOST_MESSAGE_BYTES,
                ws_per_message_deflate=False,
                backlog=ACCEPTED_AT_ONCE,
                timeout_keep_alive=int(IDLE_S),
                timeout_graceful_shutdown=END_S,
            )
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        serve = asyncio.ensure_future(self._server.serve(sockets=[self._listener]))
        watch = asyncio.ensure_future(self.connections.watch())
        ended, _ = await asyncio.wait((serve, watch), return_when=asyncio.FIRST_COMPLETED)
        watch.cancel()
        for task in ended:
            task.result()

    def start(self) -> None:
        self._site.attach(self._loop)
        self._thread.start()

    def turn(self) -> None:
        """Wait until the loop has worked. Raises JetstreamError: it has ended."""
        done = threading.Event()
        self._loop.call_soon_threadsafe(done.set)
        while not done.wait(0.5):
            if not self._thread.is_alive():
                raise JetstreamError("the page's server has ended")

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(2 * END_S)
        self._listener.close()


@contextlib.contextmanager
def serving(settings: WebConfig, site: Site) -> Iterator[PageServer]:
    """A server that answers while the block runs. Raises UserError: the endpoint can't be bound."""
    server = PageServer(settings, site)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        site.close()


def _listener(settings: WebConfig) -> socket.socket:
    family, where = address.of_endpoint(settings)
    # asyncio sets TCP_NODELAY only where the protocol is said: without it, each small answer waits 40 ms for an ACK
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen()  # who connects before the loop runs waits
    except OSError as error:
        listener.close()
        raise address.refusal(settings, error) from None
    return listener
