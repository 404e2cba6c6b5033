"""Child processes of jetstream: they end with their parent, and one may work in the background beside a sidecar."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PR_SET_PDEATHSIG = 1  # prctl(2)
TURN_S = 0.1
"""longest wait between two ticks"""
NICENESS = 10
"""Niceness, of at most 19: video has priority, and training still proceeds on a busy machine."""


def die_with_parent() -> None:
    """Make the kernel send SIGKILL to this process when its parent ends, even when it hangs (PR_SET_PDEATHSIG).

    Files must survive that: write them with `files.replace`.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def give_way(niceness: int = NICENESS) -> None:
    """Lower this process's priority, and that of its session where the kernel schedules by session (autogroup)."""
    os.nice(niceness)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(niceness))


def run_background(module: str, content: bytes, ticks: Iterator[object]) -> int | None:
    """Run `python -m MODULE PID` with `content` on its standard input, until it ends; its exit code.

    `ticks` go on meanwhile; where they end, the process is killed, and None is returned. Its memory is freed when it
    ends, and a crash ends no stage.
    """
    command = [sys.executable, "-m", module, str(os.getpid())]
    # a session of its own: the kernel weighs sessions against each other, and only then its members by their niceness
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdin is not None
            with (
                contextlib.suppress(BrokenPipeError),
                process.stdin as stdin,
            ):  # it ended at once: its exit code says so
                stdin.write(content)
            for _tick in ticks:
                time.sleep(TURN_S)
                if (code := process.poll()) is not None:
                    return code
        finally:
            process.kill()
    return None
