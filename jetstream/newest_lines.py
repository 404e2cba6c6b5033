"""The newest log lines of a run, of all its processes, in a file and the one before it, both of a limited size.

Each process adds its own lines; a line is a JSON object. They were masked before. Knows no logger.
"""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec

from jetstream.errors import GARBLED

Level = Literal["debug", "info", "warning", "error", "critical"]
LEVELS: Final[tuple[Level, ...]] = get_args(Level)
OLD: Final = ".old"
"""at the end of the name of the file before"""
FULL_BYTES: Final = 128_000
"""a file that is larger becomes the one before: together they hold a thousand usual lines"""


class LogLine(msgspec.Struct, frozen=True):
    """A line of the log."""

    wall_s: float
    """seconds since 1970"""
    level: Level
    process: str
    text: str


class NewestLines:
    """The lines in `path`. Shared by processes and threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._old = path.with_name(path.name + OLD)

    def add(self, line: LogLine) -> None:
        """Add a line; where it can't be written, it is only missing here."""
        with contextlib.suppress(OSError):
            fd = os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, msgspec.json.encode(line) + b"\n")
                if os.fstat(fd).st_size > FULL_BYTES:
                    self._put_away(fd)
            finally:
                os.close(fd)

    def _put_away(self, fd: int) -> None:
        """Make the open file the one before, unless another process just did."""
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.path.samestat(os.fstat(fd), os.stat(self.path)):
            os.replace(self.path, self._old)

    def read(self, level: Level, most: int) -> list[LogLine]:
        """The newest lines of this level and the ones above, the newest first. One that is damaged is left out."""
        found: list[LogLine] = []
        wanted = LEVELS[LEVELS.index(level) :]
        for path in (self._old, self.path):
            with contextlib.suppress(OSError):
                for text in path.read_bytes().splitlines():
                    with contextlib.suppress(*GARBLED):
                        found.append(msgspec.json.decode(text, type=LogLine))
        found = [line for line in found if line.level in wanted]
        return sorted(found, key=lambda line: line.wall_s, reverse=True)[:most]
