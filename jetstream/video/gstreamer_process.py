"""A GStreamer pipeline in a child process, `gst-launch-1.0`, whose frames arrive through a pipe.

The format is Matroska with raw BGR. It contains size, rate and times even if the user's caps don't. Its muxer refuses
frames whose size changes, which would corrupt a raw stream of pixels. FFmpeg, which reads it, knows that GStreamer pads
rows to 4 bytes. The pipe isn't standard output, because NVIDIA's elements write there.
"""

import contextlib
import fcntl
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time

from jetstream.errors import SourceError
from jetstream.masking import masked
from jetstream.video import die_with_parent

PROGRAM = "gst-launch-1.0"
ENDING = "! videoconvert ! video/x-raw,format=BGR ! matroskamux streamable=true ! fdsink"
BUFFER_BYTES = 1 << 20
"""size of the pipe and of FFmpeg's buffer: with Linux's 64 KiB a frame of 1920x1080 takes twice the time"""
END_S = 2.0
"""time for the pipeline to release its camera before SIGKILL, and to end after an error"""
TURN_S = 0.1
"""longest time between two checks for messages of the child"""


class GStreamerProcess:
    """The child process as a file object that FFmpeg reads.

    The file also ends when the child hangs or fails, instead of raising: FFmpeg would read again after an error, and
    PyAV would print it. `ended`: no more data. `failure`: the reason, unless the child ended normally.
    """

    def __init__(self, words: list[str], shown: str, *, open_timeout_s: float, read_timeout_s: float) -> None:
        program = shutil.which(PROGRAM)
        if program is None:
            raise SourceError(f"{shown}: no {PROGRAM} here; install the package gstreamer1.0-tools")
        self._shown = shown
        self._limit_s, self._read_timeout_s = open_timeout_s, read_timeout_s
        self._until_s: float | None = time.monotonic() + open_timeout_s
        self.ended = False
        self.failure: SourceError | None = None
        self._file, writer = os.pipe()
        with contextlib.suppress(OSError):  # over this user's limit
            fcntl.fcntl(self._file, fcntl.F_SETPIPE_SZ, BUFFER_BYTES)
        command = [program, "-q", "--", *words, *ENDING.split(), f"fd={writer}"]
        self._popen = subprocess.Popen(
            [sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[writer],
            start_new_session=True,  # Ctrl-C must not reach the child
            env={
                **os.environ,
                "LC_ALL": "C.UTF-8",
                "LANGUAGE": "",
            },  # English messages, which `ComplaintReader` parses
        )
        os.close(writer)
        self._said = ComplaintReader(self._popen)
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLIN)

    def opened(self) -> None:
        """The first frame arrived: from now on each read has the time-out of reads."""
        self._until_s, self._limit_s = None, self._read_timeout_s

    def read(self, size: int) -> bytes:
        """At most `size` bytes, as soon as there are some; none at the end, after a failure or a time-out."""
        if self.ended:
            return b""
        begun_s = now_s = time.monotonic()
        until_s = self._until_s if self._until_s is not None else begun_s + self._read_timeout_s
        while not self._poll.poll(min(max(0.0, until_s - now_s), TURN_S) * 1000):
            now_s, trouble = time.monotonic(), self._trouble()
            if now_s >= until_s or (trouble and now_s - begun_s > END_S):
                return self._end(trouble or f"no frame within {self._limit_s:g} s; check that its camera is on")
        return os.read(self._file, size) or self._end(self._why())

    def close(self) -> None:
        """End the child: SIGINT, then SIGKILL after END_S."""
        if self._file < 0:
            return
        self._popen.send_signal(signal.SIGINT)
        os.close(self._file)  # its writes now fail, so that it doesn't block
        self._file = -1
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(END_S)
        self._popen.kill()
        self._popen.wait()
        self._said.close()

    def _end(self, why: str) -> bytes:
        self.ended = True
        self.failure = SourceError(f"{self._shown}: {why}") if why else None
        return b""

    def _why(self) -> str:
        """Why the child ended; empty if it ended normally."""
        try:
            code = self._popen.wait(END_S)
        except subprocess.TimeoutExpired:
            return f"{PROGRAM} doesn't end; check the pipeline"
        if not code:
            return ""
        self._said.close()
        return self._trouble() or f"{PROGRAM} {ending(code)}; run the pipeline by hand to see why"

    def _trouble(self) -> str:
        """The child's first error message with its remedy, secrets masked; empty if there is none."""
        return masked(self._said.trouble())


class ComplaintReader:
    """A thread that reads the child's messages until they end. The first error counts."""

    def __init__(self, child: "subprocess.Popen[bytes]") -> None:
        self._child = child
        self._complaint = ""
        self._reason = ""
        self._is_pipeline_wrong = self._has_changed = False
        self._thread = threading.Thread(target=self._listen, name="gstreamer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._thread.join(END_S)

    def trouble(self) -> str:
        """What is wrong and what to do; empty if there was no error."""
        if self._has_changed:
            return (
                "its frames changed their size or format; "
                "make both constant, with videoscale ! video/x-raw,width=1280,height=720 at the pipeline's end"
            )
        if not self._complaint:
            return ""
        remedy = (
            "correct the pipeline, or install what it names"
            if self._is_pipeline_wrong
            else "check its camera, address or file"
        )
        return f"GStreamer says: {self._complaint}{f' ({self._reason})' if self._reason else ''}; {remedy}"

    def _listen(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as lines:
            for line in lines:
                self._hear(line.decode(errors="replace").strip())

    def _hear(self, line: str) -> None:
        self._has_changed |= line.startswith("Caps changes are not supported")
        if reason := re.match(r"streaming stopped, reason ([\w-]+)", line):
            self._reason = self._reason or reason[1]
        if self._complaint:
            return
        if wrong := re.match(r"WARNING: erroneous pipeline: (.*)", line):
            self._complaint, self._is_pipeline_wrong = wrong[1].rstrip("."), True
        elif failed := re.match(r"ERROR: (?:from element (?:\S*[/:])?([^\s:/]+): )?(.*)", line):
            self._complaint = f"{failed[1]}: {failed[2]}".removeprefix("None: ").rstrip(".")


def ending(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def version() -> str | None:
    """GStreamer's version and the path of gst-launch-1.0; None if it is missing or states no version."""
    program = shutil.which(PROGRAM)
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        if program is not None:
            said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)
            found = re.search(r"^GStreamer ([\d.]+)", said.stdout, re.MULTILINE)
            return f"{found[1]} ({program})" if found else None
    return None
