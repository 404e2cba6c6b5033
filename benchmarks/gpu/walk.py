"""One run of the pipeline's real processes on frames from memory, and its figures.

`feeder` replaces capture; detect, track, recognize and publish run as under the supervisor; `listener` is another
program. Measurement starts when all stages are warm.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import zmq

from benchmarks.gpu.feeder import Fed, Task
from benchmarks.gpu.listener import Heard
from jetstream import pipeline
from jetstream.config.schema import Config
from jetstream.ipc.bus import endpoint
from jetstream.ipc.ring import Ring, segment_name
from jetstream.messages import Heartbeat
from jetstream.runtime import run_dir as rundir
from jetstream.runtime.counters import drops_by_reason
from jetstream.runtime.heartbeat import SUPERVISOR
from jetstream.runtime.worker import END_IN_ORDER

FED_BY_ONE = 400.0  # frames a second that one feeder writes with ease: a 1080p frame takes it about a millisecond
WARM_S = 2.0  # page-locking the rings and the first graphs
TAIL_S = 0.3  # frames go on a little longer than they are counted
START_S = 60.0
TICKS = os.sysconf("SC_CLK_TCK")
SMI = ["nvidia-smi", "--query-gpu=utilization.gpu,clocks.sm,power.draw", "--format=csv,noheader,nounits", "-lms", "200"]


class Run(NamedTuple):
    """What a run gave, of its measured stretch."""

    fed: int
    heard: Heard
    seconds: float
    drops: dict[str, int]  # of the whole run, by "stage reason"
    cpu_s: dict[str, float]  # by stage
    graphs_share: dict[str, float]  # of the time, by process
    smi: list[tuple[float, ...]]  # GPU %, MHz, W


class Stages:
    """The processes, their heartbeats and their end."""

    def __init__(self, config: Config, run_dir: Path, out: Path) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._beats: dict[str, Heartbeat] = {}
        self._socket = zmq.Context.instance().socket(zmq.PULL)
        self._socket.bind(endpoint(run_dir, Heartbeat, SUPERVISOR))
        self.out, self.popen = out, {}
        for row in pipeline.wanted(config):
            stage = row if isinstance(row, pipeline.Stage) else None
            if stage is not None and stage.per_camera:
                continue
            infers = stage is not None and stage.infers
            module = ["benchmarks.gpu.busy", str(out / row.name)] if infers else ["jetstream.runtime.worker"]
            for name in pipeline.processes(row, config):
                command = [sys.executable, "-m", *module, str(run_dir), name, str(os.getpid())]
                self.popen[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment)

    def wait(self) -> None:
        """Until all have beaten. Raises RuntimeError where one ended."""
        until_s = time.monotonic() + START_S
        while set(self._beats) != set(self.popen):
            self.hear()
            ended = [name for name, popen in self.popen.items() if popen.poll() is not None]
            if ended or time.monotonic() > until_s:
                missing = sorted(set(self.popen) - set(self._beats))
                raise RuntimeError(f"{', '.join(ended or missing)} did not start")
            time.sleep(0.05)

    def hear(self) -> None:
        while self._socket.poll(0):
            beat = msgspec.msgpack.decode(self._socket.recv(), type=Heartbeat)
            self._beats[beat.process] = beat

    def drops(self) -> dict[str, int]:
        """Of those processes' whole lives; after `end`."""
        counts = Counter(
            {f"{n} {r}": c for n, beat in self._beats.items() for r, c in drops_by_reason(beat.counts).items() if c}
        )
        return dict(sorted(counts.items()))

    def end(self) -> None:
        """In the order of the walk; may be called twice."""
        if self._socket.closed:
            return
        for popen in self.popen.values():
            if popen.poll() is None:
                popen.send_signal(END_IN_ORDER)
        until_s = time.monotonic() + 8
        for popen in self.popen.values():
            try:
                popen.wait(max(0.1, until_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                popen.kill()
                popen.wait()
        self.hear()
        self._socket.close(linger=0)

    def graphs_s(self, begin_s: float, end_s: float) -> dict[str, float]:
        """Seconds that each process's graphs took, in this stretch; after `end`."""
        found = {}
        for file in sorted(self.out.iterdir()):
            tenths = json.loads(file.read_text())
            found[file.name] = sum(s for at, s in tenths.items() if begin_s * 10 <= int(at) < end_s * 10)
        return found


def run(config: Config, frames: Path, rate: float, seconds: float) -> Run:
    """`frames` is an .npy file; `rate` frames a second and camera, 0: as fast as they go. Raises RuntimeError."""
    with ExitStack() as stack:
        out = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = stack.enter_context(_serve(config))
        stages = Stages(config, folder.path, out)
        stack.callback(stages.end)
        stages.wait()
        first_s = time.monotonic() + 1.5  # feeders and listener start meanwhile
        begin_s, end_s = first_s + WARM_S, first_s + WARM_S + seconds
        listener = _start(stack, "listener", config.publish.endpoint, str(begin_s), str(end_s))
        names = [camera.name for camera in config.cameras]
        apiece = max(1, min(2, int(FED_BY_ONE / rate))) if rate else 1
        groups = [tuple(names[first : first + apiece]) for first in range(0, len(names), apiece)]
        feeders = [
            _start(stack, "feeder", _task(folder.path, frames, group, rate, first_s, end_s + TAIL_S))
            for group in groups
        ]
        watched: dict[str, list[subprocess.Popen[bytes]]] = {"feeders": feeders, "listener": [listener]}
        for name, popen in stages.popen.items():
            watched.setdefault(name.partition(".")[0], []).append(popen)
        _sleep_until(begin_s, stages)
        before, smi = _cpu_s(watched), _smi(stack)
        _sleep_until(end_s, stages)
        after = _cpu_s(watched)
        if smi is not None:
            smi.terminate()
        heard = msgspec.json.decode(listener.communicate(timeout=20)[0], type=Heard)
        fed = [msgspec.json.decode(feeder.communicate(timeout=20)[0], type=Fed) for feeder in feeders]
        stages.end()
        return Run(
            fed=sum(one.frames for one in fed),
            heard=heard,
            seconds=seconds,
            drops={
                **stages.drops(),
                "feeder full": sum(one.full for one in fed),
                "feeder busy": sum(one.busy for one in fed),
            },
            cpu_s={name: after[name] - before[name] for name in after},
            graphs_share={name: s / seconds for name, s in stages.graphs_s(begin_s, end_s).items()},
            smi=_parsed(smi.communicate()[0]) if smi is not None else [],
        )


@contextmanager
def _serve(config: Config) -> Iterator[rundir.RunDir]:
    """As `startup.serve`, which needs packages for video that a GPU machine's benchmark may lack."""
    with rundir.claim(Path(config.pipeline.run_dir)) as folder, ExitStack() as stack:
        names = {camera.name: segment_name(camera.name) for camera in config.cameras}
        for camera in config.cameras:
            size = {"max_width": camera.max_width, "max_height": camera.max_height}
            stack.enter_context(Ring.create(names[camera.name], slots=config.pipeline.slots, **size))
        folder.write(config, names)
        yield folder


def _start(stack: ExitStack, module: str, *words: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", f"benchmarks.gpu.{module}", *words]
    popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    stack.callback(lambda: popen.kill() if popen.poll() is None else None)
    return popen


def _task(run_dir: Path, frames: Path, cameras: tuple[str, ...], rate: float, begin_s: float, end_s: float) -> str:
    return msgspec.json.encode(Task(str(run_dir), str(frames), cameras, rate, begin_s, end_s)).decode()


def _smi(stack: ExitStack) -> "subprocess.Popen[str] | None":
    try:
        popen = subprocess.Popen(SMI, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        return None
    stack.callback(lambda: popen.kill() if popen.poll() is None else None)
    return popen


def _parsed(lines: str) -> list[tuple[float, ...]]:
    """The last line may be cut off."""
    return [tuple(map(_number, line.split(","))) for line in lines.splitlines() if line.count(",") == 2]


def _number(word: str) -> float:
    """nan where the card doesn't tell."""
    try:
        return float(word)
    except ValueError:
        return float("nan")


def _sleep_until(time_s: float, stages: Stages) -> None:
    """Hearing heartbeats, whose queue is short. Raises RuntimeError where a stage ended."""
    while (left_s := time_s - time.monotonic()) > 0:
        stages.hear()
        if ended := [name for name, popen in stages.popen.items() if popen.poll() is not None]:
            raise RuntimeError(f"{', '.join(ended)} ended before its time")
        time.sleep(min(left_s, 0.1))


def _cpu_s(watched: dict[str, Sequence["subprocess.Popen[bytes]"]]) -> dict[str, float]:
    return {name: sum(_cpu_s_of(popen.pid) for popen in group) for name, group in watched.items()}


def _cpu_s_of(pid: int) -> float:
    """User and system time (fields 14 and 15 of proc_pid_stat(5)), with all threads."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS
