"""One stage in one process: signals, heartbeat, doorways, end. Everything about being a process is here.

Knows the supervisor only as the one who hears heartbeats. Started as `python -m jetstream.runtime.worker RUN_DIR NAME
PARENT_PID [BACKEND]`.
"""

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import zmq

from jetstream import pipeline
from jetstream.child_process import die_with_parent
from jetstream.config.schema import Config
from jetstream.errors import JetstreamError
from jetstream.ipc.bus import Inbox, Outbox, Reader
from jetstream.ipc.memory import AnswerCache
from jetstream.ipc.ring import Cell
from jetstream.ipc.rings import Rings
from jetstream.logs import set_up_logging
from jetstream.messages import Detected, Finished, Framed, InUse, Message, Tick, Tracked, Wanted
from jetstream.runtime.heartbeat import HeartbeatSender
from jetstream.runtime.run_dir import RunDir
from jetstream.runtime.signals import hang_up

END_IN_ORDER = signal.SIGUSR1
"""The supervisor's word to a process. Any other deadly signal comes from outside, and the process is started again."""
END_TO_START_ANEW = signal.SIGUSR2
"""the same, but its readers are to wait for its next life"""
LOG_ANEW = signal.SIGHUP
"""the config that is in the run directory now says how to log"""

log = logging.getLogger("jetstream")


def run_stage(name: str, config: Config, run_dir: Path, *, parent: int | None = None) -> None:
    """Run the process `name` (`detect`, or `capture.<camera>`) until its input ends or it is told to stop.

    `parent`: the supervisor's pid; the process ends when it is gone.
    """
    stage_name, _, camera = name.partition(".")
    stage = pipeline.stage_named(stage_name)
    if camera:
        config = msgspec.structs.replace(config, cameras=tuple(c for c in config.cameras if c.name == camera))
    stop = _stop_flag(parent)
    # its first beat comes from the stage's loop: everything is open then
    pulse = HeartbeatSender(name, run_dir, min_quality=config.recognize.min_quality)
    function = stage.load()
    with Rings.attach_all(RunDir(run_dir).read_rings()) as rings:
        cells = _cells(stage, config, rings)
        outbox = _outbox(stage, config, run_dir)
        inbox = _inbox(stage, config, run_dir, pulse, stop) if stage.takes else None
        pulse.outbox, pulse.inbox = outbox, inbox
        memory = _memory(stage, config, rings, cells)
        messages: Iterator[Any] = _ticks(pulse, stop)
        if inbox is not None:
            messages = _counted(inbox, stage, config, pulse)
        if memory is not None:
            messages = memory.new_ones(messages, outbox)
        ended = False
        try:
            for message in function(messages, rings, config):
                _deliver(message, outbox, pulse, cells, memory)
            # in the foreground a signal ends this stage alone: it may be run again, and its readers wait
            ended = not stop.is_set() if parent is None else not stop.to_start_anew
        finally:
            outbox.end(name) if ended else outbox.close()
            if inbox is not None:
                inbox.close()
            pulse.close()


def _deliver(
    message: Message, outbox: Outbox, pulse: HeartbeatSender, cells: dict[str, Cell], memory: AnswerCache | None
) -> None:
    pulse.said(message)
    if isinstance(message, InUse):
        outbox.send(message)
    if not isinstance(message, Framed):
        return
    now_ns = time.monotonic_ns()
    message = _stamped(message, now_ns)
    if not isinstance(message, Finished):
        outbox.send(message)
    if isinstance(message, Wanted):  # a question is no progress
        return
    pulse.handled(message.frame, now_ns)
    if memory is not None:
        memory.add(message)
    if message.frame.camera in cells:
        cells[message.frame.camera].done(message.frame.frame_id)


def _stamped(message: Framed, now_ns: int) -> Framed:
    """With the time of this hop, which goes on with the frame. Stages have no clock, so a replay has no hops."""
    if isinstance(message, Detected):
        frame = msgspec.structs.replace(message.frame, detected_ns=now_ns)
    elif isinstance(message, Tracked):
        frame = msgspec.structs.replace(message.frame, tracked_ns=now_ns)
    else:
        return message
    return msgspec.structs.replace(message, frame=frame)


def _counted(inbox: Inbox, stage: pipeline.Stage, config: Config, pulse: HeartbeatSender) -> Iterator[Any]:
    most, wait_s = pipeline.batch_size(stage, config), pipeline.batch_wait_s(config)
    while True:
        try:
            message = inbox.batch(most, wait_s) if stage.batched else next(inbox)
        except StopIteration:
            return
        begun_ns = time.monotonic_ns()
        pulse.took(message if isinstance(message, list) else [message], begun_ns)
        yield message
        pulse.turned(begun_ns)


def _memory(stage: pipeline.Stage, config: Config, rings: Rings, cells: dict[str, Cell]) -> AnswerCache | None:
    if not (pipeline.is_lossless(stage, config) and stage.ordered):
        return None
    # whoever is behind this stage may have lost what its last life answered, so that is done anew
    first = {
        camera.name: rings[camera.name].slowest or 0 if stage.sends else cells[camera.name].done_below
        for camera in config.cameras
    }
    (takes,) = (kind for kind in stage.takes[:1] if issubclass(kind, Framed))
    return AnswerCache(takes, first, config.pipeline.slots, lambda camera: rings[camera].slowest or 0)


def _ticks(pulse: HeartbeatSender, stop: "StopFlag") -> Iterator[Tick]:
    """What drives a stage that takes nothing: one tick for each turn of its loop."""
    while not stop.is_set():
        pulse.beat()
        yield Tick()


def _cells(stage: pipeline.Stage, config: Config, rings: Rings) -> dict[str, Cell]:
    if not (stage.frees and pipeline.is_lossless(stage, config)):
        return {}
    return {camera.name: rings[camera.name].register(stage.name) for camera in config.cameras}


def _outbox(stage: pipeline.Stage, config: Config, run_dir: Path) -> Outbox:
    readers = {
        kind: [
            Reader(other.name, pipeline.is_lossless(other, config), other.after == stage.name, other.vital)
            for other in pipeline.wanted(config)
            if kind in other.takes
        ]
        for kind in stage.sends
    }
    return Outbox(run_dir, readers)


def _inbox(stage: pipeline.Stage, config: Config, run_dir: Path, pulse: HeartbeatSender, stop: "StopFlag") -> Inbox:
    limit = pipeline.queue_limit(stage, config)
    senders = pipeline.processes(pipeline.stage_named(stage.after), config)
    return Inbox(
        run_dir,
        stage.name,
        dict.fromkeys(stage.takes, limit),
        senders=frozenset(senders),
        beat=pulse.beat,
        stop=stop.is_set,
        pass_ended=stage.asks,
        tick_s=stage.tick_s,
        idle_ticks=stage.idle_ticks,
    )


class StopFlag:
    """Set by the signals to end in order or to start anew, or when the parent is gone."""

    def __init__(self, parent: int | None) -> None:
        self._parent = parent
        self._told = False
        self.to_start_anew = False

    def is_set(self) -> bool:
        return self._told or (self._parent is not None and os.getppid() != self._parent)

    def tell(self, signum: int, frame: FrameType | None) -> None:
        self._told = True
        self.to_start_anew = signum == END_TO_START_ANEW


def _stop_flag(parent: int | None) -> StopFlag:
    flag = StopFlag(parent)
    for signum in (END_IN_ORDER, END_TO_START_ANEW):
        signal.signal(signum, flag.tell)
    if parent is None:  # alone in the foreground
        for signum in (signal.SIGINT, signal.SIGTERM, *hang_up()):
            signal.signal(signum, flag.tell)
        return flag
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the supervisor, who stops all in order
    die_with_parent()
    return flag


def _log_as_configured(name: str, run_dir: RunDir) -> None:
    """Now, and anew at LOG_ANEW."""

    def set_up(signum: int = 0, frame: FrameType | None = None) -> None:
        settings = run_dir.read_config().pipeline
        set_up_logging(name, settings.log_level, settings.log_format)

    set_up()
    signal.signal(LOG_ANEW, set_up)


def main(arguments: list[str]) -> int:
    """Entry of a process that the supervisor starts: RUN_DIR NAME PARENT_PID [BACKEND], which replaces gpu.backend."""
    run_dir, name, parent = Path(arguments[0]), arguments[1], int(arguments[2])
    set_up_logging(name, "info")  # until the config can be read
    try:
        config = RunDir(run_dir).read_config()
        if arguments[3:]:
            config = msgspec.structs.replace(config, gpu=msgspec.structs.replace(config.gpu, backend=arguments[3]))
        _log_as_configured(name, RunDir(run_dir))
        run_stage(name, config, run_dir, parent=parent)
    except JetstreamError as error:
        log.error("%s", error)
        return error.exit_code
    finally:
        zmq.Context.instance().destroy(linger=1000)  # what was sent last shall arrive
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
