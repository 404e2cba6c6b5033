"""A pipeline whose run directory and shared memory are cleaned up under it goes on, and its stages can come back."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.support.command import children_of, segments_of
from tests.support.inside import Inside
from tests.support.repository import DEMO
from tests.support.waiting import wait_until

pytestmark = pytest.mark.pipeline


def test_stage_that_dies_after_a_clean_up_comes_back(jetstream: Inside) -> None:
    with jetstream.running(DEMO, "--headless") as process:
        for name in segments_of(process.pid):
            (Path("/dev/shm") / name).unlink()
        shutil.rmtree(jetstream.run_dir)
        (detect,) = (pid for pid in children_of(process.pid) if "detect" in Path(f"/proc/{pid}/cmdline").read_text())
        os.kill(detect, signal.SIGKILL)
        wait_until((jetstream.run_dir / "status.anyone").exists, why=jetstream.log)
        status = jetstream.wait(
            lambda status: all(
                p.state in ("running", "done") and p.beat is not None and p.beat.fps > 0
                for p in status.processes
                if p.process in ("detect", "track")
            ),
            process,
        )
        assert {p.state for p in status.processes} <= {"running", "done", "starting"}
        second = jetstream("run", DEMO, "--headless", sets=True)
        assert second.returncode == 2
        assert f"another jetstream runs here (pid {process.pid})" in second.stderr or "use" in second.stderr
        assert process.poll() is None
    log = jetstream.log()
    assert log.count("something removed this folder or its files; all processes start again") == 1
    assert "Traceback" not in log
    assert process.returncode == 0
