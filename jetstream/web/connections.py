"""The page's connections: how many there may be, and how long each may take.

uvicorn counts no connection whose TLS handshake or request isn't complete, and waits for both as long as the client
likes. Here a connection that its client keeps waiting is closed after a while, and at once where a new one needs its
place; those that wait for an answer keep theirs. In the loop's thread.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from jetstream.web.file_parts import SENDS_FILE

MOST_CONNECTIONS: Final = 300
"""of further ones each takes the place of one that waits for its client, or gets 503"""
ACCEPTED_AT_ONCE: Final = 100
"""so many more may be open for a moment"""
HANDSHAKE_S: Final = 5.0
"""of TLS"""
HEAD_S: Final = 10.0
"""from a connection to its first request, whose head is complete"""
IDLE_S: Final = 20.0
"""from an answer to the next request"""
STALL_S: Final = 20.0
"""an answer of which the client reads nothing for so long is given up"""
CLOSE_S: Final = 5.0
"""for a client's answer to the end of TLS"""
LOOK_EVERY_S: Final = 0.5
MOST_FRAGMENTS: Final = 1000
"""of a WebSocket's message: its size is limited, but not that of the list of empty ones"""
FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 5\r\nConnection: close\r\n"
    b'Content-Length: 45\r\n\r\n{"error": "too many connections; try again"}\n'
)


class ConnectionTable:
    """Knows all connections, those that have waited longest for their client first."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        """context  of TLS; None: without."""
        self._context = context
        self.open: dict[PageConnection, None] = {}
        """all that are open"""

    def protocol(self, **given: Any) -> asyncio.Protocol:
        """For a new connection; `given` is what uvicorn gives its protocols."""

        def http() -> PageHttp:
            return PageHttp(self, **given)

        return http() if self._context is None else TlsHandshake(self, self._context, http)

    def socket_protocol(self, **given: Any) -> asyncio.Protocol:
        """For a connection that becomes a WebSocket."""
        return PageSocket(self, **given)

    def add(self, connection: "PageConnection") -> bool:
        """Whether there is a place for it."""
        if len(self.open) >= MOST_CONNECTIONS and not self._make_room():
            return False
        self.open[connection] = None
        return True

    def _make_room(self) -> bool:
        for known in (False, True):  # who is logged in goes last
            for connection in self.open:
                if connection.may_go(known=known):
                    self.open.pop(connection)
                    connection.transport.abort()
                    return True
        return False

    def began_to_wait(self, connection: "PageConnection") -> None:
        if connection in self.open:
            self.open[connection] = self.open.pop(connection)

    def remove(self, connection: "PageConnection") -> None:
        self.open.pop(connection, None)

    async def watch(self) -> None:
        """Close what takes too long. For ever."""
        while True:
            now_s = time.monotonic()
            for connection in [*self.open]:
                connection.look(now_s)
            await asyncio.sleep(LOOK_EVERY_S)


class Stall:
    """Tells whether a connection's client has read nothing of what waits for it, or of the end, for too long."""

    def __init__(self) -> None:
        self._waiting, self._since_s = 0, 0.0

    def is_over(self, transport: asyncio.Transport, now_s: float) -> bool:
        waiting = transport.get_write_buffer_size()
        if waiting != self._waiting or not (waiting or transport.is_closing()):
            self._waiting, self._since_s = waiting, now_s
        return now_s - self._since_s > STALL_S


class TlsHandshake(asyncio.Protocol):
    """A connection before its handshake is done, then it is a PageHttp's."""

    transport: asyncio.Transport

    def __init__(self, table: ConnectionTable, context: ssl.SSLContext, http: "Callable[[], PageHttp]") -> None:
        self._table, self._context, self._http = table, context, http
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if not self._table.add(self):
            self.transport.abort()
            return
        # No pause_reading here: Python 3.10 begins to read all the same, and start_tls doesn't stop that where the
        # transport is paused already: the client's first bytes would be lost. The task runs before any is read.
        self._task = asyncio.get_running_loop().create_task(self._shake_hands())

    async def _shake_hands(self) -> None:
        http = self._http()
        try:
            secure = await asyncio.get_running_loop().start_tls(
                self.transport, http, self._context, server_side=True, ssl_handshake_timeout=HANDSHAKE_S
            )
        except (OSError, asyncio.TimeoutError):  # no TLS, or too slow
            return
        finally:
            self._table.remove(self)
        if secure is not None and not http.is_lost:
            http.connection_made(secure)

    def may_go(self, *, known: bool) -> bool:
        return not known

    def look(self, now_s: float) -> None:
        """The handshake has its own limit."""


class PageHttp(H11Protocol):
    """uvicorn's, with limits."""

    def __init__(self, table: ConnectionTable, **given: Any) -> None:
        super().__init__(**given)
        self._table = table
        self._since_s, self._is_new = time.monotonic(), True
        self._stall = Stall()
        self._early = b""
        self._is_made = self.is_lost = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._is_made = True
        super().connection_made(transport)
        if not self._table.add(self):
            transport.write(FULL)
            transport.close()
        elif self._early:
            self.data_received(self._early)

    def data_received(self, data: bytes) -> None:
        if not self._is_made:  # a request that came with the end of the handshake
            self._early += data
        elif not self.transport.is_closing():
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        self._table.remove(self)
        if self._is_made:
            super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._table.remove(self)
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        self._since_s, self._is_new = time.monotonic(), False
        self._table.began_to_wait(self)
        super().on_response_complete()

    @property
    def _waits_for_request(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def may_go(self, *, known: bool) -> bool:
        """Whether the client keeps it waiting; of who isn't known, also for the rest of a request."""
        is_known = self.cycle is not None and self.scope["state"].get("is_known", False)
        if is_known != known:
            return False
        return self._waits_for_request or (self.cycle.more_body and not known)

    def shutdown(self) -> None:
        """The server ends. A file is not sent to its end: a player may take minutes, and goes on where it was."""
        super().shutdown()
        if not self._waits_for_request and self.scope["state"].get(SENDS_FILE, False):
            self.transport.abort()

    def look(self, now_s: float) -> None:
        """Close it where the client takes too long; the rest of a request has its own limit (`app`)."""
        late_s = now_s - self._since_s - (HEAD_S if self._is_new else IDLE_S) if self._waits_for_request else 0.0
        is_over = late_s > CLOSE_S and not self.transport.get_write_buffer_size()  # else a slow client still reads
        if is_over or self._stall.is_over(self.transport, now_s):
            self.transport.abort()
        elif late_s > 0:
            self.transport.close()


class PageSocket(WebSocketsSansIOProtocol):
    """uvicorn's, with limits. Its client is asked for a sign of life by uvicorn."""

    def __init__(self, table: ConnectionTable, **given: Any) -> None:
        super().__init__(**given)
        self._table = table
        self._stall = Stall()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._table.add(self)  # its place is the one that it had before

    def connection_lost(self, exc: Exception | None) -> None:
        self._table.remove(self)
        super().connection_lost(exc)

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= MOST_FRAGMENTS:
            self.transport.abort()
            return
        super().handle_cont(event)

    def may_go(self, *, known: bool) -> bool:
        return False

    def look(self, now_s: float) -> None:
        """Also one that is being closed, but whose client doesn't read."""
        if self._stall.is_over(self.transport, now_s):
            self.transport.abort()


PageConnection: TypeAlias = TlsHandshake | PageHttp | PageSocket
