"""The main job, as a user runs it: real processes, sockets, shared memory and video."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import cv2
import msgpack
import numpy as np
import pytest
import zmq

from jetstream.messages import Status
from tests.support.clips import demo_clip
from tests.support.command import children_of, segments_of
from tests.support.event_lines import events_in, lines_of
from tests.support.inside import Inside
from tests.support.repository import DEFAULT, DEMO, REPOSITORY
from tests.support.statuses import frames_flow, frames_in, pids_in
from tests.support.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.pipeline


def test_demo_is_found_followed_named_and_recorded(jetstream: Inside, tmp_path: Path) -> None:
    words = ("--headless", "--record", "rec", "--duration", "8")
    result = jetstream("run", DEMO, *words, sets=True)

    assert result.returncode == 0, result.stderr
    events = events_in(tmp_path / "rec")
    names = {track["name"] for event in events for track in event["tracks"] if track["state"] == "confirmed"}
    assert names == {"Eileen Collins", None}
    assert [event["frame_id"] for event in events] == sorted({event["frame_id"] for event in events})
    (video,) = (tmp_path / "rec").glob("*.mp4")
    lapped = re.search(
        r"dropped: .*\blapped (\d+)", result.stderr
    )  # on a busy machine, pictures leave the ring too soon
    with av.open(str(video)) as container:
        pictures = sum(1 for _ in container.decode(video=0))
    assert len(events) >= pictures >= len(events) - int(lapped[1] if lapped else 0)
    assert video.stat().st_mode & 0o077 == 0


def test_run_of_every_frame_writes_the_events_of_replay(jetstream: Inside, tmp_path: Path) -> None:
    clip = demo_clip(tmp_path / "clip.mp4", frames=60)
    common = ("--faces", "demo")

    replayed = jetstream(
        "replay", str(clip), "--out", "replay.jsonl", "--set", f"models.dir={jetstream.models}", *common
    )
    ran = jetstream(
        *("run", DEFAULT, "--source", str(clip), "--pace", "every-frame"),
        *("--headless", "--record", "rec", *common),
        sets=True,
    )

    assert replayed.returncode == 0, replayed.stderr
    assert ran.returncode == 0, ran.stderr
    expected = [json.loads(line) for line in (tmp_path / "replay.jsonl").read_text().splitlines()]
    assert len(expected) == 60
    assert without_clocks(events_in(tmp_path / "rec")) == without_clocks(expected)
    assert any(track["name"] == "Eileen Collins" for event in expected for track in event["tracks"])


def test_several_files_of_other_lengths_and_sizes_are_each_done_in_full(jetstream: Inside, tmp_path: Path) -> None:
    long = demo_clip(tmp_path / "long.mp4", frames=40)
    short = demo_clip(tmp_path / "short.mp4", frames=12)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for index, width in enumerate((640, 320, 500)):
        cv2.imwrite(str(pictures / f"{index}.png"), np.full((360, width, 3), 90, np.uint8))
    sources = [word for source in (long, short, pictures) for word in ("--source", str(source))]

    result = jetstream(
        *("run", DEFAULT, *sources, "--pace", "every-frame", "--headless"),
        *("--record", "rec", "--faces", "demo"),
        sets=True,
    )

    assert result.returncode == 0, result.stderr
    counts = {path.name.partition("-")[0]: len(lines_of(path)) for path in (tmp_path / "rec").glob("*.jsonl")}
    assert counts == {"long": 40, "short": 12, "pictures": 3}


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_stop_signal_ends_all_and_leaves_nothing(jetstream: Inside, tmp_path: Path, stop: signal.Signals) -> None:
    with jetstream.running(DEMO, "--headless", "--record", "rec") as process:
        jetstream.wait(lambda status: frames_in(status).get("record", 0) > 10, process)
        process.send_signal(stop)
        assert process.wait(PATIENCE_S) == 0

    assert children_of(process.pid) == []
    assert segments_of(process.pid) == []
    assert [path.name for path in jetstream.run_dir.iterdir()] == ["lock"]
    (video,) = (tmp_path / "rec").glob("*.mp4")
    with av.open(str(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) > 5


def test_each_killed_stage_is_back_and_the_others_never_stop(jetstream: Inside) -> None:
    killed: list[str] = []
    with jetstream.running(DEMO, "--headless", "--record", "rec") as process:
        status = jetstream.wait(frames_flow, process)
        for stage in ("capture.demo", "detect", "track", "recognize", "record", "publish", "learn"):
            status = jetstream.wait(lambda s, stage=stage: stage in pids_in(s), process)
            pids = pids_in(status)
            subprocess.run(["kill", "-9", str(pids[stage])], check=True)
            killed.append(stage)

            def is_back(status: Status, stage: str = stage, pid: int = pids[stage]) -> bool:
                return any(
                    p.process == stage and p.state == "running" and p.restarts == 1 and p.beat and p.beat.pid != pid
                    for p in status.processes
                )

            frames = frames_in(jetstream.wait(is_back, process))
            later = jetstream.wait(lambda s, frames=frames: frames_flow(s, frames), process)

            assert {p.process: p.restarts for p in later.processes} == {name: int(name in killed) for name in pids}
            assert all(p.beat and p.beat.pid == pids[p.process] for p in later.processes if p.process != stage)


def test_stage_that_ends_by_itself_or_is_told_to_from_outside_is_started_again(jetstream: Inside) -> None:
    """Its readers must not take it for the end of the run."""
    with jetstream.running(DEMO, "--headless") as process:
        status = jetstream.wait(frames_flow, process)
        pid = pids_in(status)["detect"]
        subprocess.run(["kill", "-TERM", str(pid)], check=True)
        after = jetstream.wait(lambda s: any(p.restarts for p in s.processes), process)
        frames = frames_in(after)
        later = jetstream.wait(
            lambda s: all(p.state == "running" for p in s.processes) and frames_flow(s, frames),
            process,
        )

    assert {p.process for p in later.processes if p.restarts} == {"detect"}


def test_hung_stage_falls_silent_and_is_replaced(jetstream: Inside) -> None:
    with jetstream.running(DEMO, "--headless", "--set", "pipeline.heartbeat_timeout_s=4") as process:
        status = jetstream.wait(frames_flow, process)
        pid = pids_in(status)["recognize"]
        subprocess.run(["kill", "-STOP", str(pid)], check=True)
        after = jetstream.wait(
            lambda s: any(p.process == "recognize" and p.restarts and p.state == "running" for p in s.processes),
            process,
        )

    assert {p.process for p in after.processes if p.restarts} == {"recognize"}
    assert "recognize: silent for" in jetstream.log()
    assert not Path(f"/proc/{pid}").exists()


def test_stage_that_keeps_failing_ends_the_run_with_exit_1(jetstream: Inside) -> None:
    with jetstream.running(DEMO, "--headless", "--set", "pipeline.restarts=1") as process:
        killed: set[int] = set()
        deadline_s = time.monotonic() + PATIENCE_S
        while process.poll() is None and time.monotonic() < deadline_s:
            for pid in children_of(process.pid):
                words = Path(f"/proc/{pid}/cmdline").read_bytes() if Path(f"/proc/{pid}").exists() else b""
                if b"\0track\0" in words and pid not in killed:
                    killed.add(pid)
                    subprocess.run(["kill", "-9", str(pid)], check=False)
            time.sleep(0.1)
        code = process.wait(PATIENCE_S)

    assert code == 1
    assert "track: failed 2 times in 60 s; given up" in jetstream.log()
    assert children_of(process.pid) == []
    assert segments_of(process.pid) == []


def test_record_folder_that_cannot_be_written_is_one_sentence(jetstream: Inside, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = jetstream("run", DEMO, "--headless", "--record", "file/rec", sets=True)

    assert result.returncode == 2
    assert "record.dir: file/rec: Not a directory; name a folder that can be written" in result.stderr


def test_every_frame_of_a_camera_is_refused(jetstream: Inside) -> None:
    words = ("--source", "rtsp://127.0.0.1:9/s", "--pace", "every-frame", "--headless")
    result = jetstream("run", DEFAULT, *words, sets=True)

    assert result.returncode == 2
    assert "a camera can't wait" in result.stderr


@pytest.mark.faults  # minutes; test_random_restarts kills stages in every run
def test_stage_killed_in_every_frame_pace_loses_no_frame(jetstream: Inside, tmp_path: Path) -> None:
    clip = demo_clip(tmp_path / "clip.mp4", frames=240)
    slow = ("--set", "detect.preset=accurate", "--set", "detect.min_face_px=14")  # so that there is time to kill
    words = (
        *(DEFAULT, "--source", str(clip), "--pace", "every-frame", "--headless"),
        *("--record", "rec", "--set", "record.video=none", "--faces", "demo", *slow),
    )
    with jetstream.running(*words) as process:
        for stages in (["detect"], ["track"], ["recognize"], ["record"], ["capture.clip"], ["capture.clip", "record"]):
            status = jetstream.wait(lambda s: all(p.state == "running" for p in s.processes), process)
            pids = pids_in(status)
            restarts = sum(p.restarts for p in status.processes)
            subprocess.run(["kill", "-9", *(str(pids[stage]) for stage in stages)], check=True)
            due = restarts + len(stages)
            jetstream.wait(lambda s, due=due: sum(p.restarts for p in s.processes) >= due, process)
        assert process.wait(2 * PATIENCE_S) == 0, jetstream.log()

    ids = [event["frame_id"] for path in sorted((tmp_path / "rec").glob("*.jsonl")) for event in lines_of(path)]
    assert sorted(ids) == list(range(240))


def test_killed_supervisor_leaves_no_process_and_the_next_run_sweeps_its_memory(
    jetstream: Inside, tmp_path: Path
) -> None:
    with jetstream.running(DEMO, "--headless", "--record", "rec") as process:
        # more than its header: a fragment, which is written when it is whole
        wait_until(lambda: any(path.stat().st_size > 2000 for path in (tmp_path / "rec").glob("*.mp4")))
        process.kill()
        process.wait()
        wait_until(lambda: not children_of(process.pid))

    assert segments_of(process.pid) != []
    (video,) = (tmp_path / "rec").glob("*.mp4")
    with av.open(str(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) > 0

    assert jetstream("run", DEMO, "--headless", "--duration", "1", sets=True).returncode == 0
    assert segments_of(process.pid) == []


def test_second_run_in_the_same_folder_is_refused(jetstream: Inside) -> None:
    with jetstream.running(DEMO, "--headless", "--set", "publish.enabled=false") as process:
        second = jetstream("run", DEMO, "--headless", "--duration", "1", sets=True)

    assert second.returncode == 2
    assert f"another jetstream runs here (pid {process.pid}); stop it, or set pipeline.run_dir" in second.stderr
    assert (
        f"to run beside it, add --set pipeline.run_dir={jetstream.run_dir}-2 --set publish.endpoint=" in second.stderr
    )


def test_endpoint_in_use_is_one_sentence(jetstream: Inside) -> None:
    with zmq.Context() as context, context.socket(zmq.PUB) as squatter:
        squatter.bind(jetstream.endpoint)
        result = jetstream("run", DEMO, "--headless", "--duration", "1", sets=True)

    assert result.returncode == 2
    assert "publish.endpoint" in result.stderr
    assert "Address already in use" in result.stderr
    assert "Traceback" not in result.stderr


def test_full_shared_memory_is_one_sentence_before_anything_starts(jetstream: Inside) -> None:
    words = (
        "--set",
        "cameras.demo.max_width=16384",
        "--set",
        "cameras.demo.max_height=16384",
        "--set",
        "pipeline.slots=256",
    )
    result = jetstream("run", DEMO, "--headless", "--duration", "1", *words, sets=True)

    assert result.returncode == 1
    assert "/dev/shm" in result.stderr
    assert "Traceback" not in result.stderr


def test_subscriber_of_the_readme_works_with_pyzmq_and_msgpack_alone(jetstream: Inside, tmp_path: Path) -> None:
    readme = (REPOSITORY / "README.md").read_text()
    program = readme.split("<!-- subscriber -->")[1].split("```python\n")[1].split("```")[0]
    assert len(program.strip().splitlines()) == 10
    assert "jetstream" not in program.replace("jetstream run", "")
    script = tmp_path / "subscriber.py"
    script.write_text(program.replace("tcp://127.0.0.1:5570", jetstream.endpoint))

    with jetstream.running(DEMO, "--headless"):
        lines = first_lines(script)

    assert any("Eileen Collins" in line for line in lines), lines


def first_lines(script: Path) -> list[str]:
    """The first 40 that a program prints, which runs beside its file."""
    command = [sys.executable, "-u", str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=script.parent) as program:
        assert program.stdout is not None
        lines = [program.stdout.readline() for _ in range(40)]
        program.kill()
    return lines


def test_subscriber_with_a_key_of_the_events_page_works_too(jetstream: Inside, tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "events.md").read_text()
    program = page.split("<!-- subscriber with a key -->")[1].split("```python\n")[1].split("```")[0]
    server = jetstream("keys", "new").stdout.strip()
    public = jetstream("keys", "new", "dashboard", "--server", server).stdout.strip()
    assert jetstream("keys", "allow", "dashboard", public).returncode == 0
    script = tmp_path / "subscriber.py"
    script.write_text(program.replace("tcp://192.0.2.5:5570", jetstream.endpoint))

    with jetstream.running(DEMO, "--headless", "--set", "publish.keys=keys"):
        lines = first_lines(script)

    assert any("Eileen Collins" in line for line in lines), lines


def test_topic_has_a_gapless_sequence_in_one_epoch(jetstream: Inside) -> None:
    with jetstream.running(DEMO, "--headless"), zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.connect(jetstream.endpoint)
        socket.subscribe(b"detections.demo")
        bodies = [msgpack.unpackb(socket.recv_multipart()[1]) for _ in range(30)]

    first = bodies[0]["seq"]
    assert [body["seq"] for body in bodies] == list(range(first, first + 30))
    assert len({body["epoch"] for body in bodies}) == 1
    assert {"schema", "camera", "frame_id", "pts_s", "captured_ns", "wall", "tracks"} < set(bodies[0])


def test_subscribe_and_top_show_a_running_pipeline(jetstream: Inside) -> None:
    with jetstream.running(DEMO, "--headless"):
        top = jetstream("top", "--once", "--set", f"pipeline.run_dir={jetstream.run_dir}")
        command = [sys.executable, "-m", "jetstream.cli", "subscribe", jetstream.endpoint, "--json"]
        subscriber = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=jetstream.environment, preexec_fn=hear_ctrl_c
        )
        assert subscriber.stdout is not None
        event = json.loads(subscriber.stdout.readline())
        subscriber.send_signal(signal.SIGINT)
        assert subscriber.wait(PATIENCE_S) == 0

    assert top.returncode == 0, top.stderr
    for process in ("capture.demo", "detect", "track", "recognize", "publish", "learn"):
        assert process in top.stdout
    assert event["camera"] == "demo"


def test_one_stage_can_be_run_by_hand_beside_the_others(jetstream: Inside) -> None:
    settings = ("--headless", "--set", 'pipeline.without=["detect"]', "--set", "publish.enabled=true")
    with jetstream.running(DEMO, *settings) as process:
        command = [sys.executable, "-m", "jetstream.cli", "run", DEMO, "--stage", "detect", *jetstream.sets]
        seen = [0]

        def stands(status: Status) -> bool:
            """Nothing of the stage that ended is on its way any more."""
            before, seen[0] = seen[0], tracked(status)
            return before == seen[0]

        for _ in range(2):  # stopped and run again, as one does with a debugger
            alone = subprocess.Popen(command, env=jetstream.environment, cwd=jetstream.folder)
            jetstream.wait(lambda status: tracked(status) > seen[0] + 5, process)
            alone.send_signal(signal.SIGINT)
            assert alone.wait(PATIENCE_S) == 0
            jetstream.wait(stands, process)


def tracked(status: Status) -> int:
    return frames_in(status).get("track", 0)


def hear_ctrl_c() -> None:
    """In a child of a job in the background, where the shell has SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def without_clocks(events: list[dict]) -> list[dict]:
    clocks = ("captured_ns", "wall", "hops_ms")
    return [{key: value for key, value in event.items() if key not in clocks} for event in events]
