"""Trainings that are killed at every step leave a whole gallery."""

import subprocess
import sys
import time

import numpy as np
import pytest

from tests.support.command import Command
from tests.support.galleries import loaded
from tests.support.photos import COLLINS, HOPPER, write_photo
from tests.support.waiting import PATIENCE_S

KILLED = """
import os, signal, sys, time
from pathlib import Path
from jetstream.config.galleries import gallery_dir
from jetstream.config import load
from jetstream.gallery import prepare, strangers
from jetstream.gallery import train as gallery
from jetstream.gallery.origin import origin_of
import sklearn.covariance, sklearn.svm  # once, and not in each child

few = strangers.faces("sface", 200)  # so that a training takes little time; it writes the same files
strangers.faces, strangers.SIZE = lambda model: few, 200

faces, models = Path("faces"), Path("models")
config = load.build({"models": {"dir": "models"}}, where="test")
origin = origin_of(config)


def dying_at(step):
    calls = []

    def counted(call):
        def dying(*words, **more):
            calls.append(call)
            if len(calls) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*words, **more)
        return dying

    for name in ("open", "replace", "fsync", "unlink"):
        setattr(os, name, counted(getattr(os, name)))


def train(step=0, delay_s=None):
    child = os.fork()
    if not child:
        dying_at(step)
        if delay_s is None:  # nothing is to be looked at
            gallery.train(faces, models, None, None, origin)
        else:
            prepare.prepare_gallery(config)
        os._exit(0)
    if delay_s is not None:
        end_s = time.monotonic() + delay_s
        while time.monotonic() < end_s:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                return os.WIFSIGNALED(status)
            time.sleep(0.005)
        os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def in_use():
    return gallery.load(faces, models, origin).classifier.names


train(delay_s=60)
for index, words in enumerate(eval(sys.argv[1])):
    *_, last = sorted(faces.iterdir())
    last = last.rename(faces / f"P{index:02}")
    if "delay_s" in words:  # to be looked at again
        with (last / "1.png").open("ab") as photo:
            photo.write(b"x")
    before = in_use()
    killed = train(**words)
    after, new = in_use(), tuple(sorted(path.name for path in faces.iterdir()))
    assert after in (before, new), (words, after)
    assert not train(**{key: 60 if key == "delay_s" else 0 for key in words})
    assert in_use() == new, (words, in_use())
    left = [path.name for path in gallery_dir(faces, models, "sface").iterdir()]
    # where only sweeping was cut short nothing was left to write, and the next write sweeps
    assert len(left) == 5 or (killed and after == new), (words, left)
    print("killed" if killed else "done", "new" if after == new else "old", flush=True)
"""


def killed_while_training(jetstream: Command, portraits: dict[str, np.ndarray], words: list[dict]) -> list[str]:
    """What became of the gallery at each kill; it was a whole one."""
    write_photo(jetstream.folder / "faces" / HOPPER / "1.png", portraits[HOPPER])
    command = [sys.executable, "-c", KILLED, repr(words)]
    result = subprocess.run(
        command, cwd=jetstream.folder, env=jetstream.environment, capture_output=True, text=True, timeout=2 * PATIENCE_S
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.splitlines()


def test_kill_at_any_step_of_a_write_leaves_a_whole_gallery(
    jetstream: Command, portraits: dict[str, np.ndarray]
) -> None:
    ends = killed_while_training(jetstream, portraits, [{"step": step} for step in range(1, 36)])

    kills = ends[: ends.index("done new")]
    assert len(kills) >= 16, "three files, each made, synced and renamed, and a sweep"
    assert set(ends) == {"killed old", "killed new", "done new"}
    assert kills == sorted(kills, reverse=True), "old until one step, and new from there"


def test_kill_at_any_time_of_a_training_leaves_a_whole_gallery(
    jetstream: Command, portraits: dict[str, np.ndarray]
) -> None:
    delays = [{"delay_s": 0.05 * number} for number in range(12)]

    assert "killed old" in killed_while_training(jetstream, portraits, delays)


@pytest.mark.parametrize("delay_s", [0.3, 0.9, 1.5])
def test_killed_train_command_leaves_a_whole_gallery(
    jetstream: Command, portraits: dict[str, np.ndarray], delay_s: float
) -> None:
    where = ("--set", f"models.dir={jetstream.models}")
    assert jetstream("train", *where).returncode == 0
    write_photo(jetstream.folder / "faces" / HOPPER / "1.png", portraits[HOPPER])

    command = [sys.executable, "-m", "jetstream.cli", "train", *where]
    train = subprocess.Popen(command, cwd=jetstream.folder, env=jetstream.environment, stdout=subprocess.DEVNULL)
    time.sleep(delay_s)
    train.kill()
    train.wait()

    names = loaded(jetstream).classifier.names
    assert names in ((COLLINS,), (COLLINS, HOPPER))
    assert HOPPER in jetstream("train", *where).stdout
