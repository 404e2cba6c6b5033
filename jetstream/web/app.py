"""The table of routes as an ASGI application: who asks, whether they may, what they ask, and the answer.

A row's function runs in a thread. Whatever a client sends gets an answer with a sentence; none gets a traceback.
"""

import functools
from collections.abc import Mapping
from typing import Any, Final

import anyio.to_thread
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, WebSocketRoute
from starlette.routing import Route as HttpRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jetstream.errors import BusyError, JetstreamError
from jetstream.web import guard, live
from jetstream.web.logins import EndedSession, LoginError, NewSession, TooManyError
from jetstream.web.page_files import PageFiles
from jetstream.web.routes import FileAnswer, MissingError, Route, table
from jetstream.web.site import Site

MOST_BODY_BYTES: Final = 64_000
_STATUS: Final[Mapping[type[JetstreamError], int]] = {
    MissingError: 404,
    LoginError: 401,
    TooManyError: 429,
    BusyError: 503,
}


def app(site: Site) -> Starlette:
    """The application of a site."""
    routes = [HttpRoute(row.path, functools.partial(_answer, site, row), methods=[row.method]) for row in table()]
    return Starlette(
        routes=[*routes, WebSocketRoute("/api/live", functools.partial(live.serve, site)), Mount("/", PageFiles())],
        exception_handlers={404: _not_found, 405: _not_found},
    )


def guarded(site: Site) -> ASGIApp:
    """The application, with the guard's headers in each answer."""
    inner = app(site)

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await inner(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(name.lower().encode(), text.encode()) for name, text in guard.HEADERS.items()]
            await send(message)

        await inner(scope, receive, send_guarded)

    return run


async def _answer(site: Site, row: Route, request: Request) -> Response:
    if refused := guard.refusal(request.method, request.headers):
        return _error(403, refused)
    body = b""
    if row.method != "GET":
        read = await _body(request)
        if read is None:
            return _error(413, f"too large: at most {MOST_BODY_BYTES // 1000} kB")
        body = read
    return await anyio.to_thread.run_sync(_answered, site, row, request, body)


async def _body(request: Request) -> bytes | None:
    """None: it is too large; the rest isn't read."""
    if int(request.headers.get("content-length") or 0) > MOST_BODY_BYTES:
        return None
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BODY_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)


def _answered(site: Site, row: Route, request: Request, body: bytes) -> Response:
    caller = site.caller(request)
    try:
        if row.right is not None and (caller is None or not caller.has(row.right)):
            return _error(401, "log in first") if caller is None else _error(403, f"you may not: it needs {row.right}")
        asked = _asked(row, request, body)
        done = row.does(site, asked, caller or site.stranger(request))
    except msgspec.ValidationError as error:
        return _error(400, str(error))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _error(400, f"no JSON: {error}")
    except JetstreamError as error:
        wait = {"Retry-After": f"{error.wait_s:.0f}"} if isinstance(error, TooManyError) else {}
        return _error(_STATUS.get(type(error), 400), str(error), wait)
    return _response(site, done)


def _asked(row: Route, request: Request, body: bytes) -> msgspec.Struct:
    """Raises msgspec.ValidationError, DecodeError: it doesn't fit the row's struct."""
    if row.method == "GET":
        values = {**dict(request.query_params), **request.path_params}
        return msgspec.convert(values, row.takes, strict=False)
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise msgspec.ValidationError("expected JSON, with the header Content-Type: application/json")
    values = msgspec.json.decode(body)
    if isinstance(values, dict):
        values |= request.path_params
    return msgspec.convert(values, row.takes)


def _response(site: Site, done: Any) -> Response:
    if isinstance(done, FileAnswer):
        return Response(done.body, media_type=done.type, headers={"Cache-Control": "private, no-cache"})
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
