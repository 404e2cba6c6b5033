"""Garbage through real sockets of the inside, with good messages in between that must all arrive."""

import itertools
import threading
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil
import zmq

from jetstream.ipc.bus import Inbox, endpoint
from jetstream.messages import Captured, Ended, FrameRef
from tests.fuzz.mutate import mutated

GOOD_EVERY = 500


class Flooded(NamedTuple):
    good: int  # of those below, that arrived
    sent_good: int
    garbled: int
    grown_mb: float


def flood_inbox(run_dir: Path, count: int, seed: int) -> Flooded:
    """`count` damaged messages of all kinds to an inbox that waits for frames; mark every 500th a good one."""
    inbox = Inbox(run_dir, "detect", {Captured: None}, senders=frozenset({"capture"}))
    frame = FrameRef(camera="no damage makes this", frame_id=-1, captured_ns=1, wall_ns=2, pts_s=0.5, live=True)
    good = [Captured(frame=msgspec.structs.replace(frame, frame_id=-1 - i)) for i in range(count // GOOD_EVERY)]
    thread = threading.Thread(target=_send, args=(run_dir, count, seed, good))
    thread.start()
    process = psutil.Process()
    wanted, arrived, early = set(good), 0, 0
    try:
        for message in inbox:
            arrived += message in wanted
            if early == 0 and arrived >= len(good) // 10:
                early = process.memory_info().rss
    finally:
        thread.join()
        inbox.close()
    return Flooded(arrived, len(good), inbox.garbled.total(), (process.memory_info().rss - early) / 2**20)


def _send(run_dir: Path, count: int, seed: int, good: list[Captured]) -> None:
    frame = FrameRef(camera="door", frame_id=7, captured_ns=1, wall_ns=2, pts_s=0.5, live=True)
    # an Ended that garbage makes up would end the inbox, as it should: none is among what is damaged
    seeds = [msgspec.msgpack.encode(Captured(frame=frame)), b"\x82\xa4type\xa5Other\xa5frame\x80", b"{}"]
    with zmq.Context.instance().socket(zmq.PUSH) as socket:
        socket.set(zmq.LINGER, 60_000)
        socket.set(zmq.SNDHWM, 1000)
        socket.connect(endpoint(run_dir, Captured, "detect"))
        for index, data in enumerate(itertools.islice(mutated(seeds, seed), count)):
            socket.send(data)
            if index % GOOD_EVERY == GOOD_EVERY - 1:
                socket.send(msgspec.msgpack.encode(good[index // GOOD_EVERY]))
        socket.send(msgspec.msgpack.encode(Ended(sender="capture")))
