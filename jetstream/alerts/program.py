"""Runs the program of an alert: fixed words, no shell, the alert on standard input, a time limit.

When it has ended, or its time has, what it left running is killed; it is killed itself when this process dies.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import IO, Final, NamedTuple

from jetstream.video import die_with_parent

MOST_OUTPUT_BYTES: Final = 2000
"""that are kept of what it prints"""
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ProgramEnd(NamedTuple):
    """How a program ended."""

    code: int | None  # exit code, negative: by that signal; None: the time limit ended it
    output: str  # the begin of what it printed


def run(command: Sequence[str], id_: str, content: bytes, send_timeout_s: float) -> ProgramEnd:
    """Run `command` with `content` on its standard input. Raises OSError: it can't be started."""
    if not os.access(command[0], os.X_OK) or os.path.isdir(command[0]):
        os.stat(command[0])  # says that it isn't there
        raise PermissionError(13, "it can't be executed", command[0])
    launcher = [sys.executable, "-I", "-S", str(die_with_parent.__file__), str(os.getpid())]
    deadline_s = time.monotonic() + send_timeout_s
    with subprocess.Popen(
        [*launcher, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env={"PATH": PATH, "LANG": os.environ.get("LANG", "C.UTF-8"), "JETSTREAM_ALERT_ID": id_},
        start_new_session=True,
    ) as process:
        try:
            output = _talked(process, content, deadline_s)
        except subprocess.TimeoutExpired as expired:
            return ProgramEnd(None, _text(expired.output or b""))
        finally:  # it isn't waited for yet, so that the number of its group is no other's
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return ProgramEnd(process.returncode, _text(output))


def _talked(process: "subprocess.Popen[bytes]", content: bytes, deadline_s: float) -> bytes:
    """Write `content` and read what it prints until it has ended. Raises TimeoutExpired with what it printed."""
    assert process.stdin is not None
    assert process.stdout is not None
    left, output = memoryview(content), b""
    with process.stdin as stdin, process.stdout as stdout, selectors.DefaultSelector() as ready:
        for stream, event in ((stdin, selectors.EVENT_WRITE), (stdout, selectors.EVENT_READ)):
            os.set_blocking(stream.fileno(), False)
            ready.register(stream, event)
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if (left_s := deadline_s - time.monotonic()) <= 0:
                raise subprocess.TimeoutExpired(process.args, 0.0, output)
            for key, _ in ready.select(min(left_s, 0.05)):
                if key.fileobj is stdin:
                    left = _written(stdin, left)
                    if not left:
                        ready.unregister(stdin)
                        stdin.close()
                elif chunk := stdout.read(65536):
                    output = (output + chunk)[:MOST_OUTPUT_BYTES]
                else:
                    ready.unregister(stdout)
        return (output + (stdout.read(65536) or b""))[:MOST_OUTPUT_BYTES]


def _written(stdin: IO[bytes], left: memoryview) -> memoryview:
    """What is left to be written; nothing where it doesn't read."""
    try:
        return left[os.write(stdin.fileno(), left[:65536]) :]
    except BrokenPipeError:
        return left[:0]


def _text(output: bytes) -> str:
    return " ".join(output.decode("utf-8", "replace").split())
