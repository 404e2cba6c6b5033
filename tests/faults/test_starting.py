"""SIGTERM at any moment of the start, and damaged files at the start and while it runs."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jetstream.errors import PipelineError
from jetstream.monitoring.status import statuses
from jetstream.networks import embedders
from tests.faults.harness import Ear, Faulty, Tell, left_behind, stop
from tests.support.repository import DEMO
from tests.support.statuses import frames_flow
from tests.support.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.pipeline

MOMENTS_S = (0.02, 0.1, 0.3, 0.6, 0.9, 1.2, 1.6, 2.0, 2.5, 3.0, 4.0)


@pytest.mark.faults
def test_sigterm_at_any_moment_of_the_start_ends_it_and_leaves_nothing(jetstream: Faulty, tell: Tell) -> None:
    took = []
    codes: dict[int, list[float]] = {}
    for moment_s in MOMENTS_S:
        command = [sys.executable, "-m", "jetstream.cli", "run", DEMO, "--headless", *jetstream.sets]
        process = subprocess.Popen(
            command, cwd=jetstream.folder, env=jetstream.environment, stderr=subprocess.PIPE, text=True
        )
        time.sleep(moment_s)
        told_s = time.monotonic()
        process.terminate()
        _, said = process.communicate(timeout=PATIENCE_S)
        took.append(time.monotonic() - told_s)
        codes.setdefault(process.returncode, []).append(moment_s)
        # by the signal itself before Python runs our code; 143: not at work yet; 0: a pipeline that ends in order
        assert process.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM, 0), (moment_s, process.returncode, said)
        assert "Traceback" not in said, (moment_s, said)
        assert left_behind(jetstream, process.pid) == [], moment_s
    told = ", ".join(
        f"{f'exit {code}' if code >= 0 else 'SIGTERM'} ({min(at):g} to {max(at):g} s)" for code, at in codes.items()
    )
    tell(f"SIGTERM at {len(MOMENTS_S)} moments of the start", f"no traceback; {told}", max(took))


@pytest.fixture
def own(jetstream: Faulty, models_dir: Path) -> Faulty:
    """With models of its own, which a test may damage."""
    models = jetstream.folder / "models"
    shutil.copytree(models_dir, models, ignore=shutil.ignore_patterns("engines", "galleries"))
    return Faulty(jetstream.folder, models)


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 4, len(data) // 2):
        data[place] ^= 0x5A
    path.write_bytes(data)


@pytest.mark.faults
@pytest.mark.parametrize("which", ["network", "gallery"])
def test_file_damaged_at_start_is_made_again_or_one_sentence(own: Faulty, tell: Tell, which: str) -> None:
    assert own("run", DEMO, "--headless", "--duration", "1", sets=True).returncode == 0
    name = victim(own.models, which)
    damage(name)
    begun_s = time.monotonic()
    done = own("run", DEMO, "--headless", "--duration", "1", sets=True)

    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr
    said = next(line for line in done.stderr.splitlines() if "damaged" in line or "building the models" in line)
    said = said.replace(str(own.models), "models").removeprefix("jetstream ").strip()
    tell(f"{which} file damaged at start", f"`{said[:160]}`", time.monotonic() - begun_s)


@pytest.mark.faults
@pytest.mark.parametrize("which", ["network", "gallery"])
def test_file_damaged_while_it_runs_hurts_no_running_stage(own: Faulty, tell: Tell, which: str) -> None:
    """Also when the stage that reads it dies at that moment: then the run ends in order, and says why."""
    with own.running(DEMO, "--headless", "--set", "pipeline.restarts=2") as process, Ear(own) as ear:
        own.wait(frames_flow, process)
        damage(victim(own.models, which))
        damaged_s = time.monotonic()
        ear.wait_for_frames(30, damaged_s + 1)
        silence_s = ear.longest_silence_s(damaged_s)
        assert own.restarts() == {}
        os.kill(own.pid_of("recognize"), signal.SIGKILL)
        wait_until(lambda: process.poll() is not None or is_back(own), why=own.log)
        ended = process.poll()
        code = ended if ended is not None else stop(process)

    assert "Traceback" not in own.log(), own.log()
    assert left_behind(own, process.pid) == []
    after = f"ends the run with exit {code} and a sentence" if ended is not None else "is replaced"
    tell(
        f"{which} file damaged while running, then kill -9 of recognize", f"nothing; then recognize {after}", silence_s
    )


def is_back(jetstream: Faulty) -> bool:
    try:
        status = next(statuses(jetstream.run_dir))
    except PipelineError:
        return False
    return any(p.process == "recognize" and p.restarts == 1 and p.state == "running" for p in status.processes)


def victim(models: Path, which: str) -> Path:
    """The network that compares faces by default, or the newest gallery."""
    if which == "network":
        return models / f"{embedders.DEFAULT}.onnx"
    return max(models.glob("galleries/**/*.np*"), key=lambda path: path.stat().st_mtime)
