"""On the public-domain portraits, made worse step by step."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from jetstream.runners.onnxrt import OnnxRunner
from jetstream.vision.recognition import align, quality
from jetstream.vision.recognition.quality import NOTHING, measure
from tests.support import defaults

Face = tuple[np.ndarray, np.ndarray]  # a picture and its landmarks

# Eyes 54 px apart, as in a chip.
FRONTAL = align.DLIB.points


@pytest.fixture(scope="module")
def faces(models_dir, portraits) -> list[Face]:
    with (
        OnnxRunner(models_dir / "pnet.onnx") as pnet,
        OnnxRunner(models_dir / "rnet.onnx") as rnet,
        OnnxRunner(models_dir / "onet.onnx") as onet,
    ):
        detector = defaults.mtcnn(pnet, rnet, onet)
        found = [detector.detect([image])[0] for image in portraits.values()]
    return [(image, seen.landmarks[0]) for image, seen in zip(portraits.values(), found, strict=True)]


def eyes_px(landmarks: np.ndarray) -> float:
    return float(np.hypot(*(landmarks[1] - landmarks[0])))


def scaled(face: Face, to_px: float) -> Face:
    image, landmarks = face
    factor = to_px / eyes_px(landmarks)
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), landmarks * factor


def blurred(face: Face, chip_px: float) -> Face:
    image, landmarks = face
    return cv2.GaussianBlur(image, (0, 0), chip_px * eyes_px(landmarks) / 54), landmarks


def smeared(face: Face, chip_px: float) -> Face:
    """Motion from side to side."""
    image, landmarks = face
    length = round(chip_px * eyes_px(landmarks) / 54)
    return cv2.filter2D(image, -1, np.full((1, length), 1 / length)), landmarks


def gained(face: Face, gain: float) -> Face:
    image, landmarks = face
    return np.clip(image * gain, 0, 255).astype(np.uint8), landmarks


def cut_at(face: Face, share: float) -> Face:
    """Without what lies left of this share of the chip."""
    image, landmarks = face
    found = align.similarity(landmarks, align.DLIB)
    assert found is not None
    x = max(0, round((found.turn * complex(150 * share, 75) + found.shift).real))
    return np.ascontiguousarray(image[:, x:]), landmarks - (x, 0)


def test_good_portrait_is_good_in_every_respect(faces):
    for face in faces:
        assert measure(*face) == (1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
        assert measure(*face).overall == 1.0


@pytest.mark.parametrize(
    ("component", "worsen", "steps"),
    [
        ("size", scaled, (30.0, 12.0, 8.0, 4.0)),
        ("sharpness", blurred, (0.5, 4.0, 6.0, 12.0)),
        ("sharpness", smeared, (1.0, 13.0, 17.0, 45.0)),
        ("exposure", gained, (1.0, 0.1, 0.06, 0.01)),
        ("exposure", gained, (1.0, 1.6, 2.0, 12.0)),
        ("border", cut_at, (0.0, 0.4, 0.5, 0.65)),
    ],
    ids=["smaller", "blurred", "smeared", "darker", "brighter", "cut"],
)
def test_each_harm_lowers_its_component_from_one_to_nothing(
    faces: list[Face], component: str, worsen: Callable[[Face, float], Face], steps: tuple[float, ...]
) -> None:
    for face in faces:
        values = [getattr(measure(*worsen(face, step)), component) for step in steps]
        assert values == sorted(values, reverse=True)
        assert values[0] == 1.0
        assert 0.0 < values[2] < values[1]
        assert values[3] < 0.1


def test_sharpness_does_not_count_the_size_of_a_face(faces):
    for face in faces:
        assert measure(*scaled(face, 16.0)).sharpness > 0.9
        assert measure(*scaled(blurred(face, 8.0), 16.0)).sharpness < 0.3


def test_cut_face_is_not_said_to_be_dark(faces):
    for face in faces:
        assert measure(*cut_at(face, 0.5)).exposure > 0.9


def test_turned_head_loses_its_pose_and_a_tilted_one_keeps_it():
    turned = FRONTAL.copy()
    turned[2, 0] += 54 * 0.4
    profile = FRONTAL.copy()
    profile[2, 0] += 54 * 0.7
    angle = np.radians(70)
    tilted = FRONTAL @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])

    assert quality.pose(FRONTAL) == quality.pose(tilted) == 1.0
    assert 0.3 < quality.pose(turned) < 0.6
    assert quality.pose(profile) == quality.LEAST_POSE


def test_offset_of_the_nose_is_the_same_for_a_tilted_head_and_moves_with_a_turned_one():
    tilted = FRONTAL @ np.array([[0.8, 0.6], [-0.6, 0.8]])
    turned = FRONTAL.copy()
    turned[2] -= 0.3 * (FRONTAL[1] - FRONTAL[0])

    along, across = quality.nose_offset(FRONTAL)
    assert quality.nose_offset(tilted) == pytest.approx((along, across), abs=1e-6)
    assert quality.nose_offset(turned) == pytest.approx((along - 0.3, across))
    assert quality.sideways(turned) == pytest.approx(abs(along - 0.3))
    assert np.isnan(quality.nose_offset(np.zeros((5, 2)))).all()
    assert np.isnan(quality.sideways(np.zeros((5, 2))))


def test_profile_whose_nose_was_put_between_the_eyes_is_known_by_its_height():
    narrow = FRONTAL * (0.5, 1.0)

    assert quality.pose(narrow) < 0.1


@pytest.mark.parametrize("points", [np.full((5, 2), np.nan), np.zeros((5, 2)), np.full((5, 2), 3.0)])
def test_landmarks_that_are_no_face_have_no_quality(points):
    assert measure(np.zeros((100, 100, 3), np.uint8), points) == NOTHING
    assert NOTHING.overall == 0.0


def test_face_outside_the_picture_has_no_quality():
    assert measure(np.full((100, 100, 3), 128, np.uint8), FRONTAL + 500.0).overall == 0.0


def test_chip_at_hand_gives_the_same_and_saves_the_cutting(faces):
    for image, landmarks in faces:
        assert measure(image, landmarks, align.chip(image, landmarks, align.DLIB)) == measure(image, landmarks)
