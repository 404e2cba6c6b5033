"""The cascade on a real GPU: the kernels with the CPU's networks, then with TensorRT's, and what goes wrong there.

JETSTREAM_BINDINGS=cuda-core, or pycuda, runs it on those.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from jetstream import weights
from jetstream.gpu import cubin_cache, pnet
from jetstream.gpu.cascade import Cascade
from jetstream.gpu.detector import GpuDetector
from jetstream.gpu.device import CudaDevice
from jetstream.ipc.ring import Ring, segment_name
from jetstream.networks import gpu as gpu_networks
from jetstream.networks.runner import recipe_for
from jetstream.picture_format import PictureFormat
from jetstream.runners import cuda_driver
from jetstream.runners.base import UnavailableError
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.runners.tensorrt import bindings, prepare
from jetstream.vision.detection import motion
from jetstream.vision.detection.detections import Detections
from jetstream.vision.detection.detector import DetectorInput
from jetstream.vision.detection.mtcnn import MtcnnDetector
from tests.support import defaults, face_moves, gpu
from tests.support.gpu_emulation import OnnxNet
from tests.support.nv12 import nv12_of
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.gpu

NOBODY = np.empty((0, 4), np.float32)
# of fp16: in shares of a face's side, and of a score; 0.0011 and 0.0046 over 876 faces, emulated on the CPU
MOST_HALF_MOVED, MOST_HALF_SCORE = 0.01, 0.02


@pytest.fixture(scope="module", autouse=True)
def there():
    gpu.need("tensorrt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return gpu.kept_engines(tmp_path_factory.mktemp("engines"))


@pytest.fixture(scope="module")
def on_cpu(runners):
    return MtcnnDetector(defaults.mtcnn(*runners, thresholds=gpu.THRESHOLDS))


@pytest.fixture(scope="module")
def people(portraits):
    """Two people, each in several sizes."""
    eileen, grace = portraits["Eileen Collins"][:400, 60:460], portraits["Grace Hopper"][:400, 56:456]
    picture = np.full((720, 1280, 3), 90, np.uint8)
    places = ((eileen, 10, 20, 600), (grace, 650, 0, 300), (eileen, 1000, 300, 150), (grace, 650, 400, 200))
    for face, x, y, side in places:
        picture[y : y + side, x : x + side] = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    return picture


@pytest.fixture(scope="module")
def looks(people):
    pictures = [people, people[:, ::-1].copy(), people[100:501, 3:804].copy(), np.zeros((90, 60, 3), np.uint8)]
    return [DetectorInput(picture, NOBODY, search=True) for picture in pictures]


class HostNet(OnnxNet):
    """The CPU's network between the GPU's addresses."""

    def __init__(self, runner: OnnxRunner, rows: tuple[int, ...], device: CudaDevice) -> None:
        super().__init__(runner, rows)
        self._device = device

    def enqueue(self, rows: int, image: int, outputs: Mapping[str, int], stream: Any) -> None:
        spec = self._runner.inputs[0]
        here = np.empty((rows, *(size or 0 for size in spec.shape[1:])), np.float32)
        self._device.download(here, image, stream)
        self._device.finish()
        for name, values in self._runner.infer({spec.name: np.nan_to_num(here)}).items():
            self._device.upload(outputs[name], np.ascontiguousarray(values), stream)
        self._device.finish()


class EagerDevice(CudaDevice):
    """No graphs: what the CPU's networks do can't be recorded."""

    def graph(self, stream: Any, work: Callable[[], None]) -> Any:
        class Again:
            def launch(self, stream: Any) -> None:
                work()

            def close(self) -> None: ...

        return Again()


@pytest.fixture
def with_cpu_nets(folder, runners, models_dir):
    """Opens a cascade whose kernels run on the GPU and whose networks on the CPU."""
    capability = cuda_driver.gpu(0).capability
    cubin_cache.ensure(folder, capability)
    device = EagerDevice(0, cubin_cache.load(folder, capability), gpu.BINDINGS)

    def open_one(rnet=(64, 256), onet=(16, 64)) -> GpuDetector:
        settings = gpu_networks.settings_of(gpu.cascade_config(folder), cubin_cache.tile_cells(capability))
        nets = HostNet(runners[1], rnet, device), HostNet(runners[2], onet, device)
        with device.current():
            return GpuDetector(device, Cascade(device, *nets, pnet.weights(models_dir / "pnet.onnx"), settings))

    yield open_one
    device.close()


@pytest.fixture(scope="module")
def with_engines(folder, models_dir):
    """Engines of R-Net and O-Net, built once, and the kernels; opens detectors on them."""
    cubin_cache.ensure(folder, cuda_driver.gpu(0).capability)

    def open_one(precision: str, **detect: Any):
        config = gpu.cascade_config(folder, precision, **detect)
        files = weights.paths(models_dir)
        made = prepare.ensure(
            [recipe_for(path, config, bindings.version()) for path in (files.rnet, files.onet)], folder
        )
        assert all(one.path for one in made), [one.reason for one in made]
        return gpu_networks.open_gpu_detector(config)

    return open_one


def answers(detector, looks):
    return detector.collect(detector.submit(looks))


def assert_same(given, wanted, *, px=1e-3, score=1e-5):
    assert len(given.boxes) == len(wanted.boxes)
    # two scores that lie near each other may change places
    given, wanted = (Detections(*(part[np.argsort(one.boxes[:, 0])] for part in one)) for one in (given, wanted))
    np.testing.assert_allclose(given.boxes, wanted.boxes, atol=px)
    np.testing.assert_allclose(given.scores, wanted.scores, atol=score)
    np.testing.assert_allclose(given.landmarks, wanted.landmarks, atol=px)


@pytest.mark.parametrize("rows", [((64, 256), (16, 64)), ((4, 12), (2, 4))])
def test_kernels_give_the_cpus_answers(with_cpu_nets, on_cpu, looks, rows):
    for given, wanted in zip(answers(with_cpu_nets(*rows), looks), answers(on_cpu, looks), strict=True):
        assert_same(given.faces, wanted.faces)


def test_kernels_verify_as_the_cpu_does(with_cpu_nets, on_cpu, people):
    (found,) = answers(on_cpu, [DetectorInput(people, NOBODY, search=True)])
    boxes = found.faces.boxes
    aside = boxes + np.float32(0.45) * (boxes[:, 2:3] - boxes[:, :1]) * np.array([1, 0, 1, 0], np.float32)
    looks = [DetectorInput(people, known, search=False) for known in (boxes, aside)]
    for given, wanted in zip(answers(with_cpu_nets(), looks), answers(on_cpu, looks), strict=True):
        assert_same(given.faces, wanted.faces)


def test_fp32_engines_find_the_same_faces(with_engines, on_cpu, looks):
    with with_engines("fp32") as detector:
        for given, wanted in zip(answers(detector, looks), answers(on_cpu, looks), strict=True):
            assert_same(given.faces, wanted.faces, px=1.0, score=0.01)


def test_fp16_engines_find_the_same_faces_nearly_there(with_engines, on_cpu, looks):
    with with_engines("fp16") as detector:
        for given, wanted in zip(answers(detector, looks), answers(on_cpu, looks), strict=True):
            side = max([1.0, *(wanted.faces.boxes[:, 2] - wanted.faces.boxes[:, 0])])
            assert_same(given.faces, wanted.faces, px=MOST_HALF_MOVED * side, score=MOST_HALF_SCORE)


def test_fp16_engines_move_no_real_face_by_a_hundredth_of_its_side(with_engines, on_cpu, data_dir):
    moves = []
    with with_engines("fp16") as detector:
        for image in real_people(data_dir):
            look = [DetectorInput(image, NOBODY, search=True)]
            moves.append(face_moves.between(answers(detector, look)[0].faces, answers(on_cpu, look)[0].faces))
    shares, scores, lonely = (np.concatenate(parts) for parts in zip(*moves, strict=True))
    assert len(shares) > 150
    print(f"{len(shares)} faces: moved by {shares.max():.2%} of the side at most, scores by {scores.max():.4f}")
    assert shares.max() < MOST_HALF_MOVED
    assert scores.max() < MOST_HALF_SCORE
    # a face whose score lies at the threshold may be lost or won
    assert np.abs(lonely - gpu.THRESHOLDS[2]).max(initial=0) < MOST_HALF_SCORE


def real_people(data_dir: Path) -> Iterator[np.ndarray]:
    """Photos and video frames, of at most 1280 px."""
    folders = ("compreface", "dlib_faces", "bbt_faceapi", "bbt_train", "friends_refs", "lfw10x10")
    files = [path for folder in folders for path in sorted((data_dir / folder).rglob("*"))]
    photos = [cv2.imread(str(path)) for path in files if path.suffix in (".jpg", ".png")]
    for image in (*photos, *frames(data_dir / "video" / "short_hamilton_clip.mp4", every=10)):
        scale = min(1.0, 1280 / max(image.shape[:2]))
        yield cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def frames(path: Path, every: int) -> Iterator[np.ndarray]:
    film, number = cv2.VideoCapture(str(path)), 0
    while film.grab():
        if number % every == 0:
            yield film.retrieve()[1]
        number += 1
    film.release()


def test_every_answer_is_the_same_whatever_is_in_the_batch_and_before_it(with_engines, looks):
    with with_engines("fp32") as detector:
        alone = [answers(detector, [look])[0].faces for look in looks]
        order = np.random.default_rng(5).permutation(np.repeat(np.arange(len(looks)), 50)).tolist()
        tickets, given = [], []
        for first in range(0, len(order), 3):
            tickets.append(detector.submit([looks[number] for number in order[first : first + 3]]))
            if len(tickets) == 2:
                given += detector.collect(tickets.pop(0))
        given += detector.collect(tickets.pop(0))
    for number, seen in zip(order, given, strict=True):
        assert_same(seen.faces, alone[number])


@pytest.mark.parametrize("form", [PictureFormat.BGR, PictureFormat.NV12_601, PictureFormat.NV12_709_FULL])
@pytest.mark.parametrize("shares_memory", [False, True])
def test_pictures_come_straight_from_a_ring(with_engines, on_cpu, people, shares_memory, form):
    name = segment_name("gpu-test")
    with (
        Ring.create(name, slots=4, max_width=1280, max_height=720) as ring,
        with_engines("fp32") as detector,
    ):
        ring.write(people if form is PictureFormat.BGR else nv12_of(people, form))
        view, shown = ring.view(0), ring.read(0)
        detector._device.reads_host_memory = shares_memory
        (given,) = answers(detector, [DetectorInput(view.picture, NOBODY, search=True)])
        assert view.still_valid()
        assert detector._device._to_unpin == [ring._array().ctypes.data]
        del view
    wanted = answers(on_cpu, [DetectorInput(shown, NOBODY, search=True)])[0]
    assert_same(given.faces, wanted.faces, px=1.0, score=0.01)
    np.testing.assert_array_equal(given.thumbnail, motion.thumbnail(shown))


def test_too_little_memory_is_a_sentence(with_engines):
    too_little = pytest.raises(UnavailableError, match=r"too little memory .* lower detect.batch")
    with with_engines("fp32") as detector, too_little, detector._device.current():
        detector._device.allocate(2**45)


def test_a_kernel_that_fails_ends_the_process_with_a_reason_and_no_other(with_engines, folder, looks, on_cpu):
    program = f"""
from pathlib import Path
from jetstream.gpu import cubin_cache
from jetstream.gpu.device import CudaDevice
from jetstream.gpu.structs import WORK
kernels = cubin_cache.load(Path({str(folder)!r}), {cuda_driver.gpu(0).capability!r})
device = CudaDevice(0, kernels, {gpu.BINDINGS!r})
with device.current():
    stream = device.stream()
    device.launch("keep_onet", (1, 1), 512, 0, bytes(WORK.itemsize), stream)  # every address is 0
    device.finish()
"""
    with with_engines("fp32") as detector:
        failed = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
        assert failed.returncode == 1
        assert "RuntimeError: the GPU fails" in failed.stderr
        assert_same(answers(detector, looks[:1])[0].faces, answers(on_cpu, looks[:1])[0].faces, px=1.0, score=0.01)


def test_a_process_killed_amid_a_graph_leaves_the_gpu_to_the_next(
    with_engines, folder, looks, on_cpu, people, tmp_path
):
    cv2.imwrite(str(tmp_path / "people.png"), people)
    program = f"""
import cv2, numpy as np
from pathlib import Path
from jetstream.networks import gpu as gpu_networks
from jetstream.vision.detection.detector import DetectorInput
from tests.support.gpu import cascade_config
look = DetectorInput(cv2.imread({str(tmp_path / "people.png")!r}), np.empty((0, 4), np.float32), True)
with gpu_networks.open_gpu_detector(cascade_config(Path({str(folder)!r}))) as detector:
    tickets = [detector.submit([look] * 4)]
    while True:
        tickets.append(detector.submit([look] * 4))
        found = detector.collect(tickets.pop(0))
        print(len(found[0].faces.boxes), flush=True)
"""
    with with_engines("fp32"):
        pass  # built
    for _ in range(2):
        child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=os.environ)
        assert child.stdout is not None
        assert child.stdout.readline().strip() == b"4"
        time.sleep(0.05)
        child.send_signal(signal.SIGKILL)
        child.wait(PATIENCE_S)
        child.stdout.close()
    with with_engines("fp32") as detector:
        assert_same(answers(detector, looks[:1])[0].faces, answers(on_cpu, looks[:1])[0].faces, px=1.0, score=0.01)
