"""The path of a frame as one table: which stages there are, what each takes and sends, and how it keeps pace. A second
table has the sidecars, which handle no frame.

Knows no socket and no process: `runtime.worker` runs a row, `runtime.supervisor` runs them all, `replay` runs the path
of a frame in one process.
"""

import importlib
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import msgspec

from jetstream.config import parts
from jetstream.config.schema import CameraConfig, Config, StageName, decodes_apart
from jetstream.errors import UserError
from jetstream.messages import Captured, Demuxed, Detected, InUse, Message, Named, Tick, Tracked, Wanted

if TYPE_CHECKING:
    from jetstream.ipc.rings import Rings

CAMERAS_A_TRACK = 32
"""by default a process of `track` has so many: a fifth of a core's work at 25 frames a second each"""
LONG_QUEUE = 64
"""frames of a camera: more than ever wait unless the stage hangs"""

StageFunction: TypeAlias = "Callable[[Iterator[Any], Rings, Config], Iterator[Message]]"
"""from messages (lists of them where the row has `batch`) to messages; the rings hold the frames' pixels"""
SidecarFunction: TypeAlias = Callable[[Iterator[Tick], Config], None]
"""returns when the ticks end"""


def _always(_: Config) -> bool:
    return True


def _decodes(config: Config) -> bool:
    return any(decodes_apart(camera, config) for camera in config.cameras)


def _shows(config: Config) -> bool:
    return config.render.window


def _records(config: Config) -> bool:
    return bool(config.record.dir)


def _publishes(config: Config) -> bool:
    return config.publish.enabled


def _remembers(config: Config) -> bool:
    return config.sightings.enabled


def _regroups(config: Config) -> bool:
    return config.sightings.enabled and config.sightings.looks > 0 and config.pipeline.pace == "live"


def _serves_page(config: Config) -> bool:
    return config.web.enabled


def _learns(config: Config) -> bool:
    return config.recognize.watch_s > 0 and config.pipeline.pace == "live"


def _builds(config: Config) -> bool:
    return config.gpu.backend == "tensorrt" and config.pipeline.pace == "live"


def _makes_clips(config: Config) -> bool:
    return bool(config.clips.dir) and config.pipeline.pace == "live"


def _alerts(config: Config) -> bool:
    return bool(config.alerts)


def _encodes(config: Config) -> bool:
    return bool(parts.encoded(config))


def _serves_metrics(config: Config) -> bool:
    return config.metrics.enabled


def _tells_broker(config: Config) -> bool:
    return config.mqtt.enabled


def _track_parts(config: Config) -> int:
    cameras = len(config.cameras)
    return min(config.track.processes or math.ceil(cameras / CAMERAS_A_TRACK), cameras)


class Stage(NamedTuple):
    """One row. `queue`: how many frames of a camera may wait here in the live pace: `newest`: pipeline.queue_frames,
    then the oldest are dropped; `ring`: as many as the ring holds; `long`: LONG_QUEUE; `all`: no limit, for what is no
    frame and is taken at once."""

    name: StageName
    takes: tuple[type[Message], ...]  # empty: the stage is driven by ticks
    sends: tuple[type[Message], ...]
    after: tuple[StageName, ...] = ()  # the stages whose end is the end of this one's input
    queue: Literal["newest", "ring", "long", "all"] = "newest"
    lossless: bool = True  # in the every-frame pace no message to this stage is dropped
    frees: bool = False  # in the every-frame pace a frame stays in the ring until this stage is done with it
    ordered: bool = False  # in the every-frame pace each frame passes once and in order, even when processes die
    batch: Callable[[Config], int] | None = None  # takes lists, of one message a camera and at most so many
    asks: bool = False  # sees Ended when no new frame will come: it waits for answers, or ends what it follows
    tick_s: float | None = None  # sees a Tick after each such interval
    idle_ticks: bool = False  # sees a Tick after what it took, as soon as nothing else is waiting
    infers: bool = False  # runs networks, on a GPU where there is one
    per_camera: bool = False  # has a process for each camera, `NAME.CAMERA`
    # how many processes share the cameras, `NAME.1`, `NAME.2`; one is `NAME`
    parts: Callable[[Config], int] = lambda _: 1
    serves: Callable[[Config], tuple[CameraConfig, ...]] = lambda config: config.cameras  # whose messages it takes
    niceness: int = 0  # 0..19, of its process: under load the processors go to others first
    admits: bool = False  # in the live pace capture writes a frame only while few others are on their way to this stage
    progress: bool = False  # frames have to come through here, or the pipeline is stuck
    ends_run: bool = False  # the run ends when this stage ends by itself, before its input does
    # when it keeps failing the run ends; else it is started again without limit. In the every-frame pace a stage is
    # vital that frames wait for
    vital: bool = True
    wanted: Callable[[Config], bool] = _always
    memory_mb: Callable[[Config], float] | None = None  # a limit of its own, below pipeline.memory_mb

    def load(self) -> StageFunction:
        """The stage's function. Its imports are heavy, so they happen in its own process only."""
        function: StageFunction = _load(self.name)
        return function

    def paced(self, config: Config) -> "Stage":
        """This row with what the pace decides for the supervisor, too."""
        return self._replace(vital=True) if self.frees and config.pipeline.pace == "every-frame" else self

    def under(self, config: Config) -> "ResolvedStage":
        """This row with what `config` decides."""
        every_frame = config.pipeline.pace == "every-frame"
        lossless = every_frame and self.lossless
        limits = {
            "newest": config.pipeline.queue_frames,
            "ring": config.pipeline.slots,
            "long": LONG_QUEUE,
            "all": None,
        }
        most = self.batch(config) if self.batch is not None else None
        return ResolvedStage(
            row=self.paced(config),
            senders=frozenset(
                process
                for name in self.after
                if stage_named(name).wanted(config)
                for process in processes(stage_named(name), config)
            ),
            lossless=lossless,
            frees=lossless and self.frees,
            tells_done=(lossless and self.frees) or (not every_frame and self.admits),
            ordered=lossless and self.ordered,
            queue_limit=None if lossless else limits[self.queue],
            # sums of a batch may differ in their last bit with what else is in it, and in the every-frame pace the
            # same input must give the same output
            batch_size=most and (1 if every_frame else most),
            batch_wait_s=config.gpu.max_wait_ms * 1e-3,
        )


class ResolvedStage(NamedTuple):
    """A row under one config."""

    row: Stage
    senders: frozenset[str]  # processes whose end is the end of its input
    lossless: bool  # no message to this stage is dropped
    frees: bool  # a frame stays in the ring until this stage is done with it
    tells_done: bool  # its cell in the ring tells capture which frames it is done with
    ordered: bool  # each frame passes once and in order, even when processes die
    queue_limit: int | None  # most frames of a camera that may wait here; None: no limit
    batch_size: int | None  # most messages in one list; None: takes single messages
    batch_wait_s: float  # how long a list waits to be filled


class Sidecar(NamedTuple):
    """A process beside the stages: takes and sends no message, is driven by ticks, ends with the captures, and is
    started again without limit when it fails."""

    name: StageName
    wanted: Callable[[Config], bool]
    early: bool = False  # starts at once; else when all stages that take messages run
    niceness: int = 0  # as of a stage

    def load(self) -> SidecarFunction:
        """The sidecar's function. Its imports are heavy, so they happen in its own process only."""
        function: SidecarFunction = _load(self.name)
        return function


Row: TypeAlias = Stage | Sidecar

# fmt: off
STAGES: tuple[Stage, ...] = (
    # decoding can't be shed, and must not take the processors from those who use its frames
    Stage("capture", (), (Captured, Demuxed), per_camera=True, niceness=10, progress=True),
    Stage("decode", (Demuxed,), (Captured,), after=("capture",), queue="all", lossless=False, asks=True,
          tick_s=0.002,  # its threads write the frames: so late at most is one sent
          parts=parts.decode_parts, niceness=10, progress=True, wanted=_decodes),
    Stage("detect", (Captured,), (Detected,), after=("capture", "decode"), ordered=True,
          batch=lambda config: config.detect.batch, idle_ticks=True, infers=True, parts=parts.detect_parts,
          progress=True),
    Stage("track", (Detected, Named), (Wanted, Tracked), after=("detect",), queue="long", frees=True, ordered=True,
          asks=True, tick_s=2.0, parts=_track_parts,
          admits=True, progress=True),
    Stage("recognize", (Wanted,), (Named, InUse), after=("track",), batch=lambda config: config.recognize.batch,
          tick_s=0.1, infers=True, parts=parts.gpu_parts,
          niceness=5),  # a name may come later than a frame
    Stage("render", (Tracked,), (), after=("track",), lossless=False, tick_s=0.2, ends_run=True, wanted=_shows),
    Stage("record", (Tracked,), (), after=("track",), queue="ring", frees=True, ordered=True, tick_s=10.0,
          wanted=_records),
    Stage("publish", (Tracked, InUse), (), after=("track",), queue="long", tick_s=0.2, vital=False, wanted=_publishes),
    Stage("sightings", (Tracked, InUse), (), after=("track",), queue="long", frees=True, ordered=True, asks=True,
          tick_s=0.2, vital=False, wanted=_remembers),
    Stage("web", (Tracked, InUse), (), after=("track",), lossless=False, tick_s=0.2, vital=False, wanted=_serves_page,
          memory_mb=lambda config: config.web.memory_mb),
    Stage("encode", (Tracked,), (), after=("track",), queue="ring", lossless=False, tick_s=1.0, vital=False,
          serves=parts.encoded, parts=parts.encode_parts,
          niceness=10,  # clips may lack a frame, names may not come later
          wanted=_encodes),
)
SIDECARS: tuple[Sidecar, ...] = (
    Sidecar("learn", wanted=_learns),
    Sidecar("regroup", wanted=_regroups),
    Sidecar("build", wanted=_builds),
    Sidecar("clips", wanted=_makes_clips, niceness=10),
    Sidecar("alerts", wanted=_alerts, early=True, niceness=10),
    Sidecar("metrics", wanted=_serves_metrics, early=True),
    Sidecar("mqtt", wanted=_tells_broker, niceness=10),
)
# fmt: on
ROWS: tuple[Row, ...] = (*STAGES, *SIDECARS)

FIRST_OF_PROGRESS = tuple(stage for stage in STAGES if Captured in stage.sends)
LAST_OF_PROGRESS = tuple(stage for stage in STAGES if stage.progress)[-1]
"""the stages by which progress is measured: those that write frames, and the last that every frame passes"""


def row_of(process: str) -> Row:
    """The row of a process (`detect`, `capture.CAMERA`). Raises UserError: no such stage."""
    name = process.partition(".")[0]
    for row in ROWS:
        if row.name == name:
            return row
    raise UserError(f"stage {name}: there is none; stages are {', '.join(row.name for row in ROWS)}")


def camera_of(process: str) -> str:
    """The camera that a process alone serves; "" where one process serves several."""
    row = row_of(process)
    return process.partition(".")[2] if isinstance(row, Stage) and row.per_camera else ""


def is_of(process: str, row: Row) -> bool:
    """Whether a process is one of this row's."""
    return process.partition(".")[0] == row.name


def cameras_of(process: str, config: Config) -> tuple[CameraConfig, ...]:
    """The cameras that a process serves: its own, its part of those of its stage, or all."""
    return config_of(process, config).cameras


def config_of(process: str, config: Config) -> Config:
    """The config of a process: with its cameras and its GPU alone."""
    row = row_of(process)
    names = processes(row, config)
    served = msgspec.structs.replace(config, cameras=row.serves(config)) if isinstance(row, Stage) else config
    return parts.part(served, names.index(process), len(names))


def speaks_for_all(process: str, config: Config) -> bool:
    """Whether a process sends what its stage has to say that is about no camera: of several, the first does."""
    return process == processes(row_of(process), config)[0]


def stage_named(name: StageName) -> Stage:
    """Raises KeyError: a sidecar."""
    return {stage.name: stage for stage in STAGES}[name]


def stages_of(config: Config) -> tuple[ResolvedStage, ...]:
    """The stages that this config runs, in the order of a frame's path."""
    return tuple(stage.under(config) for stage in STAGES if stage.wanted(config))


def wanted(config: Config) -> list[Row]:
    """Stages and sidecars that this config runs."""
    return [row.paced(config) if isinstance(row, Stage) else row for row in ROWS if row.wanted(config)]


def started(config: Config) -> list[Row]:
    """Those that the supervisor starts: all but the ones run by hand."""
    return [row for row in wanted(config) if row.name not in config.pipeline.without]


def starts(name: StageName, config: Config) -> bool:
    """Whether the supervisor starts the stage or sidecar `name`."""
    return any(row.name == name for row in started(config))


def processes(row: Row, config: Config) -> tuple[str, ...]:
    """Names of a row's processes."""
    if isinstance(row, Stage) and row.per_camera:
        return tuple(f"{row.name}.{camera.name}" for camera in config.cameras)
    if isinstance(row, Stage) and (count := row.parts(config)) > 1:
        return tuple(f"{row.name}.{number}" for number in range(1, count + 1))
    return (row.name,)


def _load(name: StageName) -> Any:
    """Lets mypy check that `jetstream.stages` has the function, with its signature."""
    return getattr(importlib.import_module(f"jetstream.stages.{name}"), name)
