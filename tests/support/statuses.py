"""What a supervisor says, made in sight."""

from jetstream.messages import Heartbeat, ProcessStatus, Status


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
