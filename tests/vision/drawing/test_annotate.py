"""Faces are hidden before anything is drawn, whatever is drawn."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jetstream.config import load
from jetstream.networks.open import open_picture_detector
from jetstream.vision.detection.detector import Detector, faces_in
from jetstream.vision.drawing import draw
from jetstream.vision.drawing.annotate import annotate
from tests.support.drawn import DrawnTrack


@pytest.fixture(scope="module")
def detector(models_dir: Path) -> Iterator[Detector]:
    data = {"models": {"dir": str(models_dir)}, "detect": {"preset": "accurate", "min_face_px": 20}}
    with open_picture_detector(load.build(data, where="test")) as detector:
        yield detector


@pytest.mark.parametrize("boxes", [True, False])
@pytest.mark.parametrize("landmarks", [True, False])
@pytest.mark.parametrize("followed", [True, False])
def test_hidden_face_is_not_found_again_whatever_is_drawn(
    portraits: dict[str, np.ndarray], detector: Detector, boxes: bool, landmarks: bool, followed: bool
) -> None:
    for name, portrait in portraits.items():
        image = portrait.copy()
        found = faces_in(detector, image)
        box, points = tuple(found.boxes[0].tolist()), tuple(found.landmarks[0].ravel().tolist())
        tracks, others = ([DrawnTrack(box, landmarks=points)], []) if followed else ([], [box])

        annotate(image, tracks, others, blur="unknown", landmarks=landmarks, boxes=boxes, caption="a  25 fps")

        assert len(faces_in(detector, image).boxes) == 0, name


def test_box_and_landmarks_are_drawn_over_what_was_hidden() -> None:
    image = np.random.default_rng(1).integers(0, 255, (360, 640, 3)).astype(np.uint8)
    track = DrawnTrack((200.0, 100.0, 300.0, 220.0), "Ada", landmarks=(230.0, 140.0) * 5)

    annotate(image, [track], [], blur="all", landmarks=True)

    for what, (x, y) in {"left side of the box": (200, 160), "a landmark": (230, 140)}.items():
        assert np.abs(image[y, x].astype(int) - draw.KNOWN).max() < 15, f"{what} is as sharp as it was drawn"
    assert np.abs(np.diff(image[160, 210:290].astype(int), axis=0)).max() < 20, "of the noise a few averages are left"


def test_nothing_is_drawn_but_the_caption_without_boxes() -> None:
    image = np.full((360, 640, 3), 90, np.uint8)

    annotate(image, [DrawnTrack((200.0, 200.0, 300.0, 320.0), "Ada")], [], blur="none", landmarks=True, boxes=False)
    assert (image == 90).all()

    annotate(image, [], [], blur="none", landmarks=True, boxes=False, caption="door")
    assert (image[:40] != 90).any()
    assert (image[40:] == 90).all()
