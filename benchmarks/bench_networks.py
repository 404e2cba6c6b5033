"""The live pipeline with one network that compares faces and another, in turn: rate, drops, latency, CPU time.

    python -m benchmarks.bench_networks [--models sface dlib] [--pairs 5] [--data DIR] [--only one|four]

Two scenes at their own rate: friends_dev as one camera, and four clips of one person each as four cameras. In each pair
every network runs once, the order turns with each pair. Prints the median over the runs, and between the first two
networks the median of the pairs' ratios with the least and the largest.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import msgpack
import numpy as np
import zmq

from jetstream.errors import PipelineError
from jetstream.messages import Status
from jetstream.monitoring.status import statuses
from jetstream.runtime.counters import drops_by_reason
from jetstream.runtime.proc import process_use
from tests.support.command import free_port

REPOSITORY = Path(__file__).resolve().parent.parent
SILENCE_MS = 20_000
CLIPS = ("d10", "d11", "d12", "d14")


class Scene(NamedTuple):
    """Cameras that run together, and the people in them."""

    name: str
    videos: tuple[Path, ...]
    faces: Path


class NetworkRun(NamedTuple):
    """One run with one network. Times in ms are from capture."""

    fps: float  # events a second, all cameras together
    events: float
    missing: float  # frames without an event
    dropped: float  # that the stages counted
    tracked_p50_ms: float
    tracked_p95_ms: float
    published_p50_ms: float
    published_p95_ms: float
    first_name_s: float  # from a named track's first detection to its first name, median over tracks
    named: float  # tracks that got a name
    recognize_cpu_s: float  # from the first event to the last status
    cpu_ms_a_frame: float  # of recognize
    cpu_ms_a_track: float


def main() -> None:
    data = Path(os.environ.get("JETSTREAM_DATA", REPOSITORY.parent / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["sface", "dlib"])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--only", choices=("one", "four"))
    options = parser.parse_args()
    if not options.data.is_dir():
        sys.exit(f"{options.data}: no such folder; give --data, or set JETSTREAM_DATA")
    with tempfile.TemporaryDirectory() as folder:
        for scene in scenes(options.data, Path(folder)):
            if scene.name.startswith(options.only or ""):
                compare(scene, options.models, options.pairs)


def scenes(data: Path, folder: Path) -> Iterator[Scene]:
    yield Scene("one camera, friends_dev", (data / "video" / "friends_dev.mp4",), data / "friends_refs")
    clips = tuple(data / "video" / "singles" / f"{name}.mp4" for name in CLIPS)
    for clip in clips:
        photo = folder / "faces" / clip.stem / "1.png"
        photo.parent.mkdir(parents=True)
        with av.open(str(clip)) as film:
            *_, last = (frame for frame, _ in zip(film.decode(video=0), range(150), strict=False))
        last.to_image().save(photo)
    yield Scene("four cameras, one person each", clips, folder / "faces")


def compare(scene: Scene, models: Sequence[str], pairs: int) -> None:
    for model in models:  # learnt before anything is measured
        words = ["train", "--faces", str(scene.faces), "--set", f"recognize.model={model}"]
        subprocess.run([sys.executable, "-m", "jetstream.cli", *words], cwd=REPOSITORY, check=True, capture_output=True)
    runs: dict[str, list[NetworkRun]] = defaultdict(list)
    for pair in range(pairs):
        for model in models if pair % 2 == 0 else reversed(models):
            runs[model].append(measured(scene, model))
            print(f"pair {pair + 1}, {model}: {runs[model][-1]}", file=sys.stderr, flush=True)
    print(f"\n{scene.name}: {pairs} pairs, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print(f"| | {' | '.join(models)} | {models[0]} / {models[1]} (least, largest) |" if models[1:] else "| | |")
    print("| --- " * (len(models) + 2) + "|")
    for index, field in enumerate(NetworkRun._fields):
        values = {model: [run[index] for run in runs[model]] for model in models}
        medians = " | ".join(f"{statistics.median(values[model]):.2f}" for model in models)
        print(f"| {field} | {medians} | {ratios(*(values[model] for model in models[:2]))} |", flush=True)


def ratios(first: Sequence[float], second: Sequence[float] = ()) -> str:
    if not second or not all(second):
        return ""
    found = sorted(a / b for a, b in zip(first, second, strict=True))
    return f"{statistics.median(found):.2f} ({found[0]:.2f}, {found[-1]:.2f})"


def measured(scene: Scene, model: str) -> NetworkRun:
    """Run the scene to its end, listen to the topic, and look at `recognize` once a second."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, zmq.Context.instance().socket(zmq.SUB) as socket:
        socket.set(zmq.RCVHWM, 0)
        socket.subscribe(b"detections.")
        socket.connect(f"tcp://127.0.0.1:{port}")
        run_dir, config = Path(folder) / "run", Path(folder) / "config.toml"
        config.write_text(
            "".join(f'[[cameras]]\nname = "c{i}"\nsource = "{video}"\n' for i, video in enumerate(scene.videos))
            + f'[pipeline]\nrun_dir = "{run_dir}"\nlog_level = "warning"\n'
            + f'[models]\ndir = "{REPOSITORY / "models"}"\n'
            + f'[recognize]\nfaces = "{scene.faces}"\nmodel = "{model}"\n'
            + f'[publish]\nendpoint = "tcp://127.0.0.1:{port}"\n'
        )
        words = [sys.executable, "-m", "jetstream.cli", "run", str(config), "--headless"]
        process = subprocess.Popen(words, cwd=REPOSITORY)
        told = None
        events, cpu_s, last = [], [], None
        while socket.poll(SILENCE_MS if not events or process.poll() is None else 500):
            events.append(msgpack.unpackb(socket.recv_multipart()[1]))
            told = told or statuses(run_dir)
            if len(cpu_s) < time.monotonic() - events[0]["captured_ns"] * 1e-9 and process.poll() is None:
                last = newest(told) or last
                cpu_s += recognize_cpu_s(last)
        process.send_signal(signal.SIGTERM) if process.poll() is None else None
        process.wait()
    assert last is not None
    return summary(events, cpu_s[-1] - cpu_s[0], sum(drops(last).values()))


def newest(told: Iterator[Status]) -> Status | None:
    try:
        return next(told)
    except PipelineError:  # it has just ended
        return None


def recognize_cpu_s(status: Status | None) -> list[float]:
    """Processor time of `recognize` until now."""
    beats = [child.beat for child in status.processes if child.process == "recognize"] if status else []
    pids = [beat.pid for beat in beats if beat]
    return [use.cpu_s for use in map(process_use, pids) if use]


def drops(status: Status) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for child in status.processes:
        for reason, count in drops_by_reason(child.beat.counts).items() if child.beat else ():
            found[f"{child.process} {reason}"] += count
    return found


def summary(events: Sequence[dict], recognize_cpu_s: float, dropped: int) -> NetworkRun:
    seconds = (events[-1]["captured_ns"] - events[0]["captured_ns"]) * 1e-9
    numbers = defaultdict(set)
    tracks, first_name_s = set(), {}
    for event in events:
        numbers[event["camera"]].add(event["frame_id"])
        for track in event["tracks"]:
            key = event["camera"], track["track_id"]
            tracks |= {key} if track["state"] == "confirmed" else set()
            if track["name"] is not None:
                first_name_s.setdefault(key, track["age_s"])
    hops = {hop: [event["hops_ms"][hop] for event in events] for hop in ("tracked", "published")}
    return NetworkRun(
        (len(events) - 1) / seconds,
        len(events),
        sum(max(ids) + 1 - len(ids) for ids in numbers.values()),
        dropped,
        *np.percentile(hops["tracked"], (50, 95)).tolist(),
        *np.percentile(hops["published"], (50, 95)).tolist(),
        statistics.median(first_name_s.values()) if first_name_s else float("nan"),
        len(first_name_s),
        recognize_cpu_s,
        1e3 * recognize_cpu_s / len(events),
        1e3 * recognize_cpu_s / max(len(tracks), 1),
    )


if __name__ == "__main__":
    main()
