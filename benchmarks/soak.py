"""`make soak`: a long run of the pipeline must not use more and more memory, descriptors, threads or shared memory.

    python -m benchmarks.soak [--minutes 30] [--cameras 3] [--source FILE] [--out soak]

Runs a real `jetstream run` with looping cameras, recording, metrics, and a subscriber of everything. Every 10 s (or a
twentieth of the time) it measures each process. Prints a verdict for each process, draws OUT.png and writes OUT.csv;
exits with 1 where something grew. SOAK_MINUTES is the default of `--minutes`.
"""

import argparse
import csv
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq

from benchmarks.growth import HEADING, Look, verdicts
from jetstream.messages import Status
from jetstream.monitoring.status import statuses
from jetstream.runtime.counters import drops_by_reason
from jetstream.video.demo import scene
from tests.support.command import free_port, segments_of
from tests.support.defaults import video_sink

REPOSITORY = Path(__file__).resolve().parent.parent
LOOK_EVERY_S = 10.0
START_S = 120.0


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("SOAK_MINUTES") or 30))
    parser.add_argument("--cameras", type=int, default=3)
    parser.add_argument("--source", type=Path, help="a video; without it, 5 s of the demo's scene")
    parser.add_argument("--out", type=Path, default=Path("soak"), help="OUT.png and OUT.csv")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    options = arguments(words)
    with tempfile.TemporaryDirectory() as folder, running(options, Path(folder)) as (process, run_dir, subscriber):
        looks, last, heard = watch(process, run_dir, subscriber, options.minutes * 60)
    told = verdicts(looks)
    write(looks, options.out.with_suffix(".csv"))
    draw(looks, options.out.with_suffix(".png"))
    print(f"{options.minutes:g} minutes, {options.cameras} cameras, {heard} messages heard by the subscriber\n")
    print(HEADING, *(verdict.row() for verdict in told), sep="\n")
    print(f"\n{frames_and_drops(last)}; {options.out.with_suffix('.png')}")
    return 0 if all(verdict.is_good for verdict in told) and heard else 1


@contextmanager
def running(
    options: argparse.Namespace, folder: Path
) -> Iterator[tuple["subprocess.Popen[bytes]", Path, "zmq.Socket[bytes]"]]:
    """The pipeline, its run directory, and a subscriber of its topic."""
    config, run_dir, port = folder / "soak.toml", folder / "run", free_port()
    source = options.source or clip(folder / "clip.mp4")
    config.write_text(
        "".join(f'[[cameras]]\nname = "c{i}"\nsource = "{source}"\nloop = true\n' for i in range(options.cameras))
        + f'[pipeline]\nrun_dir = "{run_dir}"\nlog_level = "warning"\n'
        + f'[models]\ndir = "{REPOSITORY / "models"}"\n[recognize]\nfaces = "demo"\n'
        + f'[publish]\nendpoint = "tcp://127.0.0.1:{port}"\n[metrics]\nendpoint = "http://127.0.0.1:{free_port()}"\n'
        + f'[web]\nendpoint = "http://127.0.0.1:{free_port()}"\n'
        + f'[record]\ndir = "{folder / "recordings"}"\n[sightings]\ndir = "{folder / "sightings"}"\n'
    )
    words = [sys.executable, "-m", "jetstream.cli", "run", str(config), "--headless"]
    process = subprocess.Popen(words, cwd=REPOSITORY, start_new_session=True)
    subscriber = zmq.Context.instance().socket(zmq.SUB)
    try:
        subscriber.subscribe(b"")
        subscriber.connect(f"tcp://127.0.0.1:{port}")
        yield process, run_dir, subscriber
    finally:
        subscriber.close(linger=0)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def clip(path: Path, frames: int = 125, size: tuple[int, int] = (640, 360)) -> Path:
    """Both people of the demo, as a video."""
    import cv2

    sink = video_sink(path, fps=25, width=size[0], height=size[1])
    for index in range(frames):
        sink.write(cv2.resize(scene(index), size), index / 25)
    sink.close()
    return path


def watch(
    process: "subprocess.Popen[bytes]", run_dir: Path, subscriber: "zmq.Socket[bytes]", seconds: float
) -> tuple[list[Look], Status, int]:
    """What was seen of each process until the end, the last status, and how many messages the subscriber got."""
    looks: list[Look] = []
    heard, every_s, started_s, next_s = 0, min(LOOK_EVERY_S, seconds / 20), None, 0.0
    wait_for(process, run_dir)
    for status in statuses(run_dir):
        if process.poll() is not None:
            sys.exit("the pipeline ended; see above")
        now_s = time.monotonic()
        if started_s is None and all(child.beat for child in status.processes):
            started_s = now_s
        while subscriber.poll(0):
            subscriber.recv_multipart()
            heard += 1
        if started_s is None or now_s < next_s:
            continue
        next_s = now_s + every_s
        pids = {child.process: child.beat.pid for child in status.processes if child.beat}
        for name, pid in {"supervisor": status.pid, **pids}.items():
            looks.append(look_at(name, pid, now_s - started_s, len(segments_of(status.pid))))
        if now_s - started_s >= seconds:
            return looks, status, heard
    raise AssertionError


def wait_for(process: "subprocess.Popen[bytes]", run_dir: Path) -> None:
    deadline_s = time.monotonic() + START_S
    while not (run_dir / "status.anyone").exists():
        if process.poll() is not None or time.monotonic() > deadline_s:
            sys.exit("the pipeline did not start; see above")
        time.sleep(0.1)


def look_at(name: str, pid: int, at_s: float, segments: int) -> Look:
    """The process as it is now."""
    folder = Path(f"/proc/{pid}")
    values = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    mb = (int(values[key].split()[0]) / 1024 for key in ("VmRSS", "RssAnon"))
    return Look(name, pid, at_s, *mb, len(os.listdir(folder / "fd")), int(values["Threads"]), segments)


def write(looks: list[Look], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(Look._fields)
        rows.writerows(looks)


def draw(looks: list[Look], path: Path) -> None:
    """Four charts, a line a process."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, charts = pyplot.subplots(2, 2, figsize=(12, 8), sharex=True)
    charted = (
        ("rss_mb", "RSS, MB"),
        ("descriptors", "file descriptors"),
        ("threads", "threads"),
        ("segments", "shared memory segments"),
    )
    for chart, (field, title) in zip(charts.flat, charted, strict=True):
        for name in dict.fromkeys(look.process for look in looks):
            mine = [look for look in looks if look.process == name]
            chart.plot([look.at_s / 60 for look in mine], [getattr(look, field) for look in mine], label=name)
        chart.set_title(title)
        chart.set_ylim(bottom=0)
    for chart in charts[1]:
        chart.set_xlabel("minutes")
    charts[0][1].legend(fontsize="small", ncols=2)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def frames_and_drops(status: Status) -> str:
    beats = {child.process: child.beat for child in status.processes if child.beat}
    captured = sum(beat.frames for name, beat in beats.items() if name.startswith("capture."))
    drops = ", ".join(
        f"{name} {reason} {count}"
        for name, beat in beats.items()
        for reason, count in sorted(drops_by_reason(beat.counts).items())
    )
    restarts = sum(child.restarts for child in status.processes)
    return (
        f"{captured} frames captured, {beats['track'].frames} tracked; restarts {restarts}; dropped: {drops or 'none'}"
    )


if __name__ == "__main__":
    sys.exit(main())
