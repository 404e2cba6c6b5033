"""Doubts about the wall clock, for whoever deletes by age: did it leap, and does it agree with what it said before?

Times are arguments: `now_s` of the wall clock, `steady_s` of a clock that counts from the machine's start and never
leaps (CLOCK_BOOTTIME). What is known outlives the process and the machine's restart in a small file.
"""

import contextlib
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

import msgspec

from jetstream import files
from jetstream.errors import GARBLED

LEAP_S: Final = 7200.0
"""Least leap that is doubted; of a short window, a tenth of that."""
WRITE_EVERY_S: Final = 600.0
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class _Agreed(msgspec.Struct, frozen=True):
    """When both clocks last agreed."""

    wall_s: float
    steady_s: float = 0.0
    boot: str = ""  # `steady_s` counts in this boot alone; "": of no boot, only `wall_s` is known
    doubted_s: float = 0.0  # time that jetstream has run since then with a doubtful clock


class WallClock:
    """The wall clock as it is believed. `note` is the file that outlives the process."""

    def __init__(self, note: Path | None = None) -> None:
        self._note = note
        self.doubted = False  # the last answer of `doubt`
        self._boot = _boot_id()
        self._agreed: _Agreed | None = None
        self._checked_s: float | None = None
        self._written_s: float | None = None
        if note is not None:
            with contextlib.suppress(OSError, *GARBLED):
                self._agreed = msgspec.json.decode(note.read_bytes(), type=_Agreed)

    def doubt(self, now_s: float, steady_s: float, newest_s: float | None, window_s: float) -> str:
        """Why the clock isn't believed, as the middle of a sentence; empty if it is.

        It is believed if it moved as the steady clock did since both agreed; after a restart of the machine, if it is
        later than before by at most `window_s`. Where nothing is known, `newest_s`, the time of the newest recording,
        counts as agreed. After `window_s` in doubt it is believed anyway: by then, all that was old is old enough.
        """
        if self._agreed is None:
            self._agreed = _Agreed(now_s if newest_s is None else newest_s)
        agreed, since_s = self._agreed, self._checked_s
        self._checked_s = steady_s
        same_boot = agreed.boot == self._boot
        expected_s = agreed.wall_s + (steady_s - agreed.steady_s if same_boot else 0.0)
        leap_s = min(LEAP_S, window_s / 10)
        doubted_s = agreed.doubted_s + (0.0 if since_s is None else steady_s - since_s)
        why = ""
        if -leap_s <= now_s - expected_s <= (leap_s if same_boot else window_s) or doubted_s >= window_s:
            self._agreed = _Agreed(now_s, steady_s, self._boot)
        else:
            self._agreed = msgspec.structs.replace(agreed, doubted_s=doubted_s)
            why = _said(now_s, expected_s, leapt=same_boot)
        if self._written_s is None or steady_s - self._written_s >= WRITE_EVERY_S:
            self._written_s = steady_s
            self._write()
        self.doubted = bool(why)
        return why

    def _write(self) -> None:
        if self._note is not None:
            with contextlib.suppress(OSError):  # a full disk, or one that can't be written: only a restart forgets
                files.replace(self._note, msgspec.json.encode(self._agreed), mode=0o600)


def _said(now_s: float, expected_s: float, *, leapt: bool) -> str:
    off_s = abs(now_s - expected_s)
    far = f"{off_s / 86400:.0f} days" if off_s >= 2 * 86400 else f"{off_s / 3600:.1f} hours"
    if leapt:
        return f"the clock leapt {far} {'ahead' if now_s > expected_s else 'back'}, to {_date(now_s)}"
    order = "after" if now_s > expected_s else "before"
    return f"the clock says {_date(now_s)}, {far} {order} the newest recordings"


def _date(wall_s: float) -> str:
    try:
        return datetime.fromtimestamp(wall_s, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return f"{wall_s:.0f} s"


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return "this"  # of a system without it: then a restart looks like a leap, which is doubted too
