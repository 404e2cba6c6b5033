"""Traces what a running pipeline does for some seconds, for Perfetto (ui.perfetto.dev) or Chrome: a track per process.

Knows only the sockets of the run directory. A pipeline records and sends spans only while this listens.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import zmq

from jetstream.errors import GARBLED, UserError
from jetstream.ipc.bus import endpoint, has_listener
from jetstream.messages import Span, Spans, Status
from jetstream.runtime.heartbeat import BEAT_EVERY_S
from jetstream.runtime.run_dir import RunDir, decoded
from jetstream.runtime.spans import LISTENER, RECONNECT_MS

TURN_MS = 100
FIND_S = RECONNECT_MS * 1e-3 + 2 * BEAT_EVERY_S
"""how long every process takes to find the listener, and afterwards to send its last spans"""


def record(run_dir: Path, seconds: float) -> dict[str, Any]:
    """`seconds` of the pipeline in `run_dir`, in the Trace Event Format.

    Raises PipelineError: none runs, or one of another version; UserError: another trace is being made.
    """
    RunDir(run_dir).require_running()
    heard: list[Spans] = []
    with _listening(run_dir) as (statuses, spans):
        begin_ns = time.monotonic_ns() + round(FIND_S * 1e9)
        end_ns = begin_ns + round(seconds * 1e9)
        status = None
        while time.monotonic_ns() < end_ns + FIND_S * 1e9:
            if statuses.poll(0):
                status = decoded(statuses.recv(), Status, run_dir)
            if spans.poll(TURN_MS):
                with contextlib.suppress(*GARBLED):
                    heard.append(msgspec.msgpack.decode(spans.recv(), type=Spans))
            elif not RunDir(run_dir).is_running():
                break  # the pipeline has ended; what was received is the trace
    return trace(heard, status, begin_ns, end_ns)


@contextmanager
def _listening(run_dir: Path) -> Iterator[tuple["zmq.Socket[bytes]", "zmq.Socket[bytes]"]]:
    """The sockets that receive the status and the spans. Raises UserError: another trace is being made."""
    address = endpoint(run_dir, Spans, LISTENER)
    path = address.removeprefix("ipc://")
    if has_listener(path):
        raise UserError(f"{run_dir}: another `jetstream trace` is running here; wait until it ends")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    statuses, spans = context.socket(zmq.SUB), context.socket(zmq.PULL)
    try:
        statuses.connect(endpoint(run_dir, Status, "anyone"))
        statuses.subscribe(b"")
        spans.bind(address)
        yield statuses, spans
    finally:
        statuses.close(linger=0)
        spans.close(linger=0)
        Path(path).unlink(missing_ok=True)  # ZeroMQ does it later, or never


def trace(heard: Sequence[Spans], status: Status | None, begin_ns: int, end_ns: int) -> dict[str, Any]:
    """The Trace Event Format of spans, cut to the time from `begin_ns` to `end_ns`; its times are microseconds from
    `begin_ns`."""
    beats = [process.beat for process in status.processes if process.beat] if status is not None else []
    names = {beat.pid: beat.process for beat in beats} | {spans.pid: spans.process for spans in heard}
    events: list[dict[str, Any]] = []
    for place, (pid, name) in enumerate(names.items()):
        events.append({"ph": "M", "pid": pid, "tid": pid, "name": "process_name", "args": {"name": name}})
        events.append({"ph": "M", "pid": pid, "tid": pid, "name": "thread_name", "args": {"name": "work loop"}})
        events.append({"ph": "M", "pid": pid, "tid": pid, "name": "process_sort_index", "args": {"sort_index": place}})
    for spans in heard:
        for span in spans.spans:
            if span.begin_ns < end_ns and span.end_ns > begin_ns:
                events.extend(_events(spans.pid, span, begin_ns, end_ns))
    return {"displayTimeUnit": "ms", "traceEvents": events}


def _events(pid: int, span: Span, begin_ns: int, end_ns: int) -> Iterator[dict[str, Any]]:
    """One event for a turn of the work loop, of which there is one at a time; begin and end for a frame, since frames
    under way overlap."""
    first_us = (max(span.begin_ns, begin_ns) - begin_ns) / 1e3
    last_us = (min(span.end_ns, end_ns) - begin_ns) / 1e3
    frame = f"{span.camera} {span.frame_id}"
    if span.kind != "frame":
        name, args = (frame, {"frame": frame}) if span.camera else (span.kind, {})
        yield {"ph": "X", "pid": pid, "tid": pid, "name": name, "cat": span.kind, "ts": first_us,
               "dur": last_us - first_us, "args": args}  # fmt: skip
        return
    same = {"pid": pid, "tid": pid, "cat": "frame", "name": frame, "id2": {"local": frame}}
    yield {"ph": "b", "ts": first_us, **same}
    yield {"ph": "e", "ts": last_us, **same}
