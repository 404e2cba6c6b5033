"""Event latency and rate with something and without it, such as sightings, in turn: the same live run twice a pair."""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgpack
import zmq

from benchmarks.sightings import runs
from benchmarks.sightings.cast import DATA
from tests.support.command import free_port

POLL_MS = 300
FOUR = ("singles/d10.mp4", "singles/d12.mp4", "singles/d14.mp4", "singles/d18.mp4")


class Heard(NamedTuple):
    """One run, as its topic tells it: medians over all frames."""

    tracked_ms: float  # from capture
    published_ms: float
    published_95_ms: float
    fps: float  # of all cameras
    frames: int
    cpu_ms: float  # of all processes, a frame that was published; their start is in it


def main(pairs: int) -> None:
    """Print a table a source."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        models = runs.models_in(work)
        faces = DATA / "friends_refs"
        one = {"friends": DATA / "video" / "friends_dev.mp4"}
        four = {f"cam{number}": DATA / "video" / file for number, file in enumerate(FOUR)}
        for title, videos in (("friends_dev, live", one), ("4 cameras of singles, live", four)):
            print(f"\n{title}, {pairs} pairs in turn; load {load():.1f} before\n", flush=True)
            settings = runs.RunSettings(videos, faces, models, "live")
            report(measured(settings, work, pairs, _with_sightings), "sightings")


def _with_sightings(text: str, enabled: bool) -> str:
    return text.replace("[sightings]", f"[sightings]\nenabled = {str(enabled).lower()}")


def measured(
    settings: runs.RunSettings,
    work: Path,
    pairs: int,
    changed: Callable[[str, bool], str],
    duration_s: float | None = None,
) -> list[tuple[Heard, Heard]]:
    """With and without, which of the two comes first alternates. A run before warms the disk's cache.

    changed  the config's text with what is measured (True), and without it
    """
    hear(settings, work, lambda text: changed(text, True), duration_s)
    found = []
    for number in range(pairs):
        order = (True, False) if number % 2 else (False, True)
        heard = {has: hear(settings, work, partial(_changed, changed, has), duration_s) for has in order}
        found.append((heard[True], heard[False]))
    return found


def _changed(changed: Callable[[str, bool], str], has: bool, text: str) -> str:
    return changed(text, has)


def report(pairs: Sequence[tuple[Heard, Heard]], subject: str) -> None:
    print(
        f"| median of the pairs | with {subject} | without | ratio, median (least to most) |\n| --- | --- | --- | --- |"
    )
    for what, field in (
        ("captured to tracked ms", "tracked_ms"),
        ("captured to published ms", "published_ms"),
        ("the same, 95 % of frames ms", "published_95_ms"),
        ("frames a second", "fps"),
        ("frames", "frames"),
        ("processor ms a frame, all processes", "cpu_ms"),
    ):
        with_, without = ([getattr(one[side], field) for one in pairs] for side in (0, 1))
        ratios = sorted(a / b for a, b in zip(with_, without, strict=True))
        spread = f"{statistics.median(ratios):.3f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"| {what} | {statistics.median(with_):.2f} | {statistics.median(without):.2f} | {spread} |", flush=True)


def hear(
    settings: runs.RunSettings, work: Path, changed: Callable[[str], str], duration_s: float | None = None
) -> Heard:
    """Run to the end of the videos and listen to the topic. `duration_s`: of a run whose videos loop, of which the
    first third isn't counted: its processes start then."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        port, config = free_port(), Path(folder) / "run.toml"
        config.write_text(changed(runs.toml(settings, Path(folder), port)))
        socket = zmq.Context.instance().socket(zmq.SUB)
        socket.set(zmq.RCVHWM, 0)
        socket.subscribe(b"detections.")
        socket.connect(f"tcp://127.0.0.1:{port}")
        words = [sys.executable, "-m", "jetstream.cli", "run", str(config), "--headless"]
        words += [] if duration_s is None else ["--duration", f"{duration_s:g}"]
        used_before_s = _processor_s()
        process = subprocess.Popen(words, cwd=folder)
        times_s: dict[str, list[float]] = {}
        hops: list[Mapping[str, float]] = []
        begun_s = time.monotonic()
        while True:
            ended = process.poll() is not None
            if not socket.poll(POLL_MS):
                if ended:
                    break
                continue
            event = msgpack.unpackb(socket.recv_multipart()[1])
            if time.monotonic() - begun_s < (duration_s or 0.0) / 3:
                continue
            times_s.setdefault(event["camera"], []).append(time.monotonic())
            hops.append(event["hops_ms"])
        process.wait()
        socket.close(linger=0)
    tracked, published = (sorted(one[hop] for one in hops) for hop in ("tracked", "published"))
    return Heard(
        statistics.median(tracked),
        statistics.median(published),
        published[int(0.95 * len(published))],
        sum((len(one) - 1) / (one[-1] - one[0]) for one in times_s.values()),
        len(hops),
        1e3 * (_processor_s() - used_before_s) / len(hops),
    )


def _processor_s() -> float:
    """Of all processes that were started here and have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def load() -> float:
    return float(Path("/proc/loadavg").read_text().split()[0])
