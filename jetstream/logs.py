"""Log lines: as text, as JSON, or as fields of systemd's journal; without passwords, and a repeated one summed up.

Knows no stage. Nobody's face and nobody's sighting is ever logged: that is what events are for.
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
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TextIO

JOURNAL = "/run/systemd/journal/socket"
LONGEST_CHARACTERS = 4000
"""of one message; a datagram to the journal must fit into a socket's buffer"""
OFTEN, WINDOW_S = 3, 60.0
"""so many lines alike in this time are told; the others are counted, and told as one when it is over"""
MOST_KINDS = 256
"""kinds of lines that are remembered at once"""
PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}

_PASSWORD = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#]*@")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def set_up_logging(name: str, level: str, form: str = "text") -> None:
    """Log what this process has to say, under its `name`, from `level` up. May be called again.

    `form`: `text`, lines `jetstream <level> <process>: <text>` on standard error, or the journal's fields where that is
    the journal; `json`, an object a line.
    """
    handler = LineHandler(name, form)
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, LineHandler)]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level.upper())


def last_words(text: str) -> None:
    """Why the command ends: in the form of its other lines, where programs read these; else for people."""
    if any(isinstance(handler, LineHandler) and handler.is_for_programs for handler in logging.getLogger().handlers):
        logging.getLogger("jetstream").error("%s", text)
    else:
        print(f"jetstream: {masked(text)}", file=sys.stderr)


def masked(text: str) -> str:
    """Without user and password of any address in it. A last guard: who writes a line masks its source already."""
    return _PASSWORD.sub(r"\1***@", text)


class LineHandler(logging.Handler):
    """Writes each record as one line or datagram."""

    def __init__(self, name: str, form: str = "text", stream: TextIO | None = None, journal: str = JOURNAL) -> None:
        super().__init__()
        self._process = name
        self._stream = stream or sys.stderr
        self._json = form == "json"
        self._journal = None if self._json else open_journal(self._stream, os.environ, journal)
        self._repeats = RepeatFilter()
        self._timer: threading.Timer | None = None

    @property
    def is_for_programs(self) -> bool:
        return self._json or self._journal is not None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
            if record.exc_info:
                text = f"{text}\n{logging.Formatter().formatException(record.exc_info)}"
            text = masked(text)[:LONGEST_CHARACTERS]
            self._tell_of_repeats()
            if self._repeats.is_told(record.levelno, text, time.monotonic()):
                self._write(record.levelno, text, record.created)
            else:
                self._wait_for_an_end()
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """What was counted is told before the process ends."""
        self._tell_of_repeats(all_of_them=True)
        if self._timer is not None:
            self._timer.cancel()
        if self._journal is not None:
            self._journal.close()
        super().close()

    def _at_the_end(self) -> None:
        with self.lock or threading.RLock():
            self._timer = None
            self._tell_of_repeats()
            self._wait_for_an_end()

    def _wait_for_an_end(self) -> None:
        """Of the next window with lines that weren't told: perhaps nothing more is logged until then."""
        if self._timer is None and (due_s := self._repeats.due_s()) is not None:
            self._timer = threading.Timer(max(due_s - time.monotonic(), 0.0), self._at_the_end)
            self._timer.daemon = True
            self._timer.start()

    def _tell_of_repeats(self, *, all_of_them: bool = False) -> None:
        for level, text, count in self._repeats.over(None if all_of_them else time.monotonic()):
            self._write(level, f"{text} (and {count} more like it within {WINDOW_S:.0f} s)", time.time(), count)

    def _write(self, level: int, text: str, created_s: float, repeated: int = 0) -> None:
        if self._journal is not None and self._to_journal(level, text, repeated):
            return
        line = self._as_json(level, text, created_s, repeated) if self._json else self._as_text(level, text)
        with contextlib.suppress(OSError, ValueError):  # whoever read it is gone, which is no reason to fail
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
            return False  # it restarts, perhaps: standard error leads there too
        return True


class RepeatFilter:
    """Which lines are told, and how many weren't. Lines that differ in numbers alone are alike. Knows no clock."""

    def __init__(self) -> None:
        self._kinds: dict[
            tuple[int, str], tuple[float, int, str]
        ] = {}  # begin of its window, lines in it, the last one

    def is_told(self, level: int, text: str, now_s: float) -> bool:
        kind = (level, _NUMBER.sub("#", text))
        since_s, count, _ = self._kinds.get(kind, (now_s, 0, ""))
        if kind not in self._kinds and len(self._kinds) >= MOST_KINDS:
            return True
        self._kinds[kind] = (since_s, count + 1, text)
        return count < OFTEN

    def due_s(self) -> float | None:
        """When the next window is over of which something is left to tell; None: nothing is."""
        return min((since_s + WINDOW_S for since_s, count, _ in self._kinds.values() if count > OFTEN), default=None)

    def over(self, now_s: float | None) -> list[tuple[int, str, int]]:
        """Level, last line and number of those not told, of each kind whose window is over; None: of all."""
        told = []
        for kind, (since_s, count, text) in list(self._kinds.items()):
            if now_s is None or now_s >= since_s + WINDOW_S:
                del self._kinds[kind]
                if count > OFTEN:
                    told.append((kind[0], text, count - OFTEN))
        return told


def open_journal(stream: TextIO, environment: Mapping[str, str], path: str = JOURNAL) -> socket.socket | None:
    """A socket to systemd's journal, where `stream` leads there by systemd's own word (JOURNAL_STREAM); else None."""
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
    """The journal's own protocol: `KEY=value` lines; a value of several lines stands after its length (uint64, LE)."""
    parts = []
    for key, value in fields.items():
        data = value.encode(errors="replace")
        is_long = b"\n" in data
        parts.append(key.encode() + (b"\n" + struct.pack("<Q", len(data)) if is_long else b"=") + data + b"\n")
    return b"".join(parts)
