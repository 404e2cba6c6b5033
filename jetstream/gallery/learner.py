"""Trains the gallery of a running pipeline once, beside it: `python -m jetstream.gallery.learner PARENT_PID`.

Its config comes as JSON on standard input. Started by the stage `learn`.

Knows no stage. Whatever ends it, the gallery on disk is a whole one.
"""

import contextlib
import logging
import os
import signal
import sys
from pathlib import Path

import msgspec

from jetstream.child_process import die_with_parent
from jetstream.config.schema import Config
from jetstream.errors import JetstreamError
from jetstream.gallery import prepare
from jetstream.logs import set_up_logging

NICENESS = 10
"""of 19: video comes first, and yet a busy machine learns"""
SILENT_S = 600
"""no photo takes so long, nor does the classifier; what hangs ends by SIGALRM"""

log = logging.getLogger("jetstream")


def main(arguments: list[str]) -> int:
    """0 where the photos are learnt, or where a line says why they can't be."""
    die_with_parent()
    if os.getppid() != int(arguments[0]):
        return 1
    give_way()
    config = msgspec.json.decode(sys.stdin.buffer.read(), type=Config)
    set_up_logging("learn", config.pipeline.log_level, config.pipeline.log_format)
    signal.alarm(SILENT_S)
    try:
        prepare.prepare_gallery(config, lambda file, fraction: _still_alive())
    except JetstreamError as error:
        log.warning("%s; the people known so far stay", error)
    return 0


def give_way() -> None:
    """Leave the processor to video. Where the kernel groups a session's processes, the group's share counts."""
    os.nice(NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICENESS))


def _still_alive() -> None:
    signal.alarm(SILENT_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
