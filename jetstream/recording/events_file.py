"""Event files: JSON Lines that are locked while they are written, and how to read and repair their end."""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import BinaryIO, TextIO

import msgspec

from jetstream import files
from jetstream.errors import GARBLED, UserError
from jetstream.events import Event, event_of
from jetstream.messages import Tracked
from jetstream.recording import retention


def open_events(path: Path) -> TextIO:
    """A new event file, readable by its owner only and line-buffered.

    `is_open` is true for it until it is closed. Raises UserError when it can't be written, or is a link.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        files.warn_if_open(descriptor, path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a folder that can be written") from None
    with contextlib.suppress(OSError):  # not every network folder has locks
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    return open(descriptor, "w", buffering=1, encoding="utf-8")


def is_open(path: Path) -> bool:
    """Whether a recording of these events is still being written. Raises OSError where the file can't be opened."""
    with path.open("rb+") as events:
        try:
            fcntl.flock(events, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False  # the file system has no locks, so it is unknown
    return False


def write_event(events: TextIO, tracked: Tracked, hop: str = "", at_ns: int = 0) -> None:
    """Append the event of a frame as a line; `hop` and `at_ns` (CLOCK_MONOTONIC) add the time of a last hop."""
    events.write(msgspec.json.encode(event_of(tracked, hop, at_ns)).decode() + "\n")


def last_event(folder: Path, camera: str) -> Event | None:
    """The event in the last complete line of the camera's newest event file; None if none can be read."""
    try:
        found = [path for path in folder.glob(f"{camera}-*.jsonl") if path.is_file()]
        for path in sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True):
            with path.open("rb") as events, contextlib.suppress(*GARBLED):
                _, whole = _whole_lines_at_the_end(events)
                event = msgspec.json.decode(whole[whole.rfind(b"\n", 0, -1) + 1 :], type=Event)
                if event.camera == camera:  # the pattern for `a` also finds files of `a-b`
                    return event
    except OSError:
        pass  # `open_events` reports it, since the folder can't be written either
    return None


def cut_to_last_line(events: Path) -> None:
    """Remove an incomplete last line, which a full disk leaves. Raises OSError."""
    with events.open("rb+") as file:
        begin, whole = _whole_lines_at_the_end(file)
        file.truncate(begin + len(whole))


def _whole_lines_at_the_end(events: BinaryIO) -> tuple[int, bytes]:
    """(offset, bytes) of the file's last LONGEST_LINE bytes, cut after the last newline."""
    begin = events.seek(max(0, events.seek(0, os.SEEK_END) - retention.LONGEST_LINE))
    tail = events.read()
    return begin, tail[: tail.rfind(b"\n") + 1]


def unused(folder: Path, stem: str) -> Path:
    """`folder/stem`, with a number appended if a recording has that name, so that none is overwritten."""
    candidate, number = folder / stem, 1
    while any(os.path.lexists(candidate.with_suffix(suffix)) for suffix in (".mp4", ".jsonl")):
        number += 1
        candidate = folder / f"{stem}_{number}"  # `_` sorts after `stem.jsonl`, `-` does not
    return candidate
