"""What `jetstream top` shows of a Status: a line for each process and one for each camera; as tables for a terminal, as
plain text for a pipe.

Knows no socket; the same numbers are on the page `/metrics`.
"""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from jetstream.messages import Heartbeat, ProcessStatus, Status
from jetstream.monitoring.health import SILENT_S, age_s, newest_frames
from jetstream.pipeline import LAST_OF_PROGRESS, camera_of, is_of
from jetstream.runtime.change_over import being_built
from jetstream.runtime.counters import counted, drops_by_reason

PROCESSES = ("process", "state", "fps", "frames", "p50 ms", "p95 ms", "queue", "restarts", "dropped")
CAMERAS = ("camera", "frame age s", "frames", "faces", "tracks", "named")
LEFT = ("process", "state", "dropped", "camera")
"""columns of text"""


def tables(status: Status, now_ns: int) -> RenderableType:
    """For a terminal. `now_ns` is of CLOCK_MONOTONIC."""
    return Group(
        _table(PROCESSES, list(_processes(status)), title=_title(status, now_ns)),
        _table(CAMERAS, list(_cameras(status, now_ns))),
        *_notes(status),
    )


def text(status: Status, now_ns: int) -> str:
    """The same without boxes, colours and cursor, for pipes, files and `ssh HOST jetstream top`."""
    parts = (_plain(PROCESSES, list(_processes(status))), _plain(CAMERAS, list(_cameras(status, now_ns))))
    return "\n".join((_title(status, now_ns), *(line for part in parts for line in part), *_notes(status)))


def _title(status: Status, now_ns: int) -> str:
    silent_s = age_s(status, now_ns)
    return f"jetstream {status.pid}" + (f": silent for {silent_s:.0f} s" if silent_s > SILENT_S else "")


def _notes(status: Status) -> Iterator[str]:
    """How often `detect` searches, and which engines `build` builds, where they say so."""
    for process in status.processes:
        for _, every in counted(process.beat.levels if process.beat else {}, "search_every"):
            who = f", by {process.process}" if "." in process.process else ""
            yield f"searched whole: 1 picture in {every}{who}"
        if building := being_built(process.beat):
            yield building


def _processes(status: Status) -> Iterator[Sequence[str]]:
    for process in status.processes:
        yield process.process, process.state, *_numbers(process), _drops(process.beat)


def _numbers(process: ProcessStatus) -> Sequence[str]:
    beat, restarts = process.beat, str(process.restarts)
    if beat is None:
        return "", "", "", "", "", restarts
    queue = sum(waiting for _, waiting in counted(beat.levels, "queue"))
    times = f"{beat.latency_p50_ms:.1f}", f"{beat.latency_p95_ms:.1f}"
    return f"{beat.fps:.1f}", str(beat.frames), *times, str(queue), restarts


def _drops(beat: Heartbeat | None) -> str:
    return (
        ", ".join(f"{reason} {count}" for reason, count in sorted(drops_by_reason(beat.counts).items())) if beat else ""
    )


def _cameras(status: Status, now_ns: int) -> Iterator[Sequence[str]]:
    beats = {process.process: process.beat for process in status.processes if process.beat}
    newest = newest_frames(status)
    last = [beat for process, beat in beats.items() if is_of(process, LAST_OF_PROGRESS)]
    for camera in filter(None, map(camera_of, beats)):
        age = f"{(now_ns - newest[camera]) * 1e-9:.1f}" if camera in newest else "-"
        # each of the others is reported by one process only
        faces = sum(_of(beat.counts, "faces", camera) for beat in beats.values())
        tracks = sum(_of(beat.levels, "tracks", camera) for beat in beats.values())
        named = sum(_of(beat.levels, "named", camera) for beat in beats.values())
        frames = sum(_of(beat.counts, "frames", camera) for beat in last)
        yield camera, age, str(frames), str(faces), str(tracks), str(named)


def _of(counts: dict[str, int], name: str, camera: str) -> int:
    return sum(count for (of, *_), count in counted(counts, name) if of == camera)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], title: str | None = None) -> Table:
    result = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False)  # 80 columns hold it
    for place, heading in enumerate(headings):
        longest = max((len(row[place]) for row in rows), default=0) if place == 0 else None  # a name is never cut
        result.add_column(heading, justify="left" if heading in LEFT else "right", min_width=longest)
    for row in rows:
        result.add_row(*row)
    return result


def _plain(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[place]) for row in (headings, *rows)) for place in range(len(headings))]
    for row in (headings, *rows):
        cells = zip(headings, row, widths, strict=True)
        yield "  ".join(f"{cell:{'<' if name in LEFT else '>'}{width}}" for name, cell, width in cells).rstrip()
