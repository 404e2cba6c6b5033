"""Covers drawn over the public-domain portraits and over their darker, grey, soft and noisy copies."""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.names.covers import CLEAR, COVERS
from benchmarks.names.degradations import degrade
from benchmarks.names.make_occlusion import GLINT24_SUNGLASSES
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.vision.detection.mtcnn import Mtcnn
from jetstream.vision.recognition import align, occlusion
from jetstream.vision.recognition.quality import Quality, measure
from tests.support import defaults

Face = tuple[np.ndarray, np.ndarray]  # a picture and its landmarks

COVERING = sorted(set(COVERS) - set(CLEAR))
HARMLESS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as they are": lambda image: image,
    "half the light": lambda image: (image * 0.5).astype(np.uint8),
    "grey": lambda image: np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8),
    "soft": lambda image: cv2.GaussianBlur(image, (0, 0), 1.5),
    "noisy": lambda image: np.clip(image + np.random.default_rng(0).normal(0, 8, image.shape), 0, 255).astype(np.uint8),
    "bluish": lambda image: np.clip(image * (1.2, 1.0, 0.8), 0, 255).astype(np.uint8),
}


@pytest.fixture(scope="module")
def detector(models_dir) -> Iterator[Mtcnn]:
    with (
        OnnxRunner(models_dir / "pnet.onnx") as pnet,
        OnnxRunner(models_dir / "rnet.onnx") as rnet,
        OnnxRunner(models_dir / "onet.onnx") as onet,
    ):
        yield defaults.mtcnn(pnet, rnet, onet)


@pytest.fixture(scope="module")
def faces(detector, portraits) -> list[Face]:
    found = [detector.detect([image])[0] for image in portraits.values()]
    return [scaled(image, seen.landmarks[0]) for image, seen in zip(portraits.values(), found, strict=True)]


def scaled(image: np.ndarray, landmarks: np.ndarray) -> Face:
    """With eyes 54 px apart, as in a chip: drawing takes less time."""
    scale = 54 / float(np.hypot(*(landmarks[1] - landmarks[0])))
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), landmarks * scale


@pytest.mark.parametrize("light", HARMLESS)
def test_face_that_nothing_covers_is_free_in_any_light(faces: list[Face], light: str) -> None:
    for image, landmarks in faces:
        assert measure(HARMLESS[light](image), landmarks).occlusion == 1.0


@pytest.mark.parametrize("sigma", [4, 7])
@pytest.mark.parametrize("gain", [0.02, 1.0, 4.0, 8.0])
def test_picture_that_shows_little_is_poor_and_not_said_to_be_covered(
    faces: list[Face], gain: float, sigma: float
) -> None:
    for image, landmarks in faces:
        poor = np.clip(cv2.GaussianBlur(image, (0, 0), sigma) * gain, 0, 255).astype(np.uint8)
        assert measure(poor, landmarks).occlusion > 0.6


@pytest.mark.parametrize("cover", COVERING)
@pytest.mark.parametrize("light", ["as they are", "half the light", "grey"])
def test_covered_face_is_told_in_most_drawings(faces: list[Face], cover: str, light: str) -> None:
    seen = [measure(*worse(face, cover, seed, light)) for face in faces for seed in range(3)]

    assert np.mean([quality.occlusion < 0.6 for quality in seen]) >= 0.8
    assert all(quality._replace(occlusion=1.0).overall >= quality.overall > 0.05 for quality in seen)


@pytest.mark.parametrize("cover", CLEAR)
def test_glasses_and_hats_are_no_cover(faces: list[Face], cover: str) -> None:
    seen = [measure(*worse(face, cover, seed, "as they are")).occlusion for face in faces for seed in range(5)]

    assert np.mean([share > 0.9 for share in seen]) >= 0.9


def test_mask_and_sunglasses_are_told_apart_and_together_leave_less(faces: list[Face]) -> None:
    for image, landmarks in faces:
        masked, dark = (degrade(cover, image, landmarks).image for cover in ("mask", "sunglasses"))
        both = degrade("mask", dark, landmarks).image
        lower, eyes = occlusion.covered(align.chip(masked, landmarks, align.DLIB))
        assert lower > 0.8 > 0.3 > eyes
        lower, eyes = occlusion.covered(align.chip(dark, landmarks, align.DLIB))
        assert eyes > 0.8 > 0.3 > lower
        assert measure(both, landmarks).occlusion < measure(dark, landmarks).occlusion


def test_real_sunglasses_are_told_from_faces_without(detector: Mtcnn, data_dir: Path) -> None:
    glint24 = data_dir / "glint24_dev"
    dark = [glint24 / f"{photo}.png" for photo in GLINT24_SUNGLASSES.split()]
    free = [path for path in sorted(glint24.rglob("*.png"))[::10] if path not in dark]
    shares = []
    for paths in (dark, free):
        seen = []
        for path in paths:
            image = cv2.imread(str(path))
            found = detector.detect([image])[0]
            if len(found.boxes):
                seen.append(measure(image, found.landmarks[0]).occlusion < 0.6)
        assert len(seen) > 25
        shares.append(np.mean(seen))

    assert shares[0] >= 0.8
    assert shares[1] <= 0.05


def test_quality_of_an_older_gallery_has_no_cover() -> None:
    assert Quality(1.0, 1.0, 1.0, 1.0, 0.5).overall == 0.5


@pytest.mark.parametrize("value", [0, 128, 255])
def test_chip_of_one_colour_has_an_answer(value: int) -> None:
    lower, eyes = occlusion.covered(np.full((150, 150, 3), value, np.uint8))

    assert 0.0 <= lower <= 1.0
    assert 0.0 <= eyes <= 1.0


def worse(face: Face, cover: str, seed: int, light: str) -> Face:
    """The face with something drawn over it, in another light."""
    image, landmarks = face
    return HARMLESS[light](degrade(cover, image, landmarks, seed).image), landmarks
