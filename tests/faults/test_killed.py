"""`kill -9` and `kill -STOP` of every process, one after the other, in one pipeline of two cameras under load."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.harness import Ear, Faulty, Tell, left_behind, played, stop, zombies_of
from tests.support.command import children_of, free_port, segments_of
from tests.support.repository import DEMO
from tests.support.statuses import frames_flow, pids_in
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.pipeline]

TWO = Path(DEMO).read_text() + '[[cameras]]\nname = "second"\nsource = "demo"\nloop = true\n'
TWO += '[clips]\ndir = "clips"\nring_mb = 4\n'
TWO += '[[alerts]]\nname = "front"\nwhen = ["named"]\ncommand = ["/bin/true"]\n'
STAGES = [
    *("capture.demo", "detect", "track", "recognize", "record", "publish", "sightings", "web"),
    *("encode", "learn", "regroup", "clips", "alerts", "metrics"),
]
IN_THE_WAY = ("detect", "track", "publish")
"""whose death the topic's readers notice"""
LOSE_NOTHING = ("learn", "regroup", "clips", "alerts", "metrics")


@pytest.fixture(scope="module")
def jetstream(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Faulty:
    return Faulty(tmp_path_factory.mktemp("killed"), models_dir, page_port=free_port(), looks=3)


@pytest.fixture(scope="module")
def words(jetstream: Faulty) -> list[str]:
    (jetstream.folder / "two.toml").write_text(TWO)
    limits = ("pipeline.restarts=100", "pipeline.heartbeat_timeout_s=2", "clips.dir=clips")
    return ["two.toml", "--headless", "--record", "rec", *(w for limit in limits for w in ("--set", limit))]


@pytest.fixture(scope="module")
def running(jetstream: Faulty, words: list[str]) -> Iterator[tuple["subprocess.Popen[str]", Ear]]:
    with jetstream.running(*words) as process, Ear(jetstream) as ear:
        jetstream.wait(frames_flow, process)
        yield process, ear


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP])
def test_every_stage_is_replaced_and_the_others_go_on(
    jetstream: Faulty, running: tuple["subprocess.Popen[str]", Ear], tell: Tell, stage: str, signum: signal.Signals
) -> None:
    process, ear = running
    before = {p.process: (p.restarts, p.beat.pid) for p in jetstream.status().processes if p.beat}
    subprocess.run(["kill", f"-{signum.value}", str(before[stage][1])], check=True)
    hurt_s = time.monotonic()
    jetstream.wait(
        lambda s: any(
            p.process == stage and p.state == "running" and p.restarts == before[stage][0] + 1 for p in s.processes
        ),
        process,
    )
    took_s = time.monotonic() - hurt_s
    ear.wait_for_frames(20, time.monotonic())
    silence_s = ear.longest_silence_s(hurt_s)

    after = {p.process: (p.restarts, p.beat.pid) for p in jetstream.status().processes if p.beat}
    assert {name for name in after if after[name] != before[name]} == {stage}
    assert zombies_of(process.pid) == []
    how = "kill -9" if signum == signal.SIGKILL else "kill -STOP (silent over heartbeat_timeout_s, here 2 s)"
    log = "a warning; " if signum == signal.SIGKILL else "`silent for 2 s; killed`; "
    topic = f"topic silent for {silence_s:.1f} s" if stage in IN_THE_WAY else "topic goes on"
    lost = {"capture.demo": "that camera's frames meanwhile", **dict.fromkeys(LOSE_NOTHING, "nothing")}
    tell(f"{how} of {stage}", log + topic, took_s, lost.get(stage, "live frames meanwhile, counted"))


def test_after_all_that_nothing_is_left_and_recordings_play(
    jetstream: Faulty, running: tuple["subprocess.Popen[str]", Ear], tell: Tell
) -> None:
    process, _ = running
    assert stop(process) == 0, jetstream.log()

    assert left_behind(jetstream, process.pid) == []
    pictures = played(jetstream.folder / "rec")
    assert pictures > 50
    tell("SIGTERM after all of these", f"exit 0, {pictures} recorded pictures play", None)


def test_part_of_the_cameras_goes_on_when_the_track_of_the_others_dies(
    jetstream: Faulty, words: list[str], tell: Tell
) -> None:
    with jetstream.running(*words, "--set", "track.processes=2") as process, Ear(jetstream) as ear:
        jetstream.wait(frames_flow, process)
        before = pids_in(jetstream.status())
        time.sleep(1)
        subprocess.run(["kill", "-9", str(before["track.2"])], check=True)
        hurt_s = time.monotonic()
        jetstream.wait(lambda s: pids_in(s).get("track.2", before["track.2"]) != before["track.2"], process)
        took_s = time.monotonic() - hurt_s
        ear.wait_for_frames(20, time.monotonic())
        silence_s = {camera: ear.longest_silence_s(hurt_s, camera) for camera in ("demo", "second")}
        after = pids_in(jetstream.status())
        assert {name for name in after if after[name] != before[name]} == {"track.2"}
        assert silence_s["demo"] < 1.0
        stop(process)
    sees = (
        f"a warning; its camera silent for {silence_s['second']:.1f} s, the other one's for {silence_s['demo']:.1f} s"
    )
    tell("kill -9 of track.2, one of two that share the cameras", sees, took_s, "live frames of its cameras meanwhile")


@pytest.mark.parametrize("stage", ["detect", "recognize"])
def test_cameras_of_one_gpu_go_on_when_the_process_of_the_other_dies(
    jetstream: Faulty, words: list[str], tell: Tell, stage: str
) -> None:
    """Both run the networks on the CPU here."""
    shared = ("--set", "gpu.devices=[0,1]", "--set", "gpu.backend=cpu")
    with jetstream.running(*words, *shared) as process, Ear(jetstream) as ear:
        jetstream.wait(frames_flow, process)
        before, killed = pids_in(jetstream.status()), f"{stage}.2"
        time.sleep(1)
        subprocess.run(["kill", "-9", str(before[killed])], check=True)
        hurt_s = time.monotonic()
        jetstream.wait(lambda s: pids_in(s).get(killed, before[killed]) != before[killed], process)
        took_s = time.monotonic() - hurt_s
        ear.wait_for_frames(20, time.monotonic())
        silence_s = {camera: ear.longest_silence_s(hurt_s, camera) for camera in ("demo", "second")}
        after = pids_in(jetstream.status())
        assert {name for name in after if after[name] != before[name]} == {killed}
        assert silence_s["demo"] < 1.0
        stop(process)
    sees = (
        f"a warning; its camera silent for {silence_s['second']:.1f} s, the other one's for {silence_s['demo']:.1f} s"
    )
    lost = "live frames of its cameras meanwhile" if stage == "detect" else "nothing; names of its cameras come later"
    tell(f"kill -9 of {killed}, one of two that share the cameras", sees, took_s, lost)


def test_killed_supervisor_takes_all_with_it_and_the_next_run_sweeps(
    jetstream: Faulty, words: list[str], tell: Tell
) -> None:
    with jetstream.running(*words) as process:
        jetstream.wait(frames_flow, process)
        time.sleep(2)
        process.kill()
        process.wait()
        gone_s = wait_until(lambda: children_of(process.pid) == [], 10)
        assert segments_of(process.pid) != [], "nobody was left to remove it"
    assert played(jetstream.folder / "rec") > 0
    (jetstream.run_dir / "status.anyone").unlink()  # or we would ask the dead one
    again_s = time.monotonic()
    with jetstream.running(*words) as second:
        took_s = time.monotonic() - again_s
        assert segments_of(process.pid) == []

    assert left_behind(jetstream, second.pid) == []
    sees = f"all processes gone after {gone_s:.1f} s; the next start sweeps the shared memory"
    tell("kill -9 of the supervisor (recovered: started by hand)", sees, took_s, "the last second of recordings")


def test_stopped_supervisor_stops_no_video_and_goes_on(jetstream: Faulty, words: list[str], tell: Tell) -> None:
    with jetstream.running(*words) as process, Ear(jetstream) as ear:
        jetstream.wait(frames_flow, process)
        process.send_signal(signal.SIGSTOP)
        stopped_s = time.monotonic()
        time.sleep(4)
        assert len(ear.frames(stopped_s)) > 5
        process.send_signal(signal.SIGCONT)
        resumed_s = time.monotonic()
        jetstream.status()
        took_s = time.monotonic() - resumed_s
        time.sleep(2.5)
        assert jetstream.restarts() == {}, "what it did not hear meanwhile is nobody's silence"
        assert stop(process) == 0

    assert left_behind(jetstream, process.pid) == []
    sees = "video, topic and recordings go on; /healthz 503, the watchdog isn't fed"
    tell("kill -STOP of the supervisor for 4 s, then -CONT", sees, took_s)
