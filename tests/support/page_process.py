"""The page's server in a process of its own, so that what it takes can be measured.

As the stage does, it shows the server a new frame and waits for its loop, again and again. `python -m
tests.support.page_process FOLDER` says its port as a line; to each line that it gets it answers with the longest wait
since the last one, in s. Ends with its standard input.
"""

import contextlib
import os
import resource
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from jetstream.web.access import RIGHTS, AccessStore, Right
from tests.support.pages import logged_in, page_site
from tests.support.repository import REPOSITORY
from tests.support.sightings import IDS, at, config_with, face, record

TURN_EVERY_S = 0.05
LONGEST_TURN_S = 2.5
"""half of pipeline.heartbeat_timeout_s, after which the stage would be killed"""
ERRORS = "errors"
PASSWORD = "correct horse"


class PageProcess:
    """A server that runs."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self._process, self.folder = process, folder
        self.port = int(self._line())
        self._seen = psutil.Process(process.pid)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def logged_in(self, right: Right) -> str:
        """The cookie of a new session of the user who has this right."""
        return logged_in(self.port, right, PASSWORD)

    def longest_turn_s(self) -> float:
        """How long the stage waited for the server's loop at most, since this was asked last."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._line())

    @property
    def errors(self) -> str:
        """What it wrote to its standard error."""
        return (self.folder / ERRORS).read_text()

    @property
    def memory_mb(self) -> float:
        """Without what it shares."""
        return float(self._seen.memory_full_info().uss) / 1e6

    @property
    def files(self) -> int:
        return self._seen.num_fds()

    @property
    def children(self) -> list[psutil.Process]:
        return self._seen.children(recursive=True)

    @property
    def children_mb(self) -> float:
        return float(sum(child.memory_full_info().uss for child in self.children)) / 1e6

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def page_process(folder: Path, *, models: Path | None = None) -> Iterator[PageProcess]:
    """With a user for each right, two sightings, and what `folder` holds."""
    store = AccessStore(folder / "web")
    for right in RIGHTS:
        store.add_user(right, PASSWORD, right)
    store.close()
    record(config_with(folder, "a"), [at(second, face(IDS[0], "Ada"), face(IDS[1])) for second in range(3)])
    with (
        open(folder / ERRORS, "wb") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.page_process", str(folder), str(models or folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        ) as process,
    ):
        try:
            yield PageProcess(process, folder)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)


def main(folder: Path, models: Path) -> None:
    # what a shell gives usually
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    tables: dict[str, Any] = {"recognize": {"faces": str(folder / "faces")}}
    with page_site(folder, models=models, **tables) as page:
        print(page.port, flush=True)
        longest_s = 0.0
        while True:
            page.show(image, face(IDS[0], "Ada"))
            begun_s = time.monotonic()
            page.server.turn()
            longest_s = max(longest_s, time.monotonic() - begun_s)
            if select.select([sys.stdin], [], [], TURN_EVERY_S)[0]:
                if not sys.stdin.readline():
                    return
                print(longest_s, flush=True)
                longest_s = 0.0


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
