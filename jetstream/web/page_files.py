"""The files of the page itself, from the installed package, in memory."""

import hashlib
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

FOLDER: Final = Path(__file__).parent / "page"
TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


class PageFiles:
    """An ASGI application: `/`, and paths whose first part has no dot, are index.html, whose script reads the path."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, str, str]] = {}
        for path in sorted(one for one in FOLDER.rglob("*") if one.is_file()):
            body = path.read_bytes()
            kind = TYPES.get(path.suffix, "text/plain")
            self._files[f"/{path.relative_to(FOLDER)}"] = body, kind, f'"{hashlib.sha256(body).hexdigest()[:32]}"'

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await self._response(Request(scope))(scope, receive, send)

    def _response(self, request: Request) -> Response:
        path = request.scope["path"]  # request.url needs a Host that makes sense
        if request.method not in ("GET", "HEAD"):
            return JSONResponse({"error": f"this address takes no {request.method}"}, 405)
        found = self._files.get(path) or (
            None if "." in path.split("/")[1] or path.startswith("/api/") else self._files["/index.html"]
        )
        if found is None:
            return JSONResponse({"error": "there is nothing at this address"}, 404)
        body, kind, tag = found
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=kind, headers=headers)
