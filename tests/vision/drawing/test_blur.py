"""A hidden face is nobody's: not to MTCNN, not to the embedder."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from jetstream.config import load
from jetstream.config.schema import Config
from jetstream.networks.open import open_embedder, open_picture_detector
from jetstream.vision.detection.detector import Detector, faces_in
from jetstream.vision.drawing import blur
from jetstream.vision.recognition import align
from tests.support.drawn import DrawnTrack


@pytest.fixture(scope="module")
def config(models_dir: Path) -> Config:
    data = {"models": {"dir": str(models_dir)}, "detect": {"preset": "accurate", "min_face_px": 20}}
    return load.build(data, where="test")


@pytest.fixture(scope="module")
def detector(config: Config) -> Iterator[Detector]:
    with open_picture_detector(config) as detector:
        yield detector


@pytest.mark.parametrize("scale", [0.4, 1.0, 2.0])
@pytest.mark.parametrize("state", ["tentative", "confirmed", "lost"])
def test_hidden_face_is_not_found_again(portraits: dict, detector: Detector, scale: float, state: str) -> None:
    for name, portrait in portraits.items():
        image = cv2.resize(portrait, None, fx=scale, fy=scale)
        (box, *others) = faces_in(detector, image).boxes.tolist()
        assert not others, name
        blur.hide(image, [DrawnTrack(tuple(box), state=state)], "all")
        assert len(faces_in(detector, image).boxes) == 0, name


def test_hidden_face_is_near_nobody(portraits: dict, detector: Detector, config: Config) -> None:
    """Even to who knows where its eyes and mouth are, which events tell."""
    with open_embedder(config) as embedder:
        clear, hidden = [], []
        for portrait in portraits.values():
            found = faces_in(detector, portrait)
            clear.append(embedder.embed(align.chips(portrait, found.landmarks, embedder.spec.template), mirror=True))
            image = portrait.copy()
            blur.hide(image, [DrawnTrack(tuple(found.boxes[0].tolist()))], "all")
            hidden.append(embedder.embed(align.chips(image, found.landmarks, embedder.spec.template), mirror=True))
    distances = np.linalg.norm(np.concatenate(hidden)[:, None] - np.concatenate(clear)[None], axis=2)
    assert distances.min() > 0.6, "dlib's own distance for two people"


def test_unknown_hides_who_has_no_name_and_none_hides_nobody() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (80, 300, 3), np.uint8)
    tracks = [DrawnTrack((20, 20, 60, 60), "Ada"), DrawnTrack((120, 20, 160, 60), None, "lost")]
    for who, changed in (("none", (False, False)), ("unknown", (False, True)), ("all", (True, True))):
        image = noise.copy()
        blur.hide(image, tracks, who, [(220, 20, 260, 60)])
        differs = (image != noise).any(axis=(0, 2))
        assert (differs[20:60].any(), differs[120:160].any()) == changed
        assert differs[220:260].any() == (who != "none"), "a face that no track follows has no name"


def test_margin_around_a_lost_face_is_wider() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (200, 200, 3), np.uint8)
    widths = []
    for state in ("confirmed", "lost"):
        image = noise.copy()
        blur.hide(image, [DrawnTrack((80, 80, 120, 120), state=state)], "all")
        widths.append((image != noise).any(axis=(0, 2)).sum())
    assert widths == [60, 88]


@pytest.mark.parametrize(
    "box",
    [
        (-50, -50, 10, 10),
        (-9, -9, -2, -2),
        (90, 90, 300, 300),
        (5, 5, 5, 9),
        (9, 9, 3, 3),
        (0, 0, 1, 1),
        (float("nan"),) * 4,
        (-1e30, -1e30, 1e30, 1e30),
    ],
)
def test_any_box_may_be_asked_for(box: tuple[float, ...]) -> None:
    image = np.full((100, 100, 3), 7, np.uint8)
    blur.hide(image, [DrawnTrack(box)], "all")
    assert (image == 7).all()
