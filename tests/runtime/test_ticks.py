"""Ticks that a stage is driven by, and what the supervisor hears of them over a real socket."""

from pathlib import Path

import msgspec
import pytest
import zmq

from jetstream.config.schema import Config
from jetstream.ipc.bus import Inbox, Outbox, endpoint
from jetstream.messages import Demuxed, Heartbeat, PatientTicks
from jetstream.pipeline import stage_named
from jetstream.runtime.heartbeat import SUPERVISOR, HeartbeatSender
from jetstream.runtime.ticks import Ticks
from jetstream.runtime.worker import Received
from tests.support.waiting import PATIENCE_S


def received(heartbeat: HeartbeatSender, folder: Path) -> Received:
    """Messages of `decode` while none come: its ticks."""
    stage = stage_named("decode").under(Config())
    inbox = Inbox(folder, "decode", {Demuxed: None}, senders=frozenset({"capture.a"}), tick_s=0.001)
    return Received(inbox, stage, heartbeat, Outbox(folder, {}))


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
