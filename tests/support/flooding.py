"""A thousand connections that mean no good, from a thread of the test: each is opened anew when it was closed."""

import asyncio
import base64
import contextlib
import itertools
import os
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeAlias

BETWEEN_S = 0.2
Attack: TypeAlias = Callable[["Flood", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Flood:
    """`count` connections, of each kind of attack the same share of its weight."""

    def __init__(self, port: int, cookie: str) -> None:
        self.port, self.cookie = port, cookie
        self.open, self.most_open, self.opened = 0, 0, 0
        self.seen: Counter[str] = Counter()
        """first lines of answers"""
        self._loop = asyncio.new_event_loop()
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self, count: int) -> None:
        attacks = itertools.cycle([idle] * 4 + [drip_head] * 3 + [drip_login] + [drip_picture] * 2 + [look_away])
        self._tasks = [
            asyncio.ensure_future(self._attack(attack)) for _, attack in zip(range(count), attacks, strict=False)
        ]
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _attack(self, attack: Attack) -> None:
        while True:
            writer = None
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1000)
                self.open += 1
                self.opened += 1
                self.most_open = max(self.open, self.most_open)
                try:
                    await attack(self, reader, writer)
                finally:
                    self.open -= 1
                    writer.transport.abort()
            await asyncio.sleep(BETWEEN_S)

    async def told(self, reader: asyncio.StreamReader) -> None:
        if line := await reader.readline():
            self.seen[line.decode("latin-1").strip()] += 1

    async def drip(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes, size: int) -> None:
        """Send a little now and then, until the server answers or closes."""
        answer = asyncio.ensure_future(self.told(reader))
        try:
            for at in itertools.count(0, size):
                writer.write(data[at % len(data) : at % len(data) + size])
                await writer.drain()
                await asyncio.wait([answer], timeout=BETWEEN_S)
                if answer.done():
                    return
        finally:
            answer.cancel()

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()


async def idle(flood: Flood, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await flood.told(reader)


async def drip_head(flood: Flood, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    await flood.drip(reader, writer, b"X-A: b\r\n", 1)


async def drip_login(flood: Flood, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (
        "POST /api/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n"
    )
    writer.write(head.encode())
    await flood.drip(reader, writer, b" " * 1000, 1)


async def drip_picture(flood: Flood, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(
        f"POST /api/search HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {flood.cookie}\r\nContent-Type: image/jpeg\r\n"
        "Content-Length: 20000000\r\n\r\n".encode()
    )
    await flood.drip(reader, writer, b"\xff" * 100_000, 10_000)


async def look_away(flood: Flood, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A viewer who asks for as many pictures as there may be, and reads none."""
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET /api/live HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {flood.cookie}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    await flood.told(reader)
    demand = b'{"show": [{"camera": "a", "width": 3840}], "credits": 8}'
    while True:
        writer.write(bytes((0x81, 0x80 | len(demand), 0, 0, 0, 0)) + demand)
        await writer.drain()
        await asyncio.sleep(BETWEEN_S)


@contextlib.contextmanager
def flooded(port: int, cookie: str, count: int) -> Iterator[Flood]:
    """While the block runs."""
    flood = Flood(port, cookie)
    thread = threading.Thread(target=flood._loop.run_until_complete, args=(flood.run(count),))
    thread.start()
    try:
        yield flood
    finally:
        flood._loop.call_soon_threadsafe(flood.stop)
        thread.join()
        flood._loop.close()
