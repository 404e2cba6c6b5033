"""What a process says of the frames it handles, as the supervisor and a listening trace get it. Real sockets."""

import time
from pathlib import Path

import msgspec
import zmq

from jetstream.ipc.bus import endpoint
from jetstream.messages import Detected, FrameRef, Heartbeat, Named, Spans
from jetstream.runtime.counters import histogram
from jetstream.runtime.heartbeat import SUPERVISOR, HeartbeatSender
from jetstream.runtime.spans import LISTENER
from tests.support.waiting import PATIENCE_S

MS = 1_000_000
"""nanoseconds"""


def frame(frame_id: int) -> FrameRef:
    return FrameRef(camera="door", frame_id=frame_id, captured_ns=0, wall_ns=0, pts_s=0.0, live=True)


def test_work_on_a_frame_that_waited_for_its_names_begins_when_the_frame_was_taken(tmp_path: Path) -> None:
    context = zmq.Context.instance()
    with context.socket(zmq.PULL) as supervisor, context.socket(zmq.PULL) as trace:
        supervisor.bind(endpoint(tmp_path, Heartbeat, SUPERVISOR))
        trace.bind(endpoint(tmp_path, Spans, LISTENER))
        heartbeat = HeartbeatSender("track", tmp_path)
        while not heartbeat._spans._listened_to:
            heartbeat._spans.send()
            time.sleep(0.01)
        heartbeat.took([Detected(frame=frame(7), faces=())], 100 * MS)
        heartbeat.took([Detected(frame=frame(7), faces=())], 200 * MS)  # told of again, as after a death
        heartbeat.took([Named(frame=frame(7), faces=())], 399 * MS)
        heartbeat.handled(frame(7), 400 * MS)
        heartbeat.beat()
        heartbeat.close()
        for socket in (supervisor, trace):
            assert socket.poll(int(PATIENCE_S * 1000))
        beat = msgspec.msgpack.decode(supervisor.recv(), type=Heartbeat)
        told = msgspec.msgpack.decode(trace.recv(), type=Spans)
        while not told.spans:
            assert trace.poll(int(PATIENCE_S * 1000))
            told = msgspec.msgpack.decode(trace.recv(), type=Spans)

    assert histogram(beat.counts, "work").sum_s == 0.3
    assert [(span.kind, span.begin_ns, span.end_ns) for span in told.spans] == [("frame", 100 * MS, 400 * MS)]


def test_names_that_come_behind_their_frame_leave_nothing_behind(tmp_path: Path) -> None:
    heartbeat = HeartbeatSender("track", tmp_path)
    for frame_id in range(10):
        heartbeat.took([Detected(frame=frame(frame_id), faces=())], frame_id * MS)
        heartbeat.handled(frame(frame_id), frame_id * MS)
        heartbeat.took([Named(frame=frame(frame_id), faces=())], frame_id * MS)
    heartbeat.close()

    assert heartbeat._taken_ns == {}


def test_process_that_ends_before_its_first_heartbeat_sends_none(tmp_path: Path) -> None:
    """It failed at its start: a heartbeat would look as if it had been at work."""
    with zmq.Context.instance().socket(zmq.PULL) as supervisor:
        supervisor.bind(endpoint(tmp_path, Heartbeat, SUPERVISOR))
        HeartbeatSender("failed", tmp_path).close()
        at_work = HeartbeatSender("at_work", tmp_path)
        at_work.beat()
        at_work.close()

        assert supervisor.poll(5000)
        beats = []
        while supervisor.poll(500):
            beats.append(msgspec.msgpack.decode(supervisor.recv(), type=Heartbeat).process)

    assert beats == ["at_work", "at_work"]
