"""Start-up: imports of each stage, `jetstream run` to its first frame and its first name, `identify`, `--help`.

    python -m benchmarks.bench_startup [--rounds 5] [--before TREE] [--peer-python VENV/bin/python]

Needs no data: the demo's scene and its portrait. A TREE is another checkout, measured beside this one, turn by turn,
since other work on the machine changes from minute to minute; the ratio is the median of the rounds' ratios. VENV holds
face_recognition with dlib, whose command is asked the same picture. Wall seconds, and processor seconds in brackets:
those of all processes together, which say more where other work takes most of the processor.
"""

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import zmq
from PIL import Image

from jetstream import pipeline
from jetstream.video import demo_film

REPOSITORY = Path(__file__).resolve().parent.parent
DEMO = REPOSITORY / "configs" / "demo.toml"
LIMIT_S = 300.0
IMPORT = """
import importlib.util, sys
from jetstream import pipeline
worker = "jetstream.runtime.worker"
importlib.import_module(worker if importlib.util.find_spec("jetstream.runtime") else "jetstream.process")
pipeline.stage_named(sys.argv[1]).load()
"""
PEER = "from face_recognition.face_recognition_cli import main; main()"


class Cost(NamedTuple):
    wall_s: float
    cpu_s: float


class Tree:
    """A checkout, with a folder of its own for what it builds and compiles."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.folder, self.scratch = folder, scratch
        self.models = scratch / "models"
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(folder),
            "PYTHONPYCACHEPREFIX": str(scratch / "compiled"),  # as installed packages are: compiled once
        }
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "jetstream.cli", *words]

    def cost(self, *words: str) -> Cost:
        return cost_of(self.command(*words), self.environment, self.folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--peer-python", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        known, asked = portraits(Path(scratch))
        trees = {"now": Tree(REPOSITORY, Path(scratch) / "now")}
        if options.before:
            trees["before"] = Tree(options.before.resolve(), Path(scratch) / "before")
        first = {name: first_runs(tree, known, asked) for name, tree in trees.items()}
        found: defaultdict[str, defaultdict[str, list[Cost]]] = defaultdict(lambda: defaultdict(list))
        for name, costs in first.items():
            for what, cost in costs.items():
                found[what][name].append(cost)
        for _ in range(options.rounds):
            for name, tree in trees.items():
                for what, cost in measured(tree, known, asked):
                    print(f"{name}: {what}: {cost.wall_s:.2f} s ({cost.cpu_s:.2f})", file=sys.stderr)
                    found[what][name].append(cost)
            if options.peer_python:
                words = [str(options.peer_python), "-c", PEER, str(known / demo_film.ENROLLED), str(asked)]
                found["face_recognition KNOWN one.jpg"]["now"].append(cost_of(words, dict(os.environ), REPOSITORY))
        show(found, options.rounds, paired=bool(options.before))


def portraits(folder: Path) -> tuple[Path, Path]:
    """A faces folder with the demo's one known person, and a picture of her that isn't in it."""
    known = folder / "faces"
    demo_film.write_faces(known)
    asked = folder / "one.jpg"
    with Image.open(demo_film.collins_path()) as photo:
        photo.convert("RGB").save(asked)
    return known, asked


def first_runs(tree: Tree, known: Path, asked: Path) -> dict[str, Cost]:
    """Once a tree, with nothing compiled, built or learnt; then it is warm."""
    tree.cost("--help")
    first = tree.cost(*identify(tree, known, asked))
    for stage in ("render", "record"):  # the run below compiles the others
        cost_of([sys.executable, "-c", IMPORT, stage], tree.environment, tree.folder)
    first_name(tree)
    return {"the very first `identify`: builds models, learns": first}


def measured(tree: Tree, known: Path, asked: Path) -> Iterator[tuple[str, Cost]]:
    for stage in pipeline.STAGES:
        yield f"import {stage.name}", cost_of([sys.executable, "-c", IMPORT, stage.name], tree.environment, tree.folder)
    frame, name = first_name(tree)
    yield "`run configs/demo.toml` to the first frame", frame
    yield "`run configs/demo.toml` to the first name", name
    yield "`identify one.jpg`", tree.cost(*identify(tree, known, asked))
    yield "`--help`", tree.cost("--help")


def identify(tree: Tree, known: Path, asked: Path) -> list[str]:
    return ["identify", str(asked), "--faces", str(known), "--set", f"models.dir={tree.models}"]


def cost_of(words: list[str], environment: dict[str, str], folder: Path) -> Cost:
    began_s, before = time.monotonic(), os.times()
    subprocess.run(words, env=environment, cwd=folder, check=True, capture_output=True, timeout=LIMIT_S)
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(time.monotonic() - began_s, cpu_s)


def first_name(tree: Tree) -> tuple[Cost, Cost]:
    """From the start of `jetstream run` to the first message on the topic, and to the first with a name."""
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    subscriber = zmq.Context.instance().socket(zmq.SUB)
    subscriber.set(zmq.RECONNECT_IVL, 5)  # ms: it asks from before the start on
    subscriber.subscribe(b"detections")
    subscriber.connect(endpoint)
    settings = {
        "publish.endpoint": endpoint,
        "pipeline.run_dir": str(tree.scratch / "run"),
        "models.dir": str(tree.models),
        "metrics.endpoint": f"http://127.0.0.1:{free_port()}",
        "web.endpoint": f"http://127.0.0.1:{free_port()}",
    }
    sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    began_s = time.monotonic()
    command = tree.command("run", str(DEMO), "--headless", *sets)
    process = subprocess.Popen(command, env=tree.environment, cwd=tree.folder, stderr=subprocess.DEVNULL)
    try:
        frame = wait_for(subscriber, process, began_s, lambda event: True)
        name = wait_for(subscriber, process, began_s, lambda event: any(track["name"] for track in event["tracks"]))
        return frame, name
    finally:
        subscriber.close(linger=0)
        process.send_signal(signal.SIGINT)
        process.wait(LIMIT_S)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(
    subscriber: "zmq.Socket[bytes]",
    process: "subprocess.Popen[bytes]",
    began_s: float,
    is_it: Callable[[dict[str, Any]], bool],
) -> Cost:
    while subscriber.poll(200) or (process.poll() is None and time.monotonic() - began_s < LIMIT_S):
        if subscriber.poll(0) and is_it(msgspec.msgpack.decode(subscriber.recv_multipart()[-1])):
            return Cost(time.monotonic() - began_s, cpu_of_family(process.pid))
    sys.exit("`jetstream run` told of nothing; run it by hand to see why")


def cpu_of_family(parent: int) -> float:
    """Processor seconds so far of a process and its children that run."""
    ticks = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if parent in (int(folder.name), int(fields[1])):
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def show(found: dict[str, defaultdict[str, list[Cost]]], rounds: int, *, paired: bool) -> None:
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"{os.cpu_count()} cores, load {load}; medians of {rounds} rounds, s of wall clock (of processor)\n")
    print("| what | before | now | ratio |\n| --- | --- | --- | --- |" if paired else "| what | now |\n| --- | --- |")
    for what, by_tree in found.items():
        now, before = by_tree["now"], by_tree["before"]
        if not paired:
            print(f"| {what} | {median(now)} |")
        elif not before:
            print(f"| {what} | | {median(now)} | |")
        else:
            pairs = list(zip(now, before, strict=True))
            wall = statistics.median(one.wall_s / other.wall_s for one, other in pairs)
            cpu = statistics.median(one.cpu_s / other.cpu_s for one, other in pairs)
            print(f"| {what} | {median(before)} | {median(now)} | {wall:.2f} ({cpu:.2f}) |")


def median(costs: list[Cost]) -> str:
    walls, cpus = zip(*costs, strict=True)
    return f"{statistics.median(walls):.2f} ({statistics.median(cpus):.2f})"


if __name__ == "__main__":
    main()
