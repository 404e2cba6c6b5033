"""Log lines as text, as JSON, or as fields of systemd's journal. Passwords are masked and repeated lines are counted.

Knows no stage. No log line says who was seen: only events do.
"""

import contextlib
import json
import logging
import os
import re
import socket
import struct
import sys
import threading
import time
import traceback
import types
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import TextIO

from jetstream.masking import masked
from jetstream.newest_lines import LEVELS, Level, LogLine, NewestLines

JOURNAL = "/run/systemd/journal/socket"
LONGEST_CHARACTERS = 4000
"""Longest message; a datagram to the journal must fit into a socket's buffer."""
MOST_ALIKE, WINDOW_S = 3, 60.0
"""The first MOST_ALIKE similar lines within WINDOW_S seconds are written. The others are counted, and one line with the
count follows after that time."""
MOST_EARLY = 100
"""Lines that are remembered until it is known where they are kept: those of before a run has its folder."""
MOST_PATTERNS = 256
"""Similar lines are counted for at most so many patterns at once; lines of further patterns are all written."""
PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def set_up_logging(name: str, level: str, form: str = "text", lines: NewestLines | None = None) -> None:
    """Write this process's log lines from `level` (`debug`, `info`, `warning`, `error`) up, under its `name`.

    `form` is `text`, lines `jetstream <level> <process>: <text>` on standard error, or fields where that is systemd's
    journal; or `json`, an object per line. Each line is also added to `lines`. A second call replaces the first.
    """
    handler = LineHandler(name, form)
    handler.keep_in(lines)
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, LineHandler)]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level.upper())


@contextlib.contextmanager
def kept_in(lines: NewestLines) -> Iterator[None]:
    """This process's lines are also added to `lines` while the block runs, with those of before."""
    for handler in _handlers():
        handler.keep_in(lines)
    try:
        yield
    finally:
        for handler in _handlers():
            handler.keep_in(None)


def _handlers() -> "Iterator[LineHandler]":
    yield from (one for one in logging.getLogger().handlers if isinstance(one, LineHandler))


def log_end(text: str) -> None:
    """Write why the command ends: as a log line where the log is machine-readable, else plainly on standard error."""
    if any(handler.is_machine_readable for handler in _handlers()):
        logging.getLogger("jetstream").error("%s", text)
    else:
        print(f"jetstream: {masked(text)}", file=sys.stderr)


def mask_tracebacks() -> None:
    """From now on this process writes the traceback of an exception that nobody handles with passwords masked."""
    sys.excepthook = _write_traceback
    threading.excepthook = lambda raised: (
        None
        if raised.exc_type is SystemExit
        else _write_traceback(raised.exc_type, raised.exc_value, raised.exc_traceback)
    )
    sys.unraisablehook = lambda raised: _write_traceback(raised.exc_type, raised.exc_value, raised.exc_traceback)


def _write_traceback(kind: type[BaseException], error: BaseException | None, trace: types.TracebackType | None) -> None:
    text = "".join(traceback.format_exception(kind, error, trace))
    for handler in _handlers():
        handler.keep(logging.ERROR, masked(text)[-LONGEST_CHARACTERS:], time.time())
    with contextlib.suppress(OSError, ValueError, AttributeError):  # standard error is closed
        sys.stderr.write(masked(text))
        sys.stderr.flush()


class LineHandler(logging.Handler):
    """Writes each record as one line to `stream` (standard error by default), or as one datagram to `journal`."""

    def __init__(self, name: str, form: str = "text", stream: TextIO | None = None, journal: str = JOURNAL) -> None:
        super().__init__()
        self._process = name
        self._stream = stream or sys.stderr
        self._json = form == "json"
        self._journal = None if self._json else open_journal(self._stream, os.environ, journal)
        self._repeats = RepeatFilter()
        self._timer: threading.Timer | None = None
        self._lines: NewestLines | None = None
        self._early: deque[LogLine] = deque(maxlen=MOST_EARLY)

    def keep_in(self, lines: NewestLines | None) -> None:
        """Add each line to `lines`, from now on, and those that were written before."""
        self._lines = lines
        while lines is not None and self._early:
            lines.add(self._early.popleft())

    def keep(self, level: int, text: str, created_s: float) -> None:
        """Add a line to those that are kept, and write it nowhere else."""
        line = LogLine(created_s, _level_of(level), self._process, text)
        if self._lines is None:
            self._early.append(line)
        else:
            self._lines.add(line)

    @property
    def is_machine_readable(self) -> bool:
        """Whether lines go out as JSON or as the journal's fields."""
        return self._json or self._journal is not None

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, or count it as a repetition."""
        try:
            text = record.getMessage()
            if record.exc_info:
                text = f"{text}\n{logging.Formatter().formatException(record.exc_info)}"
            text = masked(text)[:LONGEST_CHARACTERS]
            self._write_summaries()
            if self._repeats.passes(record.levelno, text, time.monotonic()):
                self._write(record.levelno, text, record.created)
            else:
                self._start_timer()
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Write the counts of repeated lines; then close."""
        self._write_summaries(everything=True)
        if self._timer is not None:
            self._timer.cancel()
        if self._journal is not None:
            self._journal.close()
        super().close()

    def _on_timer(self) -> None:
        with self.lock or threading.RLock():
            self._timer = None
            self._write_summaries()
            self._start_timer()

    def _start_timer(self) -> None:
        """Start a timer for the end of the next window with counted lines: no other line may be logged until then."""
        if self._timer is None and (due_s := self._repeats.due_s()) is not None:
            self._timer = threading.Timer(max(due_s - time.monotonic(), 0.0), self._on_timer)
            self._timer.daemon = True
            self._timer.start()

    def _write_summaries(self, *, everything: bool = False) -> None:
        for level, text, count in self._repeats.summaries(None if everything else time.monotonic()):
            self._write(level, f"{text} (and {count} more like it within {WINDOW_S:.0f} s)", time.time(), count)

    def _write(self, level: int, text: str, created_s: float, repeated: int = 0) -> None:
        self.keep(level, text, created_s)
        if self._journal is not None and self._to_journal(level, text, repeated):
            return
        line = self._as_json(level, text, created_s, repeated) if self._json else self._as_text(level, text)
        with contextlib.suppress(OSError, ValueError):  # the reader of a pipe has ended: not a reason to fail
            self._stream.write(line + "\n")
            self._stream.flush()

    def _as_text(self, level: int, text: str) -> str:
        return f"jetstream {logging.getLevelName(level).lower()} {self._process}: {text}"

    def _as_json(self, level: int, text: str, created_s: float, repeated: int) -> str:
        wall = datetime.fromtimestamp(created_s, timezone.utc).isoformat(timespec="milliseconds")
        line = {
            "time": wall.replace("+00:00", "Z"),
            "level": logging.getLevelName(level).lower(),
            "process": self._process,
            "pid": os.getpid(),
            "message": text,
        }
        _, _, camera = self._process.partition(".")
        return json.dumps(
            {**line, **({"camera": camera} if camera else {}), **({"more": repeated} if repeated else {})}
        )

    def _to_journal(self, level: int, text: str, repeated: int) -> bool:
        _, _, camera = self._process.partition(".")
        fields = {
            "MESSAGE": text,
            "PRIORITY": str(PRIORITIES.get(level, 6)),
            "SYSLOG_IDENTIFIER": "jetstream",
            "JETSTREAM_PROCESS": self._process,
            **({"JETSTREAM_CAMERA": camera} if camera else {}),
            **({"JETSTREAM_MORE": str(repeated)} if repeated else {}),
        }
        assert self._journal is not None
        try:
            self._journal.send(datagram(fields))
        except OSError:
            return False  # perhaps it restarts: standard error leads there too
        return True


class RepeatFilter:
    """Decides which lines are written, and counts the others. Lines that differ only in numbers are similar.

    Knows no clock: times are arguments, in seconds of any monotonic clock.
    """

    def __init__(self) -> None:
        self._kinds: dict[
            tuple[int, str], tuple[float, int, str]
        ] = {}  # start of the window in s, number of lines in it, the last line

    def passes(self, level: int, text: str, now_s: float) -> bool:
        """Whether to write this line; if not, it is counted."""
        kind = (level, _NUMBER.sub("#", text))
        since_s, count, _ = self._kinds.get(kind, (now_s, 0, ""))
        if kind not in self._kinds and len(self._kinds) >= MOST_PATTERNS:
            return True
        self._kinds[kind] = (since_s, count + 1, text)
        return count < MOST_ALIKE

    def due_s(self) -> float | None:
        """When the next window with counted lines ends; None if no line was counted."""
        return min(
            (since_s + WINDOW_S for since_s, count, _ in self._kinds.values() if count > MOST_ALIKE), default=None
        )

    def summaries(self, now_s: float | None) -> list[tuple[int, str, int]]:
        """(level, last line, number of lines not written) for each pattern whose window has ended; None: for all.

        Forgets these patterns.
        """
        found = []
        for kind, (since_s, count, text) in list(self._kinds.items()):
            if now_s is None or now_s >= since_s + WINDOW_S:
                del self._kinds[kind]
                if count > MOST_ALIKE:
                    found.append((kind[0], text, count - MOST_ALIKE))
        return found


def _level_of(number: int) -> Level:
    """The name of the level that a line's number reaches."""
    return next((name for name in reversed(LEVELS) if number >= getattr(logging, name.upper())), LEVELS[0])


def open_journal(stream: TextIO, environment: Mapping[str, str], path: str = JOURNAL) -> socket.socket | None:
    """A socket to systemd's journal if `stream` leads there, else None.

    systemd names the stream's device and inode in `environment`'s JOURNAL_STREAM (systemd.exec(5)).
    """
    try:
        device, inode = environment.get("JOURNAL_STREAM", "").split(":")
        status = os.fstat(stream.fileno())
        if (int(device), int(inode)) != (status.st_dev, status.st_ino):
            return None
        journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        journal.connect(path)
    except OSError:
        journal.close()
        return None
    return journal


def datagram(fields: Mapping[str, str]) -> bytes:
    """`fields` in the journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL).

    Lines are `KEY=value`; a value with newlines follows its key and its length (uint64, little-endian).
    """
    parts = []
    for key, value in fields.items():
        data = value.encode(errors="replace")
        is_long = b"\n" in data
        parts.append(key.encode() + (b"\n" + struct.pack("<Q", len(data)) if is_long else b"=") + data + b"\n")
    return b"".join(parts)
