"""Garbage in every socket of a running pipeline: each process counts it and goes on."""

import random
import stat
from contextlib import suppress

import pytest
import zmq

from jetstream.messages import Status
from jetstream.runtime.counters import drops_by_reason
from tests.support.inside import Inside
from tests.support.repository import DEMO
from tests.support.statuses import pids_in

pytestmark = pytest.mark.pipeline


@pytest.mark.parametrize("largest", [300, 20_000])
def test_garbage_in_every_doorway_ends_no_process(jetstream: Inside, largest: int) -> None:
    dice = random.Random(1)
    with jetstream.running(DEMO, "--headless", "--record", "rec") as process:
        before = pids_in(jetstream.wait(lambda status: len(pids_in(status)) == len(status.processes), process))
        doorways = [path for path in jetstream.run_dir.iterdir() if stat.S_ISSOCK(path.stat().st_mode)]
        assert len(doorways) > 6
        for path in doorways:
            with zmq.Context.instance().socket(zmq.PUSH) as socket:
                socket.set(zmq.LINGER, 500)
                socket.connect(f"ipc://{path}")
                socket.set(zmq.SNDTIMEO, 1000)
                with suppress(zmq.Again):  # who publishes takes nothing, and hangs up
                    for _ in range(100):
                        # 0xc1 is the one byte that msgpack never uses
                        garbage = b"\xc1" + dice.randbytes(dice.randrange(largest))
                        socket.send_multipart([garbage] * dice.choice((1, 1, 3)))

        def is_counted(status: Status) -> bool:
            drops = {p.process: drops_by_reason(p.beat.counts).get("garbled", 0) for p in status.processes if p.beat}
            return all(drops[name] >= 100 for name in ("detect", "track", "recognize", "record", "publish"))

        after = jetstream.wait(is_counted, process)
        assert pids_in(after) == before
        assert [p.process for p in after.processes if p.restarts] == []
        frames = after.processes[0].beat.frames if after.processes[0].beat else 0
        jetstream.wait(
            lambda status: bool(status.processes[0].beat and status.processes[0].beat.frames > frames), process
        )
