"""The cascade's kernels, compiled for the CPU: their answers are those of `Mtcnn`, bit for bit in float32."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from jetstream.errors import ModelError
from jetstream.gpu import cubin_cache, pnet
from jetstream.gpu.cascade_graph import PNET_SHARED_FLOATS
from jetstream.gpu.structs import BUDGET
from jetstream.runners.base import UnavailableError
from jetstream.vision.detection import motion
from jetstream.vision.detection.detector import DetectorInput
from jetstream.vision.detection.mtcnn import MtcnnDetector
from tests.support import defaults

NOBODY = np.empty((0, 4), np.float32)
THRESHOLDS = (0.7, 0.7, 0.5)


@pytest.fixture(scope="module")
def on_cpu(runners):
    return MtcnnDetector(defaults.mtcnn(*runners, thresholds=THRESHOLDS))


def whole(image, known=NOBODY):
    return DetectorInput(image, known, search=True)


def answers(detector, looks):
    return detector.collect(detector.submit(looks))


def assert_same(given, wanted):
    np.testing.assert_array_equal(given.boxes, wanted.boxes)
    np.testing.assert_allclose(given.scores, wanted.scores, atol=1e-6)
    np.testing.assert_array_equal(given.landmarks, wanted.landmarks)


@pytest.mark.parametrize("shape", [(480, 640), (479, 641), (121, 333), (300, 37), (40, 40), (39, 200), (7, 5)])
def test_faces_are_those_of_the_cpu_at_any_size(opened, on_cpu, people, shape):
    picture = cv2.resize(people, shape[::-1], interpolation=cv2.INTER_AREA)
    (given,), (wanted,) = (answers(detector, [whole(picture)]) for detector in (opened(), on_cpu))
    assert_same(given.faces, wanted.faces)
    np.testing.assert_array_equal(given.thumbnail, motion.thumbnail(picture))


def test_several_faces_are_found(on_cpu, people):
    assert len(answers(on_cpu, [whole(people)])[0].faces.boxes) >= 3  # else the tests here compare nothing


def test_pictures_of_several_sizes_share_a_batch(opened, on_cpu, people):
    looks = [whole(people), whole(people[:200, :250]), whole(np.zeros((90, 60, 3), np.uint8)), whole(people[:, ::-1])]
    for given, wanted in zip(answers(opened(), looks), answers(on_cpu, looks), strict=True):
        assert_same(given.faces, wanted.faces)


def test_small_tiles_for_old_gpus_answer_the_same(opened, on_cpu, people, library_of_small_tiles):
    detector = opened(tile=8, kernels=library_of_small_tiles)
    assert_same(answers(detector, [whole(people)])[0].faces, answers(on_cpu, [whole(people)])[0].faces)


def test_more_candidates_than_a_graph_takes_are_asked_in_rounds(opened, on_cpu, people):
    looks = [whole(people), whole(people[:, ::-1])]
    detector = opened(rnet=(4, 12), onet=(2, 4))
    for given, wanted in zip(answers(detector, looks), answers(on_cpu, looks), strict=True):
        assert_same(given.faces, wanted.faces)


def test_known_faces_are_proposed_beside_p_nets(opened, on_cpu, people):
    (found,) = answers(on_cpu, [whole(people)])
    known = found.faces.boxes + np.float32(6)
    looks = [whole(people, known)]
    assert_same(answers(opened(), looks)[0].faces, answers(on_cpu, looks)[0].faces)


def test_faces_are_verified_where_they_were_and_a_step_beside(opened, on_cpu, people):
    (found,) = answers(on_cpu, [whole(people)])
    boxes = found.faces.boxes
    aside = boxes + np.float32(0.45) * (boxes[:, 2:3] - boxes[:, :1]) * np.array([1, 0, 1, 0], np.float32)
    for known in (boxes, aside, boxes[:0], np.concatenate([boxes, aside])):
        looks = [DetectorInput(people, known, search=False), whole(people[:200])]
        for given, wanted in zip(answers(opened(), looks), answers(on_cpu, looks), strict=True):
            assert_same(given.faces, wanted.faces)


def test_two_batches_under_way_answer_as_one_after_the_other(opened, on_cpu, people):
    pictures = [people, people[:, ::-1].copy(), people[100:], np.zeros_like(people), people[:, 100:].copy()]
    detector = opened(rnet=(4, 256), onet=(2, 64))
    tickets = [detector.submit([whole(pictures[0])])]
    given = []
    for picture in pictures[1:]:
        tickets.append(detector.submit([whole(picture)]))
        given += detector.collect(tickets.pop(0))
    given += detector.collect(tickets.pop(0))
    for one, picture in zip(given, pictures, strict=True):
        assert_same(one.faces, answers(on_cpu, [whole(picture)])[0].faces)


def test_batches_of_any_mix_follow_each_other(opened, on_cpu, people):
    pictures = [people, people[:, ::-1].copy(), people[:200, :250].copy(), np.zeros((90, 60, 3), np.uint8)]
    alone = [answers(on_cpu, [whole(picture)])[0].faces for picture in pictures]
    known = [found.boxes for found in alone]
    verified = [
        answers(on_cpu, [DetectorInput(*pair, search=False)])[0].faces for pair in zip(pictures, known, strict=True)
    ]
    random = np.random.default_rng(1)
    detector = opened(rnet=(16, 64), onet=(4, 16))
    tickets, given, wanted = [], [], []
    for _ in range(6):
        looks = []
        for number in random.permutation(len(pictures))[: random.integers(1, 4)].tolist():
            search = bool(random.integers(2))
            looks.append(DetectorInput(pictures[number], NOBODY if search else known[number], search))
            wanted.append((alone if search else verified)[number])
        tickets.append(detector.submit(looks))
        if len(tickets) == 2:
            given += detector.collect(tickets.pop(0))
    given += detector.collect(tickets.pop(0))
    for seen, found in zip(given, wanted, strict=True):
        assert_same(seen.faces, found)


def test_memory_that_could_not_grow_is_not_used(opened, people):
    detector = opened()
    answers(detector, [whole(people[:120, :160])])
    allocate = detector._device.allocate

    def little(n_bytes):
        if n_bytes > 2**20:
            raise UnavailableError("the GPU has too little memory")
        return allocate(n_bytes)

    detector._device.allocate = little
    for picture in (people, people[:120, :160]):
        with pytest.raises(ModelError, match="detect: the GPU has too little memory"):
            detector.submit([whole(picture)])


def test_more_known_faces_than_fit_are_counted(opened, people):
    known = np.tile(np.array([[10, 10, 60, 60]], np.float32), (BUDGET + 5, 1))
    detector = opened(rnet=(512, 4096), onet=(64, 4096))
    answers(detector, [DetectorInput(people[:90, :90].copy(), known, search=False)])
    assert detector.clipped >= 5


def test_a_larger_picture_than_before_gets_larger_memory(opened, on_cpu, people):
    detector = opened()
    first = detector.submit([whole(people[:120, :160])])
    second = detector.submit([whole(people)])
    for ticket, picture in ((first, people[:120, :160]), (second, people)):
        assert_same(detector.collect(ticket)[0].faces, answers(on_cpu, [whole(picture)])[0].faces)


def test_settings_are_obeyed(opened, runners, people):
    detector = opened(thresholds=(0.6, 0.8, 0.9), factor=0.8, min_face_px=24.0, max_face_px=150.0)
    mtcnn = defaults.mtcnn(*runners, thresholds=(0.6, 0.8, 0.9), factor=0.8, min_face_px=24.0, max_face_px=150.0)
    assert_same(answers(detector, [whole(people)])[0].faces, mtcnn.detect([people])[0])


def test_candidates_over_the_budget_are_counted_and_the_surest_stay(opened, people, caplog):
    """A picture in which P-Net finds a face everywhere: its threshold is nearly 0."""
    noise = np.random.default_rng(3).integers(0, 256, (480, 600, 3), np.uint8)
    noise[100:430, 100:430] = people[20:350, 10:340]
    detector = opened(thresholds=(0.0001, 0.7, 0.7), min_face_px=12.0, rnet=(512, 2048))
    (seen,) = answers(detector, [whole(noise)])
    assert detector.clipped > 0
    assert "candidates" in caplog.text
    assert len(seen.faces.boxes) == 1


@pytest.mark.parametrize("rows", [((64, 256), (16, 64)), ((4, 12), (2, 4))])
def test_a_gpu_that_shares_memory_reads_the_picture_where_it_lies(opened, on_cpu, people, rows):
    detector = opened(*rows)
    detector._device.reads_host_memory = True
    uploads = []
    upload = detector._device.upload
    detector._device.upload = lambda *arguments: (uploads.append(arguments[1].nbytes), upload(*arguments))
    assert_same(answers(detector, [whole(people)])[0].faces, answers(on_cpu, [whole(people)])[0].faces)
    assert people.nbytes not in uploads


def test_every_kernel_is_launched_by_somebody(opened, people):
    detector = opened()
    answers(detector, [whole(people)])
    defined = {name for name, _ in emulation_kernels()}
    mine = {name for name in defined if name not in ("strip_to_bgr", "pyr_down", "chips", "planes")}
    assert mine == set(detector._device.launched)


def emulation_kernels():
    from jetstream.gpu import cubin_cache
    from tests.support.gpu_emulation import _KERNEL

    return _KERNEL.findall(cubin_cache.sources())


@pytest.mark.parametrize("content", [b"", b"no network"])
def test_weights_of_another_file_are_refused(tmp_path: Path, content):
    path = tmp_path / "pnet.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not P-Net"):
        pnet.weights(path)


def test_weights_of_another_network_are_refused(models_dir):
    with pytest.raises(ModelError, match="not P-Net"):
        pnet.weights(models_dir / "rnet.onnx")


KIB_A_BLOCK = {
    "5.3": 48,
    "6.2": 48,
    "7.0": 96,
    "7.2": 96,
    "7.5": 64,
    "8.0": 163,
    "8.6": 99,
    "8.7": 163,
    "9.0": 227,
    "12.0": 99,
}
"""Shared memory that a block may have (CUDA C++ programming guide, technical specifications by compute capability)."""


@pytest.mark.parametrize("capability", KIB_A_BLOCK)
def test_p_nets_shared_memory_is_there_on_every_gpu(capability):
    tile = cubin_cache.tile_cells(capability)
    declared = 2 * 16 * (2 * tile + 10)  # rows and columns of `Between`
    assert 4 * PNET_SHARED_FLOATS[tile] + declared <= KIB_A_BLOCK[capability] * 1024
