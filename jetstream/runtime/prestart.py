"""Processes that import what they need while the supervisor still checks and prepares, and begin when released.

A process that has not begun has opened nothing and read no config. One that is told to `open_ahead` also reads the
config and opens its networks, and takes its first message when released.
"""

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from jetstream import pipeline
from jetstream.config import schema as configuration
from jetstream.config.schema import Config

MOST_FILES = 65536
"""A process of a pipeline opens about ten files and sockets a camera; systems allow 1024 unless they are asked."""

HeldProcesses: TypeAlias = dict[str, "subprocess.Popen[bytes]"]
"""by name; each begins when its standard input is closed"""


def spawn(run_dir: Path, name: str, *, backend: str | None = None, held: bool = False) -> "subprocess.Popen[bytes]":
    """Start a process of the pipeline, `python -m jetstream.runtime.worker`, supervised by the calling process."""
    command = [sys.executable, "-m", "jetstream.runtime.worker", str(run_dir), name, str(os.getpid())]
    command += [backend] if backend else []
    # numpy's own thread pools would take the cores from the other stages, for matrices of a few numbers
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    stdin = subprocess.PIPE if held else subprocess.DEVNULL
    # the umask that claiming the run directory sets later: a held process starts before that
    return subprocess.Popen(command, start_new_session=True, stdin=stdin, env=environment, umask=0o077)


def allow_many_files() -> None:
    """Let this process, and those that it starts, open as many files as the system lets it ask for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


@contextmanager
def held_processes(config: Config) -> Iterator[HeldProcesses]:
    """The processes of all stages, held, by name. A caller that takes one out of the map owns it; the others are killed
    at the end.

    Sidecars are not among them: no frame waits for them, and they would take processor time from the stages.
    """
    held: HeldProcesses = {}
    try:
        stages = [row for row in pipeline.started(config) if isinstance(row, pipeline.Stage)]
        for name in (name for stage in stages for name in pipeline.processes(stage, config)):
            held[name] = spawn(configuration.run_dir(config), name, held=True)
        yield held
    finally:
        for popen in held.values():
            popen.kill()
        for popen in held.values():
            popen.communicate()


def open_ahead(popen: "subprocess.Popen[bytes]") -> None:
    """Let a held process open all but its input. It sends one heartbeat then, and waits until it is released."""
    assert popen.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it has ended, which its exit code says
        popen.stdin.write(b"\n")
        popen.stdin.flush()


def release(popen: "subprocess.Popen[bytes]") -> None:
    """Let a held process begin. Does nothing if it has begun."""
    if popen.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            popen.stdin.close()
