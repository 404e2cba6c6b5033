"""How many cameras a machine carries: events a second, the share of frames told, and latency, for 1 to 16 cameras.

    python -m benchmarks.bench_cameras [--video FILE] [--faces DIR] [--cameras 1 2 4 8 16] [--seconds S] [--rounds N]
                                       [--beside DIRECTORY] [--set KEY=VALUE] [--camera KEY=VALUE] [--stages]
                                       [--trace FILE] [--kill PROCESS ...]

Each camera plays the video in a loop at its own rate, all stages run, and a subscriber of the topic counts. Latency is
from `captured_ns` until the subscriber has the event. With `--beside`, each round is also run by the jetstream in that
directory (another checkout), in turns, and the ratio is the median of the pairs. `--camera` sets a key of every camera,
such as `decoder="shared-cuda"`. "cores" is what the pipeline's processes used; `--stages` says how much each stage did.
`--trace` keeps two seconds of the run for Perfetto. `--kill` then kills these processes, one after the other, by
SIGKILL, and says how long cameras were silent.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgpack
import numpy as np
import zmq

from tests.support.command import free_port

REPOSITORY = Path(__file__).resolve().parent.parent
WARM_UP_S = 6.0
"""not measured: opening, the first searches, and adapting to the load"""
START_S = 90.0
"""longest until every camera has told its first frame"""


class Carried(NamedTuple):
    """What a subscriber heard of one run."""

    offered: int  # frames that the cameras gave in the time
    events: int
    seconds: float
    latencies_ms: list[float]
    least_share: float  # events of the camera with the fewest, as a share of an equal part
    cores: dict[str, float]  # by stage: seconds of CPU a second
    first_s: float  # from the start until the first event
    opened_s: float  # from the start until every camera had told a frame
    kills: tuple[str, ...] = ()  # a line for each

    @property
    def rate(self) -> float:
        return self.events / self.seconds

    def percentile_ms(self, percent: float) -> float:
        return float(np.percentile(self.latencies_ms, percent)) if self.latencies_ms else float("inf")


def arguments() -> argparse.Namespace:
    data = Path(os.environ.get("JETSTREAM_DATA", REPOSITORY.parent / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, default=data / "video" / "friends_dev.mp4")
    parser.add_argument("--faces", type=Path, default=data / "friends_refs")
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--beside", type=Path, help="directory of another checkout of jetstream")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--camera", dest="keys", action="append", default=[], metavar="KEY=VALUE", help="TOML")
    parser.add_argument("--trace", type=Path)
    parser.add_argument("--kill", nargs="+", default=[], metavar="PROCESS", help="such as decode or track.2")
    parser.add_argument("--stages", action="store_true", help="tell the CPU of each stage")
    return parser.parse_args()


def carried(tree: Path, cameras: int, options: argparse.Namespace) -> Carried:
    """Run `cameras` cameras with the jetstream in `tree`."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "cameras.toml"
        blocks = (
            f'[[cameras]]\nname = "camera{number:02}"\nsource = "{options.video.resolve()}"\nloop = true\n'
            + "".join(f"{key}\n" for key in options.keys)
            for number in range(cameras)
        )
        config.write_text("\n".join(blocks))
        words = [sys.executable, "-m", "jetstream.cli", "run", str(config), "--headless"]
        words += ["--faces", str(options.faces.resolve())]
        for setting in (
            f"pipeline.run_dir={folder}/run",
            f"publish.endpoint=tcp://127.0.0.1:{port}",
            "pipeline.log_level=warning",
            f"models.dir={REPOSITORY / 'models'}",
            *options.settings,
        ):
            words += ["--set", setting]
        process = subprocess.Popen(
            words,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tree.resolve()), os.environ.get("PYTHONPATH", "")])},
        )
        try:
            heard = _heard(port, cameras, options.seconds, process)
            if options.trace:
                words = [sys.executable, "-m", "jetstream.cli", "trace", "2", "-o", str(options.trace.resolve())]
                subprocess.run([*words, "--set", f"pipeline.run_dir={folder}/run"], cwd=tree, check=False)
            kills = tuple(_killed(port, name, cameras, process) for name in options.kill)
            return heard._replace(kills=kills)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _heard(port: int, cameras: int, seconds: float, process: "subprocess.Popen[bytes]") -> Carried:
    """Listen to the topic once every camera has told a frame and the warm-up is over."""
    events: Counter[str] = Counter()
    latencies_ms: list[float] = []
    begun: set[str] = set()
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    with zmq.Context.instance().socket(zmq.SUB) as socket:
        socket.set(zmq.RCVHWM, 0)
        socket.subscribe(b"detections.")
        socket.connect(f"tcp://127.0.0.1:{port}")
        started_s = time.monotonic()
        deadline_s = started_s + START_S
        from_s = first_s = opened_s = float("inf")
        before: dict[str, float] = {}
        while time.monotonic() < deadline_s and process.poll() is None:
            if not socket.poll(200):
                continue
            body = msgpack.unpackb(socket.recv_multipart()[1])
            now_s = time.monotonic()
            camera = body["camera"]
            first_s = min(first_s, now_s - started_s)
            begun.add(camera)
            if len(begun) == cameras and from_s == float("inf"):
                from_s = now_s + WARM_UP_S
                deadline_s = from_s + seconds
                opened_s = now_s - started_s
            if now_s >= from_s:
                before = before or cpu_s(process.pid)
                events[camera] += 1
                latencies_ms.append(now_s * 1e3 - body["captured_ns"] / 1e6)
                first.setdefault(camera, body["frame_id"])
                last[camera] = body["frame_id"]
    after = cpu_s(process.pid)
    cores = {stage: (used - before.get(stage, 0.0)) / seconds for stage, used in after.items()}
    offered = sum(last[camera] - first[camera] + 1 for camera in first)
    total = sum(events.values())
    fewest = min((events[camera] for camera in begun), default=0) if len(begun) == cameras else 0
    return Carried(offered, total, seconds, latencies_ms, fewest * cameras / max(total, 1), cores, first_s, opened_s)


def _killed(port: int, name: str, cameras: int, pipeline: "subprocess.Popen[bytes]") -> str:
    """Kill a process, and listen until every camera has told a frame that is newer, or for START_S."""
    pid = next((pid for pid, process, _ in processes(pipeline.pid) if process == name), None)
    if pid is None:
        return f"kill -9 of {name}: there is no such process"
    silent_s: dict[str, float] = {}
    with zmq.Context.instance().socket(zmq.SUB) as socket:
        socket.set(zmq.RCVHWM, 0)
        socket.subscribe(b"detections.")
        socket.connect(f"tcp://127.0.0.1:{port}")
        time.sleep(1.0)
        while socket.poll(0):
            socket.recv_multipart()
        os.kill(pid, signal.SIGKILL)
        killed_s = time.monotonic()
        # what was on its way when it was killed still comes
        while len(silent_s) < cameras and time.monotonic() - killed_s < START_S:
            if socket.poll(200):
                body = msgpack.unpackb(socket.recv_multipart()[1])
                if body["captured_ns"] > (killed_s + 0.5) * 1e9:
                    silent_s.setdefault(body["camera"], time.monotonic() - killed_s)
    times_s = sorted(silent_s.values()) or [float("inf")]
    missing = f", {cameras - len(silent_s)} cameras still silent" if len(silent_s) < cameras else ""
    middle_s = statistics.median(times_s)
    return (
        f"kill -9 of {name}: a camera tells a new frame after {middle_s:.1f} s, the last {times_s[-1]:.1f} s{missing}"
    )


def processes(supervisor: int) -> Iterator[tuple[int, str, float]]:
    """Pid, name and seconds of CPU so far of a pipeline's processes."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(folder.name) == supervisor:
            name = "supervisor"
        elif int(fields[1]) == supervisor and b"jetstream.runtime.worker" in words:
            name = words[words.index(b"jetstream.runtime.worker") + 2].decode()
        else:
            continue
        yield int(folder.name), name, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_s(supervisor: int) -> dict[str, float]:
    """Seconds of CPU that a pipeline's processes have used so far, by stage."""
    used: Counter[str] = Counter()
    for _, name, seconds in processes(supervisor):
        used[name.partition(".")[0]] += seconds
    return dict(used)


def main() -> None:
    options = arguments()
    if not options.video.exists():
        sys.exit(f"{options.video}: no such video; give --video and --faces, or set JETSTREAM_DATA")
    trees = [REPOSITORY, *([options.beside] if options.beside else [])]
    print(f"{options.video.name}, {os.cpu_count()} cores, {options.seconds:g} s, {options.rounds} rounds, medians\n")
    print(
        "| cameras | jetstream | events/s | of the frames written | p50 ms | p99 ms | fewest of a camera | cores | "
        "first event, all cameras, s |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for cameras in options.cameras:
        rounds = [[carried(tree, cameras, options) for tree in trees] for _ in range(options.rounds)]
        for index, tree in enumerate(trees):
            runs = [one[index] for one in rounds]
            median = {
                name: statistics.median(values)
                for name, values in {
                    "rate": [run.rate for run in runs],
                    "share": [run.events / max(run.offered, 1) for run in runs],
                    "p50": [run.percentile_ms(50) for run in runs],
                    "p99": [run.percentile_ms(99) for run in runs],
                    "least": [run.least_share for run in runs],
                    "cores": [sum(run.cores.values()) for run in runs],
                    "first": [run.first_s for run in runs],
                    "opened": [run.opened_s for run in runs],
                }.items()
            }
            name = "this" if tree == REPOSITORY else str(tree)
            print(
                f"| {cameras} | {name} | {median['rate']:.0f} | {median['share']:.1%} | {median['p50']:.0f} | "
                f"{median['p99']:.0f} | {median['least']:.2f} | {median['cores']:.2f} | {median['first']:.1f}, "
                f"{median['opened']:.1f} |",
                flush=True,
            )
            for run in runs:
                print("".join(f"{line}\n" for line in run.kills), end="", flush=True)
            if options.stages:
                stages = {
                    stage: statistics.median(run.cores.get(stage, 0.0) for run in runs) for stage in runs[0].cores
                }
                print(
                    ", ".join(f"{stage} {cores:.2f}" for stage, cores in stages.items() if cores >= 0.005), flush=True
                )
        if options.beside:
            ratios = [pair[0].rate / max(pair[1].rate, 1e-9) for pair in rounds]
            print(f"| {cameras} | ratio | {statistics.median(ratios):.2f} | | | | | | |", flush=True)


if __name__ == "__main__":
    main()
