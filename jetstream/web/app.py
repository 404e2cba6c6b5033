"""The table of routes as an ASGI application: who asks, whether they may, what they ask, and the answer.

A row's function runs in a thread. Whatever a client sends gets an answer with a sentence; none gets a traceback.
"""

import asyncio
import contextlib
import functools
import hashlib
import logging
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

import anyio.to_thread
import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, WebSocketRoute
from starlette.routing import Route as HttpRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jetstream.errors import BusyError, JetstreamError
from jetstream.sightings.database import DamageError, DatabaseError
from jetstream.sightings.reader import NoSightingError
from jetstream.web import file_parts, guard, live
from jetstream.web.access import Caller
from jetstream.web.access_file import AccessFileError
from jetstream.web.logins import EndedSession, LoginError, NewSession, TooManyError
from jetstream.web.page_files import PageFiles
from jetstream.web.routes import FileAnswer, MissingError, OpenedFile, Route, table
from jetstream.web.site import Site

MOST_BODY_BYTES: Final = 64_000
BODY_S: Final = 10.0
"""for the whole body"""
PICTURE_S: Final = 60.0
"""for a picture: 25 MB at 3.3 Mbit/s"""
_STATUS: Final[Mapping[type[Exception], int]] = {
    MissingError: 404,
    LoginError: 401,
    TooManyError: 429,
    BusyError: 503,
    NoSightingError: 404,
    DatabaseError: 503,
    DamageError: 503,
}

FAILURES: Final = (JetstreamError, sqlite3.Error, OSError)

log = logging.getLogger(__name__)


def app(site: Site) -> Starlette:
    """The application of a site."""
    routes = [HttpRoute(row.path, functools.partial(_answer, site, row), methods=[row.method]) for row in table()]
    made = Starlette(
        routes=[*routes, WebSocketRoute("/api/live", functools.partial(live.serve, site)), Mount("/", PageFiles())],
        exception_handlers={404: _not_found, 405: _not_found},
    )
    made.router.redirect_slashes = False  # to an address with the client's own Host
    return made


def guarded(site: Site) -> ASGIApp:
    """The application, with the guard's headers in each answer."""
    inner = app(site)

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await inner(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                given = ((name.lower().encode(), text.encode()) for name, text in guard.HEADERS.items())
                message["headers"] += [(name, text) for name, text in given if name not in own]
            await send(message)

        await inner(scope, receive, send_guarded)

    return run


async def _answer(site: Site, row: Route, request: Request) -> Response:
    if refused := guard.refusal(request.method, request.headers):
        return _error(403, refused)
    caller = await anyio.to_thread.run_sync(_caller, site, row, request)
    if isinstance(caller, Response):
        return caller
    if row.method == "GET":
        return await anyio.to_thread.run_sync(_answered, site, row, request, caller, b"")
    if (wrong := _wrong_type(row, request)) is not None:
        return _error(415, wrong)
    try:
        async with site.upload() if row.most_bytes else contextlib.nullcontext():
            body = await _read(request, row)
            if isinstance(body, Response):
                return body
            return await anyio.to_thread.run_sync(_answered, site, row, request, caller, body)
    except BusyError as error:  # of upload()
        return _failure(error)


def _caller(site: Site, row: Route, request: Request) -> Caller | Response:
    """Who asks, or why they may not; nothing else of the request is read before that is known."""
    try:
        caller = site.caller(request)
    except FAILURES as error:
        return _failure(error)
    if row.right is not None and (caller is None or not caller.has(row.right)):
        return _error(401, "log in first") if caller is None else _error(403, f"you may not: it needs {row.right}")
    request.state.is_known = caller is not None and caller.may is not None  # see `connections`
    return caller or site.stranger(request)


def _wrong_type(row: Route, request: Request) -> str | None:
    """Why the body isn't read; a form of another site can't send one of the types that are taken."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not row.most_bytes and kind != "application/json":
        return "expected JSON, with the header Content-Type: application/json"
    if row.most_bytes and not kind.startswith("image/") and kind != "application/octet-stream":
        return "expected a picture, with its Content-Type, such as image/jpeg"
    return None


async def _read(request: Request, row: Route) -> bytes | Response:
    """The body, or why it isn't read."""
    most, limit_s = (row.most_bytes, PICTURE_S) if row.most_bytes else (MOST_BODY_BYTES, BODY_S)
    try:
        body = await asyncio.wait_for(_body(request, most), limit_s)
    except asyncio.TimeoutError:
        return _error(408, f"what was sent took longer than {limit_s:.0f} s; try again over a faster connection")
    except ClientDisconnect:
        return Response()  # to nobody
    return _error(413, f"too large: at most {most // 1000} kB") if body is None else body


async def _body(request: Request, most_bytes: int) -> bytes | None:
    """None: it is too large; the rest isn't read."""
    if int(request.headers.get("content-length") or 0) > most_bytes:
        return None
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most_bytes:
            return None
        parts.append(part)
    return b"".join(parts)


def _answered(site: Site, row: Route, request: Request, caller: Caller, body: bytes) -> Response:
    try:
        done = row.does(site, _asked(row, request, body), caller)
        if isinstance(done, OpenedFile):
            return file_parts.response(done, request)
        return _file(done, request) if isinstance(done, FileAnswer) else _response(site, done)
    except msgspec.ValidationError as error:
        return _error(400, str(error))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _error(400, f"no JSON: {error}")
    except RecursionError:  # thousands of brackets
        return _error(400, "no JSON: nested too deeply")
    except FAILURES as error:
        return _failure(error)


def _failure(error: Exception) -> Response:
    """Strangers get it, too, so it tells no path; the log does."""
    if isinstance(error, AccessFileError):
        log.warning("page: %s", error)
        return _error(503, "who may use the page can't be read or written now; the log says why")
    if isinstance(error, sqlite3.Error):  # locked for long, or a disk that fails
        log.warning("page: a database can't be used (%s)", error)
        return _error(503, f"a database can't be used now ({error}); try again")
    if isinstance(error, OSError):  # a disk or folder that fails, no file left to open
        log.warning("page: %s", error)
        return _error(503, f"it can't be done now ({error.strerror}); the log says more")
    wait = {"Retry-After": f"{error.wait_s:.0f}"} if isinstance(error, TooManyError) else {}
    return _error(_STATUS.get(type(error), 400), str(error), wait)


def _asked(row: Route, request: Request, body: bytes) -> msgspec.Struct:
    """Raises msgspec.ValidationError, DecodeError: it doesn't fit the row's struct."""
    if row.method == "GET" or row.most_bytes:
        values = {**dict(request.query_params), **request.path_params}
        if row.most_bytes:
            values["body"] = body
        return msgspec.convert(values, row.takes, strict=False)
    values = msgspec.json.decode(body)
    if isinstance(values, dict):
        values |= request.path_params
    return msgspec.convert(values, row.takes)


def _file(done: FileAnswer, request: Request) -> Response:
    """The bytes, unless the browser has them."""
    tag = f'"{hashlib.sha256(done.body).hexdigest()[:32]}"'
    headers = {
        "ETag": tag,
        "Cache-Control": "private, no-cache",
        **({guard.POLICY: done.policy} if done.policy else {}),
    }
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(done.body, media_type=done.type, headers=headers)


def _response(site: Site, done: Any) -> Response:
    kept = done.who if isinstance(done, NewSession | EndedSession) else done
    response = Response(msgspec.json.encode(kept), media_type="application/json", headers={"Cache-Control": "no-store"})
    if isinstance(done, NewSession):
        site.set_cookie(response, done.token)
    elif isinstance(done, EndedSession):
        site.set_cookie(response, None)
    return response


def _error(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error": text}, status, headers={"Cache-Control": "no-store", **(headers or {})})


async def _not_found(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    text = "there is nothing at this address" if status == 404 else f"this address takes no {request.method}"
    return _error(status, text)
