"""What can be asked of the page, as one table: from it come the router, every check, the description of the API, and a
test that attacks each row.

A row's function is called in a thread, with the site, what was asked, and who asks. Knows no HTTP server.
"""

from collections.abc import Callable
from typing import Any, BinaryIO, Literal, NamedTuple

import msgspec

from jetstream.errors import UserError
from jetstream.web.access import Caller, Right
from jetstream.web.site import Site

Method = Literal["GET", "POST"]


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Neither asked nor answered."""


class FileAnswer(NamedTuple):
    """Bytes with a type of their own, such as a picture."""

    body: bytes
    type: str
    policy: str = ""
    """a Content-Security-Policy of its own"""


class OpenedFile(NamedTuple):
    """A file that is sent a piece at a time, or a range of it, such as a clip. Who sends it closes it."""

    file: BinaryIO
    n_bytes: int
    """so many from its beginning"""
    type: str
    tag: str
    """its ETag, in quotes"""
    name: str
    """what it is called where it is kept"""


class MissingError(UserError):
    """What was asked for isn't there."""


Does = Callable[[Site, Any, Caller], Any]
"""Raises UserError: can't be done, and why; MissingError: what it is about isn't there"""


class Route(NamedTuple):
    """A row. `takes` is filled from the path and, of GET, the query, else from a JSON body. With `most_bytes` it is
    filled from path and query, and its field `body` has what was sent as it is, such as a picture."""

    method: Method
    path: str
    right: Right | None
    """what the caller must be allowed to; None: anybody, also who didn't log in"""
    does: Does
    takes: type[msgspec.Struct] = Nothing
    gives: Any = Nothing
    """a struct, a list of them, FileAnswer (also for an OpenedFile), or any map"""
    most_bytes: int = 0
    """the largest body that is no JSON; 0: it is JSON"""


def table() -> tuple[Route, ...]:
    """All rows."""
    from jetstream.web import (
        changes_view,
        clips_view,
        live_view,
        logins,
        openapi,
        people_view,
        reach_view,
        setup_view,
        sightings_view,
        system_view,
    )

    return (
        *openapi.ROUTES,
        *logins.ROUTES,
        *live_view.ROUTES,
        *sightings_view.ROUTES,
        *clips_view.ROUTES,
        *people_view.ROUTES,
        *changes_view.ROUTES,
        *system_view.ROUTES,
        *setup_view.ROUTES,
        *reach_view.ROUTES,
    )
