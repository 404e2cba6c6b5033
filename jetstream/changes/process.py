"""Does what the page asks, one task after the other, with low priority: `python -m jetstream.changes.process PID`

PID is that of the parent, the page's process. Standard input has the config as a line of JSON, then a task a line.
Standard output gets a line of progress now and then, and one with the answer. The process ends when it had nothing to
do for IDLE_S. See `web.tasks` for the lines.
"""

import contextlib
import logging
import os
import select
import sqlite3
import sys
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

import msgspec

from jetstream.changes.tasks import TaskWorker
from jetstream.child_process import die_with_parent
from jetstream.config.schema import Config
from jetstream.errors import JetstreamError
from jetstream.gallery.learner import give_way
from jetstream.logs import mask_tracebacks, set_up_logging
from jetstream.masking import masked
from jetstream.web.tasks import TaskAnswer, TaskLine, TaskProgress, TaskRefusal, TaskRequest

IDLE_S: Final = 60.0
"""its networks take some 300 MB"""

log = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """Do tasks until there are none; returns the exit code: 1 without the parent."""
    die_with_parent()
    if os.getppid() != int(arguments[0]):
        return 1
    give_way()
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever a library prints goes to the log, never between the answers
    with os.fdopen(0, "rb", buffering=0) as source:
        config = msgspec.json.decode(source.readline(), type=Config)
        mask_tracebacks()
        set_up_logging("web", config.pipeline.log_level, config.pipeline.log_format)

        def say(line: TaskLine) -> None:
            answers.write(msgspec.json.encode(line) + b"\n")

        _serve(config, source, say)
    return 0


def _serve(config: Config, source: BinaryIO, say: Callable[[TaskLine], None]) -> None:
    """Do the tasks that `source` has, and say each one's answer."""
    with contextlib.closing(TaskWorker(config, lambda what, share: say(TaskProgress(what, share)))) as worker:
        for line in _lines(source):
            request = msgspec.json.decode(line, type=TaskRequest)
            try:
                answer = worker.do(request.task, request.by)
            except JetstreamError as error:
                say(TaskRefusal(masked(str(error))))
            except sqlite3.Error as error:
                log.warning("sightings: %s", error)
                say(TaskRefusal(f"sightings can't be read or written ({error}); try again"))
            else:
                say(TaskAnswer(msgspec.Raw(msgspec.json.encode(answer))))


def _lines(source: BinaryIO) -> Iterator[bytes]:
    """Lines, until the end or until none came for IDLE_S."""
    while select.select([source], [], [], IDLE_S)[0]:
        line = source.readline()
        if not line:
            return
        yield line


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
