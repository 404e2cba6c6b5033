"""Deletion of old recordings: by age, and the oldest ones when all together take too much space.

A recording is ours if its name has the form that `record` gives and the first line of its events names that camera.
Nothing else in the folder is touched, and no link is followed. A recording is deleted as a whole, and never while it is
being written, nor for its age while the clock is in doubt.
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
from jetstream.recording.wall_clock import WallClock

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
    folder: Path,
    *,
    keep_days: float,
    keep_gb: float,
    now_s: float,
    in_use: Callable[[Path], bool],
    steady_s: float = 0.0,
    clock: WallClock | None = None,
) -> list[Path]:
    """Delete recordings older than `keep_days`, then the oldest until all take at most `keep_gb` (1e9 bytes).

    Returns the event files of those deleted. 0 is no limit. `now_s` is the wall clock, and `steady_s` the one that
    never leaps; `clock` knows what both said before. `in_use` says whether an event file is being written. A recording
    that can't be deleted stays, with a warning.
    """
    found = _by_age(list(recordings(folder)), now_s)
    total = sum(kept.n_bytes for kept in found)
    for_age = keep_days > 0 and _is_believed(clock or WallClock(), folder, found, now_s, steady_s, keep_days)
    gone = []
    for kept in found:
        age_s = now_s - kept.ended_s
        too_old = for_age and age_s > keep_days * DAY_S
        too_much = keep_gb > 0 and total > keep_gb * 1e9
        # far in the future it was written under another clock, not just now; a file server's clock may be a bit ahead
        if not (too_old or too_much) or -DAY_S < age_s < STILL_S or _is_used(kept, in_use):
            continue
        if _delete(kept, "older than record.keep_days" if too_old else "more than record.keep_gb"):
            total -= kept.n_bytes
            gone.append(kept.events)
    return gone


def _by_age(found: list[StoredRecording], now_s: float) -> list[StoredRecording]:
    """The oldest first. Where most are later than now, the clock is behind, and those before now are the newest."""
    behind = _is_behind(found, now_s)
    return sorted(found, key=lambda kept: (behind and kept.ended_s <= now_s + DAY_S, kept.ended_s))


def _is_behind(found: list[StoredRecording], now_s: float) -> bool:
    return 2 * sum(kept.ended_s > now_s + DAY_S for kept in found) > len(found)


def _is_believed(
    clock: WallClock, folder: Path, found: list[StoredRecording], now_s: float, steady_s: float, keep_days: float
) -> bool:
    """Whether the clock may decide what is old. Logs when that changes."""
    behind = _is_behind(found, now_s)
    times_s = [kept.ended_s for kept in found if behind or kept.ended_s <= now_s + DAY_S]
    before = clock.doubted
    why = clock.doubt(now_s, steady_s, max(times_s, default=None), keep_days * DAY_S)
    if why and not before:
        log.warning(
            "%s: %s, so nothing is deleted for its age until both agree again, or until jetstream has run for "
            "record.keep_days (%g) more; check the clock (timedatectl)",
            *(folder, why, keep_days),
        )
    elif before and not why:
        log.info("%s: the clock is believed again; old recordings are deleted", folder)
    return not why


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
