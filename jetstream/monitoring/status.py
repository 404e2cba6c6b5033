"""Reads what the supervisor of a running pipeline publishes of all its processes, once a second."""

from collections.abc import Iterator
from pathlib import Path

import zmq

from jetstream.errors import PipelineError
from jetstream.ipc.bus import endpoint
from jetstream.messages import Status
from jetstream.runtime.run_dir import RunDir, decoded

SILENCE_S = 5.0
SILENCES = 3
"""number of periods without a status after which the wait ends"""


def statuses(run_dir: Path) -> Iterator[Status]:
    """One status a second, while the pipeline in `run_dir` runs; the last one again while its supervisor is silent.

    Raises PipelineError when none runs, its supervisor publishes nothing at all, or is of another version.
    """
    last: Status | None = None
    silent = 0
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    socket.connect(endpoint(run_dir, Status, "anyone"))
    socket.subscribe(b"")
    try:
        while True:
            RunDir(run_dir).require_running()
            if socket.poll(int(SILENCE_S * 1000)):
                last = decoded(socket.recv(), Status, run_dir)
            elif last is None and (silent := silent + 1) >= SILENCES:
                raise PipelineError(f"{run_dir}: its supervisor does not report; it hangs, or is still starting")
            if last is not None:
                yield last
    finally:
        socket.close(linger=0)
