"""What a run says: its newest log lines."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from jetstream.newest_lines import Level, LogLine
from jetstream.web.access import Caller
from jetstream.web.routes import Route
from jetstream.web.site import Site

MOST_LINES: Final = 500


class LinesWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which log lines."""

    level: Level = "info"
    """this one and those above it"""
    most: Annotated[int, Meta(ge=1, le=MOST_LINES)] = 200
    """the newest so many"""


def log_lines(site: Site, wanted: LinesWanted, _: Caller) -> list[LogLine]:
    """The newest log lines of the run, the newest first."""
    return site.run_dir.lines.read(wanted.level, wanted.most)


ROUTES: tuple[Route, ...] = (Route("GET", "/api/log", "rule", log_lines, LinesWanted, list[LogLine]),)
