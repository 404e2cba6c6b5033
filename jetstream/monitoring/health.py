"""Whether the pipeline is healthy, and whether it is ready, from what the supervisor said last.

Knows no clock: the time is an argument, so the page tells how old what it says is.
"""

from collections.abc import Iterator, Sequence

from jetstream.messages import Status
from jetstream.runtime.counters import counted

SILENT_S = 5.0
"""the supervisor's loop turns ten times a second and speaks once a second"""


def age_s(status: Status, now_ns: int) -> float:
    """Since the turn of the supervisor's loop that said this."""
    return (now_ns - status.turn_ns) * 1e-9


def ailments(status: Status | None, now_ns: int) -> Iterator[str]:
    """Why the pipeline isn't healthy, a sentence each; none when its supervisor is at work."""
    if status is None:
        yield "the supervisor has not said anything yet"
    elif age_s(status, now_ns) > SILENT_S:
        yield f"the supervisor's loop last turned {age_s(status, now_ns):.1f} s ago"


def unready(status: Status | None, cameras: Sequence[str], fresh_s: float, now_ns: int) -> Iterator[str]:
    """Why not every camera's frames come through, a sentence each. A file that has ended is no reason."""
    yield from ailments(status, now_ns)
    if status is None:
        return
    newest = newest_frames(status)
    ended = {process.process for process in status.processes if process.state == "done"}
    for camera in cameras:
        if f"capture.{camera}" in ended:
            continue
        if camera not in newest:
            yield f"camera {camera}: no frame yet"
        elif (since_s := (now_ns - newest[camera]) * 1e-9) > fresh_s:
            yield f"camera {camera}: its newest frame is {since_s:.1f} s old"


def newest_frames(status: Status) -> dict[str, int]:
    """When each camera's newest frame was captured (ns of CLOCK_MONOTONIC) that came through `track`; where the
    supervisor doesn't hear that stage, that was captured."""
    told = {process.process: process.beat.levels if process.beat else {} for process in status.processes}
    levels = [told["track"]] if "track" in told else [told[name] for name in told if name.startswith("capture.")]
    return {camera: time_ns for one in levels for (camera,), time_ns in counted(one, "newest")}
