"""Photos that change while the pipeline runs, and galleries swapped under load."""

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import msgpack
import numpy as np
import psutil
import pytest
import zmq

from jetstream.config.galleries import gallery_dir
from jetstream.gallery import train as gallery
from tests.support.galleries import default_origin, sha256_in_use
from tests.support.inside import Inside
from tests.support.photos import COLLINS, HOPPER, write_photo
from tests.support.repository import DEMO
from tests.support.waiting import PATIENCE_S, wait_until

LEARNING_S = 5 * PATIENCE_S
"""a learner has low priority: beside other work it gets a twentieth of a processor"""
OFTEN = ("--set", "recognize.watch_s=0.2")


@contextmanager
def subscriber(jetstream: Inside, topic: bytes) -> Iterator["zmq.Socket[bytes]"]:
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


def run(jetstream: Inside, *words: str) -> AbstractContextManager["subprocess.Popen[str]"]:
    return jetstream.running(DEMO, "--headless", "--faces", "faces", *words)


def process_named(run: "subprocess.Popen[str]", name: str) -> psutil.Process | None:
    found = (child for child in psutil.Process(run.pid).children() if name in child.cmdline())
    return next(found, None)


def low_priority_child(learn: psutil.Process) -> bool:
    """Whether a learner has lowered its priority; it is stopped then, so that it doesn't end meanwhile."""
    for learner in learn.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if learner.nice() > learn.nice():  # the tests may run under `nice` themselves
                learner.suspend()
                return True
    return False


def names_in(body: dict) -> set[str | None]:
    return {track["name"] for track in body["tracks"]}


@pytest.mark.pipeline
def test_photos_put_in_while_it_runs_are_learnt_told_and_named(
    jetstream: Inside, portraits: dict[str, np.ndarray]
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
    assert "info learn: faces: photos changed; training the gallery" in log
    assert f"info recognize: a new gallery: 2 people, 2 photos, {learnt['hash'][:12]}" in log
    assert "warning" not in log


@pytest.mark.pipeline
def test_learner_comes_and_goes_with_low_priority_and_dies_with_the_watcher(
    jetstream: Inside, portraits: dict[str, np.ndarray]
) -> None:
    with run(jetstream, *OFTEN) as process:
        learn = process_named(process, "learn")
        assert learn is not None
        assert learn.children() == []
        for index in range(60):  # long enough to be seen at work
            write_photo(jetstream.folder / "faces" / HOPPER / f"{index}.png", portraits[HOPPER][index:])
        wait_until(lambda: low_priority_child(learn), LEARNING_S, jetstream.log)
        (learner,) = learn.children()
        learn.kill()
        wait_until(lambda: not learner.is_running() or learner.status() == psutil.STATUS_ZOMBIE)
        for index in range(2, 60):  # the next one shall come to its end
            (jetstream.folder / "faces" / HOPPER / f"{index}.png").unlink()
        wait_until(lambda: "a new gallery: 2 people" in jetstream.log(), LEARNING_S, jetstream.log)

    assert "learn: ended by SIGKILL; starting it again" in jetstream.log()


@pytest.mark.pipeline
def test_learning_that_fails_is_said_once_and_tried_again_when_photos_change(
    jetstream: Inside, portraits: dict[str, np.ndarray]
) -> None:
    with run(jetstream, *OFTEN, "--set", "models.dir=models"):
        before = sha256_in_use(jetstream)
        folder = gallery_dir(jetstream.folder / "faces", jetstream.models, "sface")
        (folder / "lock").unlink()
        (folder / "lock").mkdir()  # as root, a mode would keep nobody out
        write_photo(jetstream.folder / "faces" / HOPPER / "1.png", portraits[HOPPER])
        wait_until(lambda: "the gallery in use stays" in jetstream.log(), LEARNING_S, jetstream.log)
        time.sleep(1.5)
        assert jetstream.log().count("warning") == 1, jetstream.log()
        assert sha256_in_use(jetstream) == before
        (folder / "lock").rmdir()
        write_photo(jetstream.folder / "faces" / HOPPER / "2.png", portraits[HOPPER])
        wait_until(lambda: "a new gallery: 2 people" in jetstream.log(), LEARNING_S, jetstream.log)


@pytest.mark.pipeline
def test_nothing_watches_where_it_is_switched_off_or_every_frame_counts(jetstream: Inside) -> None:
    with run(jetstream, "--set", "recognize.watch_s=0") as process:
        assert process_named(process, "recognize")
        assert process_named(process, "learn") is None


@pytest.mark.pipeline
def test_gallery_swapped_40_times_under_load_loses_no_frame_and_no_name_is_from_elsewhere(
    jetstream: Inside, portraits: dict[str, np.ndarray]
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
        published, unseen = [], {COLLINS, "Commander Collins"}
        for number in range(40):
            while number < 2 and len(unseen) > 1 - number:  # both names, then galleries change faster than votes
                published.append(body_of(detections))
                unseen -= names_in(published[-1])
            expected = gallery.roll_back(faces, models, default_origin(models)).sha256
            told.append(next_gallery(galleries, told[-1]))
            assert told[-1]["hash"] == expected
        while detections.poll(0):
            published.append(body_of(detections))

    assert len({body["hash"] for body in told}) == 2
    (path,) = (jetstream.folder / "rec").glob("*.jsonl")
    events = [json.loads(line) for line in path.read_text().splitlines()]
    dropped = re.search(r"dropped: (?:none|busy (\d+))$", jetstream.log(), re.MULTILINE)
    assert dropped is not None
    left_out = int(dropped[1] or 0)
    for seen in (events, published):
        assert len(seen) > 50
        ids = [event["frame_id"] for event in seen]
        assert ids == sorted(set(ids))
        missing = ids[-1] - ids[0] + 1 - len(ids)
        assert missing <= left_out, "what a busy machine left out at capture"
        names = {name for event in seen for name in names_in(event)}
        assert names == {COLLINS, "Commander Collins", None}
    assert "warning" not in jetstream.log()


def test_rollback_on_the_command_line_says_what_is_in_use(jetstream: Inside, portraits: dict[str, np.ndarray]) -> None:
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
    assert "faces: there is no earlier version to roll back to" in nothing.stderr
    assert "Traceback" not in nothing.stderr
    assert "faces: in use: 1 people, 1 photos, " in back.stdout
    assert HOPPER not in listed.stdout
    assert "stays in use until photos change" in listed.stderr
    assert forward.stdout == f"faces: in use: 2 people, 2 photos, {newer[:12]}\n"
