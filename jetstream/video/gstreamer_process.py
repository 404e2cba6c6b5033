"""`gst-launch-1.0` as a child: runs a GStreamer pipeline, and hands its frames over through a pipe.

What comes is Matroska with raw BGR inside. It says size, rate and times itself, also where the user's caps don't; its
muxer refuses pictures that change on the way, where a bare stream of pixels would go on askew; and FFmpeg, which reads
it, knows that GStreamer pads rows to 4 bytes. The pipe is one of its own: NVIDIA's elements write to standard output.
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
from jetstream.video import die_with_parent

PROGRAM = "gst-launch-1.0"
ENDING = "! videoconvert ! video/x-raw,format=BGR ! matroskamux streamable=true ! fdsink"
BUFFER_BYTES = 1 << 20
"""of the pipe and of FFmpeg: with Linux's 64 KiB a frame of 1920x1080 takes twice the time"""
END_S = 2.0
"""time for the pipeline to let go of its camera, then SIGKILL; and to end after an error, where it can stand still"""
TURN_S = 0.1
"""longest wait between two looks at what the child says"""


class GStreamerProcess:
    """The child, and what it writes as the file that FFmpeg reads, which ends when it hangs or fails as well: FFmpeg
    reads again after an error, and PyAV would print the one before.

    `ended`: no more will come. `failure`: why not, if it didn't just end well.
    """

    def __init__(
        self, words: list[str], shown: str, *, secrets: list[str], open_timeout_s: float, read_timeout_s: float
    ) -> None:
        program = shutil.which(PROGRAM)
        if program is None:
            raise SourceError(f"{shown}: no {PROGRAM} here; install the package gstreamer1.0-tools")
        self._shown, self._secrets = shown, secrets
        self._limit_s, self._read_timeout_s = open_timeout_s, read_timeout_s
        self._until_s: float | None = time.monotonic() + open_timeout_s
        self.ended = False
        self.failure: SourceError | None = None
        self._file, writer = os.pipe()
        with contextlib.suppress(OSError):  # above what this user may have
            fcntl.fcntl(self._file, fcntl.F_SETPIPE_SZ, BUFFER_BYTES)
        command = [program, "-q", "--", *words, *ENDING.split(), f"fd={writer}"]
        self._popen = subprocess.Popen(
            [sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[writer],
            start_new_session=True,  # Ctrl-C is for us
            env={
                **os.environ,
                "LC_ALL": "C.UTF-8",
                "LANGUAGE": "",
            },  # errors in the language that `ComplaintReader` reads
        )
        os.close(writer)
        self._said = ComplaintReader(self._popen)
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLIN)

    def opened(self) -> None:
        """From here on each read has the time-out of reads."""
        self._until_s, self._limit_s = None, self._read_timeout_s

    def read(self, size: int) -> bytes:
        """What is there, at most `size` bytes; nothing at its end."""
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
        """Ask it to end, make it end."""
        if self._file < 0:
            return
        self._popen.send_signal(signal.SIGINT)
        os.close(self._file)  # what it writes now fails, so that it doesn't wait for us
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
        """Why it ended; empty where it meant to."""
        try:
            code = self._popen.wait(END_S)
        except subprocess.TimeoutExpired:
            return f"{PROGRAM} hangs at its end; check the pipeline"
        if not code:
            return ""
        self._said.close()
        return self._trouble() or f"{PROGRAM} {ending(code)}; run the pipeline by hand to see why"

    def _trouble(self) -> str:
        """What it complained of, without secrets."""
        trouble = self._said.trouble()
        for secret in self._secrets:
            trouble = trouble.replace(secret, "***")
        return trouble


class ComplaintReader:
    """A thread that reads what the child prints, for as long as it does: the first complaint counts."""

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
        """What is wrong and what to do; empty where it said nothing."""
        if self._has_changed:
            return (
                "its pictures changed their size or format on the way; "
                "give them one, with videoscale ! video/x-raw,width=1280,height=720 at the pipeline's end"
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
    """GStreamer's version and where it is; None where there is no gst-launch-1.0, or it doesn't say."""
    program = shutil.which(PROGRAM)
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        if program is not None:
            said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)
            found = re.search(r"^GStreamer ([\d.]+)", said.stdout, re.MULTILINE)
            return f"{found[1]} ({program})" if found else None
    return None
