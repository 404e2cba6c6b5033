"""Old recordings go: by age, and the oldest where they take too much room together.

A recording is ours when its name is one that `record` gives and the first line of its events names that camera; nothing
else in the folder is ever touched. It goes as a whole, and never while it is written.
"""

import logging
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from jetstream.errors import GARBLED

log = logging.getLogger("jetstream")

STILL_S = 60.0
"""a recording that changed so lately may be another process's, on a disk that has no locks"""
DAY_S = 86400.0
_STEM = re.compile(r"(?P<camera>[A-Za-z0-9][A-Za-z0-9_-]{0,39})-\d{8}T\d{6}(_\d+)?")
_SUFFIXES = (".mp4", ".jsonl")
LONGEST_LINE = 1 << 20
"""bytes of an event line, and more; what is longer is no event"""


class _EventHead(msgspec.Struct):
    schema: int
    camera: str


class StoredRecording(NamedTuple):
    """One recording: its events last, since without them nobody knows that the video is ours."""

    files: tuple[Path, ...]
    n_bytes: int
    ended_s: float  # wall clock, of its last change

    @property
    def events(self) -> Path:
        return self.files[-1]


def sweep(
    folder: Path, *, keep_days: float, keep_gb: float, now_s: float, in_use: Callable[[Path], bool]
) -> list[Path]:
    """Delete what is too old, then the oldest until all take at most `keep_gb` (1e9 bytes); the events' paths.

    0 is no limit. `now_s` is the wall clock. `in_use` tells of event files whether they are being written. What can't
    be deleted stays, with a warning.
    """
    found = sorted(recordings(folder), key=lambda kept: kept.ended_s)
    total = sum(kept.n_bytes for kept in found)
    gone = []
    for kept in found:
        too_old = keep_days > 0 and now_s - kept.ended_s > keep_days * DAY_S
        too_much = keep_gb > 0 and total > keep_gb * 1e9
        if not (too_old or too_much) or now_s - kept.ended_s < STILL_S or _is_used(kept, in_use):
            continue
        if _delete(kept, "older than record.keep_days" if too_old else "more than record.keep_gb"):
            total -= kept.n_bytes
            gone.append(kept.events)
    return gone


def recordings(folder: Path) -> Iterator[StoredRecording]:
    """Those that `record` made in `folder`."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return  # a disk that went away has nothing to delete
    for name in names:
        match = _STEM.fullmatch(Path(name).stem)
        if match is None or not name.endswith(".jsonl"):
            continue
        events = folder / name
        files = [path for path in (events.with_suffix(suffix) for suffix in _SUFFIXES) if _is_file(path)]
        if events in files and is_ours(_first_line(events), match["camera"]):
            try:
                status = [path.stat() for path in files]
            except OSError:
                continue
            yield StoredRecording(tuple(files), sum(s.st_size for s in status), max(s.st_mtime for s in status))


def is_ours(line: bytes, camera: str) -> bool:
    """Whether it is an event line of that camera."""
    try:
        return msgspec.json.decode(line, type=_EventHead).camera == camera
    except GARBLED:
        return False


def _is_used(kept: StoredRecording, in_use: Callable[[Path], bool]) -> bool:
    try:
        return in_use(kept.events)
    except OSError:
        return True


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _first_line(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.readline(LONGEST_LINE)
    except OSError:
        return b""


def _delete(kept: StoredRecording, why: str) -> bool:
    try:
        for path in kept.files:
            path.unlink()
    except OSError as error:
        log.warning("%s: %s, but can't be deleted (%s)", error.filename, why, error.strerror)
        return False
    return True
