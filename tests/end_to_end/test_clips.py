"""Clips of a run: a real film with a face, real processes, and kills; each frame bears its number."""

import os
import signal
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from jetstream.clips import library
from jetstream.clips.library import StoredClip
from tests.support.inside import Inside
from tests.support.numbered_films import numbered_film, shown_numbers
from tests.support.statuses import pids_in
from tests.support.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.pipeline

FPS, FRAMES = 10, 130
FACE_FROM, FACE_UNTIL = 60, 85
PRE_S, POST_S = 3, 1


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory, portraits: dict[str, np.ndarray]) -> Path:
    """13 s at 10 frames a second, with a key frame each 2 s; a face from 6 to 8.5 s."""
    empty = np.full((270, 480, 3), 90, np.uint8)
    with_face = empty.copy()
    with_face[10:250, 120:360] = cv2.resize(portraits["Eileen Collins"], (240, 240))
    pictures = [with_face if FACE_FROM <= number < FACE_UNTIL else empty for number in range(FRAMES)]
    times_s = [number / FPS for number in range(FRAMES)]
    return numbered_film(tmp_path_factory.mktemp("film") / "film.mp4", times_s, gop=2 * FPS, pictures=pictures)


def config(folder: Path, film: Path, **camera: Any) -> Path:
    more = "".join(f"{key} = {value}\n" for key, value in camera.items())
    path = folder / "clips.toml"
    path.write_text(
        f'[[cameras]]\nname = "hall"\nsource = "{film}"\n{more}[clips]\ndir = "clips"\npre_s = {PRE_S}\n'
        f'post_s = {POST_S}\n[sightings]\nabsence_s = 1.5\n[recognize]\nfaces = "demo"\n'
    )
    return path


def clips_of(jetstream: Inside) -> list[StoredClip]:
    return list(library.clips_in(jetstream.folder / "clips"))


def test_clip_begins_before_the_face_and_ends_after_it(tmp_path: Path, jetstream: Inside, film: Path) -> None:
    done = jetstream("run", str(config(tmp_path, film)), "--headless", sets=True)

    assert done.returncode == 0, done.stderr
    (clip,) = clips_of(jetstream)
    shown = shown_numbers(clip.video)
    assert shown == list(range(shown[0], shown[-1] + 1))
    assert 0 < shown[0] <= FACE_FROM - PRE_S * FPS
    assert shown[-1] >= FACE_UNTIL - 1 + POST_S * FPS
    assert (clip.info.short, clip.info.state) == ("", "ended")
    assert clip.info.pre_s >= PRE_S
    assert clip.video.stat().st_mode & 0o777 == 0o600


def test_killed_processes_cost_a_second_at_most(tmp_path: Path, jetstream: Inside, film: Path) -> None:
    with jetstream.running(str(config(tmp_path, film, loop="true", decoder='"shared"')), "--headless") as process:
        status = jetstream.wait(lambda s: bool(clips_of(jetstream)), process)
        os.kill(pids_in(status)["clips"], signal.SIGKILL)
        time.sleep(1.0)
        os.kill(pids_in(status)["capture.hall"], signal.SIGKILL)
        wait_until(lambda: clips_of(jetstream)[0].info.state == "ended", PATIENCE_S, jetstream.log)

    clip = clips_of(jetstream)[0]
    shown = shown_numbers(clip.video)
    steps = {after - before for before, after in pairwise(shown)}
    assert max(steps) <= 1.3 * FPS, shown  # a step back: the file began again with its capture
    assert 0 < shown[0] <= FACE_FROM - PRE_S * FPS
    assert len(clip.info.sightings) >= 1
