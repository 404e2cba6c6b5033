"""A file as an answer, whole or from one byte to another (RFC 9110, Range), read a piece at a time in threads.

What is sent is of the file that was opened, also where it is deleted or replaced meanwhile. Several ranges at once get
the whole file, which the RFC allows; no player asks for them.
"""

import logging
import os
import re
import unicodedata
from collections.abc import Mapping
from typing import BinaryIO, Final, NamedTuple
from urllib.parse import quote

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from jetstream.web.routes import OpenedFile

PLAYER_BYTES: Final = 2_000_000
"""of a range, at most, for a browser's player. It asks for all to the end, reads what it needs, and leaves the rest in
the connection, which would be given up. A player asks again (RFC 9110, 15.3.7); a download may not, and gets all"""
PLAYERS: Final = ("video", "audio")
"""what a player's requests have in Sec-Fetch-Dest"""
PIECE_BYTES: Final = 128 * 1024
MOST_READERS: Final = 8
"""threads that read pieces: a disk that hangs with all of them leaves the others, which give all other answers"""
SENDS_FILE: Final = "sends_file"
"""in the state of a request whose answer is a file: its connection may be cut, since clients go on where they were"""
_RANGE: Final = re.compile(r"bytes=[ \t]*(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))[ \t]*", re.IGNORECASE)

_readers: Final[RunVar[anyio.CapacityLimiter]] = RunVar("readers")

log = logging.getLogger(__name__)


class Part(NamedTuple):
    """Bytes of a file, from one to before another."""

    first: int
    end: int


class NoSuchPartError(Exception):
    """The file has none of the bytes."""


def response(opened: OpenedFile, request: Request) -> Response:
    """The answer to a request for this file; closes it where nothing of it is to be sent."""
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        "Content-Disposition": disposition(opened.name),
        "ETag": opened.tag,
    }
    if request.headers.get("if-none-match") == opened.tag:
        opened.file.close()
        return Response(status_code=304, headers=headers)
    try:
        part = wanted(request.headers, opened.tag, opened.n_bytes)
    except NoSuchPartError:
        opened.file.close()
        said = {"Cache-Control": "no-store", "Content-Range": f"bytes */{opened.n_bytes}"}
        return JSONResponse({"error": f"there are {opened.n_bytes} bytes, and none that were asked for"}, 416, said)
    request.scope["state"][SENDS_FILE] = True
    if part is None:
        return FileResponse(opened.file, Part(0, opened.n_bytes), 200, opened.type, headers)
    headers["Content-Range"] = f"bytes {part.first}-{part.end - 1}/{opened.n_bytes}"
    return FileResponse(opened.file, part, 206, opened.type, headers)


def wanted(headers: Mapping[str, str], tag: str, n_bytes: int) -> Part | None:
    """The part that a request asks for; None: the whole, as for a range that isn't understood or of another version.

    Raises NoSuchPartError.
    """
    found = _RANGE.fullmatch(headers.get("range", ""))
    if found is None or headers.get("if-range", tag) != tag:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        part = Part(max(n_bytes - int(suffix), 0), n_bytes)
    else:
        part = Part(int(first), min(int(last) + 1, n_bytes) if last else n_bytes)
        if last and int(last) < int(first):
            return None
    if part.first >= part.end:
        raise NoSuchPartError
    is_player = headers.get("sec-fetch-dest") in PLAYERS
    return part._replace(end=min(part.end, part.first + PLAYER_BYTES)) if is_player else part


def disposition(name: str) -> str:
    """The header that tells a file's name: as ASCII, and as it is (RFC 6266, RFC 8187)."""
    plain = unicodedata.normalize("NFKD", name)
    ascii_name = "".join("_" if not one.isascii() else one for one in plain if not unicodedata.combining(one))
    told = "".join(one if one.isalnum() or one in "-_." else "_" for one in ascii_name)
    return f"inline; filename=\"{told}\"; filename*=UTF-8''{quote(name, safe='')}"


class FileResponse(Response):
    """Sends a part of an opened file, then closes the file."""

    def __init__(self, file: BinaryIO, part: Part, status: int, kind: str, headers: Mapping[str, str]) -> None:
        super().__init__(None, status, {"Content-Length": str(part.end - part.first), **headers}, kind)
        self._file, self._part = file, part

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_cancel_when_gone, receive, tasks.cancel_scope)
                await self._send(scope, send)
                tasks.cancel_scope.cancel()
        finally:
            self._file.close()

    async def _send(self, scope: Scope, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        at, end = self._part if scope["method"] != "HEAD" else (0, 0)
        while at < end:
            size = min(PIECE_BYTES, end - at)
            piece = await anyio.to_thread.run_sync(self._read, at, size, limiter=_limiter())
            if not piece:  # cut off meanwhile, or a disk that fails: the client gets less than it was told
                return
            at += len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _read(self, at: int, size: int) -> bytes:
        try:
            return os.pread(self._file.fileno(), size, at)
        except OSError as error:
            log.warning("page: a file that is being sent can't be read (%s)", error.strerror)
            return b""


def _limiter() -> anyio.CapacityLimiter:
    """The loop's own."""
    try:
        return _readers.get()
    except LookupError:
        _readers.set(anyio.CapacityLimiter(MOST_READERS))
        return _readers.get()


async def _cancel_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
