"""Shared memory and disks that are full, and folders that can't be written: small real ones, mounted for a test."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.harness import Ear, Faulty, Tell, is_root, left_behind, played, stop
from tests.support.repository import DEMO
from tests.support.statuses import frames_flow
from tests.support.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.pipeline

Mounted = Callable[..., Path]


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Mounted]:
    """mounted(name, "size=8m") is a folder on a disk of its own."""
    if not is_root():
        pytest.skip("only root can mount")
    with ExitStack() as stack:

        def mount(name: str, options: str) -> Path:
            folder = tmp_path / name
            folder.mkdir()
            done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=False)
            if done.returncode:
                pytest.skip("this container may not mount")
            stack.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=True)
            return folder

        yield mount


def fill(folder: Path) -> Path:
    """Leave no room at all."""
    path = folder / "filler"
    with path.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return path


def test_full_disk_stops_the_recording_alone_and_room_lets_it_go_on(
    jetstream: Faulty, mounted: Mounted, tell: Tell
) -> None:
    folder = mounted("rec", "size=48m")
    with jetstream.running(DEMO, "--headless", "--record", "rec") as process, Ear(jetstream) as ear:
        jetstream.wait(frames_flow, process)
        filler = fill(folder)
        wait_until(lambda: "recording stops" in jetstream.log(), why=jetstream.log)
        full_s = time.monotonic()
        ear.wait_for_frames(20, full_s)
        time.sleep(6)  # one attempt in vain
        files = set(folder.iterdir())
        assert jetstream.log().count("recording stops") == 1
        assert jetstream.restarts() == {}
        filler.unlink()
        took_s = wait_until(lambda: "recording continues after" in jetstream.log())
        ear.wait_for_frames(50, time.monotonic())
        status = jetstream.status()
        assert stop(process) == 0, jetstream.log()

    drops = {k: v for p in status.processes if p.process == "record" and p.beat for k, v in p.beat.counts.items()}
    assert any("disk" in key and value > 0 for key, value in drops.items()), drops
    assert left_behind(jetstream, process.pid) == []
    assert len({path for path in folder.iterdir() if path.suffix == ".mp4"} - files) == 1
    assert played(folder) > 20
    sees = (
        "`No space left ...; its recording stops, everything else continues`, once; drops `disk`; "
        "then `recording continues`"
    )
    tell("disk full while recording", sees, took_s, "recorded frames meanwhile, counted; topic nothing")


@pytest.mark.faults
def test_shared_memory_full_at_start_is_one_sentence(jetstream: Faulty, mounted: Mounted, tell: Tell) -> None:
    mounted("probe", "size=1m")
    command = 'mount -t tmpfs -o size=20m tmpfs /dev/shm && exec "$@"'
    run = [sys.executable, "-m", "jetstream.cli", "run", DEMO, "--headless", *jetstream.sets]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", command, "sh", *run],
        cwd=jetstream.folder,
        env=jetstream.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )

    assert done.returncode == 1
    said = done.stderr.strip().splitlines()[-1]
    assert "needs 45 MB, but 20 MB are free" in said or "/dev/shm" in said, done.stderr
    assert "Traceback" not in done.stderr
    tell("/dev/shm full at start", f"`{said[said.index('demo') :][:90]}...`, exit 1", None)


@pytest.mark.faults
@pytest.mark.parametrize("state", ["models", "run"])
def test_state_that_cannot_be_written_is_one_sentence_or_no_matter(
    jetstream: Faulty, mounted: Mounted, models_dir: Path, tell: Tell, state: str
) -> None:
    """With everything learnt already the models folder need not be written; the run directory must."""
    folder = mounted(state, "size=200m")
    if state == "models":
        shutil.copytree(models_dir, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("engines"))
        settings = ["--set", f"models.dir={folder}"]
        assert jetstream("run", DEMO, "--headless", "--duration", "1", *jetstream.sets, *settings).returncode == 0
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    if state == "run":
        done = jetstream("run", DEMO, "--headless", "--duration", "1", sets=True)
        assert done.returncode == 2
        sees = f"`{done.stderr.strip().splitlines()[-1].removeprefix('jetstream: ')}`, exit 2".replace(
            str(folder), "RUN_DIR"
        )
        assert "Read-only file system" in sees
        assert "Traceback" not in done.stderr
    else:
        done = jetstream("run", DEMO, "--headless", "--duration", "2", *jetstream.sets, *settings)
        assert done.returncode == 0, done.stderr
        sees = "runs with what is there, exit 0"
    tell(f"read-only {state} folder at start", sees, None)
