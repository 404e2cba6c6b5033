"""The every-frame pace while stages die at random: each frame is in the events, once."""

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest

from jetstream.errors import PipelineError
from jetstream.messages import Status
from tests.command import Command
from tests.test_run import REPOSITORY, demo_clip, lines_of

FRAMES = 60
KILLS = 3


@pytest.mark.parametrize("seed", [int(word) for word in os.environ.get("RESTART_SEEDS", "5").split()])
def test_each_frame_is_told_once_whoever_dies_and_when(tmp_path: Path, models_dir: Path, seed: int) -> None:
    jetstream, dice = Command(tmp_path, models_dir), random.Random(seed)
    clips = [demo_clip(tmp_path / f"{name}.mp4", frames=FRAMES) for name in ("one", "two")]
    slow = ("--set", "detect.preset=accurate", "--set", "detect.min_face_px=14")  # so that there is time to kill
    words = (
        *(str(REPOSITORY / "configs/default.toml"), *(word for clip in clips for word in ("--source", str(clip)))),
        *("--pace", "every-frame", "--headless", "--record", "rec", "--set", "record.video=none", "--faces", "demo"),
        *("--set", "pipeline.restarts=100", *slow),
    )
    killed: list[str] = []
    with jetstream.running(*words) as process:
        while len(killed) < KILLS and process.poll() is None:
            time.sleep(dice.uniform(0, 1))
            try:
                alive = pids(jetstream.wait(lambda status: bool(pids(status)), process))
            except PipelineError:
                break  # it has ended
            for name in dice.sample(sorted(alive), k=min(len(alive), dice.choice([1, 1, 2]))):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(alive[name], signal.SIGKILL)
                    killed.append(name)
            before = set(alive.values())  # the next one may come while they start, but not to those that are dead
            with contextlib.suppress(PipelineError):  # it may have ended
                jetstream.wait(lambda status, before=before: set(pids(status).values()) != before, process)
        assert process.wait(timeout=90) == 0, f"{killed}\n{jetstream.log()}"

    assert len(killed) >= KILLS, "the run ended before"
    for clip in clips:
        files = sorted((tmp_path / "rec").glob(f"{clip.stem}-*.jsonl"))
        ids = [event["frame_id"] for path in files for event in lines_of(path)]
        assert ids == list(range(FRAMES)), killed


def pids(status: Status) -> dict[str, int]:
    """Processes that run and are not done, by name; `learn` isn't there, and `metrics` sees no frame."""
    running = [p for p in status.processes if p.state == "running" and p.beat and p.process != "metrics"]
    return {p.process: p.beat.pid for p in running if p.beat}
