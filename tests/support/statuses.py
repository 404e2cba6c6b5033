"""What a supervisor says: made in sight, and read."""

from collections.abc import Mapping
from types import MappingProxyType

from jetstream.messages import Heartbeat, ProcessStatus, Status
from jetstream.pipeline import SIDECARS


def beat(process: str, *, frames: int = 0, **told: dict[str, int]) -> Heartbeat:
    return Heartbeat(
        process=process,
        pid=1,
        frames=frames,
        fps=0.0,
        latency_p50_ms=0.0,
        latency_p95_ms=0.0,
        counts=told.get("counts", {}),
        levels=told.get("levels", {}),
    )


def status(*beats: Heartbeat, turn_ns: int = 0, done: tuple[str, ...] = ()) -> Status:
    processes = tuple(
        ProcessStatus(one.process, "done" if one.process in done else "running", 0, one, 0.1) for one in beats
    )
    return Status(pid=1, wall_ns=0, turn_ns=turn_ns, processes=processes)


def frames_flow(status: Status, since: Mapping[str, int] = MappingProxyType({})) -> bool:
    """Whether every process has handled frames, more than it had; sidecars see none."""
    sidecars = [row.name for row in SIDECARS]
    at_work = [p for p in status.processes if p.process not in sidecars]
    return all(p.beat and p.beat.frames > since.get(p.process, 0) for p in at_work)


def pids_in(status: Status) -> dict[str, int]:
    """Of every process that has beaten."""
    return {p.process: p.beat.pid for p in status.processes if p.beat}


def frames_in(status: Status) -> dict[str, int]:
    """How many each process that has beaten has handled."""
    return {p.process: p.beat.frames for p in status.processes if p.beat}
