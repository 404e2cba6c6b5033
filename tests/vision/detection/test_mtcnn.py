"""The detector finds what the published cascade finds, in any picture, whatever it saw before."""

import json
import resource
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from jetstream import weights
from jetstream.errors import ModelError, UserError
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.vision.boxes import iou
from jetstream.vision.detection.detections import Detections
from jetstream.vision.detection.mtcnn import BATCH, Mtcnn
from jetstream.vision.detection.pyramid import Pyramid
from tests.support import defaults, reference_cascade

FAST = {"thresholds": (0.7, 0.7, 0.7), "factor": 0.709}
ACCURATE = {"thresholds": (0.6, 0.7, 0.7), "factor": 0.709}
COARSE = {"thresholds": (0.8, 0.7, 0.7), "factor": 0.6}

Runners = tuple[OnnxRunner, OnnxRunner, OnnxRunner]
Nets = tuple[reference_cascade.Net, reference_cascade.Net, reference_cascade.Net]


class CountingRunner:
    """The real one, and how many crops went through it in how large batches."""

    def __init__(self, runner: OnnxRunner) -> None:
        self.inputs, self.outputs, self._runner = runner.inputs, runner.outputs, runner
        self.batches: list[int] = []

    def infer(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.batches.append(len(feeds["image"]))
        return self._runner.infer(feeds)


class SharedSampler:
    """Gives the reference the detector's own pixels, which test_pyramid.py holds to their definition."""

    def __init__(self, image: np.ndarray) -> None:
        self._pyramid = Pyramid(image)

    def level_shape(self, scale: float) -> tuple[int, int]:
        return self._pyramid.level_shape(scale)

    def level(self, scale: float) -> np.ndarray:
        return self._pyramid.level(scale)[0].transpose(1, 2, 0).astype(np.float64)

    def crop(self, box: np.ndarray, side: int) -> np.ndarray:
        half_open = np.subtract([box[:4]], (1, 1, 0, 0)).astype(np.float32)
        return self._pyramid.crops(half_open, side)[0].transpose(1, 2, 0).astype(np.float64)


@pytest.fixture(scope="module")
def runners(models_dir: Path) -> Iterator[Runners]:
    with ExitStack() as stack:
        pnet, rnet, onet = (stack.enter_context(OnnxRunner(path)) for path in weights.paths(models_dir)[:3])
        yield pnet, rnet, onet


@pytest.fixture(scope="module")
def detector(runners: Runners) -> Mtcnn:
    return defaults.mtcnn(*runners, **FAST)


@pytest.fixture(scope="module")
def nets() -> Nets:
    pnet, rnet, onet = (reference_cascade.Net(path) for path in weights.published()[:3])
    return pnet, rnet, onet


@pytest.fixture(scope="module")
def crowd(portraits: dict[str, np.ndarray]) -> np.ndarray:
    """Twelve faces of three sizes."""
    rows = []
    for side in (150, 200, 250):
        faces = [
            cv2.resize(portrait[:400, 80:480], (side, side), interpolation=cv2.INTER_AREA)
            for portrait in portraits.values()
        ]
        rows.append(cv2.copyMakeBorder(np.hstack(faces * 2), 0, 0, 0, 1000 - 4 * side, cv2.BORDER_CONSTANT))
    return np.vstack(rows)


def assert_same(found: Detections, expected: Detections) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def assert_none(found: Detections) -> None:
    assert [part.shape for part in found] == [(0, 4), (0,), (0, 5, 2)]
    assert {part.dtype for part in found} == {np.dtype(np.float32)}


def assert_as_reference(
    found: Detections, nets: Nets, image: np.ndarray, after_pnet_iou: float | None, **settings: Any
) -> None:
    boxes, scores, landmarks = reference_cascade.detect(
        nets, SharedSampler(image), 40, after_pnet_iou=after_pnet_iou, **settings
    )
    assert len(found.boxes) == len(boxes)
    half_open = np.subtract(boxes, (1, 1, 0, 0))
    order = iou(half_open.astype(np.float32), found.boxes).argmax(axis=1) if len(boxes) else []
    np.testing.assert_allclose(found.boxes[order], half_open, atol=0.5)
    np.testing.assert_allclose(found.landmarks[order], landmarks, atol=0.5)
    np.testing.assert_allclose(found.scores[order], scores, atol=1e-3)


# What it finds


def test_one_face_in_each_portrait(detector: Mtcnn, portraits: dict[str, np.ndarray]):
    found = detector.detect(list(portraits.values()))
    assert [len(faces.boxes) for faces in found] == [1, 1]
    assert min(faces.scores[0] for faces in found) > 0.99


def test_landmarks_lie_where_a_face_has_them(detector: Mtcnn, portraits: dict[str, np.ndarray]):
    for found in detector.detect(list(portraits.values())):
        left_eye, right_eye, nose, left_mouth, right_mouth = found.landmarks[0]
        left, top, right, bottom = found.boxes[0]
        assert left < left_eye[0] < nose[0] < right_eye[0] < right
        assert left_mouth[0] < right_mouth[0]
        assert top < max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1]) < bottom


def test_eileen_collins_eyes_are_found(detector: Mtcnn, portraits: dict[str, np.ndarray]):
    found = detector.detect([portraits["Eileen Collins"]])[0]
    np.testing.assert_allclose(found.landmarks[0, :2], [(203, 102), (247, 104)], atol=4)


def test_surest_face_comes_first(detector: Mtcnn, crowd: np.ndarray):
    scores = detector.detect([crowd])[0].scores
    assert len(scores) == 12
    assert np.all(np.diff(scores) <= 0)


def test_smallest_and_largest_face_bound_the_search(runners: Runners, portraits: dict[str, np.ndarray]):
    portrait = portraits["Eileen Collins"]  # its face is about 80 x 105 px
    assert len(defaults.mtcnn(*runners, min_face_px=60, max_face_px=160, **FAST).detect([portrait])[0].boxes) == 1
    assert_none(defaults.mtcnn(*runners, min_face_px=250, **FAST).detect([portrait])[0])
    assert_none(defaults.mtcnn(*runners, min_face_px=20, max_face_px=30, **FAST).detect([portrait])[0])


def test_face_cut_by_the_border_keeps_its_whole_box(detector: Mtcnn, portraits: dict[str, np.ndarray]):
    portrait = portraits["Eileen Collins"]
    whole = detector.detect([portrait])[0].boxes[0]
    cut_px = int(whole[0]) + 12
    found = detector.detect([portrait[:, cut_px:]])[0].boxes[0]
    assert found[0] < 0
    np.testing.assert_allclose(np.add(found, (cut_px, 0, cut_px, 0)), whole, atol=8)


# The published algorithm


def test_published_algorithm_on_portraits(runners: Runners, nets: Nets, portraits: dict[str, np.ndarray]):
    detector = defaults.mtcnn(*runners, **ACCURATE, after_pnet_iou=1)
    for image in portraits.values():
        assert_as_reference(detector.detect([image])[0], nets, image, None, **ACCURATE)


@pytest.mark.parametrize("settings", [FAST, ACCURATE, COARSE], ids=["fast", "accurate", "coarse"])
def test_crowd_as_in_the_reference(runners: Runners, nets: Nets, crowd: np.ndarray, settings: dict[str, Any]):
    assert_as_reference(defaults.mtcnn(*runners, **settings).detect([crowd])[0], nets, crowd, 0.6, **settings)


@pytest.mark.parametrize(
    "name", ["compreface/015_6.jpg", "compreface/016_8.jpg", "dlib_faces/2008_002470.jpg", "bbt_faceapi/bbt3.jpg"]
)
def test_real_pictures_as_in_the_reference(runners: Runners, nets: Nets, data_dir: Path, name: str):
    image = cv2.imread(str(data_dir / name))
    assert_as_reference(defaults.mtcnn(*runners, **FAST).detect([image])[0], nets, image, 0.6, **FAST)
    published = defaults.mtcnn(*runners, **ACCURATE, after_pnet_iou=1).detect([image])[0]
    assert_as_reference(published, nets, image, None, **ACCURATE)


# Any picture


@pytest.mark.parametrize("size", [(1, 1), (11, 500), (39, 39), (39, 4000), (4000, 39), (1, 9000), (0, 0), (0, 50)])
def test_picture_smaller_than_the_smallest_face_has_none(detector: Mtcnn, size: tuple[int, int]):
    image = np.full((*size, 3), 90, np.uint8)
    assert_none(detector.detect([image])[0])
    assert_none(detector.verify([image], [np.array([[0, 0, 50, 50]], np.float32)])[0])


@pytest.mark.parametrize("size", [(40, 40), (41, 3000), (3000, 41), (60, 40000)])
def test_picture_of_extreme_shape_is_searched(detector: Mtcnn, size: tuple[int, int]):
    assert_none(detector.detect([np.full((*size, 3), 90, np.uint8)])[0])


def test_no_pictures_give_no_answers(detector: Mtcnn):
    assert detector.detect([]) == []
    assert detector.verify([], []) == []


def test_mirrored_view_is_read_as_it_is_seen(detector: Mtcnn, portraits: dict[str, np.ndarray]):
    mirrored = portraits["Grace Hopper"][:, ::-1]
    assert_same(detector.detect([mirrored])[0], detector.detect([mirrored.copy()])[0])


def test_noise_with_thousands_of_candidates_goes_in_small_batches(runners: Runners):
    pnet, rnet, onet = runners[0], CountingRunner(runners[1]), CountingRunner(runners[2])
    image = np.random.default_rng(0).integers(0, 256, (540, 960, 3), np.uint8)
    defaults.mtcnn(pnet, rnet, onet, min_face_px=20, thresholds=(0.02, 0.01, 0.5), after_pnet_iou=1).detect([image])
    assert sum(rnet.batches) > 2048  # where the buffers of the system before ended
    assert sum(onet.batches) > 512
    assert max(rnet.batches + onet.batches) <= BATCH


# Nothing is kept, nothing leaks from picture to picture


def test_faceless_and_crowded_pictures_between_leave_no_trace(
    detector: Mtcnn, portraits: dict[str, np.ndarray], crowd: np.ndarray
):
    pictures = [
        np.zeros((300, 400, 3), np.uint8),
        portraits["Grace Hopper"],
        crowd,
        np.full((200, 200, 3), 255, np.uint8),
    ]
    first = [detector.detect([picture])[0] for picture in pictures]
    assert [len(found.boxes) for found in first] == [0, 1, 12, 0]
    for turn in range(1, 13):
        index = (turn * 3) % 4
        assert_same(detector.detect([pictures[index]])[0], first[index])


def test_hundreds_of_pictures_change_no_answer_and_keep_no_memory(
    detector: Mtcnn, portraits: dict[str, np.ndarray], crowd: np.ndarray
):
    # the memory of one answer that stayed each time would be over the limit: a picture has 360,000 bytes
    pictures = [np.zeros((300, 400, 3), np.uint8), portraits["Eileen Collins"][:300, 60:460].copy(), crowd[:300, :400]]
    first = [detector.detect([picture])[0] for picture in pictures]
    for turn in range(400):
        if turn == 50:
            before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert_same(detector.detect([pictures[turn % 3]])[0], first[turn % 3])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 4096


def test_batch_of_pictures_gives_each_its_own_answer(
    runners: Runners, portraits: dict[str, np.ndarray], crowd: np.ndarray
):
    pictures = [crowd, np.zeros((90, 70, 3), np.uint8), *portraits.values(), crowd[:, ::2]]
    detector = defaults.mtcnn(*runners, **FAST)
    for found, picture in zip(detector.detect(pictures), pictures, strict=True):
        alone = detector.detect([picture])[0]
        np.testing.assert_allclose(found.boxes, alone.boxes, atol=1e-2)
        np.testing.assert_allclose(found.landmarks, alone.landmarks, atol=1e-2)


def test_unshared_batches_give_the_same_bits_in_any_company(
    runners: Runners, portraits: dict[str, np.ndarray], crowd: np.ndarray
):
    pictures = [crowd, np.zeros((90, 70, 3), np.uint8), *portraits.values()]
    detector = defaults.mtcnn(*runners, share_batches=False, **FAST)
    together = detector.detect(pictures)
    for found, picture in zip(together, pictures, strict=True):
        assert_same(found, detector.detect([picture])[0])
    last = [found.boxes + np.float32(5) for found in together]
    for found, picture, boxes in zip(detector.verify(pictures, last), pictures, last, strict=True):
        assert_same(found, detector.verify([picture], [boxes])[0])


def test_shared_batches_mix_pictures(runners: Runners, portraits: dict[str, np.ndarray]):
    counting = CountingRunner(runners[1])
    detector = defaults.mtcnn(runners[0], counting, runners[2], **FAST)
    boxes = [np.array([[170, 60, 270, 180]], np.float32)] * 2
    detector.verify(list(portraits.values()), boxes)
    assert counting.batches[0] == 2


# Last faces


def test_known_face_is_searched_where_pnet_sees_none(runners: Runners, portraits: dict[str, np.ndarray]):
    image = portraits["Grace Hopper"]
    face = defaults.mtcnn(*runners, **FAST).detect([image])[0].boxes
    blind = defaults.mtcnn(*runners, min_face_px=600, **FAST)  # larger than the picture
    assert_none(blind.detect([image])[0])
    assert iou(blind.detect([image], [face])[0].boxes, face) > 0.7


def test_known_face_that_pnet_sees_too_stays_one(detector: Mtcnn, crowd: np.ndarray):
    faces = detector.detect([crowd])[0].boxes
    assert len(detector.detect([crowd], [faces])[0].boxes) == len(faces)


def test_verified_faces_are_the_detected_ones(detector: Mtcnn, crowd: np.ndarray):
    searched = detector.detect([crowd])[0].boxes
    verified = detector.verify([crowd], [searched])[0].boxes
    assert len(verified) == len(searched)
    assert np.all(iou(searched, verified).max(axis=1) > 0.7)


@pytest.mark.parametrize("angle_deg", range(0, 360, 45))
def test_face_that_moved_by_a_third_of_its_width_and_grew_is_found(
    detector: Mtcnn, portraits: dict[str, np.ndarray], angle_deg: int
):
    for image in portraits.values():
        face = detector.detect([image])[0].boxes
        sides = face[:, 2:] - face[:, :2]
        direction = np.array([np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))])
        centre = (face[:, :2] + face[:, 2:]) / 2 + 0.3 * sides[0, 0] * direction
        last = np.hstack([centre - 0.4 * sides, centre + 0.4 * sides]).astype(np.float32)
        found = detector.verify([image], [last])[0].boxes
        assert len(found) == 1
        assert iou(face, found) > 0.7


def test_face_that_left_is_not_found(detector: Mtcnn, portraits: dict[str, np.ndarray]):
    face = detector.detect([portraits["Grace Hopper"]])[0].boxes
    assert_none(detector.verify([np.full((600, 512, 3), 128, np.uint8)], [face])[0])


def test_two_boxes_on_one_face_become_one(detector: Mtcnn, portraits: dict[str, np.ndarray]):
    image = portraits["Grace Hopper"]
    face = detector.detect([image])[0].boxes
    assert len(detector.verify([image], [np.concatenate([face + 8, face - 8])])[0].boxes) == 1


def test_no_last_faces_cost_no_network(runners: Runners, portraits: dict[str, np.ndarray]):
    counting = CountingRunner(runners[1])
    image = portraits["Grace Hopper"]
    assert_none(
        defaults.mtcnn(runners[0], counting, runners[2], **FAST).verify([image], [np.empty((0, 4), np.float32)])[0]
    )
    assert counting.batches == []


def test_last_face_outside_the_picture_is_not_found(detector: Mtcnn, portraits: dict[str, np.ndarray]):
    far = np.array([[5000, 5000, 5100, 5100], [-400, -400, -300, -300]], np.float32)
    assert_none(detector.verify([portraits["Grace Hopper"]], [far])[0])


def test_background_is_not_verified(detector: Mtcnn, data_dir: Path):
    generator = np.random.default_rng(0)
    passed = tried = 0
    for path in sorted((data_dir / "dlib_faces").glob("*.jpg")):
        image = cv2.imread(str(path))
        faces = detector.detect([image])[0].boxes
        corners = generator.uniform(0, (image.shape[1], image.shape[0]), (60, 2))
        boxes = np.hstack([corners, corners + generator.uniform(40, 160, (60, 1)) * (1, 1.25)]).astype(np.float32)
        apart = boxes[iou(boxes, faces).max(axis=1, initial=0) == 0]
        tried += len(apart)
        found = detector.verify([image], [apart])[0].boxes
        passed += int((iou(found, faces).max(axis=1, initial=0) < 0.3).sum())
    assert tried > 300
    assert passed == 0


# Truth


@pytest.mark.parametrize("settings", [FAST, ACCURATE, COARSE], ids=["fast", "accurate", "coarse"])
def test_all_46_faces_of_compreface_and_nothing_else_score_over_095(
    runners: Runners, data_dir: Path, settings: dict[str, Any]
):
    detector = defaults.mtcnn(*runners, **settings)
    missed, false = [], []
    for entry in json.loads((data_dir / "compreface" / "noses.json").read_text())["images"]:
        image = cv2.imread(str(data_dir / "compreface" / entry["image"]))
        scale = min(1.0, 1280 / max(image.shape[:2]))
        found = detector.detect([cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)])[0]
        boxes = found.boxes[found.scores > 0.95]
        noses = np.array(entry["noses"]).reshape(-1, 2) * scale
        inside = (noses[:, None] > boxes[None, :, :2]) & (noses[:, None] < boxes[None, :, 2:])
        missed += [entry["image"]] * int((~inside.all(axis=2).any(axis=1)).sum())
        false += [entry["image"]] * int((~inside.all(axis=2).any(axis=0)).sum())
    assert (missed, false) == ([], [])


@pytest.mark.parametrize("settings", [FAST, ACCURATE, COARSE], ids=["fast", "accurate", "coarse"])
def test_42_of_43_faces_of_dlib_are_found(runners: Runners, data_dir: Path, settings: dict[str, Any]):
    detector = defaults.mtcnn(*runners, **settings)
    found = total = false = 0
    for listing in ("testing.xml", "training.xml"):
        for picture in ElementTree.parse(data_dir / "dlib_faces" / listing).getroot().iter("image"):
            truth = np.array(
                [
                    [float(box.attrib[side]) for side in ("left", "top", "width", "height")]
                    for box in picture.iter("box")
                ]
            )
            faces = detector.detect([cv2.imread(str(data_dir / "dlib_faces" / picture.attrib["file"]))])[0].boxes
            centres = truth[:, :2] + truth[:, 2:] / 2
            inside = (centres[:, None] > faces[None, :, :2]) & (centres[:, None] < faces[None, :, 2:])
            total += len(truth)
            found += int(inside.all(axis=2).any(axis=1).sum())
            false += int((~inside.all(axis=2).any(axis=0)).sum())
    assert total == 43
    assert found >= 42
    assert false == 0


# Mistakes


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"min_face_px": 5}, "min_face_px"),
        ({"min_face_px": float("nan")}, "min_face_px"),
        ({"max_face_px": 20}, "max_face_px"),
        ({"thresholds": (0.6, 6, 0.7)}, "thresholds"),
        ({"thresholds": (0.6, 0.7)}, "thresholds"),
        ({"factor": 1.0}, "factor"),
    ],
)
def test_setting_out_of_range_is_named(runners: Runners, settings: dict[str, Any], names: str):
    with pytest.raises(UserError, match=names):
        defaults.mtcnn(*runners, **settings)


def test_other_networks_are_refused(runners: Runners):
    pnet, rnet, onet = runners
    with pytest.raises(ModelError, match="rnet"):
        defaults.mtcnn(pnet, onet, rnet)
