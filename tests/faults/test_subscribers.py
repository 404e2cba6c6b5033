"""Readers of the topic that are slow, many, or come and go."""

import time
from contextlib import ExitStack

import pytest
import zmq

from tests.faults.harness import Ear, Faulty, Tell, left_behind, stop
from tests.support.repository import DEMO
from tests.support.statuses import frames_flow
from tests.support.waiting import wait_until

pytestmark = pytest.mark.pipeline

MANY = 100


def memory_mb(pid: int) -> float:
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * 4096 / 1e6


@pytest.mark.faults
def test_subscriber_that_never_reads_and_100_others_hold_nobody_up(jetstream: Faulty, tell: Tell) -> None:
    with jetstream.running(DEMO, "--headless") as process, Ear(jetstream) as ear, ExitStack() as stack:
        status = jetstream.wait(frames_flow, process)
        pid = jetstream.pid_of("publish")
        context = stack.enter_context(zmq.Context())
        mute = stack.enter_context(context.socket(zmq.SUB))
        mute.set(zmq.RCVHWM, 1)
        mute.set(zmq.RCVBUF, 4096)
        for socket in (mute, *(stack.enter_context(context.socket(zmq.SUB)) for _ in range(MANY))):
            socket.set(zmq.LINGER, 0)
            socket.connect(jetstream.endpoint)
            socket.subscribe(b"")
        before_mb, begun_s = memory_mb(pid), time.monotonic()
        time.sleep(15)
        grown_mb = memory_mb(pid) - before_mb
        silence_s = ear.longest_silence_s(begun_s)
        after = jetstream.status()
        assert jetstream.restarts() == {}
        assert stop(process) == 0

    assert grown_mb < 30
    lost = {p.process: p.beat.counts for p in after.processes if p.beat}["track"]
    assert not any("full" in key and value for key, value in lost.items()), lost
    assert status.pid == after.pid
    assert left_behind(jetstream, process.pid) == []
    sees = f"all others hear on (longest gap {silence_s:.2f} s); `publish` grew by {max(0.0, grown_mb):.0f} MB in 15 s"
    tell("a subscriber that never reads, and 100 more", sees, 0.0, "what the mute one didn't read")


@pytest.mark.faults
def test_subscriber_that_comes_again_hears_the_next_frames(jetstream: Faulty, tell: Tell) -> None:
    waits = []
    with jetstream.running(DEMO, "--headless") as process:
        jetstream.wait(frames_flow, process)
        for _ in range(5):
            begun_s = time.monotonic()
            with Ear(jetstream) as ear:
                waits.append(wait_until(lambda ear=ear, begun_s=begun_s: len(ear.frames(begun_s)) > 0))
        assert stop(process) == 0

    tell("a subscriber that reconnects, 5 times", "its `seq` shows what it missed", max(waits), "what came meanwhile")
