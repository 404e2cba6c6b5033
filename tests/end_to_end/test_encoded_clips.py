"""Clips of a camera that sends no video to copy, by real processes, with and without blurred faces."""

import os
import shutil
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from jetstream.clips import library
from jetstream.clips.library import StoredClip
from jetstream.networks.open import open_embedder, open_picture_detector
from jetstream.vision.detection.detector import faces_in
from jetstream.vision.recognition import align
from tests.support.clips import frames_of
from tests.support.inside import Inside
from tests.support.repository import DEMO
from tests.support.stage_messages import config_of
from tests.support.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.pipeline
LONG_S = 4.0
LEAST_PX = 60
"""less than the demo's faces have: a collar may look like a small face"""
NEAR = 0.6
"""dlib's own distance for two people"""


def clips_in(jetstream: Inside) -> dict[Path, StoredClip]:
    return {clip.video: clip for clip in library.clips_in(jetstream.folder / "clips")}


def seconds(video: Path) -> float:
    capture = cv2.VideoCapture(str(video))
    count = 0
    while capture.grab():
        count += 1
    return count / 10


def recognised(jetstream: Inside, video: Path, portraits: dict[str, np.ndarray]) -> float:
    """The share of frames in which somebody of the portraits can be recognised."""
    config = config_of(jetstream.models, detect={"min_face_px": LEAST_PX})
    with open_picture_detector(config) as detector, open_embedder(config) as embedder:

        def looks(image: np.ndarray) -> np.ndarray:
            landmarks = faces_in(detector, image).landmarks
            return embedder.embed(align.chips(image, landmarks, embedder.spec.template), mirror=True)

        known = np.concatenate([looks(portrait) for portrait in portraits.values()])
        seen = [looks(image) for image in frames_of(video, every=4)]
    return float(np.mean([np.min(np.linalg.norm(one[:, None] - known, axis=2), initial=2) < NEAR for one in seen]))


def run_until_there_is_a_clip(jetstream: Inside, *words: str, kill: bool) -> StoredClip:
    """A clip that wasn't there before, of some seconds. The whole pipeline is killed then, or stopped."""
    before = clips_in(jetstream)

    def new() -> list[Path]:
        return [video for video in clips_in(jetstream) if video not in before and seconds(video) >= LONG_S]

    settings = ("clips.dir=clips", "clips.pre_s=5", "detect.search=always")
    sets = [word for setting in settings for word in ("--set", setting)]
    with jetstream.running(DEMO, "--headless", *sets, *words) as process:
        wait_until(new, PATIENCE_S, jetstream.log)
        if kill:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE_S)
            shutil.rmtree(jetstream.run_dir)  # its last status would be taken for the next run's
        (video,) = new()
    return clips_in(jetstream)[video]


def test_clip_of_pictures_and_none_of_what_a_killed_run_did_not_blur(
    jetstream: Inside, portraits: dict[str, np.ndarray]
) -> None:
    clear = run_until_there_is_a_clip(jetstream, kill=True)
    assert recognised(jetstream, clear.video, portraits) > 0.8

    blurred = run_until_there_is_a_clip(jetstream, "--set", "render.blur=all", kill=False)
    assert recognised(jetstream, blurred.video, portraits) == 0
    assert "Traceback" not in jetstream.log()
    assert {clip.info.state for clip in clips_in(jetstream).values()} == {"ended"}
    assert clear.video in clips_in(jetstream)
