"""Four readers against a writer of packets of random sizes that never waits and is killed again and again: how many
torn packets get through?

`python tests/support/packet_torture.py --seconds 60` prints one JSON object of counts; `torn` must be 0.
"""

import random
import sys
import time
from collections import Counter
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from jetstream.ipc.segment import segment_name
from jetstream.video.gop.ring import DESCRIPTION, KEY, GopPacket, PacketRing
from tests.support.torture import main, run_torture

DATA_BYTES, LARGEST, GOP = 1 << 20, 400_000, 20
READERS = 4


def content(number: int) -> bytes:
    """What packet `number` holds, whoever writes it."""
    chance = random.Random(number)
    size = 40 if number % GOP == 0 else chance.randrange(1, LARGEST if chance.random() < 0.3 else 3000)
    return bytes([number * 37 % 251]) * size


def is_whole(packet: GopPacket) -> bool:
    flags = DESCRIPTION if packet.number % GOP == 0 else KEY if packet.number % GOP == 1 else 0
    told = packet.pts_ns, packet.dts_ns, packet.arrived_ns, packet.flags
    return packet.data == content(packet.number) and told == (packet.number, -packet.number, 7, flags)


def write_for_ever(name: str) -> None:
    with PacketRing.attach(name) as ring:
        while True:
            number = ring.cursor
            flags = DESCRIPTION if number % GOP == 0 else KEY if number % GOP == 1 else 0
            ring.write(content(number), flags=flags, pts_ns=number, dts_ns=-number, arrived_ns=7)


def follow(name: str, seconds: float, seed: int, start: Barrier, counts: "Queue[Counter[str]]") -> None:
    """One that reads all packets in order, now and then slowly, and starts again at the newest description."""
    chance, seen, number = random.Random(seed), Counter[str](), 0
    with PacketRing.attach(name) as ring:
        start.wait()
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            if number >= ring.cursor:
                time.sleep(0.0002)
                continue
            packet = ring.read(number)
            if packet is None:
                seen["lapped"] += 1
                described = ring.newest_description
                assert described is not None
                assert described % GOP == 0, "a description, whatever was killed"
                number = described
                continue
            seen["whole" if is_whole(packet) else "torn"] += 1
            number += 1
            if chance.random() < 0.01:
                time.sleep(chance.random() * 0.01)
    counts.put(seen)


def torture(seconds: float, kills: int) -> Counter[str]:
    """Counts over all readers; `written` packets beside them."""
    name = segment_name("packets")
    with PacketRing.create(name, data_bytes=DATA_BYTES) as ring:
        return run_torture(ring, name, write_for_ever, follow, READERS, seconds, kills)


if __name__ == "__main__":
    main(__doc__, torture, ("written", "whole", "lapped", "torn"))
