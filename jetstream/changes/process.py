"""Does what the page asks, one task after the other, with low priority: `python -m jetstream.changes.process PID`

PID is that of the parent, the page's process. Standard input has the config as a line of JSON, then a task a line.
Standard output gets a line of progress now and then, and one with the answer. The process ends when it had nothing to
do for IDLE_S. See `web.tasks` for the lines.
"""

import contextlib
import logging
import os
import sqlite3
import sys
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Final

import msgspec

from jetstream.changes.tasks import TaskWorker
from jetstream.child_process import die_with_parent, give_way
from jetstream.config.schema import Config
from jetstream.errors import JetstreamError
from jetstream.logs import mask_tracebacks, set_up_logging
from jetstream.masking import masked
from jetstream.web.tasks import TaskAnswer, TaskLine, TaskProgress, TaskRefusal, TaskRequest

IDLE_S: Final = 60.0
"""its networks take some 300 MB"""
READ_BYTES: Final = 1 << 20

log = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """Do tasks until there are none; returns the exit code: 1 without the parent."""
    die_with_parent()
    if os.getppid() != int(arguments[0]):
        return 1
    give_way()
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever a library prints goes to the log, never between the answers
    lines = Lines(0)
    config = msgspec.json.decode(lines.next(None), type=Config)
    mask_tracebacks()
    set_up_logging("web", config.pipeline.log_level, config.pipeline.log_format)

    def say(line: TaskLine) -> None:
        answers.write(msgspec.json.encode(line) + b"\n")

    _serve(config, lines, say)
    return 0


def _serve(config: Config, lines: "Lines", say: Callable[[TaskLine], None]) -> None:
    """Do the tasks of the lines, until none came for IDLE_S, and say each one's answer."""
    with contextlib.ExitStack() as opened:
        worker: TaskWorker | None = None
        while line := lines.next(IDLE_S):
            request = msgspec.json.decode(line, type=TaskRequest)
            try:
                if worker is None:  # here, since a config that can't be used is told as an answer
                    worker = TaskWorker(config, lambda what, share: say(TaskProgress(what, share)))
                    opened.callback(worker.close)
                answer = worker.do(request.task, request.by)
            except JetstreamError as error:
                say(TaskRefusal(masked(str(error))))
            except sqlite3.Error as error:
                log.warning("sightings: %s", error)
                say(TaskRefusal(f"sightings can't be read or written ({error}); try again"))
            else:
                say(TaskAnswer(msgspec.Raw(msgspec.json.encode(answer))))


class Lines:
    """Lines of a descriptor. A line may be a picture of 25 MB, so it isn't read byte by byte, as FileIO.readline does;
    and what is read beyond a line isn't waited for again, as with select and a BufferedReader."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._rest = descriptor, bytearray()

    def next(self, wait_s: float | None) -> bytes:
        """Empty: it has ended, or nothing came for `wait_s`; None: however long."""
        seen = 0
        while (end := self._rest.find(b"\n", seen) + 1) == 0:
            seen = len(self._rest)
            if not wait([self._descriptor], wait_s):  # not `select`, which takes no descriptor beyond 1023
                return b""
            if not (data := os.read(self._descriptor, READ_BYTES)):
                return b""
            self._rest += data
        line = bytes(self._rest[:end])
        del self._rest[:end]
        return line


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
