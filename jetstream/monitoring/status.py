"""Reads what the supervisor of a running pipeline publishes of all its processes, once a second."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import zmq

from jetstream.errors import GARBLED, PipelineError
from jetstream.ipc.bus import endpoint
from jetstream.messages import Status
from jetstream.runtime.run_dir import RunDir, decoded

SILENCE_S = 5.0
SILENCES = 3
"""number of periods without a status after which the wait ends"""


@contextmanager
def subscribed(run_dir: Path) -> "Iterator[zmq.Socket[bytes]]":
    """A socket that hears each status of the supervisor in `run_dir`, now or later."""
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    socket.connect(endpoint(run_dir, Status, "anyone"))
    socket.subscribe(b"")
    try:
        yield socket
    finally:
        socket.close(linger=0)


def heard(socket: "zmq.Socket[bytes]", wait_ms: int) -> Status | None:
    """The next status; None: none came in that time, or it was garbled, which is no reason to end."""
    if not socket.poll(wait_ms):
        return None
    try:
        return msgspec.msgpack.decode(socket.recv(), type=Status)
    except GARBLED:
        return None


def statuses(run_dir: Path) -> Iterator[Status]:
    """One status a second, while the pipeline in `run_dir` runs; the last one again while its supervisor is silent.

    Raises PipelineError when none runs, its supervisor publishes nothing at all, or is of another version.
    """
    last: Status | None = None
    silent = 0
    with subscribed(run_dir) as socket:
        while True:
            RunDir(run_dir).require_running()
            if socket.poll(int(SILENCE_S * 1000)):
                last = decoded(socket.recv(), Status, run_dir)
            elif last is None and (silent := silent + 1) >= SILENCES:
                raise PipelineError(f"{run_dir}: its supervisor does not report; it hangs, or is still starting")
            if last is not None:
                yield last
