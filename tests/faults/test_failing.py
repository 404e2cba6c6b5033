"""A stage that hangs inside a native call, one that leaks, one that dies again and again."""

import itertools
import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.faults.harness import Ear, Faulty, Tell, left_behind, played, stop
from tests.support.command import free_port
from tests.support.repository import DEMO
from tests.support.statuses import frames_flow
from tests.support.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.pipeline

INJECT = str(Path(__file__).parent / "inject")
LIMIT_MB = 600
STAGES = (
    *("capture.demo", "detect", "track", "recognize", "record", "publish", "sightings", "web", "learn", "regroup"),
    *("encode", "clips", "alerts"),
)
MORE = '[clips]\ndir = "clips"\n' + '[[alerts]]\nname = "front"\nwhen = ["named"]\ncommand = ["/bin/true"]\n'


def faulty(folder: Path, models: Path, fault: str, stage: str) -> Faulty:
    extra = {"PYTHONPATH": INJECT, "FAULT": fault, "FAULT_IN": stage, "FAULT_DIR": str(folder)}
    return Faulty(folder, models, page_port=free_port(), looks=3, extra=extra)


@pytest.mark.faults
@pytest.mark.parametrize(("fault", "stage"), [*itertools.product(["hang", "hang_all"], STAGES), ("hang_loop", "web")])
def test_stage_that_hangs_in_a_native_call_is_replaced(
    tmp_path: Path, models_dir: Path, tell: Tell, fault: str, stage: str
) -> None:
    jetstream = faulty(tmp_path, models_dir, fault, stage)
    (tmp_path / "site.toml").write_text(Path(DEMO).read_text() + MORE)
    limits = ("pipeline.heartbeat_timeout_s=2", "cameras.demo.fps=10")
    words = ("site.toml", "--headless", "--record", "rec", *(word for limit in limits for word in ("--set", limit)))
    with jetstream.running(*words) as process, Ear(jetstream) as ear:
        jetstream.wait(frames_flow, process)
        begun_s = time.monotonic()
        (tmp_path / "fault").touch()
        jetstream.wait(lambda s: any(p.restarts and p.state == "running" for p in s.processes), process)
        took_s = time.monotonic() - begun_s
        ear.wait_for_frames(10, time.monotonic())
        assert jetstream.restarts() == {stage: 1}
        assert jetstream.log().count("silent for 2 s; killed") == 1
        assert stop(process) == 0

    assert left_behind(jetstream, process.pid) == []
    assert played(tmp_path / "rec") > 0
    where = {
        "hang": "in a native call which lets other threads run",
        "hang_all": "in a native call with the interpreter's lock",
        "hang_loop": "in its server's thread alone",
    }
    tell(f"{stage} hangs {where[fault]}", "`silent for 2 s; killed`, once", took_s, "live frames meanwhile")


@pytest.mark.parametrize("stage", ["detect"])
def test_stage_that_leaks_is_killed_with_a_warning_and_replaced(
    tmp_path: Path, models_dir: Path, tell: Tell, stage: str
) -> None:
    jetstream = faulty(tmp_path, models_dir, "leak", stage)
    words = (DEMO, "--headless", "--set", f"pipeline.memory_mb={LIMIT_MB}")
    with jetstream.running(*words) as process, Ear(jetstream) as ear:
        jetstream.wait(frames_flow, process)
        (tmp_path / "fault").touch()
        wait_until(lambda: "pipeline.memory_mb" in jetstream.log())
        killed_s = time.monotonic()
        took_s = ear.wait_for_frames(10, killed_s + 0.2)
        assert jetstream.restarts() == {stage: 1}
        assert jetstream.log().count("pipeline.memory_mb") == 1
        assert stop(process) == 0

    assert left_behind(jetstream, process.pid) == []
    (said,) = re.findall(rf"{stage}: holds \d+ MB, over {LIMIT_MB} \(pipeline\.memory_mb\); killed", jetstream.log())
    tell(f"{stage} leaks 1 GB/s", f"`{said}`, once", took_s, "live frames meanwhile")


@pytest.mark.faults
def test_sixth_crash_in_a_minute_ends_the_run_and_five_do_not(jetstream: Faulty, tell: Tell) -> None:
    with jetstream.running(DEMO, "--headless", "--record", "rec") as process, Ear(jetstream) as ear:
        begun_s = time.monotonic()
        for crash in range(5):
            os.kill(jetstream.pid_of("track"), signal.SIGKILL)
            jetstream.wait(
                lambda s, due=crash + 1: any(p.restarts == due and p.state == "running" for p in s.processes), process
            )
        assert time.monotonic() - begun_s < 55, "too slow a machine for this test"
        took_s = ear.wait_for_frames(5, time.monotonic())
        os.kill(jetstream.pid_of("track"), signal.SIGKILL)
        code = process.wait(timeout=PATIENCE_S)

    assert code == 1
    assert "track: failed 6 times in 60 s; given up" in jetstream.log()
    assert left_behind(jetstream, process.pid) == []
    assert played(jetstream.folder / "rec") > 0
    sees = "five are replaced; the sixth ends the run in order: `track: failed 6 times in 60 s; given up`, exit 1"
    tell("5 crashes in a minute, and a sixth", sees, took_s, "live frames meanwhile")
