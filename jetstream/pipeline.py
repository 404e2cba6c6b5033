"""The walk of a frame, as one table: which stages there are, what each takes and sends, and how it keeps pace.

Knows no socket and no process; `process` runs a row, `supervisor` runs them all, `replay` walks them in one process.
"""

import importlib
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, TypeAlias

from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.messages import Captured, Detected, InUse, Message, Named, Tracked, Wanted

LONG_QUEUE = 64
"""frames a camera: more than ever wait unless the stage hangs"""

StageFunction: TypeAlias = Callable[[Iterator[Any], Any, Config], Iterator[Message]]


def _always(_: Config) -> bool:
    return True


def _shows(config: Config) -> bool:
    return config.render.window


def _records(config: Config) -> bool:
    return bool(config.record.dir)


def _publishes(config: Config) -> bool:
    return config.publish.enabled


def _learns(config: Config) -> bool:
    return config.recognize.watch_s > 0 and config.pipeline.pace == "live"


def _tells(config: Config) -> bool:
    return config.metrics.enabled


class Stage(NamedTuple):
    """One row. In the live pace `queue` says how many frames a camera may have waiting: `newest`: a few, then the
    oldest fall; `ring`: as many as the ring holds; `long`: more than ever wait unless the stage hangs."""

    name: str
    takes: tuple[type[Message], ...]
    sends: tuple[type[Message], ...]
    after: str = ""  # the stage whose end is this one's end
    queue: Literal["newest", "ring", "long"] = "newest"
    lossless: bool = True  # in the every-frame pace nothing on its way here is dropped
    frees: bool = False  # in the every-frame pace a frame stays in the ring until this stage is done with it
    ordered: bool = False  # in the every-frame pace each frame passes once and in order, even when processes die
    batched: bool = False  # takes lists: one message a camera, of all that are waiting
    asks: bool = False  # has answers to wait for: sees Ended when no new frame will come
    tick_s: float | None = None  # sees a Tick so often
    idle_ticks: bool = False  # sees a Tick after what it was given, as soon as nothing else is waiting
    infers: bool = False  # runs networks, on a GPU where there is one
    early: bool = False  # takes nothing, and starts all the same before the others are there
    vital: bool = True  # when it keeps failing the run ends; else it is tried again, for ever
    wanted: Callable[[Config], bool] = _always

    def load(self) -> StageFunction:
        """The stage's function. Its imports are heavy and happen in its own process only."""
        function: StageFunction = getattr(importlib.import_module(f"jetstream.stages.{self.name}"), self.name)
        return function


# fmt: off
STAGES: tuple[Stage, ...] = (
    Stage("capture", (), (Captured,)),
    Stage("detect", (Captured,), (Detected,), after="capture", ordered=True, batched=True,
          idle_ticks=True, infers=True),
    Stage("track", (Detected, Named), (Wanted, Tracked), after="detect", queue="long", frees=True, ordered=True,
          asks=True, tick_s=2.0),
    Stage("recognize", (Wanted,), (Named, InUse), after="track", batched=True, tick_s=0.1, infers=True),
    Stage("render", (Tracked,), (), after="track", lossless=False, tick_s=0.2, wanted=_shows),
    Stage("record", (Tracked,), (), after="track", queue="ring", frees=True, ordered=True, tick_s=10.0,
          wanted=_records),
    Stage("publish", (Tracked, InUse), (), after="track", queue="long", vital=False, wanted=_publishes),
    Stage("learn", (), (), after="capture", vital=False, wanted=_learns),
    Stage("metrics", (), (), after="capture", early=True, vital=False, wanted=_tells),
)
# fmt: on


def stage_named(name: str) -> Stage:
    """Raises UserError: no such stage."""
    for stage in STAGES:
        if stage.name == name:
            return stage
    raise UserError(f"stage {name}: there is none; stages are {', '.join(stage.name for stage in STAGES)}")


def wanted(config: Config) -> list[Stage]:
    """The stages that this config runs, in walking order."""
    return [stage for stage in STAGES if stage.wanted(config)]


def processes(stage: Stage, config: Config) -> list[str]:
    """Names of a stage's processes: one a camera for capture, one for each other stage."""
    if stage.name == "capture":
        return [f"capture.{camera.name}" for camera in config.cameras]
    return [stage.name]


def is_lossless(stage: Stage, config: Config) -> bool:
    return config.pipeline.pace == "every-frame" and stage.lossless


def queue_limit(stage: Stage, config: Config) -> int | None:
    """Most frames a camera may have waiting at `stage`; None: no limit."""
    if is_lossless(stage, config):
        return None
    return {"newest": config.pipeline.queue_frames, "ring": config.pipeline.slots, "long": LONG_QUEUE}[stage.queue]


def batch_size(stage: Stage, config: Config) -> int:
    """Most messages in one list. One in the every-frame pace: sums of a batch may differ in their last bit with what
    else is in it, and the same input must give the same output."""
    if config.pipeline.pace == "every-frame":
        return 1
    most = config.detect.batch if stage.name == "detect" else config.recognize.batch
    return min(most, len(config.cameras))


def batch_wait_s(config: Config) -> float:
    """How long a list waits to be filled. In the every-frame pace it is full with its first message."""
    return config.gpu.max_wait_ms * 1e-3
