"""What rounding to half precision does to the faces that are found: emulated, with the CPU's cascade."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from jetstream import weights
from jetstream.networks.runner import WELL_IN_FP16
from jetstream.runners.base import Runner
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.runners.tensorrt import build_process
from jetstream.runners.tensorrt.engine_cache import fixed
from jetstream.vision.detection.detections import Picture
from tests.support import defaults, face_moves
from tests.support.half_precision import HalfPrecisionRunner

THRESHOLDS = (0.7, 0.7, 0.5)  # the preset "fast"
MOST_MOVED, MOST_SCORE = 0.005, 0.01  # of a face's side, and of a score; 0.0011 and 0.0046 over 876 faces
ENGINES = {"rnet": (24, 3.1e-3), "onet": (48, 4.2e-3)}  # side px; error of TensorRT 8.5.3's engine on an H100


@pytest.fixture(scope="module")
def nets(models_dir) -> Iterator[Callable[[frozenset[str]], list[Runner]]]:
    """P-Net, R-Net and O-Net, those named in half precision."""
    paths = weights.paths(models_dir)[:3]
    whole = {path.stem: OnnxRunner(path) for path in paths}
    half = {path.stem: HalfPrecisionRunner(path) for path in paths[1:]}
    yield lambda names: [half[path.stem] if path.stem in names else whole[path.stem] for path in paths]
    for runner in whole.values():
        runner.close()


@pytest.fixture(scope="module")
def moved(nets) -> Callable[[Picture, frozenset[str]], face_moves.FaceMoves]:
    """How far the faces of a picture move with some networks in half precision."""

    def found(image: Picture, names: frozenset[str]):
        (faces,) = defaults.mtcnn(*nets(names), thresholds=THRESHOLDS).detect([image])
        return faces

    return lambda image, names: face_moves.between(found(image, names), found(image, frozenset()))


@pytest.fixture(scope="module")
def close_calls(data_dir: Path) -> dict[str, Picture]:
    """Faces with two candidates whose scores are nearly equal."""
    film = cv2.VideoCapture(str(data_dir / "video" / "singles" / "d10.mp4"))
    film.set(cv2.CAP_PROP_POS_FRAMES, 375)
    frame = film.read()[1]
    film.release()
    photo = cv2.imread(str(data_dir / "compreface" / "006_A.jpg"))
    scale = 1920 / max(photo.shape[:2])
    small = cv2.imread(str(data_dir / "glint24_dev" / "Hugh_Laurie" / "3790.png"))
    return {
        "frame": frame,
        "photo": cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA),
        "small": small,
    }


@pytest.mark.parametrize("name", list(ENGINES))
def test_the_emulation_is_as_far_off_as_a_real_engine(nets, name):
    side_px, of_engine = ENGINES[name]
    (picture,) = build_process.pictures(SimpleNamespace(profiles=(fixed(32, 3, side_px, side_px),)))
    number = ("pnet", "rnet", "onet").index(name)
    wanted, given = (nets(names)[number].infer({"image": picture}) for names in (frozenset(), frozenset([name])))
    error = max(float(np.abs(given[key] - values).max() / np.abs(values).max()) for key, values in wanted.items())
    assert of_engine / 2 < error < of_engine * 2


def assert_stay(moves: face_moves.FaceMoves) -> None:
    assert moves.lonely == []
    assert len(moves.shares) > 0
    assert moves.shares.max() < MOST_MOVED
    assert moves.scores.max() < MOST_SCORE


@pytest.mark.parametrize("name", ["Eileen Collins", "Grace Hopper"])
def test_faces_stay_where_they_are_in_the_precision_of_the_engines(moved, portraits, name):
    moves = moved(portraits[name], WELL_IN_FP16)
    assert_stay(moves)
    assert moves.shares.max() > 1e-5, "nothing was rounded"


@pytest.mark.parametrize("name", ["frame", "photo", "small"])
def test_a_face_with_two_near_candidates_stays_too(moved, close_calls, name):
    assert_stay(moved(close_calls[name], WELL_IN_FP16))


def test_a_rounded_rnet_alone_lets_other_candidates_win(moved, close_calls):
    """Its boxes are cut to whole pixels: a crop moves by a pixel, and O-Net's score with it."""
    largest = [float(moved(image, frozenset(["rnet"])).shares.max()) for image in close_calls.values()]
    assert max(largest) > 4 * MOST_MOVED, largest
