"""One process of the pipeline, over all its lives: started, heard, restarted, done.

Knows how to start and signal it; decides nothing (`supervisor` does).
"""

import logging
import os
import signal
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from jetstream.config.schema import PipelineConfig
from jetstream.messages import Heartbeat, ProcessStatus
from jetstream.pipeline import Stage
from jetstream.runtime.counters import counted, drops_by_reason
from jetstream.runtime.worker import END_TO_START_ANEW

UNKILLABLE_S = 2.0
"""a killed process that is still there after this time hangs in the kernel, as a GPU's driver can"""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MACHINE_BYTES = PAGE_BYTES * os.sysconf("SC_PHYS_PAGES")

log = logging.getLogger("jetstream")


@dataclass
class StageProcess:
    """Times are of time.monotonic()."""

    name: str
    stage: Stage
    popen: "subprocess.Popen[bytes] | None" = None
    started_s: float = 0.0
    start_after_s: float = 0.0  # not before: a camera's driver may need a moment
    beat_s: float | None = None  # of this life
    beat: Heartbeat | None = None
    restarts: deque[float] = field(default_factory=deque)  # times of those within the window
    restarted: int = 0
    failed_in_a_row: int = 0  # with no long life in between
    stillborn_in_a_row: int = 0  # with no beat at all
    backend: str | None = None  # in place of gpu.backend
    counts_before: Counter[str] = field(default_factory=Counter)  # of earlier lives
    frames_before: int = 0
    input_ended_s: float | None = None
    ending_s: float | None = None  # since when it has been ending to be started anew, with another config
    done: bool = False

    @property
    def running(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    @property
    def is_there(self) -> bool:
        """At work, or done; not on its way."""
        return self.done or (self.beat_s is not None and self.ending_s is None)

    @property
    def is_capture(self) -> bool:
        return self.stage.name == "capture"

    @property
    def is_driven(self) -> bool:
        """By ticks, not by what others send: it starts when all others are there, and ends when it is told."""
        return not self.stage.takes

    @property
    def frames(self) -> int:
        return self.frames_before + (self.beat.frames if self.beat else 0)

    @property
    def counts(self) -> Counter[str]:
        """Of all lives."""
        return self.counts_before + Counter(self.beat.counts if self.beat else {})

    @property
    def frames_by_camera(self) -> Counter[str]:
        """The same for each camera, of all lives."""
        return Counter({camera: count for (camera,), count in counted(self.counts, "frames")})

    @property
    def drops(self) -> Counter[str]:
        """By reason, of all lives."""
        return drops_by_reason(self.counts)

    def start(self, run_dir: Path, now_s: float) -> None:
        command = [sys.executable, "-m", "jetstream.runtime.worker", str(run_dir), self.name, str(os.getpid())]
        command += [self.backend] if self.backend else []
        # numpy's own thread pools would take the cores from the other stages, for matrices of a few numbers
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.popen = subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL, env=environment)
        self.started_s = now_s
        self.beat_s = None

    def own_bytes(self) -> int:
        """Memory that is its alone, so without the rings; 0 when it is gone."""
        try:
            assert self.popen is not None
            _, resident, shared = Path(f"/proc/{self.popen.pid}/statm").read_text().split()[:3]
        except (OSError, ValueError):
            return 0
        return (int(resident) - int(shared)) * PAGE_BYTES

    def silence(self, limits: PipelineConfig, now_s: float) -> str:
        """In words, where it is too long; else nothing."""
        heard_s, limit_s = self.beat_s, limits.heartbeat_timeout_s
        if heard_s is None:
            heard_s, limit_s = self.started_s, limits.start_timeout_s
        return f"silent for {now_s - heard_s:.0f} s" if now_s - heard_s > limit_s else ""

    def excess(self, limits: PipelineConfig) -> str:
        """Of memory, in words; else nothing. To be asked before the machine has none left, when the kernel would choose
        whom to kill."""
        own_bytes, limit_bytes = self.own_bytes(), limits.memory_mb * 1e6 or MACHINE_BYTES / 2
        if own_bytes <= limit_bytes:
            return ""
        return f"holds {own_bytes / 1e6:.0f} MB, over {limit_bytes / 1e6:.0f} (pipeline.memory_mb)"

    def hear(self, beat: Heartbeat, now_s: float) -> None:
        self.beat, self.beat_s = beat, now_s

    def kill(self) -> int:
        """End it at once; its exit code. One that hangs in the kernel is left behind, and the pipeline goes on."""
        assert self.popen is not None
        self.popen.kill()
        try:
            return self.popen.wait(UNKILLABLE_S)
        except subprocess.TimeoutExpired:
            log.warning("%s: process %d can't be killed; left behind", self.name, self.popen.pid)
            return -signal.SIGKILL

    def end_to_start_anew(self, now_s: float) -> None:
        """It finishes what it holds; its readers wait for its next life."""
        if self.popen is None or self.done:
            return
        self.ending_s = now_s
        self.popen.send_signal(END_TO_START_ANEW if self.beat_s else signal.SIGKILL)  # before, it holds nothing

    def renew(self, now_s: float) -> None:
        """It has ended to be started anew, which is no failure."""
        failed_in_a_row = self.failed_in_a_row
        self.bury(now_s, 0.0)
        self.restarts.pop()
        self.restarted -= 1
        self.failed_in_a_row, self.ending_s = failed_in_a_row, None

    def bury(self, now_s: float, long_life_s: float) -> None:
        """It died: what it counted stays. One that beat for less than `long_life_s` has failed once more in a row."""
        lived_s = self.beat_s - self.started_s if self.beat_s else 0.0  # hanging before the first beat is no life
        self.failed_in_a_row = 1 if lived_s > long_life_s else self.failed_in_a_row + 1
        self.stillborn_in_a_row = 0 if self.beat_s else self.stillborn_in_a_row + 1
        if self.beat is not None:
            self.counts_before.update(self.beat.counts)
            self.frames_before += self.beat.frames
            self.beat = msgspec.structs.replace(self.beat, frames=0, counts={}, levels={}, fps=0.0)
        self.popen, self.beat_s = None, None
        self.restarted += 1
        self.restarts.append(now_s)

    def status(self, now_s: float) -> ProcessStatus:
        beat = self.beat
        if beat is not None:
            beat = msgspec.structs.replace(beat, counts=dict(self.counts), frames=self.frames)
        state = "done" if self.done else "running" if self.beat_s else "restarting" if self.restarted else "starting"
        silent_s = None if self.beat_s is None else round(max(0.0, now_s - self.beat_s), 3)
        return ProcessStatus(self.name, state, self.restarted, beat, silent_s)  # type: ignore[arg-type]


def signal_all(children: Iterable[StageProcess], signum: signal.Signals) -> None:
    for child in children:
        if child.running and child.popen is not None:
            child.popen.send_signal(signum)


def describe(code: int) -> str:
    """An exit code as Popen gives it, in words."""
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
