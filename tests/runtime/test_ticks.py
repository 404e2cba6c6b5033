"""Ticks that a stage is driven by, and what the supervisor hears of them over a real socket."""

import time
from pathlib import Path

import msgspec
import pytest
import zmq

from jetstream.config.schema import Config, GpuConfig
from jetstream.ipc.bus import Inbox, Outbox, Reader, endpoint
from jetstream.messages import Captured, Demuxed, Heartbeat, PatientTicks
from jetstream.pipeline import stage_named
from jetstream.runtime.heartbeat import SUPERVISOR, HeartbeatSender
from jetstream.runtime.ticks import Ticks
from jetstream.runtime.worker import Received
from tests.support.stage_messages import capture_of
from tests.support.waiting import PATIENCE_S


def received(heartbeat: HeartbeatSender, folder: Path) -> Received:
    """Messages of `decode` while none come: its ticks."""
    stage = stage_named("decode").under(Config())
    inbox = Inbox(folder, "decode", {Demuxed: None}, senders=frozenset({"capture.a"}), tick_s=0.001)
    return Received(inbox, stage, heartbeat, Outbox(folder, {}), cameras=1)


@pytest.mark.parametrize("is_driven", [True, False])
def test_opening_is_told_before_it_begins_and_forgotten_when_ticks_go_on(tmp_path: Path, is_driven: bool) -> None:
    with zmq.Context.instance().socket(zmq.PULL) as supervisor:
        supervisor.bind(endpoint(tmp_path, Heartbeat, SUPERVISOR))
        heartbeat = HeartbeatSender("capture.a", tmp_path)
        ticks = Ticks(heartbeat, lambda: False) if is_driven else received(heartbeat, tmp_path)
        assert isinstance(ticks, PatientTicks)

        def patience_s() -> float:
            assert supervisor.poll(int(PATIENCE_S * 1000))
            return msgspec.msgpack.decode(supervisor.recv(), type=Heartbeat).patience_s

        next(ticks)
        if not is_driven:
            heartbeat.beat_now()
        assert patience_s() == 0
        ticks.opens(60)
        assert patience_s() == 60
        next(ticks)
        next(ticks)
        heartbeat.beat_now()
        assert patience_s() == 0
        heartbeat.close()


def test_batch_waits_for_the_cameras_of_its_own_process_alone(tmp_path: Path) -> None:
    """With `gpu.max_wait_ms`: those of the other processes never come."""
    stage = stage_named("detect").under(Config(gpu=GpuConfig(max_wait_ms=PATIENCE_S * 1e3)))
    inbox = Inbox(tmp_path, "detect.2", {Captured: None}, senders=frozenset({"capture.a", "capture.b"}))
    sender = Outbox(tmp_path, {Captured: [Reader("detect.2", lossless=True, ends=True)]})
    heartbeat = HeartbeatSender("detect.2", tmp_path)
    for camera in "ab":
        sender.send(capture_of(0, camera))
    begun_s = time.monotonic()

    batch = next(Received(inbox, stage, heartbeat, Outbox(tmp_path, {}), cameras=2))

    assert [message.frame.camera for message in batch] == ["a", "b"]
    assert time.monotonic() - begun_s < PATIENCE_S
    sender.close()
    inbox.close()
    heartbeat.close()
