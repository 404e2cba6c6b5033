"""Stages whose cameras several processes share, as with several GPUs: real processes, with the networks on the CPU."""

import json
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import msgpack
import numpy as np
import pytest
import zmq

from jetstream.messages import Status
from jetstream.runtime.counters import counted
from jetstream.video.demo import scene
from tests.support.clips import demo_clip
from tests.support.command import segments_of
from tests.support.defaults import video_sink
from tests.support.event_lines import lines_of
from tests.support.inside import Inside
from tests.support.photos import COLLINS, HOPPER, write_photo
from tests.support.repository import DEFAULT
from tests.support.statuses import pids_in
from tests.support.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.pipeline

ON_TWO = ("--set", "gpu.devices=[0,1]", "--set", "gpu.backend=cpu")
CLOCKS = ("captured_ns", "wall", "hops_ms")
CAMERAS = [f"c{number}" for number in range(4)]
FPS, FRAMES = 10, 30


def events_without_clocks(folder: Path) -> dict[str, list[str]]:
    """The lines of each camera's events, as text."""
    return {
        path.name.rpartition("-")[0].partition("-")[0]: [
            json.dumps({key: value for key, value in event.items() if key not in CLOCKS}) for event in lines_of(path)
        ]
        for path in folder.glob("*.jsonl")
    }


def test_every_frame_gives_the_same_events_byte_for_byte_however_many_processes_there_are(
    jetstream: Inside, tmp_path: Path
) -> None:
    clips = [demo_clip(tmp_path / f"clip{frames}.mp4", frames=frames) for frames in (20, 30, 40)]
    sources = [word for clip in clips for word in ("--source", str(clip))]
    common = ("run", DEFAULT, *sources, "--pace", "every-frame", "--headless", "--faces", "demo")
    more = ("--set", "detect.processes=2", "--set", "track.processes=2")

    one = jetstream(*common, "--record", "one", sets=True)
    many = jetstream(*common, "--record", "many", *ON_TWO, *more, sets=True)

    assert one.returncode == many.returncode == 0, many.stderr
    expected, found = (events_without_clocks(tmp_path / folder) for folder in ("one", "many"))
    assert {name: len(lines) for name, lines in expected.items()} == {"clip20": 20, "clip30": 30, "clip40": 40}
    assert found == expected
    assert "Eileen Collins" in found["clip40"][-1]
    assert (
        "running: capture.clip20, capture.clip30, capture.clip40, detect.1, detect.2, detect.3, track.1" in many.stderr
    )
    assert (
        many.stderr.count('gpu.devices: gpu.backend is "cpu", so the networks run on the CPU; 3 processes share') == 1
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    sink = video_sink(path, fps=FPS, width=320, height=180)
    for index in range(FRAMES):
        sink.write(cv2.resize(scene(100 + index), (320, 180)), index / FPS)
    sink.close()
    return path


def config(folder: Path, clip: Path) -> Path:
    """Four cameras that `decode` decodes."""
    tables = [f'[[cameras]]\nname = "{name}"\nsource = "{clip}"\ndecoder = "shared"\nloop = true\n' for name in CAMERAS]
    tables.append('[pipeline]\npackets_mb = 1\n[record]\nvideo = "none"\n')
    tables.append('[detect]\nmin_face_px = 12\n[recognize]\nfaces = "demo"\n')
    path = folder / "parts.toml"
    path.write_text("".join(tables))
    return path


def frames_of(status: Status, process: str) -> dict[str, int]:
    """How many frames of each camera a process has handled."""
    beats = [one.beat for one in status.processes if one.process == process and one.beat]
    return {camera: count for beat in beats for (camera,), count in counted(beat.counts, "frames")}


def tracked(status: Status) -> dict[str, int]:
    return frames_of(status, "track")


def more_of(cameras: Iterable[str], than: Status, count: int = 20) -> Any:
    """Whether these cameras' frames have come through since."""
    before = tracked(than)
    return lambda status: all(tracked(status).get(name, 0) >= before.get(name, 0) + count for name in cameras)


def test_each_process_has_its_cameras_and_dies_for_them_alone(tmp_path: Path, jetstream: Inside, clip: Path) -> None:
    with jetstream.running(str(config(tmp_path, clip)), "--headless", "--record", "rec", *ON_TWO) as process:
        started = jetstream.wait(lambda status: set(tracked(status)) == set(CAMERAS), process)
        status = jetstream.wait(more_of(CAMERAS, started), process)
        for stage in ("decode", "detect"):
            served = [set(frames_of(status, f"{stage}.{number}")) for number in (1, 2)]
            assert served == [{"c0", "c2"}, {"c1", "c3"}], stage

        killed: dict[str, int] = {}
        for name in ("detect.2", "decode.1", "recognize.2"):
            before = pids_in(status)
            os.kill(before[name], signal.SIGKILL)
            killed[name] = 1
            back = jetstream.wait(
                lambda s, name=name, before=before: (
                    pids_in(s)[name] != before[name] and all(one.state == "running" for one in s.processes)
                ),
                process,
            )
            status = jetstream.wait(more_of(CAMERAS, back), process)
            assert {one.process: one.restarts for one in status.processes if one.restarts} == killed
            assert {who for who, pid in pids_in(status).items() if pid != before[who]} == {name}

        before, path = pids_in(status), tmp_path / "parts.toml"
        path.write_text(path.read_text().replace("[detect]", "[detect]\nsearch_every = 2"))
        process.send_signal(signal.SIGHUP)
        taken = jetstream.wait(
            lambda s: (
                all(pids_in(s)[name] != before[name] for name in ("detect.1", "detect.2"))
                and all(one.state == "running" for one in s.processes)
            ),
            process,
        )
        status = jetstream.wait(more_of(CAMERAS, taken), process)
        assert {who for who, pid in pids_in(status).items() if pid != before[who]} == {"detect.1", "detect.2"}
        assert {one.process: one.restarts for one in status.processes if one.restarts} == killed
        assert "config reloaded: took detect.search_every (detect started again)" in jetstream.log()

        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0, jetstream.log()
    assert segments_of(process.pid) == []


def test_cameras_of_one_process_go_on_while_the_other_one_is_away(
    tmp_path: Path, jetstream: Inside, clip: Path
) -> None:
    slow = ("--set", "pipeline.heartbeat_timeout_s=60")
    with jetstream.running(str(config(tmp_path, clip)), "--headless", *ON_TWO, *slow) as process:
        before = jetstream.wait(lambda status: set(tracked(status)) == set(CAMERAS), process)
        os.kill(pids_in(before)["detect.2"], signal.SIGSTOP)
        stopped = jetstream.wait(more_of(["c0", "c2"], before, 5), process)

        status = jetstream.wait(more_of(["c0", "c2"], stopped, 40), process)

        assert {name: tracked(status)[name] - tracked(stopped)[name] for name in ("c1", "c3")} == {"c1": 0, "c3": 0}
        os.kill(pids_in(before)["detect.2"], signal.SIGCONT)
        jetstream.wait(more_of(CAMERAS, status), process)


def test_new_gallery_is_told_once_and_used_by_both(
    tmp_path: Path, jetstream: Inside, clip: Path, portraits: dict[str, np.ndarray]
) -> None:
    faces = ("--faces", "faces", "--set", "recognize.watch_s=0.2")
    write_photo(jetstream.folder / "faces" / COLLINS / "1.png", portraits[COLLINS])
    heard: list[tuple[float, int, str]] = []
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.connect(jetstream.endpoint)
        socket.subscribe(b"gallery")

        def hear(seq: int, count: int) -> bool:
            while socket.poll(100):
                body = msgpack.unpackb(socket.recv_multipart()[1])
                heard.append((time.monotonic(), body["seq"], body["hash"]))
            return sum(one[1] == seq for one in heard) >= count

        with jetstream.running(str(config(tmp_path, clip)), "--headless", *ON_TWO, *faces) as process:
            jetstream.wait(lambda status: set(tracked(status)) == set(CAMERAS), process)
            wait_until(lambda: hear(0, 1))
            write_photo(jetstream.folder / "faces" / HOPPER / "1.png", portraits[HOPPER])
            wait_until(lambda: hear(1, 2), 5 * PATIENCE_S, jetstream.log)

    log = jetstream.log()
    assert all(f"info recognize.{number}: a new gallery: 2 people, 2 photos" in log for number in (1, 2)), log
    assert [seq for _, seq, _ in heard] == sorted(seq for _, seq, _ in heard)
    assert len({(seq, told) for _, seq, told in heard}) == 2, "one number a gallery"
    told_s = [at_s for at_s, seq, _ in heard if seq == 1]
    assert told_s[1] - told_s[0] > 2, "it is repeated every few seconds, and by one process alone"


def test_stage_that_is_run_by_hand_is_named_with_its_number(jetstream: Inside, tmp_path: Path, clip: Path) -> None:
    words = ("run", str(config(tmp_path, clip)), "--headless", *ON_TWO)
    result = jetstream.outside(*words, "--stage", "detect", sets=True)

    assert result.returncode == 2
    assert "--stage detect: name one of detect.1, detect.2" in result.stderr
