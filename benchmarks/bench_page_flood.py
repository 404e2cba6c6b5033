"""What a flood of the page does to the pipeline behind it: latency from capture to event, with and without.

    python -m benchmarks.bench_page_flood [--rounds N] [--seconds S] [--connections N]

One run of the demo with its page; quiet and flooded seconds take turns. The flood is that of tests/web/test_flood.py:
idle connections, heads and bodies byte by byte, viewers who read nothing. It comes from a process of the lowest
priority, so that what is measured is the page's work rather than the flood's.
"""

import argparse
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Final, NamedTuple

import msgpack
import numpy as np
import zmq

from benchmarks.bench_pipeline import REPOSITORY
from jetstream.web.access import AccessStore
from tests.support.command import free_port
from tests.support.flooding import flooded
from tests.support.pages import ask, logged_in

PASSWORD: Final = "correct horse"
SETTLED_S: Final = 2.0
"""after a change, left out"""


class Heard(NamedTuple):
    """What a subscriber heard in some seconds."""

    latencies_ms: list[float]
    fps: float
    page_cpu: float
    """of the page's process, share of a core"""


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    asked.add_argument("--rounds", type=int, default=4)
    asked.add_argument("--seconds", type=float, default=15.0)
    asked.add_argument("--connections", type=int, default=1000)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        measure(Path(temporary), given.rounds, given.seconds, given.connections)


def measure(folder: Path, rounds: int, seconds: float, connections: int) -> None:
    store = AccessStore(folder / "web")
    store.add_user("ada", PASSWORD, "look")
    store.close()
    topic, page = free_port(), free_port()
    words = [sys.executable, "-m", "jetstream.cli", "run", str(REPOSITORY / "configs/demo.toml"), "--headless"]
    for setting in (
        f"pipeline.run_dir={folder}/run",
        "pipeline.log_level=error",
        f"publish.endpoint=tcp://127.0.0.1:{topic}",
        f"web.endpoint=http://127.0.0.1:{page}",
        f"web.dir={folder}/web",
        f"sightings.dir={folder}/sightings",
        "metrics.enabled=false",
    ):
        words += ["--set", setting]
    process = subprocess.Popen(words, cwd=REPOSITORY)
    try:
        with zmq.Context.instance().socket(zmq.SUB) as socket:
            socket.set(zmq.RCVHWM, 0)
            socket.subscribe(b"detections.")
            socket.connect(f"tcp://127.0.0.1:{topic}")
            assert socket.poll(60_000), "the run began"
            cookie = logged_in(page, "ada", PASSWORD)
            time.sleep(10.0)
            quiet, loud = list[Heard](), list[Heard]()
            for _ in range(rounds):
                quiet.append(hear(socket, seconds, page, cookie))
                loud.append(hear_flooded(socket, seconds, page, cookie, connections))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
    print("| | fps | p50 ms | p95 ms | p99 ms | page's process, cores |\n| --- | --- | --- | --- | --- | --- |")
    tell("quiet", quiet)
    tell(f"{connections} connections", loud)


def hear_flooded(socket: "zmq.Socket[bytes]", seconds: float, page: int, cookie: str, connections: int) -> Heard:
    context = multiprocessing.get_context("spawn")
    end = context.Event()
    flood = context.Process(target=flood_until, args=(page, cookie, connections, end))
    flood.start()
    try:
        hear(socket, 3 * SETTLED_S, page, cookie)
        heard = hear(socket, seconds, page, cookie)
        assert ask(page, "GET", "/api/cameras", Cookie=cookie).status == 200
    finally:
        end.set()
        flood.join()
    hear(socket, SETTLED_S, page, cookie)
    return heard


def flood_until(page: int, cookie: str, connections: int, end: Event) -> None:
    os.nice(19)
    with flooded(page, cookie, connections) as flood:
        end.wait()
    print(f"{flood.opened} connections, {flood.most_open} at once", file=sys.stderr)


def hear(socket: "zmq.Socket[bytes]", seconds: float, page: int, cookie: str) -> Heard:
    """Events of the next seconds; those of before are left out."""
    while socket.poll(0):
        socket.recv_multipart()
    begun_s, latencies_ms = time.monotonic(), list[float]()
    used_s = page_cpu_s(page, cookie)
    while (left_s := begun_s + seconds - time.monotonic()) > 0:
        if socket.poll(int(left_s * 1000) + 1):
            body = msgpack.unpackb(socket.recv_multipart()[1])
            latencies_ms.append((time.monotonic_ns() - body["captured_ns"]) / 1e6)
    return Heard(latencies_ms, len(latencies_ms) / seconds, (page_cpu_s(page, cookie) - used_s) / seconds)


def page_cpu_s(port: int, cookie: str) -> float:
    """Processor time of the page's process, as the page tells it."""
    told = ask(port, "GET", "/api/system", Cookie=cookie).json
    return next(float(one["cpu_s"]) for one in told["processes"] if one["name"] == "web")


def tell(name: str, heard: list[Heard]) -> None:
    p50, p95, p99 = np.percentile([ms for one in heard for ms in one.latencies_ms], (50, 95, 99))
    fps, cpu = np.median([one.fps for one in heard]), np.median([one.page_cpu for one in heard])
    print(f"| {name} | {fps:.1f} | {p50:.1f} | {p95:.1f} | {p99:.1f} | {cpu:.2f} |", flush=True)


if __name__ == "__main__":
    main()
