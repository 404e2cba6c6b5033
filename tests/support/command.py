"""Runs the real `jetstream` command in processes of its own, each test in its own folders."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import msgspec

from jetstream.messages import Status
from jetstream.monitoring.status import statuses
from tests.support.repository import DEMO, REPOSITORY
from tests.support.waiting import PATIENCE_S, wait_until

SLOW_DEMO = ("--set", "cameras.demo.fps=10")
NO_MARKER = "a test that runs a pipeline needs the marker `pipeline`"


@dataclass(frozen=True)
class Command:
    """`jetstream` with its working folder, run directory, models and free ports for the topic and the metrics."""

    may_run: ClassVar[bool] = True
    """whether the test has the marker `pipeline`, by which tests that take long are run first"""

    folder: Path
    models: Path
    port: int = field(default_factory=lambda: free_port())
    metrics_port: int = field(default_factory=lambda: free_port())
    page_port: int = 0
    """of the page; 0: it isn't served"""
    looks: int = 0
    """pictures that a sighting keeps: with some, each pipeline starts a process that embeds them"""

    @property
    def run_dir(self) -> Path:
        return self.folder / "run"

    @property
    def endpoint(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def metrics(self) -> str:
        return f"http://127.0.0.1:{self.metrics_port}"

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.page_port}"

    @property
    def sets(self) -> list[str]:
        settings = (
            f"pipeline.run_dir={self.run_dir}",
            f"models.dir={self.models}",
            f"publish.endpoint={self.endpoint}",
            f"metrics.endpoint={self.metrics}",
            f"sightings.looks={self.looks}",
            *((f"web.endpoint={self.page}",) if self.page_port else ("web.enabled=false",)),
        )
        return [word for setting in settings for word in ("--set", setting)]

    def __call__(self, *words: str, sets: bool = False, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        """Run to the end; `sets` adds the settings of this test's folders, `stdin` is what it reads."""
        done = subprocess.run(
            [*_jetstream(), *words, *(self.sets if sets else [])],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            input=stdin,
            timeout=2 * PATIENCE_S,
        )
        assert done.returncode or "run" not in words[:1] or self.may_run, NO_MARKER
        return done

    @contextmanager
    def running(self, *words: str) -> Iterator["subprocess.Popen[str]"]:
        """`jetstream run ...` while the block runs, from when all its processes beat; stopped by SIGTERM at the end.

        The demo gives only 10 frames a second here, unless `words` say otherwise, since tests share processors.
        """
        assert self.may_run, NO_MARKER
        with (self.folder / "log").open("w") as log:
            process = subprocess.Popen(
                [*_jetstream(), "run", words[0], *(SLOW_DEMO if words[0] == DEMO else ()), *words[1:], *self.sets],
                cwd=self.folder,
                env=self.environment,
                stderr=log,
                stdout=log,
                text=True,
                start_new_session=True,  # without a terminal, whose hang-up would mean the end
            )
        try:
            self.wait(lambda status: all(p.state == "running" for p in status.processes), process)
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_S)

    def wait(
        self, until: Callable[[Status], bool], process: "subprocess.Popen[str]", timeout_s: float = PATIENCE_S
    ) -> Status:
        """The first status for which `until` holds."""
        deadline_s = time.monotonic() + timeout_s
        there = self.run_dir / "status.anyone"
        wait_until(lambda: there.exists() or process.poll() is not None, timeout_s, self.log)
        assert there.exists(), self.log()
        for status in statuses(self.run_dir):
            if until(status):
                return status
            assert time.monotonic() < deadline_s, f"{msgspec.json.encode(status)!r}\n{self.log()}"
        raise AssertionError

    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
        return {**kept, "PYTHONPATH": str(REPOSITORY), "NO_COLOR": "1", "COLUMNS": "200"}


def fails_with(result: "subprocess.CompletedProcess[str]", code: int, *words: str, sentences: int = 1) -> None:
    """With that exit code and at most so many sentences of jetstream's own; all `words` are in what it says."""
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    assert sum(line.startswith("jetstream: ") for line in result.stderr.splitlines()) <= sentences, result.stderr
    for word in words:
        assert word in result.stderr


def _jetstream() -> list[str]:
    return [sys.executable, "-m", "jetstream.cli"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def segments_of(pid: int) -> list[str]:
    """Shared-memory segments of the run whose supervisor is `pid`."""
    return [path.name for path in Path("/dev/shm").glob(f"jetstream.{pid}.*")]


def children_of(pid: int) -> list[int]:
    """Processes that name `pid` as their supervisor on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        if b"jetstream.runtime.worker" in words and str(pid).encode() in words:
            found.append(int(entry.name))
    return found
