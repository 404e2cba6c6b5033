"""Ticks that a stage is driven by, and what the supervisor hears of them over a real socket."""

from pathlib import Path

import msgspec
import zmq

from jetstream.ipc.bus import endpoint
from jetstream.messages import Heartbeat, PatientTicks
from jetstream.runtime.heartbeat import SUPERVISOR, HeartbeatSender
from jetstream.runtime.ticks import Ticks
from tests.support.waiting import PATIENCE_S


def test_opening_is_told_before_it_begins_and_forgotten_when_ticks_go_on(tmp_path: Path) -> None:
    with zmq.Context.instance().socket(zmq.PULL) as supervisor:
        supervisor.bind(endpoint(tmp_path, Heartbeat, SUPERVISOR))
        heartbeat = HeartbeatSender("capture.a", tmp_path)
        ticks = Ticks(heartbeat, lambda: False)
        assert isinstance(ticks, PatientTicks)

        def patience_s() -> float:
            assert supervisor.poll(int(PATIENCE_S * 1000))
            return msgspec.msgpack.decode(supervisor.recv(), type=Heartbeat).patience_s

        next(ticks)
        assert patience_s() == 0
        ticks.opens(60)
        assert patience_s() == 60
        next(ticks)
        next(ticks)
        heartbeat.beat_now()
        assert patience_s() == 0
        heartbeat.close()
