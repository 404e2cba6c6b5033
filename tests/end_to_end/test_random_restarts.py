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
from tests.support.clips import demo_clip
from tests.support.event_lines import lines_of
from tests.support.inside import Inside
from tests.support.repository import DEFAULT
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.pipeline

FRAMES = 60
KILLS = 3


@pytest.mark.parametrize(
    "shares",
    [[], ["track.processes=2"], ["track.processes=2", "gpu.devices=[0,1]", "gpu.backend=cpu"]],
    ids=["one", "tracks", "all"],
)
@pytest.mark.parametrize("seed", [int(word) for word in os.environ.get("RESTART_SEEDS", "5").split()])
def test_each_frame_is_told_once_whoever_dies_and_when(
    tmp_path: Path, jetstream: Inside, seed: int, shares: list[str]
) -> None:
    dice = random.Random(seed)
    clips = [demo_clip(tmp_path / f"{name}.mp4", frames=FRAMES) for name in ("one", "two")]
    killed: list[str] = []
    settings = [word for share in shares for word in ("--set", share)]
    with jetstream.running(*words(*clips), *settings) as process:
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
        assert process.wait(2 * PATIENCE_S) == 0, f"{killed}\n{jetstream.log()}"

    assert len(killed) >= KILLS, "the run ended before"
    for clip in clips:
        assert ids_of(tmp_path / "rec", clip) == list(range(FRAMES)), killed


def test_frames_that_died_with_their_reader_and_with_who_remembers_them_are_tracked_anew(
    tmp_path: Path, jetstream: Inside
) -> None:
    clip = demo_clip(tmp_path / "one.mp4", frames=FRAMES // 2)
    with jetstream.running(*words(clip)) as process:
        alive = pids(jetstream.wait(lambda status: frames(status, "record") > 0, process))
        os.kill(alive["record"], signal.SIGSTOP)  # so that frames wait there
        jetstream.wait(lambda status: frames(status, "track") > frames(status, "record") + 3, process)
        for name in ("record", "track"):
            os.kill(alive[name], signal.SIGKILL)
        assert process.wait(2 * PATIENCE_S) == 0, jetstream.log()

    assert ids_of(tmp_path / "rec", clip) == list(range(FRAMES // 2))


def words(*clips: Path) -> tuple[str, ...]:
    """Events of every frame, made slowly enough that there is time to kill."""
    return (
        *(DEFAULT, *(word for clip in clips for word in ("--source", str(clip)))),
        *("--pace", "every-frame", "--headless", "--record", "rec", "--set", "record.video=none", "--faces", "demo"),
        *("--set", "pipeline.restarts=100", "--set", "detect.preset=accurate", "--set", "detect.min_face_px=14"),
    )


def ids_of(folder: Path, clip: Path) -> list[int]:
    """Frames in the order of their events."""
    return [event["frame_id"] for path in sorted(folder.glob(f"{clip.stem}-*.jsonl")) for event in lines_of(path)]


def frames(status: Status, process: str) -> int:
    return sum(p.beat.frames for p in status.processes if p.beat and p.process == process)


def pids(status: Status) -> dict[str, int]:
    """Processes that run and are not done, by name; `learn` isn't there, and `metrics` sees no frame."""
    running = [p for p in status.processes if p.state == "running" and p.beat and p.process != "metrics"]
    return {p.process: p.beat.pid for p in running if p.beat}
