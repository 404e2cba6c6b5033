"""What people who look at the page cost, in one live run of the demo at 1280x720.

    python -m benchmarks.bench_viewers [--viewers 10] [--pairs 6] [--seconds 15] [--fps 24]

1. Viewers that draw nothing (640 px, 15 pictures a second each, over the WebSocket, all in one process of low
   priority) come and go in turn: latency and rate of the events on the topic with and without them, processor time of
   the page's process, and bytes a viewer.
2. One real Chromium with the page: from the capture of a frame until its picture is on the canvas.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgpack
import websockets.sync.client
import zmq

from jetstream.monitoring.status import statuses
from jetstream.runtime.proc import process_use
from tests.support.command import free_port
from tests.support.pages import browser
from tests.support.waiting import wait_until

REPOSITORY: Final = Path(__file__).resolve().parent.parent
SETTLE_S: Final = 2.0
DEMAND: Final = {"show": [{"camera": "demo", "width": 640, "fps": 15}], "credits": 3}
WRAP: Final = """
import("/live_socket.js").then(({ live }) => {
  window.drawn = [];
  for (const tile of live.tiles.values()) {
    const draw = tile.draw;
    tile.draw = (picture, header) => {
      draw(picture, header);
      window.drawn.push([performance.timeOrigin + performance.now() - header.wall_ns / 1e6, header.age_ms]);
    };
  }
});
"""


class Phase(NamedTuple):
    """Some seconds of the run."""

    published_ms: float  # median, from capture
    published_95_ms: float
    fps: float
    web_cpu: float  # share of one core that the page's process used
    viewer_kb: float  # a second, of one viewer
    pictures: float  # a second, of one viewer


class Viewers:
    """Look at the page from another process until `close`: `python -m benchmarks.bench_viewers --look PORT COUNT`"""

    def __init__(self, port: int, count: int) -> None:
        words = [sys.executable, "-m", "benchmarks.bench_viewers", "--look", str(port), str(count)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY)

    def close(self) -> tuple[float, float]:
        """Bytes and pictures of one viewer."""
        out, _ = self._process.communicate(b"end\n", timeout=30)
        got = json.loads(out)
        return got["bytes"], got["pictures"]


def look(port: int, count: int) -> None:
    """Look until a line comes on standard input, then print what one viewer got."""
    os.nice(15)
    got, ends = [[0, 0] for _ in range(count)], threading.Event()

    def one(mine: list[int]) -> None:
        with websockets.sync.client.connect(f"ws://127.0.0.1:{port}/api/live", proxy=None, max_size=None) as socket:
            socket.send(json.dumps(DEMAND))
            while not ends.is_set():
                message = socket.recv()
                if isinstance(message, bytes):
                    mine[0] += len(message)
                    mine[1] += 1
                    socket.send('{"credits":1}')

    threads = [threading.Thread(target=one, args=(mine,), daemon=True) for mine in got]
    for thread in threads:
        thread.start()
    sys.stdin.readline()
    ends.set()
    for thread in threads:
        thread.join(5)
    print(json.dumps({"bytes": sum(one[0] for one in got) / count, "pictures": sum(one[1] for one in got) / count}))


class DemoRun:
    """A live run of the demo, until `close`."""

    def __init__(self, folder: Path, fps: float) -> None:
        self.port, topic = free_port(), free_port()
        sets = {
            "cameras.demo.fps": fps,
            "web.endpoint": f'"http://127.0.0.1:{self.port}"',
            "publish.endpoint": f'"tcp://127.0.0.1:{topic}"',
            "metrics.endpoint": f'"http://127.0.0.1:{free_port()}"',
            "pipeline.run_dir": f'"{folder / "run"}"',
            "sightings.dir": f'"{folder / "sightings"}"',
            "web.dir": f'"{folder / "web"}"',
            "models.dir": f'"{REPOSITORY / "models"}"',
        }
        options = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
        words = [sys.executable, "-m", "jetstream.cli", "run", str(REPOSITORY / "configs/demo.toml"), "--headless"]
        self._process = subprocess.Popen(
            [*words, *options], cwd=folder, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}
        )
        self._topic = zmq.Context.instance().socket(zmq.SUB)
        self._topic.set(zmq.RCVHWM, 0)
        self._topic.subscribe(b"detections.")
        self._topic.connect(f"tcp://127.0.0.1:{topic}")
        self.run_dir = folder / "run"
        assert self._topic.poll(60_000), "the run gives no events"
        self.web_pid = self._pid_of("web")

    def _pid_of(self, name: str) -> int:
        for status in statuses(self.run_dir):
            for one in status.processes:
                if one.process == name and one.beat is not None:
                    return one.beat.pid
        raise RuntimeError(f"{name} does not run")

    def phase(self, seconds: float, viewers: int) -> Phase:
        """Hear the topic for a while."""
        looking = Viewers(self.port, viewers) if viewers else None
        time.sleep(SETTLE_S)
        while self._topic.poll(0):
            self._topic.recv_multipart()
        used_s, start_s = self._web_cpu_s(), time.monotonic()
        published = []
        while time.monotonic() - start_s < seconds:
            if self._topic.poll(100):
                published.append(msgpack.unpackb(self._topic.recv_multipart()[1])["hops_ms"]["published"])
        took_s = time.monotonic() - start_s
        used = (self._web_cpu_s() - used_s) / took_s
        size, pictures = looking.close() if looking else (0.0, 0.0)
        looked_s = took_s + SETTLE_S
        published.sort()
        return Phase(
            statistics.median(published),
            published[int(0.95 * len(published))],
            len(published) / took_s,
            used,
            size / looked_s / 1e3,
            pictures / looked_s,
        )

    def _web_cpu_s(self) -> float:
        return process_use(self.web_pid).cpu_s

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)


def pairs(run: DemoRun, count: int, seconds: float, viewers: int) -> None:
    run.phase(seconds, 0)  # warm
    found = []
    for number in range(count):
        order = (viewers, 0) if number % 2 else (0, viewers)
        heard = {some: run.phase(seconds, some) for some in order}
        found.append((heard[viewers], heard[0]))
    print(f"| median of {count} pairs | {viewers} viewers | none | ratio, median (least to most) |")
    print("| --- | --- | --- | --- |")
    for what, field in (
        ("captured to published ms", "published_ms"),
        ("the same, 95 % of frames ms", "published_95_ms"),
        ("events a second", "fps"),
    ):
        with_, without = ([getattr(one[side], field) for one in found] for side in (0, 1))
        ratios = sorted(a / b for a, b in zip(with_, without, strict=True))
        spread = f"{statistics.median(ratios):.3f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"| {what} | {statistics.median(with_):.2f} | {statistics.median(without):.2f} | {spread} |")
    cpu = statistics.median(one[0].web_cpu - one[1].web_cpu for one in found)
    print(f"\nthe page's process: {100 * cpu / viewers:.2f} % of a core a viewer", end="; ")
    print(f"a viewer gets {statistics.median(one[0].viewer_kb for one in found):.0f} kB/s", end=", ")
    print(f"{statistics.median(one[0].pictures for one in found):.1f} pictures a second", flush=True)


def canvas(run: DemoRun, seconds: float) -> None:
    """A real browser."""
    with browser(1400, 900) as driver:
        driver.get(f"http://127.0.0.1:{run.port}/live")
        wait_until(lambda: driver.execute_script("return document.querySelector('canvas')?.dataset.frame"), 30)
        load: dict[str, float] = driver.execute_script(
            "const [page] = performance.getEntriesByType('navigation');"
            "return {loaded: page.loadEventEnd, kb: performance.getEntriesByType('resource').reduce("
            "(sum, one) => sum + (one.name.includes('/api/') ? 0 : one.encodedBodySize), page.encodedBodySize) / 1e3}"
        )
        print(f"\nfirst load: {load['loaded']:.0f} ms, {load['kb']:.0f} kB")
        driver.execute_script(WRAP)
        time.sleep(seconds)
        drawn: Sequence[Any] = driver.execute_script("return window.drawn")
        width = driver.execute_script("return document.querySelector('canvas').width")
    on_canvas, sent = (sorted(one[side] for one in drawn) for side in (0, 1))
    print(f"\n| to the canvas, {width} px wide, {len(drawn) / seconds:.1f} pictures a second | p50 ms | p95 ms |")
    print("| --- | --- | --- |")
    for what, times in (("captured to sent", sent), ("captured to drawn", on_canvas)):
        print(f"| {what} | {statistics.median(times):.1f} | {times[int(0.95 * len(times))]:.1f} |", flush=True)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    asked.add_argument("--viewers", type=int, default=10)
    asked.add_argument("--pairs", type=int, default=6)
    asked.add_argument("--seconds", type=float, default=15.0)
    asked.add_argument("--fps", type=float, default=24.0)
    asked.add_argument("--look", type=int, nargs=2, metavar=("PORT", "COUNT"), help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.look:
        look(*given.look)
        return
    print(f"load {os.getloadavg()[0]:.1f} before")
    with tempfile.TemporaryDirectory() as folder:
        run = DemoRun(Path(folder), given.fps)
        try:
            pairs(run, given.pairs, given.seconds, given.viewers)
            canvas(run, given.seconds)
        finally:
            run.close()


if __name__ == "__main__":
    main()
