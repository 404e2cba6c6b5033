"""Eight live cameras, and more work than the processors can do: fair, bounded, each loss counted, fewer searches."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from jetstream.messages import Status
from jetstream.monitoring.status import statuses
from jetstream.runtime.counters import counted
from jetstream.video.demo import scene
from tests.support.defaults import video_sink
from tests.support.event_lines import lines_of
from tests.support.inside import Inside

pytestmark = pytest.mark.pipeline

CAMERAS = [f"c{number}" for number in range(8)]
FPS, FRAMES = 15, 120
QUEUE_FRAMES = 4
LOST = ("late captured.detect", "full captured.detect", "late detected.track", "full detected.track")
"""drops on a frame's way to its tracks, but for those that its ring lost"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    sink = video_sink(path, fps=FPS, width=480, height=270)
    for index in range(FRAMES):
        sink.write(cv2.resize(scene(100 + index), (480, 270)), index / FPS)
    sink.close()
    return path


def config(folder: Path, clip: Path) -> Path:
    """Eight that end with their file, and one that keeps the pipeline up until the last of their frames is through."""
    tables = [f'[[cameras]]\nname = "{name}"\nsource = "{clip}"\n' for name in CAMERAS]
    tables.append(f'[[cameras]]\nname = "watch"\nsource = "{clip}"\nloop = true\nfps = 0.5\n')
    tables.append(f'[pipeline]\nqueue_frames = {QUEUE_FRAMES}\n[record]\nvideo = "none"\n')
    tables.append('[detect]\nmin_face_px = 12\n[recognize]\nfaces = "demo"\n')  # a search takes 20 times longer
    path = folder / "many.toml"
    path.write_text("".join(tables))
    return path


def losses(status: Status) -> int:
    """Frames that fell on their way from capture to tracks."""
    lost = 0
    for beat in (process.beat for process in status.processes if process.beat):
        if beat.process.startswith("capture.") or beat.process in ("detect", "track"):
            lost += sum(beat.counts.get(f"drops {edge}", 0) for edge in LOST)
        if beat.process == "detect":
            lost += beat.counts.get("drops lapped ring", 0)
    return lost


def frames(status: Status, process: str) -> Counter[str]:
    beats = (p.beat for p in status.processes if p.beat and p.process.partition(".")[0] == process)
    return sum((Counter({camera: n for (camera,), n in counted(b.counts, "frames")}) for b in beats), Counter[str]())


def searched_every(statuses: Iterator[Status], until_done: set[str]) -> tuple[list[int], Status]:
    """How often whole pictures were searched, second by second, until these processes are done; and the status then."""
    seen: list[int] = []
    for status in statuses:
        for beat in (process.beat for process in status.processes if process.beat):
            seen += [every for _, every in counted(beat.levels, "search_every")]
        if until_done <= {process.process for process in status.processes if process.state == "done"}:
            return seen, status
    raise AssertionError


def test_eight_cameras_get_a_fair_share_of_too_little(tmp_path: Path, jetstream: Inside, clip: Path) -> None:
    with jetstream.running(str(config(tmp_path, clip)), "--headless", "--record", "rec") as process:
        with contextlib.closing(statuses(jetstream.run_dir)) as heard:
            seen, _ = searched_every(heard, {f"capture.{name}" for name in CAMERAS})
        # everything that was captured has come through, or is counted
        jetstream.wait(lambda s: frames(s, "capture").total() == frames(s, "track").total() + losses(s), process)
    events = {
        name: [e for path in (tmp_path / "rec").glob(f"{name}-*.jsonl") for e in lines_of(path)] for name in CAMERAS
    }

    assert max(seen) > 4, "the load is too small to show anything"
    assert sum(map(len, events.values())) < FRAMES * len(CAMERAS), "nothing fell"
    # a camera that opens before the others has the processors to itself until they come, and after they have ended
    begin = max(found[0]["captured_ns"] for found in events.values())
    end = min(found[-1]["captured_ns"] for found in events.values())
    shares = [sum(begin <= event["captured_ns"] <= end for event in found) for found in events.values()]
    assert min(shares) / max(shares) >= 0.5, shares
    for found in events.values():
        ids = [event["frame_id"] for event in found]
        assert ids == sorted(set(ids))
        # what waits for detect is taken, or falls, before as many newer frames as its queue holds are through
        seconds = (found[-1]["captured_ns"] - found[0]["captured_ns"]) * 1e-9
        bound_ms = (QUEUE_FRAMES + 2) * seconds / (len(found) - 1) * 1e3
        assert np.percentile([event["hops_ms"]["tracked"] for event in found], 99) < 4 * bound_ms
