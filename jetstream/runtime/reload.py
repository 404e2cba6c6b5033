"""Which keys of a config may change while the pipeline runs, and which stages are started again for them.

Compares two configs; knows no process and no file.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from jetstream import pipeline
from jetstream.config.schema import CameraConfig, Config, StageName

SUPERVISOR: tuple[StageName, ...] = ()
"""the supervisor reads the key, or signals the stages: none is started again"""
STAGES: Mapping[str, tuple[StageName, ...]] = {
    "pipeline.heartbeat_timeout_s": SUPERVISOR,
    "pipeline.start_timeout_s": SUPERVISOR,
    "pipeline.stop_timeout_s": SUPERVISOR,
    "pipeline.restarts": SUPERVISOR,
    "pipeline.restart_window_s": SUPERVISOR,
    "pipeline.memory_mb": SUPERVISOR,
    "pipeline.log_level": SUPERVISOR,
    "pipeline.log_format": SUPERVISOR,
    "gpu.when_lost": SUPERVISOR,
    "detect": ("detect",),
    "track": ("track",),
    "recognize": ("recognize",),
    "recognize.model": ("recognize", "learn", "regroup"),
    "recognize.mirror": ("recognize", "regroup"),
    "recognize.min_quality": ("recognize", "track"),
    "recognize.budget_per_s": ("track",),
    "recognize.retry_s": ("track",),
    "recognize.refresh_s": ("track",),
    "recognize.watch_s": ("learn",),
    "render": ("render", "record"),
    "render.scale": ("render",),
    "render.blur": ("render", "record", "sightings", "web", "mqtt"),
    "record": ("record",),
    "record.dir": ("record", "metrics", "mqtt"),
    "publish": ("publish",),
    "sightings": ("sightings",),
    "sightings.enabled": ("track", "recognize", "publish", "sightings", "regroup"),
    "sightings.dir": ("sightings", "publish", "regroup", "web", "clips", "alerts", "mqtt"),
    "sightings.looks": ("sightings", "regroup"),
    "sightings.confirm_s": ("track",),
    "sightings.absence_s": ("track", "recognize", "sightings", "mqtt"),
    "presence": ("web", "mqtt"),
    "clips.post_s": ("clips",),
    "clips.part_s": ("clips",),
    "clips.keep_days": ("clips",),
    "clips.keep_gb": ("clips",),
    "alerts": ("alerts",),
    "metrics": ("metrics",),
    "metrics.fresh_s": ("metrics", "mqtt"),
    "mqtt": ("mqtt",),
    "mqtt.commands": ("mqtt", "record", "render", "sightings", "web"),
    "web": ("web",),
    "web.memory_mb": SUPERVISOR,
}
"""stages that read a key, or any other key of a table; what isn't here is read once, at the start"""
OF_CAMERA: Mapping[str, tuple[StageName, ...]] = {
    "rotate": ("capture", "decode"),
    "flip": ("capture", "decode"),
    "area": ("sightings", "mqtt"),
    "zones": ("sightings",),
}
"""keys of a camera that may change, and the stage that reads them: of `capture`, that camera's process alone"""
PER_CAMERA = frozenset(stage.name for stage in pipeline.STAGES if stage.per_camera)
FIXED = ("recognize.faces", "detect.detector", "detect.processes", "track.processes")
"""the exceptions: the gallery of another folder has to be trained first, and processes are not added to a run"""
RELOADED = "file, reloaded"
"""the origin of a key that a reload took"""
LOGGING = frozenset(("pipeline.log_level", "pipeline.log_format"))
OF_ENGINES = ("detect.min_face_px", "detect.factor", "detect.batch", "recognize.batch", "recognize.model")
"""TensorRT's engines are built for their values, before the pipeline starts"""
OF_FRAGMENTS = ("render.blur", "mqtt.commands")
"""what is kept in memory for clips is blurred and switched as they say, from the start of a run on"""


class ReloadPlan(NamedTuple):
    """What a reload does."""

    before: Config  # in use until now
    config: Config  # to run with from now on
    written: Config  # as the file has it, but for the keys in `kept`
    taken: tuple[str, ...]  # keys
    kept: tuple[str, ...]  # keys that changed in the file and stay as they are until the next start
    stages: frozenset[StageName]  # to be started again
    cameras: frozenset[str] = frozenset()  # whose captures are

    def restarts(self, stage: StageName, camera: str = "") -> bool:
        """Whether a stage is started again; of a stage that has a process for each camera, that of `camera`."""
        return stage in self.stages and (not camera or camera in self.cameras)

    def sentence(self) -> str:
        """Which keys were taken, which stages start again for them, and which keys need a restart."""
        if not (self.taken or self.kept):
            return "config reloaded: nothing changed"
        again = f" ({', '.join(sorted(self.stages))} started again)" if self.stages else ""
        taken = f"took {', '.join(self.taken)}{again}" if self.taken else "took nothing"
        kept = f"; restart to change {', '.join(self.kept)}" if self.kept else ""
        return f"config reloaded: {taken}{kept}"


class Reloader:
    """Plans reloads of the config. `read` returns the config that the file holds now, and raises UserError if it is
    invalid; `check` raises UserError for a plan with which a stage could not start."""

    def __init__(self, read: Callable[[], Config], written: Config, check: Callable[[ReloadPlan], None]) -> None:
        self._read, self._check = read, check
        self._written = written

    def plan(self, in_use: Config) -> ReloadPlan:
        """The changes of the file on top of the config in use, which start-up may have completed. Call `took` once the
        plan is in use. Raises UserError."""
        written, new = self._written, self._read()
        taken, kept = [], []
        config, stages, cameras = in_use, frozenset[StageName](), frozenset[str]()
        for key, value in changes(written, new):
            changed = with_key(config, key, value)
            if key in FIXED or readers(key, in_use) is None or pipeline.wanted(changed) != pipeline.wanted(in_use):
                kept.append(key)
                continue
            config, written = changed, with_key(written, key, value)
            of_key = readers(key, in_use) or ()
            stages |= frozenset(of_key)
            if key.startswith("cameras.") and any(name in PER_CAMERA for name in of_key):
                cameras |= {key.split(".")[1]}
            taken.append(key)
        running = {row.name for row in pipeline.started(config)}
        plan = ReloadPlan(in_use, config, written, tuple(taken), tuple(kept), stages & running, cameras)
        self._check(plan)
        return plan

    def took(self, plan: ReloadPlan) -> None:
        """Record that the plan is in use now."""
        self._written = plan.written


def readers(key: str, config: Config) -> tuple[StageName, ...] | None:
    """The stages that read `table.key`; None: it can't change while they run."""
    if key.startswith("cameras."):
        return OF_CAMERA.get(key.rpartition(".")[2])
    if key in OF_ENGINES and config.gpu.backend == "tensorrt":
        return None
    if key in OF_FRAGMENTS and config.clips.dir:
        return None
    return STAGES.get(key, STAGES.get(key.partition(".")[0]))


def changes(before: Config, after: Config) -> Iterator[tuple[str, Any]]:
    """Each changed `table.key` and its new value; `cameras` is one key, but for `cameras.NAME.key` of OF_CAMERA."""
    for table in before.__struct_fields__:
        old, new = getattr(before, table), getattr(after, table)
        if table == "cameras":
            for key, value in camera_changes(old, new):
                yield key, value
                before = with_key(before, key, value)
            old = before.cameras
        if not isinstance(old, msgspec.Struct):
            if old != new:
                yield table, new
            continue
        for key in old.__struct_fields__:
            if getattr(old, key) != getattr(new, key):
                yield f"{table}.{key}", getattr(new, key)


def camera_changes(before: Sequence[CameraConfig], after: Sequence[CameraConfig]) -> Iterator[tuple[str, Any]]:
    """Each changed `cameras.NAME.key` of OF_CAMERA and its new value, of cameras that are in both."""
    new = {camera.name: camera for camera in after}
    for camera in before:
        for key in OF_CAMERA if camera.name in new else ():
            value = getattr(new[camera.name], key)
            if value != getattr(camera, key):
                yield f"cameras.{camera.name}.{key}", value


def with_key(config: Config, key: str, value: Any) -> Config:
    """`config` with another value of `table.key`, or of `cameras.NAME.key`."""
    table, dot, name = key.partition(".")
    camera_name, _, camera_key = name.partition(".")
    if camera_key:
        value = tuple(
            msgspec.structs.replace(camera, **{camera_key: value}) if camera.name == camera_name else camera
            for camera in config.cameras
        )
    elif dot:
        value = msgspec.structs.replace(getattr(config, table), **{name: value})
    return msgspec.structs.replace(config, **{table: value})
