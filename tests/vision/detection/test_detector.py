"""Mtcnn in the form that the detect stage asks of."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest

from jetstream import weights
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.vision.detection.detector import CpuDetector, Detector, DetectorInput, DetectorOutput
from jetstream.vision.detection.mtcnn import Detections, Mtcnn
from tests.support import defaults

NOTHING = np.empty((0, 4), np.float32)


@pytest.fixture(scope="module")
def mtcnn(models_dir: Path) -> Iterator[Mtcnn]:
    with ExitStack() as stack:
        yield defaults.mtcnn(*(stack.enter_context(OnnxRunner(path)) for path in weights.paths(models_dir)[:3]))


@pytest.fixture(scope="module")
def detector(mtcnn: Mtcnn) -> Detector:
    return CpuDetector(mtcnn)


@pytest.fixture(scope="module")
def images(portraits: dict[str, np.ndarray]) -> list[np.ndarray]:
    first, second = portraits.values()
    return [first, second, cv2.resize(first, (320, 320)), np.full((90, 160, 3), 90, np.uint8)]


def assert_same(seen: DetectorOutput, expected: Detections) -> None:
    for ours, theirs in zip(seen.faces, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_searched_and_verified_looks_are_answered_in_their_order(
    detector: Detector, mtcnn: Mtcnn, images: list[np.ndarray]
) -> None:
    (known,) = (found.boxes for found in mtcnn.detect(images[1:2]))

    seen = detector.collect(
        detector.submit(
            [
                DetectorInput(images[0], NOTHING, True),
                DetectorInput(images[1], known, False),
                DetectorInput(images[2], NOTHING, True),
            ]
        )
    )

    assert [len(one.faces.boxes) for one in seen] == [1, 1, 1]
    assert_same(seen[0], mtcnn.detect(images[:1])[0])
    assert_same(seen[1], mtcnn.verify(images[1:2], [known])[0])
    assert_same(seen[2], mtcnn.detect(images[2:3])[0])


def test_known_faces_are_proposals_of_a_search(detector: Detector, mtcnn: Mtcnn, images: list[np.ndarray]) -> None:
    known = np.array([[20, 20, 90, 90], [60, 30, 140, 110]], np.float32)

    (seen,) = detector.collect(detector.submit([DetectorInput(images[2], known, True)]))

    assert_same(seen, mtcnn.detect(images[2:3], [known])[0])


def test_picture_without_faces_and_batch_without_pictures_have_no_answers(
    detector: Detector, images: list[np.ndarray]
) -> None:
    (seen,) = detector.collect(detector.submit([DetectorInput(images[3], NOTHING, True)]))

    assert len(seen.faces.boxes) == 0
    assert seen.thumbnail is None
    assert detector.collect(detector.submit([])) == []


def test_two_batches_under_way_get_their_own_answers(detector: Detector, images: list[np.ndarray]) -> None:
    looks = [[DetectorInput(image, NOTHING, True)] for image in (images[0], images[3], images[1])]
    found, before = [], detector.submit(looks[0])
    for following in looks[1:]:
        ticket = detector.submit(following)
        found += detector.collect(before)
        before = ticket
    found += detector.collect(before)

    assert [len(seen.faces.boxes) for seen in found] == [1, 0, 1]
