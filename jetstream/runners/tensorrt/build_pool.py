"""Build processes beside each other: their jobs, time limits, progress and log lines.

Knows the protocol (`build_protocol`) and sets a file aside that fails its test; decides nothing about engines
(`prepare` does), and imports no TensorRT.
"""

import contextlib
import logging
import os
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from jetstream.runners.tensorrt import engine_cache
from jetstream.runners.tensorrt.build_protocol import BuildEvent, BuildJob

POLL_S = 0.5
HALF_BUILT_S = 40.0
"""after this time the progress bar of a build is half full: its duration is not known before"""
Progress = Callable[[str, float], None]
"""called with a name and a share, 0..1: at each event, and every POLL_S; what it raises ends all processes"""

log = logging.getLogger(__name__)


class BuildLimits(NamedTuple):
    """How long a process may be silent. Measured: builds 18 to 113 s on an H100; a Jetson takes several times that."""

    build_s: float = 1800.0
    test_s: float = 120.0  # the first also loads CUDA, TensorRT and a reference
    probe_s: float = 60.0


class BuildPool:
    """Runs lists of jobs, each list in a process of its own, and in another one after it when that crashes or stays
    silent. `at_once`: how many processes at a time. `level`: of the log lines at each build's start and end."""

    def __init__(
        self, command: Sequence[str], limits: BuildLimits, at_once: int, progress: Progress, level: int
    ) -> None:
        self._command, self._limits, self._at_once = command, limits, at_once
        self._progress, self._level = progress, level

    def work(self, lists: Iterable[Sequence[BuildJob]]) -> dict[str, BuildEvent]:
        """The last event of each job, "done" or "failed", by the job's path."""
        waiting = deque(list(jobs) for jobs in lists)
        total = sum(map(len, waiting))
        results: dict[str, BuildEvent] = {}
        with contextlib.ExitStack() as children:
            running: list[BuildChild] = []
            while waiting or running:
                while waiting and len(running) < self._at_once:
                    child = BuildChild(self._command, waiting.popleft(), self._limits)
                    children.callback(child.end)
                    running.append(child)
                for child in running:
                    self._show(child)
                self._progress("engines", len(results) / total)
                for job, event in _heard(running):
                    self._note(job, event)
                    if event.is_answer:
                        results[job.path] = event
                for child in [child for child in running if child.is_over]:
                    child.end()
                    running.remove(child)
                    waiting.extend([child.left] if child.left else [])
        self._progress("engines", 1.0)
        return results

    def _note(self, job: BuildJob, event: BuildEvent) -> None:
        if not job.build:
            return
        if event.state == "building":
            log.log(self._level, "%s: building its engine for TensorRT, %s", *_named(job))
        elif event.state == "done":
            log.log(self._level, "%s: its engine is built, in %.0f s", job.recipe.network, event.seconds)
        elif event.state == "failed":
            log.log(self._level, "%s: its engine could not be built", job.recipe.network)
        if event.is_answer:
            self._progress(", ".join(_named(job)), 1.0)

    def _show(self, child: "BuildChild") -> None:
        job = child.left[0]
        if job.build:
            self._progress(", ".join(_named(job)), 1 - 0.5 ** (child.doing_s() / HALF_BUILT_S))


def _named(job: BuildJob) -> tuple[str, str]:
    return job.recipe.network, job.recipe.precision


def _heard(children: Sequence["BuildChild"]) -> Iterator[tuple[BuildJob, BuildEvent]]:
    """The events that arrive within POLL_S, and the failures of children that took too long."""
    ready = wait([child.fileno() for child in children], POLL_S)  # not `select`, which takes no descriptor beyond 1023
    for child in children:
        yield from child.events() if child.fileno() in ready else child.too_long()


class BuildChild:
    """One build process, which does its jobs one after the other."""

    def __init__(self, command: Sequence[str], jobs: list[BuildJob], limits: BuildLimits) -> None:
        self.left = list(jobs)  # those without an answer
        self.is_over = False
        self._limits = limits
        self._rest = b""
        self._doing, self._since_s = BuildEvent(0, "testing"), time.monotonic()  # its start takes as long as a test
        self._open = contextlib.ExitStack()
        self._errors = self._open.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - `end` closes it
        # Ctrl-C in the terminal reaches only the parent, which ends it
        self._popen = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, start_new_session=True
        )
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._output = self._open.enter_context(self._popen.stdout)
        with contextlib.suppress(BrokenPipeError), self._popen.stdin as stdin:
            stdin.write(msgspec.json.encode(jobs))

    def fileno(self) -> int:
        """Of its output, for `wait`."""
        return self._output.fileno()

    def doing_s(self) -> float:
        """How long it has done what it does."""
        return time.monotonic() - self._since_s

    def events(self) -> Iterator[tuple[BuildJob, BuildEvent]]:
        """What it says, once its output can be read. Its end is the failure of the job that it did."""
        some = os.read(self.fileno(), 65536)
        if not some:
            status = self._status()
            text = f"TensorRT's process ended while {self._doing.state} ({_why(status, self._errors)})"
            yield self._failed(text, was_killed=status == -signal.SIGKILL)
            return
        *lines, self._rest = (self._rest + some).split(b"\n")
        for line in lines:
            yield self._hear(msgspec.json.decode(line, type=BuildEvent))

    def too_long(self) -> Iterator[tuple[BuildJob, BuildEvent]]:
        """The failure of the job that takes longer than it may."""
        limit_s = self._limits.build_s if self._doing.state == "building" else self._limits.test_s
        if (silent_s := self.doing_s()) > limit_s:
            yield self._failed(f"no answer in {silent_s:.0f} s while {self._doing.state}")

    def end(self) -> None:
        """Kill it; may be called twice."""
        self._popen.kill()
        self._status()
        self._open.close()

    def _status(self) -> int | None:
        """Its exit status, once it ends; None: it hangs in the driver, and can't be killed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout=2)
        return self._popen.returncode

    def _hear(self, event: BuildEvent) -> tuple[BuildJob, BuildEvent]:
        job, self._since_s = self.left[0], time.monotonic()
        if not event.is_answer:
            self._doing = event
            return job, event
        if event.state == "failed":
            event = self._set_aside(event)
        del self.left[0]
        self._doing, self.is_over = BuildEvent(event.job + 1, "testing"), not self.left
        return job, event

    def _failed(self, text: str, *, was_killed: bool = False) -> tuple[BuildJob, BuildEvent]:
        self.is_over = True
        event = BuildEvent(self._doing.job, "failed", text, was_killed=was_killed)
        return self.left.pop(0), self._set_aside(event)

    def _set_aside(self, failed: BuildEvent) -> BuildEvent:
        """The event with the state that it failed in; the file that was under test is set aside."""
        if self._doing.state == "testing" and self._doing.text:
            engine_cache.set_aside(Path(self._doing.text))
        return msgspec.structs.replace(failed, failed_at=self._doing.state)


def _why(status: int | None, errors: IO[bytes]) -> str:
    """How a process ended, and its last words."""
    errors.seek(0)
    lines = errors.read().decode(errors="replace").split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return ": ".join(part for part in (end_of(status), said) if part)


def end_of(status: int | None) -> str:
    """How a process ended, as a clause."""
    if status is None:
        return "it can't be ended"
    return signal.Signals(-status).name if status < 0 else f"exit code {status}"
