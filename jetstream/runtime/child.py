"""One process of the pipeline, over all its starts: its state, its counts, and how to start, signal and end it.

Decides nothing (`supervisor` does).
"""

import logging
import signal
import subprocess
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from jetstream.config.schema import Config, GpuConfig, PipelineConfig
from jetstream.messages import Heartbeat, ProcessStatus
from jetstream.pipeline import Row, Sidecar, Stage, camera_of
from jetstream.runtime.counters import counted, drops_by_reason
from jetstream.runtime.prestart import open_ahead, release, spawn
from jetstream.runtime.proc import MACHINE_BYTES, process_memory
from jetstream.runtime.worker import END_TO_START_AGAIN

UNKILLABLE_S = 2.0
"""a killed process that is still there after this time hangs in the kernel, as a GPU's driver can"""
STUCK_PAUSE_S = 1.0
"""before a camera's process that hung is started again, and before the third start of a process that isn't vital"""
DOUBLINGS = 5
"""most of these pauses in a row, one for each start that ended before its first heartbeat: a port that another program
uses must not cause a log line every second"""

log = logging.getLogger(__name__)


@dataclass
class StageProcess:
    """Times are of time.monotonic()."""

    name: str
    row: Row
    popen: "subprocess.Popen[bytes] | None" = None
    started_s: float = 0.0
    start_after_s: float = 0.0  # not before: a camera's driver may need a moment
    beat_s: float | None = None  # of the last heartbeat since this start
    beat: Heartbeat | None = None
    restarts: deque[float] = field(default_factory=deque)  # times of those within the window
    restarted: int = 0
    failed_in_a_row: int = 0  # with no long run in between
    stillborn_in_a_row: int = 0  # without a heartbeat
    backend: str | None = None  # in place of gpu.backend
    counts_before: Counter[str] = field(default_factory=Counter)  # of earlier starts
    frames_before: int = 0
    input_ended_s: float | None = None
    ending_s: float | None = None  # since when it has been ending to be started again, with another config
    held: "subprocess.Popen[bytes] | None" = None  # for its next start: it has imported what it needs
    opens_since_s: float | None = None  # since when the held process has been opening its networks
    has_opened: bool = False  # the held process waits for its first message
    done: bool = False

    @property
    def running(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    @property
    def is_there(self) -> bool:
        """True past the first heartbeat and not being restarted, or when finished."""
        return self.done or (self.beat_s is not None and self.ending_s is None)

    @property
    def stage(self) -> Stage | None:
        """The row of its stage; None for a sidecar."""
        return None if isinstance(self.row, Sidecar) else self.row

    @property
    def camera(self) -> str:
        """The camera that it alone serves; "" where it serves all."""
        return camera_of(self.name)

    @property
    def is_capture(self) -> bool:
        return self.stage is not None and self.stage.per_camera

    @property
    def is_driven(self) -> bool:
        """True if ticks drive it and not messages: it starts when all others run, and ends on a signal."""
        return self.stage is None or not self.stage.takes

    @property
    def is_vital(self) -> bool:
        """True if the run ends when this process keeps failing."""
        return self.stage is not None and self.stage.vital

    @property
    def is_on_the_way(self) -> bool:
        """True if every frame has to pass through it."""
        return self.stage is not None and self.stage.progress

    @property
    def infers(self) -> bool:
        """True if it runs networks."""
        return self.stage is not None and self.stage.infers

    @property
    def ends_run(self) -> bool:
        """True if the run ends when this process ends by itself."""
        return self.stage is not None and self.stage.ends_run

    @property
    def starts_early(self) -> bool:
        """True if it starts before the stages that take messages run."""
        return not self.is_driven or (isinstance(self.row, Sidecar) and self.row.early)

    @property
    def frames(self) -> int:
        return self.frames_before + (self.beat.frames if self.beat else 0)

    @property
    def counts(self) -> Counter[str]:
        """Counters summed over every start of this process, like all counts here."""
        return self.counts_before + Counter(self.beat.counts if self.beat else {})

    @property
    def frames_by_camera(self) -> Counter[str]:
        return Counter({camera: count for (camera,), count in counted(self.counts, "frames")})

    @property
    def drops(self) -> Counter[str]:
        """Number of dropped frames by reason."""
        return drops_by_reason(self.counts)

    def start(self, run_dir: Path, now_s: float) -> None:
        """Start the process: release the held one, if there is one and it has the backend that is wanted now."""
        if self.backend:
            self.drop_held()
        self.popen, self.held = self.held or spawn(run_dir, self.name, backend=self.backend), None
        self.opens_since_s, self.has_opened = None, False
        release(self.popen)
        self.started_s = now_s
        self.beat_s = None

    def open_ahead(self, run_dir: Path, now_s: float) -> None:
        """Start the process that is to follow this one, held until it has opened its networks."""
        self.drop_held()
        self.held, self.opens_since_s = spawn(run_dir, self.name, held=True), now_s
        open_ahead(self.held)

    def drop_held(self) -> None:
        """End the held process, if there is one."""
        if self.held is not None:
            self._killed(self.held)
            release(self.held)
        self.held, self.opens_since_s, self.has_opened = None, None, False

    def silence(self, limits: PipelineConfig, now_s: float) -> str:
        """A clause for the log if no heartbeat came for too long; else empty."""
        patience_s = self.beat.patience_s if self.beat is not None else 0.0
        heard_s, limit_s = self.beat_s, max(limits.heartbeat_timeout_s, patience_s)
        if heard_s is None:
            heard_s, limit_s, patience_s = self.started_s, limits.start_timeout_s, 0.0
        doing = " while it opened its source" if patience_s else ""
        return f"silent for {now_s - heard_s:.0f} s{doing}" if now_s - heard_s > limit_s else ""

    def excess(self, config: Config) -> str:
        """A clause for the log if it uses too much memory of its own (without the rings); else empty.

        The limit applies before the machine runs out of memory, when the kernel would choose which process to kill.
        """
        memory = process_memory(self.popen.pid) if self.popen is not None else None
        limit_bytes, key = config.pipeline.memory_mb * 1e6 or MACHINE_BYTES / 2, "pipeline.memory_mb"
        own_mb = self.stage.memory_mb if self.stage is not None else None
        if own_mb is not None and own_mb(config) * 1e6 < limit_bytes:
            limit_bytes, key = own_mb(config) * 1e6, f"{self.name}.memory_mb"
        if memory is None or memory.own_bytes <= limit_bytes:
            return ""
        return f"holds {memory.own_bytes / 1e6:.0f} MB, over {limit_bytes / 1e6:.0f} ({key})"

    def can_do_without_gpu(self, gpu: GpuConfig) -> bool:
        """Whether it may run on a GPU now, and may be started again on the CPU. A lost GPU shows in many ways: a crash,
        a hang, a backend that isn't there any more."""
        return self.infers and gpu.when_lost == "cpu" and gpu.backend != "cpu" and not self.backend

    def hear(self, beat: Heartbeat, now_s: float) -> None:
        self.beat, self.beat_s = beat, now_s

    def kill(self) -> int:
        """Kill the process; returns its exit code. A process that hangs in the kernel is left behind."""
        assert self.popen is not None
        return self._killed(self.popen)

    def _killed(self, popen: "subprocess.Popen[bytes]") -> int:
        popen.kill()
        try:
            return popen.wait(UNKILLABLE_S)
        except subprocess.TimeoutExpired:
            log.warning("%s: process %d can't be killed; left behind", self.name, popen.pid)
            return -signal.SIGKILL

    def end_to_start_again(self, now_s: float) -> None:
        """Signal it to finish the messages it holds and end; its readers wait for its next start, with what the config
        says then."""
        if self.popen is None or self.done:
            return
        self.drop_held()
        self.hand_over(now_s)

    def hand_over(self, now_s: float) -> None:
        """Signal the same; a held process follows at once, as it is."""
        if self.popen is None or self.done:
            return
        if self.held is not None:
            release(self.held)
        self.ending_s = now_s
        self.popen.send_signal(END_TO_START_AGAIN if self.beat_s else signal.SIGKILL)  # it holds nothing yet

    def ended_to_start_again(self) -> None:
        """Record that it ended to be started again, which is no failure."""
        self.ending_s = None
        self._forget()

    def failed(self, now_s: float, window_s: float) -> None:
        """Record that it ended by itself. If it sent heartbeats for less than `window_s`, that is one more failure in a
        row; restarts longer ago than `window_s` no longer count."""
        ran_s = self.beat_s - self.started_s if self.beat_s else 0.0  # hanging before the first heartbeat doesn't count
        self.failed_in_a_row = 1 if ran_s > window_s else self.failed_in_a_row + 1
        self.stillborn_in_a_row = 0 if self.beat_s else self.stillborn_in_a_row + 1
        self.restarted += 1
        self.restarts.append(now_s)
        while now_s - self.restarts[0] > window_s:
            self.restarts.popleft()
        self._forget()

    def pause(self, now_s: float) -> None:
        """Wait before the next start: the longer, the more starts in a row ended before their first heartbeat."""
        self.start_after_s = now_s + STUCK_PAUSE_S * 2 ** min(max(self.stillborn_in_a_row - 2, 0), DOUBLINGS)

    def _forget(self) -> None:
        """Clear the state of the ended process; its counts are kept."""
        if self.beat is not None:
            self.counts_before.update(self.beat.counts)
            self.frames_before += self.beat.frames
            self.beat = msgspec.structs.replace(self.beat, frames=0, counts={}, levels={}, fps=0.0, patience_s=0.0)
        self.popen, self.beat_s = None, None

    def status(self, now_s: float) -> ProcessStatus:
        beat = self.beat
        if beat is not None:
            beat = msgspec.structs.replace(beat, counts=dict(self.counts), frames=self.frames)
        state = "done" if self.done else "running" if self.beat_s else "restarting" if self.restarted else "starting"
        silent_s = None if self.beat_s is None else round(max(0.0, now_s - self.beat_s), 3)
        return ProcessStatus(self.name, state, self.restarted, beat, silent_s)  # type: ignore[arg-type]


def signal_all(children: Iterable[StageProcess], signum: signal.Signals) -> None:
    """Send a signal to the children that run."""
    for child in children:
        if child.running and child.popen is not None:
            child.popen.send_signal(signum)


def describe(code: int) -> str:
    """An exit code of Popen as a clause for the log."""
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
