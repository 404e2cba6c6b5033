"""How the run goes: its cameras, processes, networks and machine.

From the supervisor's last status; nothing is measured for it but memory and processor time.
"""

import platform
import time
from collections.abc import Iterator
from typing import Literal

import msgspec

from jetstream import __version__
from jetstream.config.schema import Config, area_of
from jetstream.messages import Heartbeat, ProcessStatus, Status
from jetstream.monitoring.health import SILENT_S, age_s, ailments
from jetstream.pipeline import camera_of
from jetstream.runtime.counters import counted, drops_by_reason
from jetstream.runtime.proc import process_age_s, process_memory, process_use
from jetstream.web.access import Caller
from jetstream.web.machine import MachineView
from jetstream.web.routes import Nothing, Route
from jetstream.web.site import Site

Condition = Literal["live", "starting", "again", "no_answer", "silent", "stuck", "ended", "unknown"]


class CameraState(msgspec.Struct, frozen=True):
    """A camera, and whether its frames come through."""

    name: str
    area: str
    """where it is"""
    condition: Condition
    """live: its frames come through. starting: its process starts. again: its process is started again. no_answer: it
    is opened again and again. silent: it is open, but gives no frame. stuck: it gives frames that no later process
    handles. ended: its file has ended. unknown: the supervisor has not reported"""
    picture_age_s: float | None
    """since the newest tracked frame was captured; null: none yet"""
    captured_fps: float
    detected_fps: float
    tracked_fps: float
    reconnects: int
    """how often it was opened again after it failed"""


class ProcessView(msgspec.Struct, frozen=True):
    """A process of the run."""

    name: str
    state: str
    """`starting`, `running`, `restarting`, `done`"""
    restarts: int
    silent_s: float | None
    """since its last heartbeat; null: none yet"""
    frames: int
    """that it handled"""
    fps: float
    latency_p50_ms: float
    """from a frame's capture to this process's answer, over the last seconds"""
    latency_p95_ms: float
    waiting: int
    """messages that wait for it"""
    drops: dict[str, int]
    """frames that were dropped here, by reason"""
    memory_bytes: int | None
    """without what it shares with others; null: it doesn't run"""
    cpu_s: float | None
    """processor time since it was started"""


class NetworksView(msgspec.Struct, frozen=True):
    """What finds and compares faces, and whom it knows."""

    detector: str
    search_every: int | None
    """one picture in so many is searched whole now, by the process that searches least; null: not known yet"""
    embedder: str
    """network that compares faces"""
    backend: str
    """what runs the networks"""
    people: int | None
    """in the gallery in use; null: not known yet"""
    photos: int | None


class SystemView(msgspec.Struct, frozen=True):
    """How the run goes."""

    version: str
    python: str
    system: str
    pace: str
    """`live` or `every-frame`"""
    running_s: float | None
    """since the run began"""
    troubles: tuple[str, ...]
    """what is wrong with the supervisor, a sentence each"""
    cameras: tuple[CameraState, ...]
    processes: tuple[ProcessView, ...]
    networks: NetworksView
    machine: MachineView
    viewers: int
    """pages that show live pictures now"""


def system(site: Site, _: Nothing, __: Caller) -> SystemView:
    """How the run goes: cameras, processes, networks, GPUs, disks."""
    status, config, now_ns = site.status, site.effective_config(), time.monotonic_ns()
    return SystemView(
        version=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        pace=config.pipeline.pace,
        running_s=process_age_s(status.pid) if status else None,
        troubles=tuple(ailments(status, now_ns)),
        cameras=tuple(_cameras(site, config, now_ns)),
        processes=tuple(_processes(status)) if status else (),
        networks=_networks(config, status),
        machine=site.machine.latest(),
        viewers=site.viewers,
    )


def _cameras(site: Site, config: Config, now_ns: int) -> Iterator[CameraState]:
    known = site.status is not None and age_s(site.status, now_ns) <= SILENT_S
    processes = {camera_of(one.process): one for one in site.status.processes} if site.status and known else {}
    for camera in config.cameras:
        newest, rates = site.frames.newest.get(camera.name), site.rates.of(camera.name)
        picture_age_s = None if newest is None else max(0.0, (now_ns - newest.frame.captured_ns) * 1e-9)
        process = processes.get(camera.name)
        drops = drops_by_reason(process.beat.counts) if process and process.beat else {}
        yield CameraState(
            name=camera.name,
            area=area_of(camera),
            condition=condition(process, picture_age_s, config.metrics.fresh_s, now_ns),
            picture_age_s=None if picture_age_s is None else round(picture_age_s, 2),
            captured_fps=rates["capture"],
            detected_fps=rates["detect"],
            tracked_fps=rates["track"],
            reconnects=drops.get("reconnect", 0),
        )


def condition(process: ProcessStatus | None, picture_age_s: float | None, fresh_s: float, now_ns: int) -> Condition:
    """Of a camera, from its process and the age of its newest tracked frame. `fresh_s`: a frame that is older is not
    live."""
    if process is None:
        return "unknown"
    if process.state == "done":
        return "ended"
    if picture_age_s is not None and picture_age_s <= fresh_s:
        return "live"
    if process.state in ("starting", "restarting"):
        return "starting" if process.state == "starting" else "again"
    beat = process.beat
    if beat is None:
        return "starting"
    captured = [time_ns for _, time_ns in counted(beat.levels, "newest")]
    if captured and (now_ns - max(captured)) * 1e-9 <= fresh_s:
        return "stuck" if picture_age_s is not None else "starting"
    return "no_answer" if beat.patience_s or drops_by_reason(beat.counts)["reconnect"] else "silent"


def _processes(status: Status) -> Iterator[ProcessView]:
    own = ProcessStatus("supervisor", "running", 0, None, 0.0)
    pids = {"supervisor": status.pid, **{one.process: one.beat.pid for one in status.processes if one.beat}}
    for one in (own, *status.processes):
        pid = pids.get(one.process) if one.state == "running" else None
        memory, use = (process_memory(pid), process_use(pid)) if pid else (None, None)
        beat = one.beat
        yield ProcessView(
            name=one.process,
            state=one.state,
            restarts=one.restarts,
            silent_s=one.silent_s,
            frames=beat.frames if beat else 0,
            fps=beat.fps if beat else 0.0,
            latency_p50_ms=beat.latency_p50_ms if beat else 0.0,
            latency_p95_ms=beat.latency_p95_ms if beat else 0.0,
            waiting=sum(waiting for _, waiting in counted(beat.levels, "queue")) if beat else 0,
            drops=dict(drops_by_reason(beat.counts)) if beat else {},
            memory_bytes=memory.own_bytes if memory else None,
            cpu_s=round(use.cpu_s, 2) if use else None,
        )


def _networks(config: Config, status: Status | None) -> NetworksView:
    told: dict[tuple[str, ...], int] = {}
    search_every: list[int] = []
    for beat in _beats(status):
        told |= dict(counted(beat.levels, "gallery"))
        search_every += [every for _, every in counted(beat.levels, "search_every")]
    return NetworksView(
        detector=config.detect.detector,
        search_every=max(search_every, default=None),
        embedder=config.recognize.model,
        backend=config.gpu.backend,
        people=told.get(("people",)),
        photos=told.get(("photos",)),
    )


def _beats(status: Status | None) -> Iterator[Heartbeat]:
    yield from (one.beat for one in (status.processes if status else ()) if one.beat)


ROUTES: tuple[Route, ...] = (Route("GET", "/api/system", "look", system, gives=SystemView),)
