"""Event lines on disk: a file of JSON Lines that is locked while it is written, and what its end says."""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import BinaryIO, TextIO

import msgspec

from jetstream.errors import GARBLED, UserError
from jetstream.events import Event, event_of
from jetstream.messages import Tracked
from jetstream.recording import retention


def open_events(path: Path) -> TextIO:
    """A new file of event lines, readable by its owner only; each line leaves the process as soon as it is written.

    `is_open` until it is closed. Raises UserError when it can't be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a folder that can be written") from None
    with contextlib.suppress(OSError):  # not every network folder has locks
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    return open(descriptor, "w", buffering=1, encoding="utf-8")


def is_open(path: Path) -> bool:
    """Whether these events, or the video beside them, are still written. Raises OSError where that can't be seen."""
    with path.open("rb+") as events:
        try:
            fcntl.flock(events, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False  # no locks here, so nobody can tell
    return False


def write_event(events: TextIO, tracked: Tracked, hop: str = "", at_ns: int = 0) -> None:
    events.write(msgspec.json.encode(event_of(tracked, hop, at_ns)).decode() + "\n")


def last_event(folder: Path, camera: str) -> Event | None:
    """In the last whole line of the camera's newest events; None without any that can be read."""
    try:
        found = [path for path in folder.glob(f"{camera}-*.jsonl") if path.is_file()]
        for path in sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True):
            with path.open("rb") as events, contextlib.suppress(*GARBLED):
                _, whole = _whole_lines_at_the_end(events)
                event = msgspec.json.decode(whole[whole.rfind(b"\n", 0, -1) + 1 :], type=Event)
                if event.camera == camera:  # and not `a-b` for `a`
                    return event
    except OSError:
        pass  # what can't be read here can't be written: `open_events` says so
    return None


def cut_to_last_line(events: Path) -> None:
    """Take away a line that a full disk left unfinished. Raises OSError."""
    with events.open("rb+") as file:
        begin, whole = _whole_lines_at_the_end(file)
        file.truncate(begin + len(whole))


def _whole_lines_at_the_end(events: BinaryIO) -> tuple[int, bytes]:
    """Where they begin, and they."""
    begin = events.seek(max(0, events.seek(0, os.SEEK_END) - retention.LONGEST_LINE))
    tail = events.read()
    return begin, tail[: tail.rfind(b"\n") + 1]


def unused(folder: Path, stem: str) -> Path:
    """`folder/stem`, or with a number behind it, so that nothing recorded before is overwritten."""
    candidate, number = folder / stem, 1
    while any(candidate.with_suffix(suffix).exists() for suffix in (".mp4", ".jsonl")):
        number += 1
        candidate = folder / f"{stem}_{number}"  # sorts behind `stem.jsonl`, which `-` does not
    return candidate
