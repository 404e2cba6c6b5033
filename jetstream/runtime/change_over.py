"""Lets the stages that run networks change over to engines that were built during the run.

For each of them a second process opens its networks while the first one works, and then takes its place: at the one's
end the other has only its sockets to open. Decides from heartbeats; knows no engine.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from jetstream.config.schema import PipelineConfig
from jetstream.messages import Heartbeat
from jetstream.runtime.child import StageProcess, describe
from jetstream.runtime.counters import counted

log = logging.getLogger(__name__)


class ChangeOver:
    """Over the processes of one run, whose run directory is `run_dir`."""

    def __init__(self, children: Sequence[StageProcess], run_dir: Path) -> None:
        self._children, self._run_dir = children, run_dir
        self._taken = 0  # engines that stages have opened, or are opening

    def turn(self, limits: PipelineConfig, now_s: float) -> str:
        """What is due now; which engines are being built, as a clause or empty."""
        built = sum(count for child in self._children for _, count in counted(child.counts, "engines"))
        if built > self._taken:
            self._taken = built
            self._open(now_s)
        for child in self._children:
            if child.opens_since_s is not None and child.popen is not None and child.ending_s is None:
                self._follow(child, limits, now_s - child.opens_since_s, now_s)
        return "; ".join(filter(None, (being_built(child.beat) for child in self._children)))

    def _open(self, now_s: float) -> None:
        for child in self._children:
            # one that goes on without the GPU stays there (gpu.when_lost)
            if child.infers and child.is_there and not child.done and not child.backend:
                child.open_ahead(self._run_dir, now_s)

    def _follow(self, child: StageProcess, limits: PipelineConfig, opens_s: float, now_s: float) -> None:
        assert child.held is not None
        code = child.held.poll()
        if code is None and child.has_opened:
            log.info("%s: changes over to the engines that were built", child.name)
            child.hand_over(now_s)
        elif code is not None or opens_s > limits.start_timeout_s:
            trouble = "silent for too long" if code is None else describe(code)
            log.warning("%s: the new engines can't be opened (%s); it goes on without them", child.name, trouble)
            child.drop_held()


def being_built(beat: Heartbeat | None) -> str:
    """Which engines a process builds, by its last heartbeat: a clause, or empty."""
    levels = counted(beat.levels, "building") if beat else ()
    networks = sorted(words[0] for words, is_built_now in levels if is_built_now)
    return f"engines being built: {', '.join(networks)}" if networks else ""
