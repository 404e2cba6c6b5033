"""The wall clock set forward or back by an hour while a pipeline runs, in all its processes and libraries."""

import shutil
import struct
import subprocess
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.faults.harness import Ear, Faulty, Tell, left_behind, played, stop
from tests.support.repository import DEMO
from tests.support.statuses import frames_flow

pytestmark = pytest.mark.pipeline


@pytest.mark.faults
@pytest.mark.parametrize("jump_s", [3600, -3600])
def test_clock_that_jumps_an_hour_disturbs_nothing(tmp_path: Path, models_dir: Path, tell: Tell, jump_s: int) -> None:
    offset = tmp_path / "offset"
    offset.write_bytes(struct.pack("l", 0))
    extra = {"LD_PRELOAD": str(wrong_clock(tmp_path)), "WALL_OFFSET": str(offset)}
    jetstream = Faulty(tmp_path, models_dir, extra=extra)
    with jetstream.running(DEMO, "--headless", "--record", "rec") as process, Ear(jetstream) as ear:
        jetstream.wait(frames_flow, process)
        ear.wait_for_frames(10, 0)
        before = ear.heard[-1][1]["wall"]
        with offset.open("rb+", buffering=0) as file:
            file.write(struct.pack("l", jump_s))
        jumped_s = time.monotonic()
        ear.wait_for_frames(60, jumped_s + 2)
        silence_s = ear.longest_silence_s(jumped_s)
        after = ear.heard[-1][1]["wall"]
        assert jetstream.restarts() == {}
        assert stop(process) == 0

    assert abs(hours_between(before, after) - jump_s / 3600) < 0.1, "or the clock did not jump"
    assert played(tmp_path / "rec") > 30
    assert left_behind(jetstream, process.pid) == []
    sees = f"`wall` in events jumps, nothing else; longest gap of the topic {silence_s:.1f} s"
    tell(f"wall clock jumps by {jump_s // 3600:+d} h", sees, 0.0)


def wrong_clock(folder: Path) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    library = folder / "wall.so"
    source = Path(__file__).with_name("wall.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return library


def hours_between(before: str, after: str) -> float:
    first, second = (datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (before, after))
    return (second - first).total_seconds() / 3600
