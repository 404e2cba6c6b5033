"""Trains the gallery once, in a separate process beside a running pipeline: `python -m jetstream.gallery.learner PID`

PID is the parent's. The config comes as JSON on standard input. The stage `learn` starts this process.

Knows no stage. The gallery on disk is complete whenever this process is killed.
"""

import logging
import os
import signal
import sys

import msgspec

from jetstream.child_process import die_with_parent, give_way
from jetstream.config.schema import Config, run_dir
from jetstream.errors import JetstreamError
from jetstream.gallery import prepare
from jetstream.logs import mask_tracebacks, set_up_logging
from jetstream.runtime.run_dir import RunDir

SILENT_S = 600
"""Seconds without progress after which SIGALRM ends the process; no photo and no classifier takes this long."""

log = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """Train; returns the exit code: 0 also where training fails and a log line says why, 1 without the parent."""
    config = begin("learn", int(arguments[0]))
    if config is None:
        return 1
    signal.alarm(SILENT_S)
    try:
        prepare.prepare_gallery(config, lambda file, fraction: _still_alive())
    except JetstreamError as error:
        log.warning("%s; the gallery in use stays", error)
    return 0


def begin(name: str, parent: int) -> Config | None:
    """Set up a process of low priority beside a sidecar: it logs as `name`, and ends with `parent`. The config, from
    standard input; None where the parent is gone."""
    die_with_parent()
    if os.getppid() != parent:
        return None
    give_way()
    config = msgspec.json.decode(sys.stdin.buffer.read(), type=Config)
    mask_tracebacks()
    set_up_logging(name, config.pipeline.log_level, config.pipeline.log_format, RunDir(run_dir(config)).lines)
    return config


def _still_alive() -> None:
    signal.alarm(SILENT_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
