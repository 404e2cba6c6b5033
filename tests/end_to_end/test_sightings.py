"""Sightings of real processes: as a replay has them, over kills, and told on the topic."""

import dataclasses
import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
import zmq

from jetstream.messages import Status
from jetstream.sighting import Sighting, SightingMessage
from jetstream.sightings import database, reader
from tests.support.clips import demo_clip
from tests.support.command import Command
from tests.support.defaults import video_sink
from tests.support.inside import Inside
from tests.support.repository import DEMO
from tests.support.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.pipeline
SHOWN = ["Chandler", "Joey", "Monica", "Phoebe", "Rachel", "Ross"]


@pytest.fixture
def jetstream(jetstream: Inside) -> Inside:
    """With pictures of the faces, as by default."""
    return dataclasses.replace(jetstream, looks=3)


def stored(jetstream: Command) -> list[Sighting]:
    folder = jetstream.folder / "sightings"
    if not database.path_in(folder).exists():
        return []
    with database.opened(folder) as connection:
        return reader.find(connection, reader.SightingFilter())


def timeless(sighting: dict[str, Any]) -> dict[str, Any]:
    """A sighting without the wall clock and the pictures, which a replay doesn't take, and without its gallery."""
    return {key: value for key, value in sighting.items() if key not in ("begin", "end", "looks", "gallery")}


def test_every_frame_run_and_replay_have_the_same_sightings(jetstream: Inside, data_dir: Path) -> None:
    video, faces = str(data_dir / "video" / "friends_dev.mp4"), str(data_dir / "friends_refs")
    replayed = jetstream("replay", video, "--faces", faces, "--out", "e", "--sightings", "s", sets=True)
    assert replayed.returncode == 0, replayed.stderr
    run = jetstream(
        *("run", DEMO, "--source", video, "--faces", faces, "--headless", "--pace", "every-frame"), sets=True
    )
    assert run.returncode == 0, run.stderr

    in_one_process = [timeless(json.loads(line)) for line in (jetstream.folder / "s").read_text().splitlines()]
    in_many = [timeless(msgspec.to_builtins(sighting)) for sighting in stored(jetstream)]
    by_id = {one["id"]: one for one in map(json.loads, map(json.dumps, in_many))}
    assert by_id == {one["id"]: one for one in in_one_process}
    assert sorted(one["name"] for one in in_many) == SHOWN
    assert all(sighting.looks for sighting in stored(jetstream))


def test_file_that_is_run_again_tells_nothing_twice(jetstream: Inside, tmp_path: Path) -> None:
    clip = str(demo_clip(tmp_path / "clip.mp4", frames=75))
    words = ("run", DEMO, "--source", clip, "--headless", "--pace", "every-frame")
    told = []
    for _ in range(2):
        result = jetstream(*words, sets=True)
        assert result.returncode == 0, result.stderr
        with database.opened(jetstream.folder / "sightings") as connection:
            told.append([(seq, change) for seq, _, change, _ in reader.changes_after(connection, 0)])

    assert told[0]
    assert told[1] == told[0]


def process_of(status: Status, name: str) -> tuple[int, int]:
    """Pid and restarts of a process."""
    (found,) = (one for one in status.processes if one.process == name)
    return (found.beat.pid if found.beat is not None else 0), found.restarts


@pytest.mark.parametrize("killed", ["sightings", "track", "publish"])
def test_killed_stage_splits_no_sighting_and_loses_no_message(jetstream: Inside, killed: str) -> None:
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    socket.subscribe(b"sighting.")
    socket.connect(jetstream.endpoint)
    with jetstream.running(DEMO, "--headless") as process:
        wait_until(lambda: any(one.name for one in stored(jetstream)), PATIENCE_S, jetstream.log)
        pid, restarts = process_of(jetstream.wait(lambda status: True, process), killed)
        os.kill(pid, signal.SIGKILL)
        jetstream.wait(lambda status: process_of(status, killed)[1] > restarts, process)
        jetstream.wait(lambda status: all(one.state == "running" for one in status.processes), process)
        time.sleep(2.0)
    told = []
    while socket.poll(200):
        topic, body = socket.recv_multipart()
        assert topic == b"sighting.demo"
        told.append(msgspec.msgpack.decode(body, type=SightingMessage))
    socket.close()

    sightings = stored(jetstream)
    assert [one.name for one in sightings].count("Eileen Collins") == 1, sightings
    assert all(one.state == "ended" for one in sightings)
    assert told
    assert len({message.epoch for message in told}) == 1
    assert sorted({message.seq for message in told}) == list(range(told[0].seq, told[-1].seq + 1)), "no gap"
    with database.opened(jetstream.folder / "sightings") as connection:
        kept = {seq: (change, body) for seq, _, change, body in reader.changes_after(connection, 0)}
    for message in told:
        change, body = kept[message.seq]
        assert (message.change, message.sighting) == (change, msgspec.json.decode(body, type=Sighting))


def test_killed_run_closes_its_sightings_at_the_next_start(jetstream: Inside) -> None:
    with jetstream.running(DEMO, "--headless") as process:
        wait_until(lambda: len(stored(jetstream)) == 2, PATIENCE_S, jetstream.log)
        os.killpg(process.pid, signal.SIGKILL)
    before = stored(jetstream)
    assert {one.state for one in before} == {"open"}
    shutil.rmtree(jetstream.run_dir)  # its last status would be taken for the next run's

    quick = ("--set", "sightings.absence_s=1", "--set", "cameras.demo.source=" + str(_black(jetstream.folder)))
    with jetstream.running(DEMO, "--headless", *quick, "--set", "cameras.demo.loop=true"):
        wait_until(lambda: {one.state for one in stored(jetstream)} == {"ended"}, PATIENCE_S, jetstream.log)

    assert [(one.id, one.begin, one.end) for one in stored(jetstream)] == [
        (one.id, one.begin, one.end) for one in before
    ]


def _black(folder: Path) -> Path:
    """A video without a face."""
    path = folder / "black.mp4"
    sink = video_sink(path, fps=25, width=320, height=240)
    for index in range(50):
        sink.write(np.zeros((240, 320, 3), np.uint8), index / 25)
    sink.close()
    return path


def test_stranger_who_is_enrolled_meanwhile_gets_the_name_in_the_same_sighting(
    jetstream: Inside, own_models: Path, portraits: dict[str, np.ndarray]
) -> None:
    """The gallery is exchanged while the sighting is open."""
    jetstream = dataclasses.replace(jetstream, models=own_models)
    _put_photo(jetstream, "Eileen Collins", portraits)
    with jetstream.running(DEMO, "--headless", "--set", "recognize.faces=faces"):
        wait_until(lambda: {one.name for one in stored(jetstream)} == {None, "Eileen Collins"}, why=jetstream.log)
        (stranger,) = (one for one in stored(jetstream) if one.name is None)
        _put_photo(jetstream, "Grace Hopper", portraits)
        wait_until(lambda: "Grace Hopper" in {one.name for one in stored(jetstream)}, why=jetstream.log)

    named = [one for one in stored(jetstream) if one.name == "Grace Hopper"]
    assert [one.id for one in named] == [stranger.id]
    assert named[0].gallery != stranger.gallery
    with database.opened(jetstream.folder / "sightings") as connection:
        told = [msgspec.json.decode(body, type=Sighting) for *_, body in reader.changes_after(connection, 0)]
    assert {one.name for one in told if one.id == stranger.id} == {None, "Grace Hopper"}


def _put_photo(jetstream: Command, name: str, portraits: dict[str, np.ndarray]) -> None:
    folder = jetstream.folder / "faces" / name
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "1.jpg"), portraits[name])


def test_second_pipeline_on_a_folder_is_told_and_disturbs_nothing(jetstream: Inside, tmp_path: Path) -> None:
    beside = Inside(tmp_path / "beside", jetstream.models)
    beside.folder.mkdir()
    shared = ("--set", f"sightings.dir={jetstream.folder / 'sightings'}")
    with jetstream.running(DEMO, "--headless"):
        wait_until(lambda: len(stored(jetstream)) == 2, why=jetstream.log)
        first = stored(jetstream)
        with beside.running(DEMO, "--headless", *shared):
            wait_until(lambda: "give each pipeline its own sightings.dir" in beside.log(), why=beside.log)
        assert [one.id for one in stored(jetstream)] == [one.id for one in first]

    assert beside.log().count("give each pipeline its own sightings.dir") == 1
    assert {one.state for one in stored(jetstream)} == {"ended"}
