"""The whole pipeline: frames per second, latency from capture to event, and the cost of the process boundaries.

    python -m benchmarks.bench_pipeline [--video FILE] [--faces DIR] [--rounds N]

Live: the video at its own rate through all processes; latency is from `captured_ns` until a subscriber of the topic has
the event. Every frame: `run --pace every-frame` beside `replay` of the same frames in one process.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import msgpack
import numpy as np
import zmq

from jetstream import startup
from jetstream.config import load
from jetstream.config import schema as configuration
from jetstream.config.schema import Config
from jetstream.replay.replay import replay
from tests.support.command import free_port

REPOSITORY = Path(__file__).resolve().parent.parent
SILENCE_MS = 20_000


class Heard(NamedTuple):
    """What a subscriber heard of one run."""

    frames: int
    fps: float
    latencies_ms: list[float]
    gaps: int  # frame numbers that never came


def arguments() -> argparse.Namespace:
    data = Path(os.environ.get("JETSTREAM_DATA", REPOSITORY.parent / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, default=data / "video" / "friends_dev.mp4")
    parser.add_argument("--faces", type=Path, default=data / "friends_refs")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def settings(options: argparse.Namespace, pace: str) -> Config:
    overrides = {
        "recognize": {"faces": str(options.faces)},
        "pipeline": {"pace": pace},
        "render": {"window": False},
        "models": {"dir": str(REPOSITORY / "models")},
    }
    config = load.build({}, where="benchmark", overrides=overrides)
    return configuration.with_preset(
        type(config)(
            **{**{f: getattr(config, f) for f in config.__struct_fields__}, "cameras": cameras(options, config)}
        )
    )


def cameras(options: argparse.Namespace, config: Config) -> tuple[configuration.CameraConfig, ...]:
    return load.cameras_for([str(options.video)], config)


def hear(options: argparse.Namespace, pace: str) -> Heard:
    """Run the pipeline to the end of the video and listen to its topic."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        socket = zmq.Context.instance().socket(zmq.SUB)
        socket.set(zmq.RCVHWM, 0)
        socket.subscribe(b"detections.")
        socket.connect(f"tcp://127.0.0.1:{port}")
        words = [sys.executable, "-m", "jetstream.cli", "run", str(REPOSITORY / "configs/default.toml")]
        words += ["--source", str(options.video), "--faces", str(options.faces), "--headless", "--pace", pace]
        for setting in (
            f"pipeline.run_dir={folder}",
            f"publish.endpoint=tcp://127.0.0.1:{port}",
            "pipeline.log_level=warning",
        ):
            words += ["--set", setting]
        process = subprocess.Popen(words, cwd=REPOSITORY)
        times_ns, latencies_ms, ids = [], [], []
        while socket.poll(SILENCE_MS if not ids or process.poll() is None else 500):
            body = msgpack.unpackb(socket.recv_multipart()[1])
            now_ns = time.monotonic_ns()
            times_ns.append(now_ns)
            latencies_ms.append((now_ns - body["captured_ns"]) / 1e6)
            ids.append(body["frame_id"])
        process.send_signal(signal.SIGTERM) if process.poll() is None else None
        process.wait()
        socket.close()
    fps = (len(ids) - 1) / ((times_ns[-1] - times_ns[0]) / 1e9)
    return Heard(len(ids), fps, latencies_ms, max(ids) + 1 - len(set(ids)))


def replayed_fps(options: argparse.Namespace) -> float:
    times = [time.monotonic() for _ in replay(settings(options, "every-frame"))]
    return (len(times) - 1) / (times[-1] - times[0])


def main() -> None:
    options = arguments()
    if not options.video.exists():
        sys.exit(f"{options.video}: no such video; give --video and --faces, or set JETSTREAM_DATA")
    startup.prepare(settings(options, "live"))
    print(f"{options.video.name}, {os.cpu_count()} cores, {options.rounds} rounds, medians\n")
    live = [hear(options, "live") for _ in range(options.rounds)]
    print("| live, at the video's own rate | fps | frames missing | p50 ms | p95 ms | p99 ms |")
    print("| --- | --- | --- | --- | --- | --- |")
    for number, heard in enumerate(live, start=1):
        p50, p95, p99 = np.percentile(heard.latencies_ms, (50, 95, 99))
        print(f"| round {number} | {heard.fps:.1f} | {heard.gaps} | {p50:.1f} | {p95:.1f} | {p99:.1f} |")
    pairs = [(replayed_fps(options), hear(options, "every-frame")) for _ in range(options.rounds)]
    alone = statistics.median(fps for fps, _ in pairs)
    split = statistics.median(heard.fps for _, heard in pairs)
    ratio = statistics.median(heard.fps / fps for fps, heard in pairs)
    print("\n| every frame | fps | frames | |\n| --- | --- | --- | --- |")
    print(f"| replay, one process | {alone:.1f} | {pairs[0][1].frames} | 1.00 |")
    print(f"| run, all processes | {split:.1f} | {pairs[0][1].frames} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
