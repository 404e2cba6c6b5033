"""Whether the pipeline is healthy, and whether it is ready, from the supervisor's last status.

Knows no clock: the time is an argument.
"""

from collections.abc import Iterator, Sequence

from jetstream.messages import Status
from jetstream.pipeline import FIRST_OF_PROGRESS, LAST_OF_PROGRESS, camera_of, is_of
from jetstream.runtime.counters import counted

SILENT_S = 5.0
"""the supervisor publishes its status once a second"""


def age_s(status: Status, now_ns: int) -> float:
    """Seconds since the supervisor published this."""
    return (now_ns - status.turn_ns) * 1e-9


def ailments(status: Status | None, now_ns: int) -> Iterator[str]:
    """Why the pipeline isn't healthy, a sentence for each reason; none while its supervisor publishes."""
    if status is None:
        yield "the supervisor has not reported yet"
    elif age_s(status, now_ns) > SILENT_S:
        yield f"the supervisor's loop last turned {age_s(status, now_ns):.1f} s ago"


def unready(status: Status | None, cameras: Sequence[str], fresh_s: float, now_ns: int) -> Iterator[str]:
    """Why not every camera's frames come through, a sentence for each reason. A file that has ended is none.

    `fresh_s`: a camera whose newest frame is older isn't ready."""
    yield from ailments(status, now_ns)
    if status is None:
        return
    newest = newest_frames(status)
    ended = {camera_of(process.process) for process in status.processes if process.state == "done"}
    for camera in cameras:
        if camera in ended:
            continue
        if camera not in newest:
            yield f"camera {camera}: no frame yet"
        elif (since_s := (now_ns - newest[camera]) * 1e-9) > fresh_s:
            yield f"camera {camera}: its newest frame is {since_s:.1f} s old"


def newest_frames(status: Status) -> dict[str, int]:
    """When each camera's newest frame that came through the pipeline was captured (ns of CLOCK_MONOTONIC). Where the
    last stage of progress is run by hand, the newest captured frame counts."""
    levels = {process.process: process.beat.levels if process.beat else {} for process in status.processes}
    last = [one for process, one in levels.items() if is_of(process, LAST_OF_PROGRESS)]
    told = last or [one for process, one in levels.items() if any(is_of(process, row) for row in FIRST_OF_PROGRESS)]
    return {camera: time_ns for one in told for (camera,), time_ns in counted(one, "newest")}
