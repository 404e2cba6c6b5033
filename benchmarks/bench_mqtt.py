"""Enters told to a real mosquitto that is killed at random: how many are lost, come twice or out of order; how fast.

    python -m benchmarks.bench_mqtt --enters 10000 --kills 20

The enters are written by the project's own writer while the broker is there and while it isn't, and told by the class
that the sidecar turns. "acknowledged": what the broker confirmed, as a sender sees it. "heard": what a subscriber with
a session got. A broker that is killed (kill -9) forgets sessions, and what it has confirmed and not yet passed on; here
it is told to write its store at each change, so that it loses little. `--signal TERM` stops it in order instead.
"""

import argparse
import itertools
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import msgspec

from jetstream.mqtt.outbox import EventOutbox
from jetstream.mqtt.teller import BrokerTeller
from jetstream.sightings import database
from jetstream.sightings.writer import OpenSighting, SightingQueue
from tests.support.brokers import Broker, Ears, broker_in
from tests.support.sightings import WALL_NS, at, config_with, record

TOPIC = "jetstream/camera/door/event"
AT_ONCE = 20
LIMIT_S = 900.0


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    asked.add_argument("--enters", type=int, default=10_000)
    asked.add_argument("--kills", type=int, default=20)
    asked.add_argument("--signal", choices=("KILL", "TERM"), default="KILL")
    asked.add_argument("--seed", type=int, default=1)
    given = asked.parse_args()
    rng = random.Random(given.seed)
    lines = ("allow_anonymous true", *(["autosave_on_changes true"] if given.kills else []))
    with tempfile.TemporaryDirectory() as temporary, broker_in(Path(temporary) / "broker", *lines) as broker:
        run = TellingRun(Path(temporary), broker)
        run.tell(0)
        begun_s = time.perf_counter()
        writer = threading.Thread(target=run.write, args=(given.enters,))
        writer.start()
        marks = sorted(rng.randrange(1, given.enters) for _ in range(given.kills))
        for mark in marks:
            run.tell(mark)
            broker.stop(signal.Signals[f"SIG{given.signal}"])
            away = threading.Timer(rng.uniform(0.0, 1.0), broker.start)
            away.start()
            run.tell_until_open()
            away.join()
        run.tell(given.enters)
        took_s = time.perf_counter() - begun_s
        writer.join()
        run.end()
    print(f"{given.enters} enters, broker stopped by SIG{given.signal} {given.kills} times, {took_s:.1f} s")
    print(f"{'':14}{'lost':>8}{'twice':>8}{'out of order':>14}")
    for name, seqs in (("acknowledged", run.acknowledged), ("heard", run.heard)):
        print(f"{name:14}{given.enters - len(set(seqs)):>8}{twice(seqs):>8}{disorder(seqs):>14}")
    print(f"{run.repeated} of those that came twice are the broker's, which gave them to the subscriber again")
    if not given.kills:
        print(f"{given.enters / took_s:.0f} enters a second, of two messages each")


def twice(seqs: list[int]) -> int:
    return sum(count - 1 for count in Counter(seqs).values())


def disorder(seqs: list[int]) -> int:
    firsts = list(dict.fromkeys(seqs))
    return sum(one > other for one, other in itertools.pairwise(firsts))


class TellingRun:
    """A database that grows, the teller of it, and a subscriber."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        mqtt = {"enabled": True, "broker": broker.address}
        (folder / "faces").mkdir()
        self.config = config_with(folder, "door", mqtt=mqtt, recognize={"faces": str(folder / "faces")})
        record(self.config, [at(0, camera="door")])
        self._ears = Ears(broker, TOPIC)
        self._teller = BrokerTeller(self.config)
        self.acknowledged = acknowledged_by(self._teller._outbox)

    def write(self, count: int) -> None:
        """`count` enters, some at once."""
        queue = SightingQueue()
        with database.opened(Path(self.config.sightings.dir), write=True, wait_s=60.0) as connection:
            for number in range(count):
                begin_ns = WALL_NS + number * 1_000_000
                one = OpenSighting(f"{number:026}", "door", "door", "Ada", begin_ns, begin_ns, 0.0, 0.0)
                queue.put(one, "enter")
                if number % AT_ONCE == AT_ONCE - 1 or number == count - 1:
                    queue.write(connection)

    def tell(self, count: int) -> None:
        """Until so many are acknowledged, and the broker is there."""
        until_s = time.monotonic() + LIMIT_S
        while len(self.acknowledged) < count or not self._teller.connection.is_open:
            self._teller.turn(time.monotonic(), 0.05)
            assert time.monotonic() < until_s

    def tell_until_open(self) -> None:
        before = self._teller.connection.number
        while self._teller.connection.number == before:
            self._teller.turn(time.monotonic(), 0.05)

    @property
    def repeated(self) -> int:
        return self._ears.repeated

    @property
    def heard(self) -> list[int]:
        return [message["seq"] for message in self._ears.told(TOPIC)]

    def end(self) -> None:
        time.sleep(1.0)
        self._teller.close(time.monotonic())
        self._ears.close()


def acknowledged_by(outbox: EventOutbox) -> list[int]:
    """The numbers of the events that the broker has, as they come."""
    seqs, accepted = list[int](), outbox.accepted

    def counted() -> None:
        topic, payload = outbox.current(time.monotonic()) or ("", b"")
        if topic == TOPIC:
            seqs.append(msgspec.json.decode(payload)["seq"])
        accepted()

    outbox.accepted = counted  # type: ignore[method-assign]
    return seqs


if __name__ == "__main__":
    main()
