"""A workshop without TensorRT: engines of a few bytes, and the ways in which the real one fails.

Started as `python fake_build_process.py HOW`; HOW is a word for each network, such as `pnet=hang`, and after a comma
what it does the next time: `pnet=wrong,good`. A file beside an engine counts the times. `build-meet` waits until three
builds run at once, `build-alone` fails where another one runs, and `build-wait` waits for a file `go` in the folder.
With the word `standin` the engines are those of `tensorrt_standin`.
"""

import fcntl
import os
import signal
import sys
import time
from pathlib import Path

import msgspec

from jetstream.child_process import die_with_parent
from jetstream.runners.tensorrt import engine_cache
from jetstream.runners.tensorrt.build_protocol import BindingsProbe, BuildEvent, BuildJob


def main() -> None:
    die_with_parent()
    how = dict(word.split("=") for word in sys.argv[1:] if "=" in word)
    if sys.argv[-1] == "probe":
        misbehave(how.get("probe", "good"))
        say(BindingsProbe(tensorrt="tensorrt 8.5.3.1", pycuda="2026.1"))
        return
    for number, job in enumerate(msgspec.json.decode(sys.stdin.buffer.read(), type=list[BuildJob])):
        path = Path(job.path)
        acts = how.get(job.recipe.network, "good").split(",")
        count = path.with_suffix(".tries")
        tries = int(count.read_text()) if count.exists() else 0
        count.write_text(str(tries + 1))
        work(number, job, acts[min(tries, len(acts) - 1)])


def work(number: int, job: BuildJob, act: str) -> None:
    path = Path(job.path)
    testing = path
    if job.build:
        say(BuildEvent(number, "building"))
        misbehave(act.removeprefix("build-") if act.startswith("build-") else "good", path.parent)
        testing = engine_cache.new_path(path)
        if "standin" in sys.argv:
            write_standin(testing, job)
        else:
            engine_cache.write(testing, job.recipe, b"an engine " * 100)
    say(BuildEvent(number, "testing", str(testing)))
    misbehave(act)
    if act == "wrong":
        say(BuildEvent(number, "failed", "its answers differ"))
        return
    if job.build:
        os.replace(testing, path)
    say(BuildEvent(number, "done", seconds=1.5 if job.build else 0.0, error=0.001))


def write_standin(path: Path, job: BuildJob) -> None:
    from tests.support import tensorrt_standin

    plan, inputs, outputs = tensorrt_standin.engine(Path(job.recipe.onnx), job.recipe.profiles)
    engine_cache.write(path, job.recipe, plan, inputs, outputs)


def misbehave(act: str, folder: Path = Path()) -> None:
    if act == "hang":
        time.sleep(600)
    if act == "crash":
        print("Assertion failed in the myelin compiler", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    if act == "exit":
        sys.exit(3)
    if act == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if act == "meet":
        (folder / f"{os.getpid()}.here").touch()
        while len(list(folder.glob("*.here"))) < 3:
            time.sleep(0.02)
    if act == "wait":
        while not (folder / "go").exists():
            time.sleep(0.02)
    if act == "alone":
        lock = os.open(folder / "alone", os.O_CREAT | os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(0.3)


def say(struct: msgspec.Struct) -> None:
    os.write(1, msgspec.json.encode(struct) + b"\n")


if __name__ == "__main__":
    main()
