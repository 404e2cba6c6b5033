"""Deletion of old recordings: by age, and the oldest ones when all together take too much space.

A recording is ours if its name has the form that `record` gives and the first line of its events names that camera.
Nothing else in the folder is touched. A recording is deleted as a whole, and never while it is being written.
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

log = logging.getLogger(__name__)

STILL_S = 60.0
"""a recording that changed within this time is kept: on a disk without locks another process may be writing it"""
DAY_S = 86400.0
_STEM = re.compile(r"(?P<camera>[A-Za-z0-9][A-Za-z0-9_-]{0,39})-\d{8}T\d{6}(_\d+)?")
_SUFFIXES = (".mp4", ".jsonl")
LONGEST_LINE = 1 << 20
"""bytes; a longer line is no event"""


class _EventHead(msgspec.Struct):
    schema: int
    camera: str


class StoredRecording(NamedTuple):
    """One recording. The event file is last, since without it the video isn't known to be ours."""

    files: tuple[Path, ...]
    n_bytes: int
    ended_s: float  # time of the last change, wall clock

    @property
    def events(self) -> Path:
        return self.files[-1]


def sweep(
    folder: Path, *, keep_days: float, keep_gb: float, now_s: float, in_use: Callable[[Path], bool]
) -> list[Path]:
    """Delete recordings older than `keep_days`, then the oldest until all take at most `keep_gb` (1e9 bytes).

    Returns the event files of those deleted. 0 is no limit. `now_s` is the wall clock. `in_use` says whether an event
    file is being written. A recording that can't be deleted stays, with a warning.
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
    """The recordings in `folder` that `record` wrote."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return  # the disk was removed
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
    """Whether a line is an event of that camera."""
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
