"""Cameras whose packets one process decodes, as a user runs them: real files, processes, decoders and shared memory."""

import os
import re
import signal
from collections.abc import Iterable
from pathlib import Path

import cv2
import pytest

from jetstream.messages import Status
from jetstream.runtime.counters import counted
from jetstream.video.demo import scene
from tests.support.command import segments_of
from tests.support.defaults import video_sink
from tests.support.inside import Inside
from tests.support.statuses import pids_in
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.pipeline

CAMERAS = [f"c{number}" for number in range(8)]
FPS, FRAMES = 10, 30


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    sink = video_sink(path, fps=FPS, width=320, height=180)
    for index in range(FRAMES):
        sink.write(cv2.resize(scene(100 + index), (320, 180)), index / FPS)
    sink.close()
    return path


def config(folder: Path, clip: Path, cameras: Iterable[str], more: str = "loop = true") -> Path:
    tables = [f'[[cameras]]\nname = "{name}"\nsource = "{clip}"\ndecoder = "shared"\n{more}\n' for name in cameras]
    tables.append('[pipeline]\npackets_mb = 1\n[record]\nvideo = "none"\n')
    tables.append('[detect]\nmin_face_px = 12\n[recognize]\nfaces = "demo"\n')
    path = folder / "shared.toml"
    path.write_text("".join(tables))
    return path


def frames_of(status: Status, process: str) -> dict[str, int]:
    beats = [one.beat for one in status.processes if one.process == process and one.beat]
    return {camera: count for beat in beats for (camera,), count in counted(beat.counts, "frames")}


def test_eight_cameras_are_decoded_by_one_process_whatever_is_killed(
    tmp_path: Path, jetstream: Inside, clip: Path
) -> None:
    with jetstream.running(str(config(tmp_path, clip, CAMERAS)), "--headless", "--record", "rec") as process:
        everyone = set(CAMERAS)
        before = jetstream.wait(lambda s: min_frames(s, everyone) > 5, process)
        assert frames_of(before, "capture.c0") == {}, "it decodes nothing"
        assert len(segments_of(process.pid)) == 16

        os.kill(pids_in(before)["decode"], signal.SIGKILL)
        killed = frames_of(before, "track")
        after = jetstream.wait(
            lambda s: all(frames_of(s, "track").get(name, 0) > killed[name] + 20 for name in CAMERAS), process
        )
        assert restarts(after) == {"decode": 1}

        os.kill(pids_in(after)["capture.c3"], signal.SIGKILL)
        seen = frames_of(after, "track")
        last = jetstream.wait(
            lambda s: restarts(s).get("capture.c3") == 1 and frames_of(s, "track")["c3"] > seen["c3"] + 20, process
        )
        assert restarts(last) == {"decode": 1, "capture.c3": 1}
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0

    assert segments_of(process.pid) == []


def min_frames(status: Status, cameras: set[str]) -> int:
    frames = frames_of(status, "track")
    return min(frames.values()) if frames.keys() >= cameras else 0


def restarts(status: Status) -> dict[str, int]:
    return {one.process: one.restarts for one in status.processes if one.restarts}


def test_file_that_ends_is_shown_to_its_last_frame_and_ends_the_run(
    tmp_path: Path, jetstream: Inside, clip: Path
) -> None:
    result = jetstream("run", str(config(tmp_path, clip, ["a"], more="")), "--headless", "--record", "rec", sets=True)

    assert result.returncode == 0, result.stderr
    captured = re.search(r"ended: (\d+) frames captured", result.stderr)
    lost = sum(int(count) for count in re.findall(r"(?:busy|unread) (\d+)", result.stderr))
    assert captured is not None
    assert int(captured[1]) + lost == FRAMES, result.stderr
