"""Starts the processes of the walk, watches their heartbeats, starts again what fails, and stops all in order.

Owns the processes; knows no picture and no model.
"""

import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Iterable

import msgspec
import zmq

from jetstream import pipeline
from jetstream.config.schema import Config
from jetstream.errors import GARBLED, JetstreamError, PipelineError, StuckError, UserError
from jetstream.ipc.bus import endpoint
from jetstream.logs import masked, set_up_logging
from jetstream.messages import Heartbeat, Status
from jetstream.runtime import signals
from jetstream.runtime.child import StageProcess, describe, signal_all
from jetstream.runtime.heartbeat import SUPERVISOR
from jetstream.runtime.reload import LOGGING, Reloader
from jetstream.runtime.run_dir import RunDir
from jetstream.runtime.systemd import notify, reloading
from jetstream.runtime.watchdog import Watchdog
from jetstream.runtime.worker import END_IN_ORDER, LOG_ANEW

STATUS_EVERY_S = 1.0
TURN_MS = 100
"""longest wait of the supervisor's loop"""
WEIGHED_EVERY_S = 1.0
"""how often the memory of the processes is looked at"""
STUCK_PAUSE_S = 1.0
"""before a camera's process that hung is started again, and before the third life of what isn't vital"""
DOUBLINGS = 5
"""of that pause, one for each life that ended before its first beat: a port in other hands is worth no line a second"""

log = logging.getLogger("jetstream")


class Supervisor:
    """Runs the pipeline of `config` in `run_dir` (already claimed, its rings made).

    SIGHUP is for `reloader`; without one it ends the run, as the hang-up of a terminal ends any command.
    """

    def __init__(self, config: Config, run_dir: RunDir, reloader: Reloader | None = None) -> None:
        self._config, self._limits, self._gpu = config, config.pipeline, config.gpu
        self._reloader, self._reload_asked, self._reload_answered = reloader, False, True
        self._run_dir = run_dir
        self._children = [
            StageProcess(name, stage)
            for stage in pipeline.wanted(config)
            if stage.name not in config.pipeline.without
            for name in pipeline.processes(stage, config)
        ]
        self._vital = [child for child in self._children if child.stage.vital]  # the others are waited for by nobody
        self._stopping_since: float | None = None
        self._failure: str | None = None
        self._watchdog = Watchdog(config)
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        self._beats = context.socket(zmq.PULL)
        self._beats.bind(endpoint(run_dir.path, Heartbeat, SUPERVISOR))
        self._status = context.socket(zmq.PUB)
        self._status.bind(endpoint(run_dir.path, Status, "anyone"))
        self._status_s = self._weighed_s = 0.0

    def run(self, *, duration_s: float | None = None) -> None:
        """Until every stage is done, a signal, or `duration_s` after all run.

        Raises PipelineError, once all have ended in order: a process kept failing, or could not finish its work.
        """
        ready_s: float | None = None
        with signals.handled(self.stop, self.stop if self._reloader is None else self._ask_reload):
            try:
                while not all(child.done for child in self._children):
                    now_s = time.monotonic()
                    self._start_due(now_s)
                    self._hear()
                    self._watch(now_s)
                    if ready_s is None and all(child.beat_s or child.done for child in self._vital):
                        ready_s = now_s
                        log.info("running: %s", ", ".join(child.name for child in self._children if child.beat_s))
                        notify("READY=1")
                    if ready_s is not None and self._stopping_since is None:
                        self._reload(now_s)
                    if duration_s is not None and ready_s is not None and now_s - ready_s >= duration_s:
                        self.stop()
                    self._tell(now_s, is_fed=ready_s is not None and self._stopping_since is None)
                self._hear()  # last words
            finally:
                self._end()
        drops = sum((child.drops for child in self._children), Counter[str]())
        counted = ", ".join(f"{reason} {count}" for reason, count in sorted(drops.items())) or "none"
        log.info("ended: %d frames captured, %d tracked; dropped: %s", *self._frames(), counted)
        if self._failure is not None:
            raise PipelineError(self._failure)

    def stop(self) -> None:
        """Ask the captures to end, and who else takes no input; the others follow as their input ends."""
        if self._stopping_since is not None:
            return
        self._stopping_since = time.monotonic()
        notify("STOPPING=1")
        driven = [child for child in self._children if child.is_driven]
        any_started = any(child.popen for child in driven if child.is_capture)
        for child in self._children:
            child.done = child.done or child.popen is None
        signal_all(driven if any_started else self._children, END_IN_ORDER)

    def _ask_reload(self) -> None:
        self._reload_asked = True

    def _reload(self, now_s: float) -> None:
        """Where it was asked: the config as it is written now, if it is a good one. What reads what changed in it is
        started again; systemd hears READY=1 when that is there."""
        if not self._reload_answered and all(child.is_there for child in self._vital):
            self._reload_answered = True
            notify("READY=1")
        if not self._reload_asked or self._reloader is None:
            return
        self._reload_asked = self._reload_answered = False
        reloading()
        try:
            plan = self._reloader.plan(self._config)
            self._run_dir.write_config(plan.config)
        except JetstreamError as error:
            self._watchdog.extra = masked(f"config not taken, the one in use stays: {error}").replace("\n", " ")
            log.error("%s; the config in use stays", error)
            self._reload_answered = True
            notify("READY=1")
            return
        self._reloader.took(plan)
        self._watchdog.extra = ""
        self._config, self._limits, self._gpu = plan.config, plan.config.pipeline, plan.config.gpu
        for child in self._children:
            if child.stage.name in plan.stages or (LOGGING & set(plan.taken) and not child.beat_s):
                child.end_to_start_anew(now_s)
        if LOGGING & set(plan.taken):
            set_up_logging("run", self._limits.log_level, self._limits.log_format)
            signal_all((child for child in self._children if child.beat_s), LOG_ANEW)
        log.log(logging.WARNING if plan.kept else logging.INFO, "%s", plan.sentence())

    def _start_due(self, now_s: float) -> None:
        """Readers first: no frame shall wait for a model to load, nor for the second try of what isn't vital."""
        readers = [child for child in self._children if not child.is_driven]
        readers_ready = all(c.beat_s or c.done or (c.restarted and not c.stage.vital) for c in readers)
        for child in self._children:
            is_due = child.popen is None and not child.done and now_s >= child.start_after_s
            if is_due and (readers_ready or child.restarted or child.stage.early or not child.is_driven):
                child.start(self._run_dir.path, now_s)

    def _hear(self) -> None:
        timeout_ms = TURN_MS
        while self._beats.poll(timeout_ms):
            timeout_ms = 0
            try:
                beat = msgspec.msgpack.decode(self._beats.recv(), type=Heartbeat)
            except GARBLED:  # no reason to end all cameras
                continue
            for child in self._children:
                if child.popen is not None and child.popen.pid == beat.pid:
                    child.hear(beat, time.monotonic())

    def _watch(self, now_s: float) -> None:
        limits, is_weighed = self._limits, now_s - self._weighed_s > WEIGHED_EVERY_S
        for child in self._children:
            if child.done or child.popen is None:
                continue
            code = child.popen.poll()
            if code is None and child.ending_s is not None and now_s - child.ending_s > limits.stop_timeout_s:
                code = child.kill()
            if code is None and (trouble := child.silence(limits, now_s) or (is_weighed and child.excess(limits))):
                log.warning("%s: %s; killed", child.name, trouble)
                code = child.kill()
            if code is not None:
                self._ended(child, code, now_s)
            elif self._has_no_more_input(child, now_s):
                signal_all([child], END_IN_ORDER)
        if is_weighed:
            self._weighed_s = now_s
        if self._stopping_since is not None:
            self._press(now_s - self._stopping_since)

    def _has_no_more_input(self, child: StageProcess, now_s: float) -> bool:
        """Its input's processes ended a while ago, and one that died may not have said so."""
        before = [other for other in self._children if other.stage.name == child.stage.after]
        if not before and child.is_driven and not child.is_capture:  # captures run by hand: whoever takes of them tells
            before = [other for other in self._children if not other.is_driven]
        if not before or not all(other.done for other in before):
            return False
        child.input_ended_s = child.input_ended_s or now_s
        return child.is_driven or now_s - child.input_ended_s > self._limits.stop_timeout_s

    def _ended(self, child: StageProcess, code: int, now_s: float) -> None:
        if child.ending_s is not None and self._stopping_since is None:
            child.renew(now_s)
        elif code == 0:
            first = self._children[0].stage  # the ones before it are run by hand
            if child.stage.name == "render" and not all(c.done for c in self._children if c.stage == first):
                self.stop()  # the user closed the window
            child.done = True
        elif code == UserError.exit_code and child.stage.vital and not self._can_do_without_gpu(child):
            self._fail(child, f"{child.name}: can't go on; its last line above says why")
        elif self._stopping_since is not None or child.input_ended_s is not None:
            child.done = True
            if code > 0 and child.stage.vital:
                self._fail(child, f"{child.name}: did not finish in order ({describe(code)})")
        else:
            self._restart(child, code, now_s)

    def _restart(self, child: StageProcess, code: int, now_s: float) -> None:
        child.bury(now_s, self._limits.restart_window_s)
        # one camera's driver, what names can wait for, or a port in other hands: no reason to give up the others
        if code == StuckError.exit_code or not child.stage.vital:
            child.restarts.clear()
            if code == StuckError.exit_code or child.failed_in_a_row > 1:
                child.start_after_s = now_s + STUCK_PAUSE_S * 2 ** min(max(child.stillborn_in_a_row - 2, 0), DOUBLINGS)
        if child.failed_in_a_row > 1 and self._can_do_without_gpu(child):
            child.restarts.clear()
            child.backend = "cpu"
            log.warning(
                "%s: %s, the second failure; it goes on without the GPU (gpu.when_lost)", child.name, describe(code)
            )
            return
        while child.restarts and now_s - child.restarts[0] > self._limits.restart_window_s:
            child.restarts.popleft()
        if len(child.restarts) > self._limits.restarts:
            window_s = self._limits.restart_window_s
            self._fail(child, f"{child.name}: failed {len(child.restarts)} times in {window_s:.0f} s; given up")
            return
        log.warning("%s: %s; starting it again", child.name, describe(code))

    def _can_do_without_gpu(self, child: StageProcess) -> bool:
        """Whether it may run on a GPU now, and may be started again on the CPU. A lost GPU shows in many ways: a crash,
        a hang, a backend that isn't there any more."""
        return self._gpu.when_lost == "cpu" and self._gpu.backend != "cpu" and child.stage.infers and not child.backend

    def _fail(self, child: StageProcess, why: str) -> None:
        """The run ends, in order, with exit 1."""
        child.done = True
        self._failure = self._failure or why
        self.stop()

    def _press(self, since_s: float) -> None:
        """The longer a stop takes, the less it asks."""
        if since_s > self._limits.stop_timeout_s:
            signal_all(self._children, signal.SIGKILL)
        elif since_s > self._limits.stop_timeout_s / 2:
            signal_all(self._children, END_IN_ORDER)

    def _tell(self, now_s: float, *, is_fed: bool) -> None:
        if now_s - self._status_s < STATUS_EVERY_S:
            return
        self._status_s = now_s
        processes = tuple(child.status(now_s) for child in self._children)
        turn_ns = time.monotonic_ns()
        status = Status(pid=os.getpid(), wall_ns=time.time_ns(), turn_ns=turn_ns, processes=processes)
        self._status.send(msgspec.msgpack.encode(status))
        if is_fed:
            self._feed(now_s)

    def _feed(self, now_s: float) -> None:
        captures = {child.name.partition(".")[2]: child for child in self._children if child.is_capture}
        on_the_way = [c for c in self._children if c.is_capture or c.stage.name in ("detect", "track")]
        is_starting = any(child.beat_s is None and not child.done for child in on_the_way)
        self._watchdog.turn(
            _frames_by_camera(captures.values()),
            _frames_by_camera(child for child in self._children if child.stage.name == "track"),
            now_s,
            grace_s=self._limits.start_timeout_s if is_starting else 0.0,
            done=frozenset(name for name, child in captures.items() if child.done),
        )

    def _frames(self) -> tuple[int, int]:
        """Captured and tracked, by all lives of the processes."""
        captured = sum(child.frames for child in self._children if child.is_capture)
        return captured, sum(child.frames for child in self._children if child.stage.name == "track")

    def _end(self) -> None:
        """Whatever happened, no process of ours outlives this."""
        if self._stopping_since is None:
            notify("STOPPING=1")
        signal_all(self._children, signal.SIGKILL)
        for child in self._children:
            if child.popen is not None:
                child.kill()
        self._beats.close(linger=0)
        self._status.close(linger=0)


def _frames_by_camera(children: Iterable[StageProcess]) -> Counter[str]:
    return sum((child.frames_by_camera for child in children), Counter[str]())
