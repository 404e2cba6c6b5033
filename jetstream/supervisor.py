"""Starts the processes of the walk, watches their heartbeats, starts again what fails, and stops all in order.

Owns the run directory, the rings and the processes; knows no picture and no model.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

import msgspec
import zmq

from jetstream import pipeline
from jetstream.config import Config
from jetstream.errors import PipelineError
from jetstream.ipc.bus import endpoint
from jetstream.messages import Heartbeat, ProcessStatus, Status
from jetstream.pulse import SUPERVISOR
from jetstream.rundir import RunDir

STATUS_EVERY_S = 1.0
TURN_MS = 100
"""longest wait of the supervisor's loop"""

log = logging.getLogger("jetstream")


@dataclass
class Child:
    """One process of the pipeline, over all its lives."""

    name: str
    stage: pipeline.Stage
    popen: "subprocess.Popen[bytes] | None" = None
    started_s: float = 0.0
    beat_s: float | None = None  # of this life
    beat: Heartbeat | None = None
    restarts: deque[float] = field(default_factory=deque)  # times of those within the window
    restarted: int = 0
    input_ended_s: float | None = None
    done: bool = False

    @property
    def running(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def status(self) -> ProcessStatus:
        state = "done" if self.done else "running" if self.beat_s else "restarting" if self.restarted else "starting"
        return ProcessStatus(process=self.name, state=state, restarts=self.restarted, beat=self.beat)  # type: ignore[arg-type]


class Supervisor:
    """Runs the pipeline of `config` in `run_dir` (already claimed, its rings made)."""

    def __init__(self, config: Config, run_dir: RunDir) -> None:
        self._config = config
        self._limits = config.pipeline
        self._run_dir = run_dir
        self._children = [
            Child(name, stage)
            for stage in pipeline.wanted(config)
            if stage.name not in config.pipeline.without
            for name in pipeline.processes(stage, config)
        ]
        self._stopping_since: float | None = None
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        self._beats = context.socket(zmq.PULL)
        self._beats.bind(endpoint(run_dir.path, Heartbeat, SUPERVISOR))
        self._status = context.socket(zmq.PUB)
        self._status.bind(endpoint(run_dir.path, Status, "anyone"))
        self._status_s = 0.0

    def run(self, *, duration_s: float | None = None) -> None:
        """Until every stage is done, a signal, or `duration_s` after all run. Raises PipelineError."""
        ready_s: float | None = None
        with _signals(self.stop):
            try:
                for child in self._children:
                    if child.stage.takes:
                        self._start(child)
                while not all(child.done for child in self._children):
                    now_s = time.monotonic()
                    self._hear()
                    self._watch(now_s)
                    self._start_captures()
                    if ready_s is None and all(child.beat_s or child.done for child in self._children):
                        ready_s = now_s
                        log.info("running: %s", ", ".join(child.name for child in self._children))
                        notify("READY=1")
                    if duration_s is not None and ready_s is not None and now_s - ready_s >= duration_s:
                        self.stop()
                    self._tell(now_s)
            finally:
                self._end()

    def stop(self) -> None:
        """Ask the captures to end; the others follow as their input ends."""
        if self._stopping_since is None:
            self._stopping_since = time.monotonic()
            notify("STOPPING=1")
            captures = [child for child in self._children if not child.stage.takes]
            for child in captures:
                child.done = child.done or child.popen is None
            _signal([child for child in captures if child.running] or self._children, signal.SIGTERM)

    def _start_captures(self) -> None:
        """Once all readers are ready: no frame shall wait for a model to load."""
        captures = [
            child for child in self._children if not child.stage.takes and child.popen is None and not child.done
        ]
        if captures and all(child.beat_s or child.done for child in self._children if child.stage.takes):
            for child in captures:
                self._start(child)

    def _start(self, child: Child) -> None:
        command = [sys.executable, "-m", "jetstream.process", str(self._run_dir.path), child.name, str(os.getpid())]
        # numpy's own thread pools would take the cores from the other stages, for matrices of a few numbers
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        child.popen = subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL, env=environment)
        child.started_s = time.monotonic()
        child.beat_s = None

    def _hear(self) -> None:
        timeout_ms = TURN_MS
        while self._beats.poll(timeout_ms):
            beat = msgspec.msgpack.decode(self._beats.recv(), type=Heartbeat)
            timeout_ms = 0
            for child in self._children:
                if child.popen is not None and child.popen.pid == beat.pid:
                    child.beat, child.beat_s = beat, time.monotonic()

    def _watch(self, now_s: float) -> None:
        for child in self._children:
            if child.done or child.popen is None:
                continue
            code = child.popen.poll()
            if code is None and self._silent(child, now_s):
                log.warning("%s: silent for %.0f s; killed", child.name, now_s - (child.beat_s or child.started_s))
                child.popen.kill()
                code = child.popen.wait()
            if code is not None:
                self._ended(child, code, now_s)
            elif self._has_no_more_input(child, now_s):
                child.popen.terminate()
        if self._stopping_since is not None:
            self._press(now_s - self._stopping_since)

    def _silent(self, child: Child, now_s: float) -> bool:
        if child.beat_s is None:
            return now_s - child.started_s > self._limits.start_timeout_s
        return now_s - child.beat_s > self._limits.heartbeat_timeout_s

    def _has_no_more_input(self, child: Child, now_s: float) -> bool:
        """Its input's processes ended a while ago, and one that died may not have said so."""
        before = [other for other in self._children if other.stage.name == child.stage.after]
        if not before or not all(other.done for other in before):
            return False
        child.input_ended_s = child.input_ended_s or now_s
        return now_s - child.input_ended_s > self._limits.stop_timeout_s

    def _ended(self, child: Child, code: int, now_s: float) -> None:
        if code == 0 or self._stopping_since is not None or child.input_ended_s is not None:
            child.done = True
            if child.stage.name == "render" and child.input_ended_s is None:
                self.stop()  # the user closed the window
            return
        child.restarts.append(now_s)
        child.restarted += 1
        while now_s - child.restarts[0] > self._limits.restart_window_s:
            child.restarts.popleft()
        if len(child.restarts) > self._limits.restarts:
            raise PipelineError(
                f"{child.name}: failed {len(child.restarts)} times in {self._limits.restart_window_s:.0f} s; "
                "given up. Its last lines above say why"
            )
        log.warning("%s: %s; starting it again", child.name, _describe(code))
        self._start(child)

    def _press(self, since_s: float) -> None:
        """The longer a stop takes, the less it asks."""
        left = [child for child in self._children if child.running]
        if since_s > self._limits.stop_timeout_s:
            _signal(left, signal.SIGKILL)
        elif since_s > self._limits.stop_timeout_s / 2:
            _signal(left, signal.SIGTERM)

    def _tell(self, now_s: float) -> None:
        if now_s - self._status_s < STATUS_EVERY_S:
            return
        self._status_s = now_s
        status = Status(
            pid=os.getpid(), wall_ns=time.time_ns(), processes=tuple(child.status() for child in self._children)
        )
        self._status.send(msgspec.msgpack.encode(status))
        notify("WATCHDOG=1")

    def _end(self) -> None:
        """Whatever happened, no process of ours outlives this."""
        _signal([child for child in self._children if child.running], signal.SIGKILL)
        for child in self._children:
            if child.popen is not None:
                child.popen.wait()
        self._beats.close(linger=0)
        self._status.close(linger=0)

    def statuses(self) -> tuple[ProcessStatus, ...]:
        """What each process last said."""
        return tuple(child.status() for child in self._children)


def notify(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """Tell systemd, where it asked to be told (sd_notify(3)): a datagram to the socket in NOTIFY_SOCKET."""
    address = environment.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)


def _signal(children: list[Child], signum: signal.Signals) -> None:
    for child in children:
        if child.running and child.popen is not None:
            child.popen.send_signal(signum)


def _describe(code: int) -> str:
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


@contextmanager
def _signals(stop: "object") -> Iterator[None]:
    """SIGINT and SIGTERM call `stop` meanwhile."""

    def handle(signum: int, frame: FrameType | None) -> None:
        stop()  # type: ignore[operator]

    before = {signum: signal.signal(signum, handle) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
