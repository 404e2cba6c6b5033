"""Photos that change while the pipeline runs, galleries swapped under load, and trainings that are killed."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import msgpack
import numpy as np
import psutil
import pytest
import zmq

from jetstream.gallery import photos
from jetstream.gallery import train as gallery
from jetstream.stages.learn import PhotoWatcher
from tests.support.command import Command
from tests.support.inside import Inside
from tests.support.photos import COLLINS, HOPPER, write_photo
from tests.support.repository import DEMO
from tests.support.waiting import PATIENCE_S, wait_until

OFTEN = ("--set", "recognize.watch_s=0.2")


@pytest.fixture
def jetstream(tmp_path: Path, own_models: Path, portraits: dict[str, np.ndarray]) -> Inside:
    """Models of its own, and a faces folder with one of the demo's two people."""
    write_photo(tmp_path / "faces" / COLLINS / "1.png", portraits[COLLINS])
    return Inside(tmp_path, own_models)


def sha256_in_use(jetstream: Command) -> str:
    return gallery.load(jetstream.folder / "faces", jetstream.models).sha256


@contextmanager
def subscriber(jetstream: Command, topic: bytes) -> Iterator["zmq.Socket[bytes]"]:
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.connect(jetstream.endpoint)
        socket.subscribe(topic)
        socket.set(zmq.RCVTIMEO, int(PATIENCE_S * 1000))
        yield socket


def body_of(socket: "zmq.Socket[bytes]") -> dict:
    return msgpack.unpackb(socket.recv_multipart()[1])


def next_gallery(galleries: "zmq.Socket[bytes]", before: dict | None = None) -> dict:
    """The message of the one after `before`; each is told again every few seconds."""
    while (body := body_of(galleries))["seq"] == (before or {}).get("seq"):
        assert body["hash"] == before["hash"]
    return body


def run(jetstream: Command, *words: str) -> AbstractContextManager["subprocess.Popen[str]"]:
    return jetstream.running(DEMO, "--headless", "--faces", "faces", *words)


def process_named(run: "subprocess.Popen[str]", name: str) -> psutil.Process | None:
    found = (child for child in psutil.Process(run.pid).children() if name in child.cmdline())
    return next(found, None)


def names_in(body: dict) -> set[str | None]:
    return {track["name"] for track in body["tracks"]}


@pytest.mark.pipeline
def test_photos_put_in_while_it_runs_are_learnt_told_and_named(
    jetstream: Command, portraits: dict[str, np.ndarray]
) -> None:
    with subscriber(jetstream, b"gallery") as galleries, run(jetstream, *OFTEN):
        at_start = next_gallery(galleries)
        assert at_start["hash"] == sha256_in_use(jetstream)
        write_photo(jetstream.folder / "faces" / HOPPER / "1.png", portraits[HOPPER])
        learnt = next_gallery(galleries, at_start)
        assert learnt["hash"] == sha256_in_use(jetstream) != at_start["hash"]
        with subscriber(jetstream, b"detections.") as detections:
            wait_until(lambda: HOPPER in names_in(body_of(detections)))
        with subscriber(jetstream, b"gallery") as late:
            assert body_of(late) | {"wall": learnt["wall"]} == learnt

    assert (at_start["people"], at_start["photos"]) == (1, 1)
    assert (learnt["people"], learnt["photos"]) == (2, 2)
    assert learnt["epoch"] == at_start["epoch"]
    assert [at_start["seq"], learnt["seq"]] == [0, 1]
    assert set(learnt) == {"schema", "epoch", "seq", "wall", "hash", "people", "photos"}
    log = jetstream.log()
    assert "info learn: faces: photos changed; learning them" in log
    assert f"info recognize: a new gallery: 2 people, 2 photos, {learnt['hash'][:12]}" in log
    assert "warning" not in log


@pytest.mark.pipeline
def test_learner_comes_and_goes_with_low_priority_and_dies_with_the_watcher(
    jetstream: Command, portraits: dict[str, np.ndarray]
) -> None:
    with run(jetstream, *OFTEN) as process:
        learn = process_named(process, "learn")
        assert learn is not None
        assert learn.children() == []
        for index in range(60):  # long enough to be seen at work
            write_photo(jetstream.folder / "faces" / HOPPER / f"{index}.png", portraits[HOPPER][index:])
        wait_until(lambda: learn.children())
        (learner,) = learn.children()
        wait_until(lambda: learner.nice() == 10)
        learn.kill()
        wait_until(lambda: not learner.is_running() or learner.status() == psutil.STATUS_ZOMBIE)
        wait_until(lambda: "a new gallery: 2 people" in jetstream.log())

    assert "learn: ended by SIGKILL; starting it again" in jetstream.log()


@pytest.mark.pipeline
def test_learning_that_fails_is_said_once_and_tried_again_when_photos_change(
    jetstream: Command, portraits: dict[str, np.ndarray]
) -> None:
    with run(jetstream, *OFTEN, "--set", "models.dir=models"):
        before = sha256_in_use(jetstream)
        folder = gallery.gallery_dir(jetstream.folder / "faces", jetstream.models)
        (folder / "lock").unlink()
        (folder / "lock").mkdir()  # as root, a mode would keep nobody out
        write_photo(jetstream.folder / "faces" / HOPPER / "1.png", portraits[HOPPER])
        wait_until(lambda: "the people known so far stay" in jetstream.log())
        time.sleep(1.5)
        assert jetstream.log().count("warning") == 1, jetstream.log()
        assert sha256_in_use(jetstream) == before
        (folder / "lock").rmdir()
        write_photo(jetstream.folder / "faces" / HOPPER / "2.png", portraits[HOPPER])
        wait_until(lambda: "a new gallery: 2 people" in jetstream.log())


@pytest.mark.pipeline
def test_nothing_watches_where_it_is_switched_off_or_every_frame_counts(jetstream: Command) -> None:
    with run(jetstream, "--set", "recognize.watch_s=0") as process:
        assert process_named(process, "recognize")
        assert process_named(process, "learn") is None


@pytest.mark.pipeline
def test_gallery_swapped_100_times_under_load_loses_no_frame_and_no_name_is_from_elsewhere(
    jetstream: Command, portraits: dict[str, np.ndarray]
) -> None:
    """Two whole galleries take turns, each with its own name for the same face."""
    faces, models = jetstream.folder / "faces", jetstream.models
    assert jetstream("train", *jetstream.sets[2:4]).returncode == 0
    (faces / COLLINS).rename(faces / "Commander Collins")
    assert jetstream("train", *jetstream.sets[2:4]).returncode == 0
    words = ("--set", "recognize.watch_s=0.2", "--set", "cameras.demo.fps=10", "--set", "recognize.refresh_s=0")

    with (
        subscriber(jetstream, b"gallery") as galleries,
        subscriber(jetstream, b"detections.") as detections,
        run(jetstream, *words, "--record", "rec", "--set", "record.video=none"),
    ):
        told = [next_gallery(galleries)]
        assert told[0]["hash"] == sha256_in_use(jetstream)
        for _ in range(100):
            expected = gallery.roll_back(faces, models).sha256
            told.append(next_gallery(galleries, told[-1]))
            assert told[-1]["hash"] == expected
        published = []
        while detections.poll(0):
            published.append(body_of(detections))

    assert len({body["hash"] for body in told}) == 2
    (path,) = (jetstream.folder / "rec").glob("*.jsonl")
    events = [json.loads(line) for line in path.read_text().splitlines()]
    for seen in (events, published):
        assert len(seen) > 50
        ids = [event["frame_id"] for event in seen]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        names = {name for event in seen for name in names_in(event)}
        assert names == {COLLINS, "Commander Collins", None}
    assert "warning" not in jetstream.log()
    assert "dropped: none" in jetstream.log()


KILLED = """
import os, signal, sys, time
from pathlib import Path
from jetstream import startup
from jetstream.config import load
from jetstream.gallery import train as gallery
import sklearn.covariance, sklearn.svm  # once, and not in each child

faces, models = Path("faces"), Path("models")
config = load.build({"models": {"dir": "models"}}, where="test")


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
            gallery.train(faces, models, None, None)
        else:
            startup.prepare_gallery(config)
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
    return gallery.load(faces, models).classifier.names


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
    left = [path.name for path in gallery.gallery_dir(faces, models).iterdir()]
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

    names = gallery.load(jetstream.folder / "faces", jetstream.models).classifier.names
    assert names in ((COLLINS,), (COLLINS, HOPPER))
    assert HOPPER in jetstream("train", *where).stdout


def test_rollback_on_the_command_line_says_what_is_in_use(jetstream: Command, portraits: dict[str, np.ndarray]) -> None:
    where = ("--set", f"models.dir={jetstream.models}")
    jetstream("train", *where)
    nothing = jetstream("train", "--rollback", *where)
    write_photo(jetstream.folder / "faces" / HOPPER / "1.png", portraits[HOPPER])
    jetstream("train", *where)
    newer = sha256_in_use(jetstream)

    back = jetstream("train", "--rollback", *where)
    listed = jetstream("people", *where)
    forward = jetstream("train", "--rollback", *where)

    assert nothing.returncode == 2
    assert "faces: no earlier version is kept" in nothing.stderr
    assert "Traceback" not in nothing.stderr
    assert "faces: in use: 1 people, 1 photos, " in back.stdout
    assert HOPPER not in listed.stdout
    assert "stays until photos change" in listed.stderr
    assert forward.stdout == f"faces: in use: 2 people, 2 photos, {newer[:12]}\n"


def test_change_is_due_once_photos_stand_still() -> None:
    change = PhotoWatcher({"A/1.jpg": (10, 1)})

    looks = [
        {"A/1.jpg": (10, 1)},
        {"A/1.jpg": (10, 1), "A/2.jpg": (5, 2)},
        {"A/1.jpg": (10, 1), "A/2.jpg": (9, 3)},
        {"A/1.jpg": (10, 1), "A/2.jpg": (9, 3)},
        {"A/1.jpg": (10, 1), "A/2.jpg": (9, 3)},
        {"A/1.jpg": (10, 1)},
        {"A/1.jpg": (10, 1)},
    ]

    assert [change.is_due(look) for look in looks] == [False, False, False, True, False, False, True]


def test_faces_folder_that_is_gone_or_empty_forgets_nobody() -> None:
    """What is left of a disk that went away is the empty folder that it was mounted on."""
    change = PhotoWatcher({"A/1.jpg": (10, 1)})

    assert not any(change.is_due(look) for look in (None, None, {}, {}, {}))


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (lambda faces: (faces / "A" / "2.jpg").write_bytes(b"2"), True),
        (lambda faces: (faces / "A" / "1.jpg").unlink(), True),
        (lambda faces: (faces / "A" / "1.jpg").write_bytes(b"3"), True),
        (lambda faces: (faces / "A").rename(faces / "B"), True),
        (lambda faces: (faces / "B").mkdir(), True),
        (lambda faces: (faces / "_unknown" / "1.jpg").write_bytes(b"2"), True),
        (lambda faces: (faces / "stray.jpg").write_bytes(b"2"), True),
        (lambda faces: (faces / "A" / ".1.jpg.part").write_bytes(b"2"), False),
        (lambda faces: (faces / "A" / "notes.txt").write_bytes(b"2"), False),
        (lambda faces: (faces / "_drafts" / "1.jpg").write_bytes(b"2"), False),
    ],
    ids=["added", "removed", "replaced", "renamed", "person", "stranger", "stray", "partial", "text", "draft"],
)
def test_state_of_the_photos_differs_when_a_photo_does(
    tmp_path: Path, change: Callable[[Path], object], differs: bool
) -> None:
    for folder in ("A", "_unknown", "_drafts"):
        (tmp_path / folder).mkdir()
    (tmp_path / "A" / "1.jpg").write_bytes(b"1")
    before = photos.state(tmp_path)

    time.sleep(0.01)  # a tick of the file system's clock
    change(tmp_path)

    assert (photos.state(tmp_path) != before) is differs


def test_link_to_itself_in_the_faces_folder_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "A").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    assert photos.state(tmp_path) == {"A": (0, 0)}


def test_state_of_no_folder_is_none(tmp_path: Path) -> None:
    assert photos.state(tmp_path / "gone") is None
