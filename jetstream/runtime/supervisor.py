"""Starts the processes of the pipeline, watches their heartbeats, restarts those that fail, and stops all in order.

Owns the processes; knows no picture and no model.
"""

import contextlib
import logging
import os
import signal
import time
from collections import Counter

import msgspec
import zmq

from jetstream import pipeline
from jetstream.config.schema import Config
from jetstream.errors import GARBLED, JetstreamError, PipelineError, StuckError, UserError
from jetstream.ipc.bus import endpoint
from jetstream.logs import set_up_logging
from jetstream.masking import masked
from jetstream.messages import Heartbeat, Status
from jetstream.runtime import signals
from jetstream.runtime.change_over import ChangeOver
from jetstream.runtime.child import StageProcess, describe, signal_all
from jetstream.runtime.heartbeat import SUPERVISOR
from jetstream.runtime.prestart import HeldProcesses
from jetstream.runtime.reload import LOGGING, RELOADED, Reloader
from jetstream.runtime.run_dir import RunDir
from jetstream.runtime.systemd import notify, reloading
from jetstream.runtime.watchdog import Watchdog
from jetstream.runtime.worker import END_IN_ORDER, LOG_ANEW

STATUS_EVERY_S = 1.0
TURN_MS = 100
"""longest wait of the supervisor's loop"""
GATHER_S = 0.02
"""how long heartbeats are gathered after the first: hundreds come in a second where there are a hundred cameras, and
each turn looks at each process"""
WEIGHED_EVERY_S = 1.0
"""how often the memory of the processes is checked"""
SETTLE_S = 2.0
"""delay of the sidecars after all vital processes run: the first frames have the processor to themselves"""

log = logging.getLogger(__name__)


class Supervisor:
    """Runs the pipeline of `config` in `run_dir` (already claimed, its rings made).

    `reloader` handles SIGHUP; without one SIGHUP ends the run, as the hang-up of a terminal ends any command. `held`
    has processes of this config that were started early, which are used first.
    """

    def __init__(
        self, config: Config, run_dir: RunDir, reloader: Reloader | None = None, held: HeldProcesses | None = None
    ) -> None:
        self._config, self._limits, self._gpu = config, config.pipeline, config.gpu
        self._reloader, self._reload_asked, self._reload_answered = reloader, False, True
        self._run_dir = run_dir
        self._children = [
            StageProcess(name, row, held=(held or {}).pop(name, None))
            for row in pipeline.started(config)
            for name in pipeline.processes(row, config)
        ]
        self._vital = [child for child in self._children if child.is_vital]  # nothing waits for the others
        self._ready_s: float | None = None
        self._stopping_since: float | None = None
        self._failure: str | None = None
        self._watchdog = Watchdog(config)
        self._change_over = ChangeOver(self._children, run_dir.path)
        self._beats, self._status = self._bind()
        self._decoder = msgspec.msgpack.Decoder(Heartbeat)
        self._status_s = self._weighed_s = 0.0

    def _bind(self) -> "tuple[zmq.Socket[bytes], zmq.Socket[bytes]]":
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        beats, status = context.socket(zmq.PULL), context.socket(zmq.PUB)
        beats.bind(endpoint(self._run_dir.path, Heartbeat, SUPERVISOR))
        status.bind(endpoint(self._run_dir.path, Status, "anyone"))
        return beats, status

    def _keep_folder(self, now_s: float) -> None:
        """Mend the run directory. Where it was removed, every process starts again, to make its sockets anew."""
        if self._stopping_since is not None:
            return
        try:
            if not self._run_dir.renew(now_s):
                return
        except JetstreamError as error:
            self._failure = str(error)
            self.stop()
            return
        log.warning(
            "%s: something removed this folder or its files; all processes start again. Set pipeline.run_dir to a "
            "folder that nothing cleans up",
            self._run_dir.path,
        )
        self._beats.close(linger=0)
        self._status.close(linger=0)
        self._beats, self._status = self._bind()
        for child in self._children:
            child.end_to_start_again(now_s)

    def run(self, *, duration_s: float | None = None) -> None:
        """Run until every process is done, a signal comes, or `duration_s` after all processes run.

        Raises PipelineError, once all have ended in order: a process kept failing, or could not finish its work.
        """
        with signals.handled(self.stop, self.stop if self._reloader is None else self._ask_reload):
            try:
                while not all(child.done for child in self._children):
                    now_s = time.monotonic()
                    self._keep_folder(now_s)
                    self._start_due(now_s)
                    self._hear()
                    self._watch(now_s)
                    self._check_ready(now_s)
                    if self._is_at_work:
                        self._reload(now_s)
                        self._watchdog.building = self._change_over.turn(self._limits, now_s)
                    if duration_s is not None and self._ready_s is not None and now_s - self._ready_s >= duration_s:
                        self.stop()
                    self._publish_status(now_s)
                self._hear()  # their last counts
            finally:
                self._end()
        self._log_counts()
        if self._failure is not None:
            raise PipelineError(self._failure)

    def stop(self) -> None:
        """Signal the captures and sidecars to end, which take no input; the others follow as their input ends."""
        if self._stopping_since is not None:
            return
        self._stopping_since = time.monotonic()
        notify("STOPPING=1")
        driven = [child for child in self._children if child.is_driven]
        any_started = any(child.popen for child in driven if child.is_capture)
        for child in self._children:
            child.done = child.done or child.popen is None
        signal_all(driven if any_started else self._children, END_IN_ORDER)

    @property
    def _is_at_work(self) -> bool:
        """True from when all vital processes have run until the run is being stopped."""
        return self._ready_s is not None and self._stopping_since is None

    def _check_ready(self, now_s: float) -> None:
        if self._ready_s is None and all(child.beat_s or child.done for child in self._vital):
            self._ready_s = now_s
            log.info("running: %s", ", ".join(child.name for child in self._children if child.beat_s))
            notify("READY=1")

    def _ask_reload(self) -> None:
        self._reload_asked = True

    def _reload(self, now_s: float) -> None:
        """If a reload was requested, use the config that the file holds now, if it is valid. Stages that read a changed
        key are started again; systemd gets READY=1 when they run."""
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
            self._watchdog.extra = masked(f"config rejected, the one in use stays: {error}").replace("\n", " ")
            log.error("%s; the config in use stays", error)
            self._reload_answered = True
            notify("READY=1")
            return
        self._reloader.took(plan)
        with contextlib.suppress(UserError):  # a full disk: the page alone reads it
            self._run_dir.write_origins({**self._run_dir.read_origins(), **dict.fromkeys(plan.taken, RELOADED)})
        self._watchdog.extra = ""
        self._config, self._limits, self._gpu = plan.config, plan.config.pipeline, plan.config.gpu
        for child in self._children:
            if plan.restarts(child.row.name, child.camera) or (LOGGING & set(plan.taken) and not child.beat_s):
                child.end_to_start_again(now_s)
        if LOGGING & set(plan.taken):
            set_up_logging("run", self._limits.log_level, self._limits.log_format, self._run_dir.lines)
            signal_all((child for child in self._children if child.beat_s), LOG_ANEW)
        log.log(logging.WARNING if plan.kept else logging.INFO, "%s", plan.sentence())

    def _start_due(self, now_s: float) -> None:
        """Start the processes that are due, readers first: no frame should wait for a model to load, nor for the second
        start of a process that isn't vital. Sidecars start last, and not at all if the captures have ended by then."""
        readers = [child for child in self._children if not child.is_driven]
        readers_ready = all(c.beat_s or c.done or (c.restarted and not c.is_vital) for c in readers)
        settled = self._ready_s is not None and now_s - self._ready_s > SETTLE_S
        captures = [child for child in self._children if child.is_capture]
        is_over = bool(captures) and all(child.done for child in captures)
        for child in self._children:
            is_due = child.popen is None and not child.done and now_s >= child.start_after_s
            is_turn = readers_ready if child.is_capture else settled
            if is_due and is_over and child.is_driven and not child.restarted:
                child.done = True
            elif is_due and (is_turn or child.restarted or child.starts_early):
                child.start(self._run_dir.path, now_s)

    def _hear(self) -> None:
        """Receive the heartbeats that have arrived; waits at most TURN_MS for the first one."""
        if not self._beats.poll(TURN_MS):
            return
        time.sleep(GATHER_S)
        started = {child.popen.pid: child for child in self._children if child.popen is not None}
        held = {child.held.pid: child for child in self._children if child.held is not None}
        while self._beats.poll(0):
            try:
                beat = self._decoder.decode(self._beats.recv())
            except GARBLED:  # no reason to end all cameras
                continue
            if beat.pid in started:
                started[beat.pid].hear(beat, time.monotonic())
            elif beat.pid in held:
                held[beat.pid].has_opened = True

    def _watch(self, now_s: float) -> None:
        """Kill processes that hang or use too much memory, handle those that have ended, end those without input."""
        limits, is_weighed = self._limits, now_s - self._weighed_s > WEIGHED_EVERY_S
        for child in self._children:
            if child.done or child.popen is None:
                continue
            code = child.popen.poll()
            if code is None and child.ending_s is not None and now_s - child.ending_s > limits.stop_timeout_s:
                code = child.kill()
            if code is None and (
                trouble := child.silence(limits, now_s) or (is_weighed and child.excess(self._config))
            ):
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
        """Whether all processes that it reads from ended a while ago; one that died may not have sent Ended."""
        before = self._before(child)
        if not before or not all(other.done for other in before):
            return False
        child.input_ended_s = child.input_ended_s or now_s
        return child.is_driven or now_s - child.input_ended_s > self._limits.stop_timeout_s

    def _before(self, child: StageProcess) -> list[StageProcess]:
        """The processes whose end is the end of its input; for a sidecar, those with which it ends."""
        if child.stage is not None:
            return [other for other in self._children if other.row.name in child.stage.after]
        captures = [other for other in self._children if other.is_capture]
        return captures or [other for other in self._children if not other.is_driven]  # captures are run by hand

    def _ended(self, child: StageProcess, code: int, now_s: float) -> None:
        if child.ending_s is not None and self._stopping_since is None:
            child.ended_to_start_again()
        elif code == 0:
            first = self._children[0].row  # the ones before it are run by hand
            if child.ends_run and not all(other.done for other in self._children if other.row == first):
                self.stop()  # the user closed the window
            child.done = True
        elif code == UserError.exit_code and child.is_vital and not child.can_do_without_gpu(self._gpu):
            self._fail(child, f"{child.name}: can't continue; its last line above says why")
        elif self._stopping_since is not None or child.input_ended_s is not None:
            child.done = True
            if code > 0 and child.is_vital:
                self._fail(child, f"{child.name}: did not finish in order ({describe(code)})")
        else:
            self._restart(child, code, now_s)

    def _restart(self, child: StageProcess, code: int, now_s: float) -> None:
        child.failed(now_s, self._limits.restart_window_s)
        # a camera's driver that hangs, or a process that frames don't need, is no reason to end the run
        if code == StuckError.exit_code or not child.is_vital:
            child.restarts.clear()
            if code == StuckError.exit_code or child.failed_in_a_row > 1:
                child.pause(now_s)
        if child.failed_in_a_row > 1 and child.can_do_without_gpu(self._gpu):
            child.restarts.clear()
            child.backend = "cpu"
            log.warning(
                "%s: %s, the second failure; it continues without the GPU (gpu.when_lost)", child.name, describe(code)
            )
            return
        if len(child.restarts) > self._limits.restarts:
            window_s = self._limits.restart_window_s
            self._fail(child, f"{child.name}: failed {len(child.restarts)} times in {window_s:.0f} s; given up")
            return
        log.warning("%s: %s; starting it again", child.name, describe(code))

    def _fail(self, child: StageProcess, why: str) -> None:
        """End the run, in order, with exit 1."""
        child.done = True
        self._failure = self._failure or why
        self.stop()

    def _press(self, since_s: float) -> None:
        """Repeat END_IN_ORDER after half of stop_timeout_s, SIGKILL everything after all of it."""
        if since_s > self._limits.stop_timeout_s:
            signal_all(self._children, signal.SIGKILL)
        elif since_s > self._limits.stop_timeout_s / 2:
            signal_all(self._children, END_IN_ORDER)

    def _publish_status(self, now_s: float) -> None:
        if now_s - self._status_s < STATUS_EVERY_S:
            return
        self._status_s = now_s
        processes = tuple(child.status(now_s) for child in self._children)
        turn_ns = time.monotonic_ns()
        status = Status(pid=os.getpid(), wall_ns=time.time_ns(), turn_ns=turn_ns, processes=processes)
        self._status.send(msgspec.msgpack.encode(status))
        if self._is_at_work:
            self._feed_watchdog(now_s)

    def _feed_watchdog(self, now_s: float) -> None:
        is_starting = any(child.is_on_the_way and child.beat_s is None and not child.done for child in self._children)
        captured, tracked = (
            sum((child.frames_by_camera for child in children), Counter[str]()) for children in self._progress()
        )
        self._watchdog.turn(
            captured,
            tracked,
            now_s,
            grace_s=self._limits.start_timeout_s if is_starting else 0.0,
            done=frozenset(child.camera for child in self._children if child.is_capture and child.done),
        )

    def _progress(self) -> tuple[list[StageProcess], list[StageProcess]]:
        """The processes that write frames, and those that every frame must have passed."""
        ends = pipeline.FIRST_OF_PROGRESS, (pipeline.LAST_OF_PROGRESS,)
        first, last = ([child for child in self._children if child.row in rows] for rows in ends)
        return first, last

    def _log_counts(self) -> None:
        drops = sum((child.drops for child in self._children), Counter[str]())
        dropped = ", ".join(f"{reason} {count}" for reason, count in sorted(drops.items())) or "none"
        captured, tracked = (sum(child.frames_by_camera.total() for child in children) for children in self._progress())
        log.info("ended: %d frames captured, %d tracked; dropped: %s", captured, tracked, dropped)

    def _end(self) -> None:
        """Whatever happened, leave no process of ours behind."""
        if self._stopping_since is None:
            notify("STOPPING=1")
        signal_all(self._children, signal.SIGKILL)
        for child in self._children:
            child.drop_held()
            if child.popen is not None:
                child.kill()
        self._beats.close(linger=0)
        self._status.close(linger=0)
