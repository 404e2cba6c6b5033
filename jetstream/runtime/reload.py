"""What of a config may change while the pipeline runs, and which stages are started again for it.

Compares two configs; knows no process and no file.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from jetstream import pipeline
from jetstream.config.schema import Config

SUPERVISOR: tuple[str, ...] = ()
"""read by who starts the stages, or told to them: none is started again"""
STAGES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            *("pipeline.heartbeat_timeout_s", "pipeline.start_timeout_s", "pipeline.stop_timeout_s"),
            *(
                "pipeline.restarts",
                "pipeline.restart_window_s",
                "pipeline.memory_mb",
                "pipeline.log_level",
                "pipeline.log_format",
            ),
            "gpu.when_lost",
        ),
        SUPERVISOR,
    ),
    "detect": ("detect",),
    "track": ("track",),
    "recognize": ("recognize",),
    "recognize.budget_per_s": ("track",),
    "recognize.retry_s": ("track",),
    "recognize.refresh_s": ("track",),
    "recognize.watch_s": ("learn",),
    "render": ("render", "record"),
    "render.scale": ("render",),
    "record": ("record",),
    "record.dir": ("record", "metrics"),
    "publish": ("publish",),
    "metrics": ("metrics",),
}
"""stages that read a key, or any other key of a table; what isn't here is read once, at the start"""
FIXED = ("recognize.faces",)
"""an exception: another folder has to be learnt first"""
LOGGING = frozenset(("pipeline.log_level", "pipeline.log_format"))
OF_ENGINES = ("detect.min_face_px", "detect.factor", "detect.batch", "recognize.batch")
"""what TensorRT's engines are built for, before the pipeline starts"""


class ReloadPlan(NamedTuple):
    """What a reload does."""

    before: Config  # in use until now
    config: Config  # to run with from now on
    written: Config  # as the file says it, but for what was kept
    taken: tuple[str, ...]  # keys
    kept: tuple[str, ...]  # keys that changed in the file and stay as they are until the next start
    stages: frozenset[str]  # to be started again

    def sentence(self) -> str:
        """What was taken, what starts again for it, and what needs a restart."""
        if not (self.taken or self.kept):
            return "config read anew: nothing changed"
        again = f" ({', '.join(sorted(self.stages))} started again)" if self.stages else ""
        taken = f"took {', '.join(self.taken)}{again}" if self.taken else "took nothing"
        kept = f"; restart to change {', '.join(self.kept)}" if self.kept else ""
        return f"config read anew: {taken}{kept}"


class Reloader:
    """`read` gives the config as it is written now, and raises UserError where it is a bad one; `check` raises it for
    what a stage could not start with."""

    def __init__(self, read: Callable[[], Config], written: Config, check: Callable[[ReloadPlan], None]) -> None:
        self._read, self._check = read, check
        self._written = written

    def plan(self, in_use: Config) -> ReloadPlan:
        """Changes of the file on top of what is in use, which start-up may have completed; in use itself once `took` is
        told. Raises UserError."""
        written, new = self._written, self._read()
        taken, kept = [], []
        config, stages = in_use, frozenset[str]()
        for key, value in changes(written, new):
            changed = with_key(config, key, value)
            if key in FIXED or readers(key, in_use) is None or pipeline.wanted(changed) != pipeline.wanted(in_use):
                kept.append(key)
                continue
            config, written = changed, with_key(written, key, value)
            stages |= frozenset(readers(key, in_use) or ())
            taken.append(key)
        running = {stage.name for stage in pipeline.wanted(config)} - set(config.pipeline.without)
        plan = ReloadPlan(in_use, config, written, tuple(taken), tuple(kept), stages & running)
        self._check(plan)
        return plan

    def took(self, plan: ReloadPlan) -> None:
        """It is in use now."""
        self._written = plan.written


def readers(key: str, config: Config) -> tuple[str, ...] | None:
    """The stages that read `table.key`; None: it can't change while they run."""
    if key in OF_ENGINES and config.gpu.backend == "tensorrt":
        return None
    return STAGES.get(key, STAGES.get(key.partition(".")[0]))


def changes(before: Config, after: Config) -> Iterator[tuple[str, Any]]:
    """`table.key` and its new value; of the cameras only that they changed."""
    for table in before.__struct_fields__:
        old, new = getattr(before, table), getattr(after, table)
        if not isinstance(old, msgspec.Struct):
            if old != new:
                yield table, new
            continue
        for key in old.__struct_fields__:
            if getattr(old, key) != getattr(new, key):
                yield f"{table}.{key}", getattr(new, key)


def with_key(config: Config, key: str, value: Any) -> Config:
    table, dot, name = key.partition(".")
    if dot:
        value = msgspec.structs.replace(getattr(config, table), **{name: value})
    return msgspec.structs.replace(config, **{table: value})
