"""Runs a stage as a process of the pipeline: signals, heartbeat, sockets and shutdown.

Knows the supervisor only as the reader of heartbeats. Started as `python -m jetstream.runtime.worker RUN_DIR NAME
PARENT_PID [BACKEND]`.
"""

import importlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import zmq

from jetstream import pipeline
from jetstream.child_process import die_with_parent, give_way
from jetstream.config import secrets
from jetstream.config.schema import Config
from jetstream.errors import JetstreamError
from jetstream.ipc.bus import Inbox, Outbox, Reader, endpoint_name, has_listener
from jetstream.ipc.memory import AnswerCache
from jetstream.ipc.ring import Cell
from jetstream.ipc.rings import Rings
from jetstream.logs import mask_tracebacks, set_up_logging
from jetstream.messages import Demuxed, Framed, Message
from jetstream.runtime.heartbeat import HeartbeatSender
from jetstream.runtime.run_dir import RunDir
from jetstream.runtime.signals import hang_up
from jetstream.runtime.ticks import Patience, Ticks

END_IN_ORDER = signal.SIGUSR1
"""The supervisor's signal to end. Any other deadly signal comes from outside, and the process is started again."""
END_TO_START_AGAIN = signal.SIGUSR2
"""the same, but its readers are to wait for its next start"""
LOG_ANEW = signal.SIGHUP
"""set up logging again, from the config in the run directory"""

GATHERED_NS = 1_000_000
"""a stage under load sends what it yields so often: waking a reader for each message takes longer than making one"""
LOOK_EVERY_S = 0.005
"""how often a process looks whether the one that it follows has closed its sockets"""

log = logging.getLogger(__name__)


def run_process(
    name: str, config: Config, run_dir: Path, *, parent: int | None = None, opens_ahead: bool = False
) -> None:
    """Run the process `name` (`detect`, `capture.CAMERA`, `learn`) until its input ends or a signal stops it.

    `parent`: the supervisor's pid; the process ends when that is gone. None: alone in the foreground. `opens_ahead`: it
    follows a process that still runs, and takes its first message once standard input ends.
    """
    row = pipeline.row_of(name)
    stop = _stop_flag(parent)
    if parent is not None and row.niceness:
        give_way(row.niceness)
    # the first heartbeat comes from the work loop: everything is open then
    heartbeat = HeartbeatSender(name, run_dir, min_quality=config.recognize.min_quality)
    try:
        if isinstance(row, pipeline.Sidecar):
            row.load()(Ticks(heartbeat, stop.is_set), config)
        else:
            _run_stage(name, row.under(config), config, run_dir, heartbeat, stop, opens_ahead=opens_ahead)
    finally:
        heartbeat.close()


def _run_stage(
    name: str,
    stage: pipeline.ResolvedStage,
    config: Config,
    run_dir: Path,
    heartbeat: HeartbeatSender,
    stop: "StopFlag",
    *,
    opens_ahead: bool,
) -> None:
    function = stage.row.load()
    own = pipeline.config_of(name, config)
    folder = RunDir(run_dir)
    with Rings.attach_all(folder.read_rings(), folder.read_packets()) as rings, ExitStack() as inboxes:
        cells = {camera.name: rings[camera.name].register(stage.row.name) for camera in own.cameras if stage.tells_done}
        if not stage.frees:  # live: frames that died with the process before are not waited for
            for camera, cell in cells.items():
                cell.done(rings[camera].cursor - 1)
        outbox = _outbox(name, stage, config, run_dir)
        heartbeat.outbox = outbox

        def receive() -> Iterator[Any]:
            heartbeat.inbox = inbox = _inbox(name, stage, run_dir, heartbeat, stop)
            inboxes.callback(inbox.close)
            return Received(inbox, stage, heartbeat, outbox, cameras=len(own.cameras))

        answers = _answer_cache(stage, own, rings, cells)
        messages: Iterator[Any] = Ticks(heartbeat, stop.is_set)
        if stage.row.takes:
            messages = _once_released(name, receive, stage, run_dir, heartbeat) if opens_ahead else receive()
        if answers is not None:
            messages = answers.new_ones(messages, outbox)
        ended = False
        try:
            for message in function(messages, rings, own):
                _deliver(message, outbox, heartbeat, cells, answers)
            ended = not stop.to_start_again
        finally:
            outbox.end(name) if ended else outbox.close()


def _once_released(
    name: str,
    receive: Callable[[], Iterator[Any]],
    stage: pipeline.ResolvedStage,
    run_dir: Path,
    heartbeat: HeartbeatSender,
) -> Iterator[Any]:
    """The messages from when standard input ends, and the process before this one has closed its sockets. A heartbeat
    says first that all else is open."""
    heartbeat.beat_now()
    os.read(0, 1)
    sockets = [str(run_dir / endpoint_name(kind, name)) for kind in stage.row.takes]
    while any(has_listener(path) for path in sockets):
        time.sleep(LOOK_EVERY_S)
    yield from receive()


def _deliver(
    message: Message,
    outbox: Outbox,
    heartbeat: HeartbeatSender,
    cells: dict[str, Cell],
    answers: AnswerCache | None,
) -> None:
    now_ns = time.monotonic_ns()
    message = message.stamped(now_ns)
    heartbeat.count(message)
    if message.is_sent:
        outbox.send(message)
    if isinstance(message, Demuxed):
        heartbeat.passed(now_ns)
    if not (isinstance(message, Framed) and message.ends_work):
        return
    heartbeat.handled(message.frame, now_ns)
    if answers is not None:
        answers.add(message)
    if message.frame.camera in cells:
        cells[message.frame.camera].done(message.frame.frame_id)


class Received(Iterator[Any]):
    """The stage's messages, or lists of them. Reports to the heartbeat when the stage takes one and wants the next, and
    then sends what it yielded meanwhile. `cameras`: how many send to this process."""

    def __init__(
        self,
        inbox: Inbox,
        stage: pipeline.ResolvedStage,
        heartbeat: HeartbeatSender,
        outbox: Outbox,
        *,
        cameras: int,
    ) -> None:
        self._inbox, self._heartbeat, self._outbox = inbox, heartbeat, outbox
        # a list has at most one message a camera: more would be waited for in vain
        self._most = None if stage.batch_size is None else min(stage.batch_size, cameras)
        self._wait_s = stage.batch_wait_s
        self._patience = Patience(heartbeat)
        self.opens = self._patience.opens
        self._begun_ns: int | None = None
        self._sent_ns = 0

    def __next__(self) -> Any:
        self._send()
        self._patience.turned()
        if self._begun_ns is not None:
            self._heartbeat.turned(self._begun_ns)
            self._begun_ns = None
        message = next(self._inbox) if self._most is None else self._inbox.batch(self._most, self._wait_s)
        self._begun_ns = time.monotonic_ns()
        self._heartbeat.took(message if isinstance(message, list) else [message], self._begun_ns)
        return message

    def _send(self) -> None:
        """Send what was gathered: of a list at once, else after GATHERED_NS or when nothing more is waiting."""
        now_ns = time.monotonic_ns()
        if self._most is None and self._inbox.has_waiting and now_ns - self._sent_ns < GATHERED_NS:
            return
        self._sent_ns = now_ns
        self._outbox.flush()


def _answer_cache(
    stage: pipeline.ResolvedStage, config: Config, rings: Rings, cells: dict[str, Cell]
) -> AnswerCache | None:
    if not stage.ordered:
        return None
    # the next stage may have lost answers that this one gave before its restart, so they are computed again
    first = {
        camera.name: rings[camera.name].slowest or 0 if stage.row.sends else cells[camera.name].done_below
        for camera in config.cameras
    }
    (takes,) = (kind for kind in stage.row.takes[:1] if issubclass(kind, Framed))
    return AnswerCache(takes, first, config.pipeline.slots, lambda camera: rings[camera].slowest or 0)


def _outbox(name: str, stage: pipeline.ResolvedStage, config: Config, run_dir: Path) -> Outbox:
    readers = {
        kind: [
            Reader(
                process,
                other.lossless,
                stage.row.name in other.row.after,
                other.row.vital,
                _names(process, config),
            )
            for other in pipeline.stages_of(config)
            if kind in other.row.takes
            for process in pipeline.processes(other.row, config)
        ]
        for kind in stage.row.sends
    }
    # at the every-frame pace a frame is told as done when its answer is sent, so that none is lost with the process
    gathers = bool(stage.row.takes) and config.pipeline.pace == "live"
    return Outbox(run_dir, readers, gathers=gathers, speaks_for_all=pipeline.speaks_for_all(name, config))


def _names(process: str, config: Config) -> frozenset[str] | None:
    """The cameras whose frames a process takes; None: all."""
    served = frozenset(camera.name for camera in pipeline.cameras_of(process, config))
    return None if len(served) == len(config.cameras) else served


def _inbox(
    name: str, stage: pipeline.ResolvedStage, run_dir: Path, heartbeat: HeartbeatSender, stop: "StopFlag"
) -> Inbox:
    return Inbox(
        run_dir,
        name,
        dict.fromkeys(stage.row.takes, stage.queue_limit),
        senders=stage.senders,
        beat=heartbeat.beat,
        stop=stop.is_set,
        pass_ended=stage.row.asks,
        tick_s=stage.row.tick_s,
        idle_ticks=stage.row.idle_ticks,
    )


class StopFlag:
    """Set by the signals to end, or when the parent is gone. `parent` is its pid; None: alone in the foreground."""

    def __init__(self, parent: int | None) -> None:
        self._parent = parent
        self._signum: int | None = None

    def is_set(self) -> bool:
        return self._signum is not None or (self._parent is not None and os.getppid() != self._parent)

    @property
    def to_start_again(self) -> bool:
        """Whether readers are to wait for this stage's next start. In the foreground a signal ends this stage alone,
        which may be run again."""
        return self.is_set() if self._parent is None else self._signum == END_TO_START_AGAIN

    def handle(self, signum: int, frame: FrameType | None) -> None:
        """Handler for the signals to end."""
        self._signum = signum


def _stop_flag(parent: int | None) -> StopFlag:
    flag = StopFlag(parent)
    for signum in (END_IN_ORDER, END_TO_START_AGAIN):
        signal.signal(signum, flag.handle)
    if parent is None:  # alone in the foreground
        for signum in (signal.SIGINT, signal.SIGTERM, *hang_up()):
            signal.signal(signum, flag.handle)
        return flag
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the supervisor, which stops all in order
    die_with_parent()
    return flag


def _wait_to_begin(name: str) -> bool:
    """Import what the stage needs, then wait for the end of standard input, which has come unless the process is held;
    or for a byte there, which says to open ahead: True.

    Nothing is open yet, so a signal may end the process here as it ends any process.
    """
    row = pipeline.row_of(name)
    row.load()
    if isinstance(row, pipeline.Stage) and row.infers:
        importlib.import_module("jetstream.runners.onnxrt")  # half of what opening a network takes
    return bool(os.read(0, 1))


def _log_anew_at_signal(name: str, run_dir: RunDir) -> None:
    """Install the handler of LOG_ANEW, which sets up logging from the config in the run directory."""

    def set_up(signum: int, frame: FrameType | None) -> None:
        settings = run_dir.read_config().pipeline
        set_up_logging(name, settings.log_level, settings.log_format, run_dir.lines)

    signal.signal(LOG_ANEW, set_up)


def main(arguments: list[str]) -> int:
    """Entry point of a process that the supervisor starts: RUN_DIR NAME PARENT_PID [BACKEND]. BACKEND replaces
    gpu.backend."""
    run_dir, name, parent = Path(arguments[0]), arguments[1], int(arguments[2])
    set_up_logging(name, "info")  # until the config can be read
    mask_tracebacks()
    try:
        opens_ahead = _wait_to_begin(name)
        if os.getppid() != parent:
            return 1
        config = RunDir(run_dir).read_config()
        secrets.know(config)
        set_up_logging(name, config.pipeline.log_level, config.pipeline.log_format, RunDir(run_dir).lines)
        _log_anew_at_signal(name, RunDir(run_dir))
        if arguments[3:]:
            config = msgspec.structs.replace(config, gpu=msgspec.structs.replace(config.gpu, backend=arguments[3]))
        run_process(name, config, run_dir, parent=parent, opens_ahead=opens_ahead)
    except JetstreamError as error:
        log.error("%s", error)
        return error.exit_code
    finally:
        zmq.Context.instance().destroy(linger=1000)  # what was sent last must arrive
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
