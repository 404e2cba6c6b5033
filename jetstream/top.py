"""`jetstream top` and `jetstream subscribe`: what a running pipeline says of itself, and what it sees.

Knows only the two sockets; changes nothing.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import zmq
from rich.table import Table

from jetstream.errors import PipelineError, UserError
from jetstream.ipc.bus import endpoint
from jetstream.messages import Status
from jetstream.rundir import RunDir

SILENCE_S = 5.0


def statuses(run_dir: Path) -> Iterator[Status]:
    """One a second, while the pipeline in `run_dir` runs. Raises PipelineError when none does."""
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    socket.connect(endpoint(run_dir, Status, "anyone"))
    socket.subscribe(b"")
    try:
        while True:
            if not RunDir(run_dir).is_running():
                raise PipelineError(f"{run_dir}: no jetstream runs here; start one, or name its config")
            if socket.poll(int(SILENCE_S * 1000)):
                yield msgspec.msgpack.decode(socket.recv(), type=Status)
    finally:
        socket.close(linger=0)


def table(status: Status) -> Table:
    """A line a process."""
    result = Table(title=f"jetstream {status.pid}")
    longest = max((len(process.process) for process in status.processes), default=0)
    result.add_column("process", min_width=longest)
    result.add_column("state")
    for heading in ("fps", "frames", "p50 ms", "p95 ms", "restarts"):
        result.add_column(heading, justify="right")
    result.add_column("dropped")
    for process in status.processes:
        beat = process.beat
        drops = ", ".join(f"{reason} {count}" for reason, count in sorted(beat.drops.items()) if count) if beat else ""
        numbers = (
            (f"{beat.fps:.1f}", str(beat.frames), f"{beat.latency_p50_ms:.1f}", f"{beat.latency_p95_ms:.1f}")
            if beat
            else ("", "", "", "")
        )
        result.add_row(process.process, process.state, *numbers, str(process.restarts), drops)
    return result


def detections(address: str, camera: str = "") -> Iterator[dict[str, Any]]:
    """The messages of a detections topic, as maps, for ever; of one camera or all. Raises UserError: a bad address."""
    topic = f"detections.{camera}".encode()
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    socket.subscribe(topic)
    try:
        socket.connect(address)
        while True:
            name, body = socket.recv_multipart()
            if not camera or name == topic:  # a subscription is a prefix: `door` also gets `door2`
                yield msgspec.msgpack.decode(body)
    except zmq.ZMQError as error:
        raise UserError(f"{address}: {error.strerror}; expected an endpoint such as tcp://127.0.0.1:5570") from None
    finally:
        socket.close(linger=0)


def line(event: dict[str, Any]) -> str:
    """An event for people: `12:00:01.250 door #7 Ada 97 %, unknown #9`."""
    faces = ", ".join(
        f"#{track['track_id']} {track['name'] or 'unknown'}" + (f" {track['confidence']:.0%}" if track["name"] else "")
        for track in event["tracks"]
    )
    return f"{event['wall'][11:23]} {event['camera']} {faces or '-'}"
