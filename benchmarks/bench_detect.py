"""Processor time of the stage `detect` for one frame, with the GPU's and the networks' time taken out: its own Python.

    python -m benchmarks.bench_detect [--cameras N] [--batch N] [--faces N] [--held N] [--frames N] [--rounds N]
                                      [--search always|nth] [--bgr] [--video FILE] [--beside DIRECTORY]

The process that the supervisor starts runs as it is: sockets, rings of 1080p frames in shared memory, heartbeats, and
the GPU path's host code down to the calls of the CUDA driver, which do nothing here but bring recorded faces and
thumbnails of the video, each picture `--held` times in a row (as `bench_gpu.py` feeds it). This process announces the
frames, two of each camera under way, and takes the answers. With `--beside`, the jetstream in that directory (another
checkout) does the same in turns.

The whole: processor time of the process, with ZeroMQ's thread. Its parts are of another run, by the thread's own clock,
less what reading the clock takes; a part doesn't count what others within it do.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

REPOSITORY = Path(__file__).resolve().parent.parent
UNDER_WAY = 2  # frames of a camera
SLOTS = 4


class Task(msgspec.Struct):
    """What a child measures."""

    run_dir: str
    video: str
    held: int
    faces: int
    warm: int  # messages before the measured ones
    parts: bool


class Spent(msgspec.Struct):
    """Processor time of the measured frames."""

    frames: int
    whole_us: float
    thread_us: float  # of the stage's own thread
    parts_us: dict[str, float]
    batch: float  # frames in one, mean


def arguments() -> argparse.Namespace:
    data = Path(os.environ.get("JETSTREAM_DATA", REPOSITORY.parent / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--faces", type=int, default=2)
    parser.add_argument("--held", type=int, default=15, help="times that a picture of the video comes in a row")
    parser.add_argument("--frames", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--search", choices=("always", "nth"), default="always")
    parser.add_argument("--bgr", action="store_true", help="frames as BGR, not NV12")
    parser.add_argument("--video", type=Path, default=data / "video" / "friends_dev.mp4")
    parser.add_argument("--beside", type=Path, help="directory of another checkout of jetstream")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def spent(tree: Path, options: argparse.Namespace, *, parts: bool) -> Spent:
    """Feed the stage of the jetstream in `tree`, and ask what it took."""
    from benchmarks.detecting.feeding import feed, serve

    with tempfile.TemporaryDirectory(prefix="js") as name:
        folder = Path(name)
        with serve(folder, options) as config:
            task = Task(
                str(folder / "run"), str(options.video), options.held, options.faces, options.frames // 4, parts
            )
            popen = subprocess.Popen(
                [sys.executable, __file__, "--child", msgspec.json.encode(task).decode()],
                env={**os.environ, "PYTHONPATH": str(tree.resolve()), "OPENBLAS_NUM_THREADS": "1"},
                stdout=subprocess.PIPE,
            )
            try:
                feed(folder / "run", config, options.frames * 5 // 4, UNDER_WAY, popen)
                output = popen.communicate(timeout=60)[0]
            finally:
                popen.kill()
                popen.wait()
    return msgspec.json.decode(output, type=Spent)


def main() -> None:
    options = arguments()
    if options.child:
        import jetstream  # noqa: F401  # that of the measured tree; all else is of this one

        sys.path.insert(0, str(REPOSITORY))
        from benchmarks.detecting.staged import measured

        print(msgspec.json.encode(measured(msgspec.json.decode(options.child, type=Task))).decode())
        return
    if not options.video.exists():
        sys.exit(f"{options.video}: no such video; give --video, or set JETSTREAM_DATA")
    trees = [REPOSITORY, *([options.beside] if options.beside else [])]
    begun_s = time.monotonic()
    rounds = [
        [[spent(tree, options, parts=parts) for parts in (False, True)] for tree in trees]
        for _ in range(options.rounds)
    ]
    batch = statistics.mean(one[0].batch for turn in rounds for one in turn)
    kind = "BGR" if options.bgr else "NV12"
    print(f"{options.cameras} cameras, 1080p {kind}, {options.faces} faces, search {options.search}, each picture")
    print(f"{options.held} times, {batch:.1f} frames a batch; {options.rounds} rounds of {options.frames} frames in")
    print(f"{time.monotonic() - begun_s:.0f} s, medians, us of processor time a frame\n")
    print("| | this |" + (" beside | ratio |" if options.beside else ""))
    print("| --- | --- |" + (" --- | --- |" if options.beside else ""))
    whole = [[one[0].whole_us for one in turn] for turn in rounds]
    _row("whole", whole)
    _row("ZeroMQ's threads", [[one[0].whole_us - one[0].thread_us for one in turn] for turn in rounds])
    _row("the stage's thread", [[one[0].thread_us for one in turn] for turn in rounds])
    for name in rounds[0][0][1].parts_us:
        _row(name, [[one[1].parts_us.get(name, 0.0) for one in turn] for turn in rounds])


def _row(name: str, turns: list[list[float]]) -> None:
    mine, *other = (statistics.median(turn[tree] for turn in turns) for tree in range(len(turns[0])))
    ratio = statistics.median(turn[0] / turn[-1] if turn[-1] else 1.0 for turn in turns)
    print(f"| {name} | {mine:.1f} |" + (f" {other[0]:.1f} | {ratio:.2f} |" if other else ""), flush=True)


if __name__ == "__main__":
    main()
