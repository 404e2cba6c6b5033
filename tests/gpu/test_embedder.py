"""The embedder on the GPU: its kernels compiled for the CPU here, and the real device where there is one."""

import ctypes
import math
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from jetstream.config.schema import Config, ModelsConfig, RecognizeConfig
from jetstream.gpu import cubin_cache
from jetstream.gpu.embedder import GpuEmbedder
from jetstream.gpu.face_crops import strip_of
from jetstream.networks import backends, embedders
from jetstream.networks.open import open_embedder
from jetstream.networks.runner import recipe_for
from jetstream.picture_format import PictureFormat
from jetstream.runners import cuda_driver
from jetstream.runners.base import UnavailableError
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.runners.tensorrt import bindings, prepare
from jetstream.vision.recognition import align
from jetstream.vision.recognition.embedder import CpuEmbedder, Embedder, EmbedderSpec, View, embeddings_of
from jetstream.weights import published
from tests.support import defaults
from tests.support.gpu import engines_for, kept_engines, need
from tests.support.gpu_emulation import COMPILER, EmulatedDevice, OnnxNet, build
from tests.support.nv12 import noise_nv12

# of Eileen Collins's portrait: left eye, right eye, nose, mouth corners
COLLINS = np.array([[202.0, 108.0], [245.0, 108.0], [225.0, 130.0], [207.0, 152.0], [243.0, 152.0]])
ROWS = 2, 5


class Recorder:
    """A net that keeps its input and answers with each row's first 128 numbers."""

    def __init__(self, spec: EmbedderSpec, rows: tuple[int, ...] = ROWS) -> None:
        self.rows = rows
        self._shape = 3, spec.template.side_px, spec.template.side_px
        self.batches: list[np.ndarray] = []

    def enqueue(self, rows, image, outputs, stream):
        count = rows * math.prod(self._shape)
        floats = np.ctypeslib.as_array((ctypes.c_float * count).from_address(image)).reshape(rows, *self._shape)
        self.batches.append(floats.copy())
        answers = np.ascontiguousarray(floats.reshape(rows, -1)[:, :128])
        ctypes.memmove(outputs["embedding"], answers.ctypes.data, answers.nbytes)


@pytest.fixture(scope="module", params=["dlib", "sface"])
def spec(request) -> EmbedderSpec:
    return embedders.SPECS[request.param]


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    if COMPILER is None:
        pytest.skip("needs g++ or clang++ to compile the kernels for the CPU")
    return build(tmp_path_factory.mktemp("kernels"), 16)


@pytest.fixture
def device(kernels):
    with_kernels = EmulatedDevice(kernels)
    yield with_kernels
    with_kernels.close()


@pytest.fixture
def cutter(device, spec) -> GpuEmbedder:
    """Cuts real chips and embeds nothing."""
    return GpuEmbedder(device, Recorder(spec), spec)


@pytest.fixture(scope="module")
def runner(models_dir, spec):
    with OnnxRunner(embedders.named(spec.name, models_dir).path) as runner:
        yield runner


@pytest.fixture
def embedder(device, runner, spec) -> GpuEmbedder:
    return GpuEmbedder(device, OnnxNet(runner, ROWS), spec)


@pytest.fixture(scope="module")
def faces(portraits, spec) -> np.ndarray:
    """(7, S, S, 3): chips of one portrait, each turned and shifted a little."""
    turned = [COLLINS + np.array((shift, 2 * shift)) for shift in range(-3, 4)]
    return align.chips(portraits["Eileen Collins"], turned, spec.template)


def placed(turn_deg: float, scale: float, centre: tuple[float, float]) -> np.ndarray:
    """(5, 2): landmarks of an upright face turned about its middle, scaled, and put at `centre`."""
    angle = np.deg2rad(turn_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (align.DLIB.points - 75) @ turn.T * scale + centre


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (height, width, 3), dtype=np.uint8)


def most_off(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, int]:
    """The share of values that differ, and by how many grey levels at most."""
    difference = np.abs(ours.astype(int) - theirs)
    return float((difference > 0).sum() / max(difference.size, 1)), int(difference.max(initial=0))


def assert_same_chips(cutter: Embedder, views: list[View]) -> None:
    """But for the rounding of coordinates, where another OpenCV or CPU may do it otherwise."""
    for (image, landmarks), looked in zip(views, cutter.look(views), strict=True):
        share, most = most_off(looked.chips, align.chips(image, landmarks, cutter.spec.template))
        np.testing.assert_array_less(most_off(looked.dlib_chips, align.chips(image, landmarks, align.DLIB))[1], 2)
        assert most <= 1
        assert share < 0.001


@pytest.mark.parametrize(("scale", "levels"), [(0.3, 0), (1.0, 0), (1.9, 0), (2.3, 1), (4.2, 2), (8.3, 3)])
@pytest.mark.parametrize("turn_deg", [0, 17, -100])
def test_chips_are_the_cpus_at_every_size(cutter, device, scale, levels, turn_deg):
    image, landmarks = noise(1500, 1601), placed(turn_deg, scale, (801.3, 702.7))[None]

    assert_same_chips(cutter, [(image, landmarks)])

    if cutter.spec.template is align.DLIB:
        assert device.launched.count("pyr_down") == levels


@pytest.mark.parametrize(
    "template",
    [align.scaled(align.ARCFACE, 160), align.scaled(align.DLIB, 96), align.of_points(align.ARCFACE.points + 8, 128)],
    ids=lambda template: template.name,
)
def test_chips_of_an_added_networks_template_are_the_cpus(device, template):
    spec = EmbedderSpec("own", template, embedders.SPECS["sface"].space, is_cosine=True)
    cutter = GpuEmbedder(device, Recorder(spec), spec)
    image = noise(900, 1001)

    assert_same_chips(cutter, [(image, placed(17, scale, (501.3, 402.7))[None]) for scale in (0.5, 1.9, 4.2)])


@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png", "chelsea.png"])
def test_chips_of_a_photo_are_the_cpus(cutter, name):
    import skimage

    image = cv2.imread(str(Path(skimage.__file__).parent / "data" / name))
    if image is None:
        pytest.skip(f"this scikit-image has no {name} in its wheel")
    height, width = image.shape[:2]
    random = np.random.default_rng(3)
    landmarks = [
        placed(random.uniform(-180, 180), random.uniform(0.2, 3), random.uniform((0, 0), (width, height)))
        for _ in range(12)
    ]

    assert_same_chips(cutter, [(image, np.stack(landmarks))])


def test_faces_in_real_frames_are_the_cpus(cutter, data_dir):
    paths = sorted(data_dir.rglob("*.jpg"))[:40:10]
    if not paths:
        pytest.skip(f"no pictures in {data_dir}")
    images = [cv2.imread(str(path)) for path in paths]

    assert_same_chips(cutter, [(image, placed(9, image.shape[0] / 400, (90, 80))[None]) for image in images])


@pytest.mark.parametrize("centre", [(0, 0), (400, 5), (203, 300), (-60, 150), (401, 299)])
@pytest.mark.parametrize("scale", [1.0, 2.5, 5.0])
def test_faces_over_the_border_are_the_cpus(cutter, centre, scale):
    assert_same_chips(cutter, [(noise(301, 403), placed(30, scale, centre)[None])])


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (2, 3), (7, 5), (33, 2)])
def test_pictures_of_a_few_pixels_are_the_cpus(cutter, size):
    assert_same_chips(cutter, [(noise(*size), np.stack([placed(5, 0.5, (1, 1)), placed(5, 9.0, (0, 2))]))])


def test_large_and_small_faces_of_one_picture_share_its_copy(cutter, device, monkeypatch):
    image = noise(1100, 1300)
    landmarks = np.stack([placed(0, scale, (600 + 40 * scale, 500)) for scale in (0.4, 5.0, 2.2, 1.0)])
    uploads = []
    upload = device.upload
    monkeypatch.setattr(
        device, "upload", lambda to, source, on: (uploads.append(source.nbytes), upload(to, source, on))
    )

    assert_same_chips(cutter, [(image, landmarks)])

    assert len([n_bytes for n_bytes in uploads if n_bytes > 1000]) == 1
    assert device.launched.count("pyr_down") == 2


def test_only_the_rows_of_the_faces_are_copied():
    image = noise(1000, 800)

    strip = strip_of(image, np.stack([placed(0, 1.0, (400, 300)), placed(0, 1.0, (100, 420))]), align.DLIB)

    assert 300 - 120 < strip.top < 300 - 75
    assert 270 < len(strip.pixels) < 400
    assert np.shares_memory(strip.pixels, image)


@pytest.mark.parametrize(
    "points",
    [np.full((5, 2), 80.0), np.full((5, 2), np.nan), placed(0, 1.0, (1e6, 50)), placed(0, 1.0, (50, -1e6))],
    ids=["one point", "nan", "right of the picture", "above the picture"],
)
def test_landmarks_that_are_no_face_give_a_black_chip(cutter, portraits, points):
    image = portraits["Eileen Collins"]

    (looked,) = cutter.look([(image, np.stack([COLLINS, points]))])

    assert not looked.chips[1].any()
    assert looked.chips[0].any()


def test_wild_landmarks_are_the_cpus(cutter):
    wild = np.stack([placed(3, 900.0, (200, 200)), placed(3, 0.0011, (40, 40)), placed(3, 60.0, (-3000, 20))])

    assert_same_chips(cutter, [(noise(300, 400), wild)])


def test_several_frames_in_one_call_keep_their_faces(cutter, portraits):
    views = [
        (portraits["Eileen Collins"], np.stack([COLLINS, COLLINS + 9])),
        (noise(90, 50), np.empty((0, 5, 2))),
        (noise(400, 640), np.stack([placed(i, 1.2 + i / 9, (300, 200)) for i in range(11)])),
        (portraits["Grace Hopper"], placed(4, 1.5, (250, 200))[None]),
    ]

    looked = cutter.look(views, mirror=True)

    assert [one.chips.shape for one in looked] == [(n, *cutter.spec.template.shape) for n in (2, 0, 11, 1)]
    assert [one.embeddings.shape for one in looked] == [(n, 128) for n in (2, 0, 11, 1)]
    assert_same_chips(cutter, views)


def test_no_frames_and_no_faces_ask_nothing(cutter, device):
    device.launched.clear()

    assert cutter.look([]) == []
    (looked,) = cutter.look([(noise(30, 40), np.empty((0, 5, 2)))], mirror=True)

    assert looked.chips.shape == (0, *cutter.spec.template.shape)
    assert looked.embeddings.shape == (0, 128)
    assert cutter.embed(np.empty((0, *cutter.spec.template.shape), np.uint8)).shape == (0, 128)
    assert not device.launched


def test_a_smaller_picture_after_a_larger_one(cutter):
    for side in (300, 700, 200):
        assert_same_chips(cutter, [(noise(side, side), placed(0, 1.0, (100, 100))[None])])


def test_a_picture_in_memory_that_the_gpu_reads_is_not_copied(kernels, spec, monkeypatch):
    device = EmulatedDevice(kernels)
    device.reads_host_memory = True
    cutter = GpuEmbedder(device, Recorder(spec), spec)
    uploads = []
    upload = device.upload
    monkeypatch.setattr(
        device, "upload", lambda to, source, on: (uploads.append(source.nbytes), upload(to, source, on))
    )

    assert_same_chips(cutter, [(noise(900, 700), placed(0, scale, (300, 500))[None]) for scale in (1.0, 3.0)])

    assert max(uploads) < 1000


def test_chips_reach_the_network_as_planes_and_mirrored(cutter, faces):
    cutter.embed(faces[:2], mirror=True)

    rows = cutter._net.batches[-1]
    for chip, plain, mirrored in zip(faces, rows[0::2], rows[1::2], strict=False):
        assert np.array_equal(plain, chip.transpose(2, 0, 1))
        assert np.array_equal(mirrored, chip[:, ::-1].transpose(2, 0, 1))


@pytest.mark.parametrize("rows", [(1,), (2,), (3,), (2, 5), (2, 8, 32)])
@pytest.mark.parametrize("mirror", [False, True])
def test_batches_of_any_size_answer_every_chip(device, spec, rows, mirror):
    net = Recorder(spec, rows)
    random = np.random.default_rng(0)
    for count in (1, 2, 5, 6, 17):
        chips = random.integers(0, 256, (count, *spec.template.shape), dtype=np.uint8)
        line, mirrored = (seen[..., 0].reshape(count, -1)[:, :128] for seen in (chips, chips[:, :, ::-1]))
        outputs = (line.astype(np.float32) + mirrored) / 2 if mirror else line.astype(np.float32)
        expected = embeddings_of(outputs, spec)

        found = GpuEmbedder(device, net, spec).embed(chips, mirror=mirror)

        assert np.allclose(found, expected, atol=1e-6)
        assert {len(batch) for batch in net.batches} <= set(rows)


@pytest.mark.parametrize("mirror", [False, True])
def test_embeddings_are_the_cpus(embedder, runner, faces, mirror):
    expected = defaults.embedder(runner, embedder.spec).embed(faces, mirror=mirror)

    assert np.abs(embedder.embed(faces, mirror=mirror) - expected).max() < 1e-5
    assert np.abs(embedder.embed(faces[:1], mirror=mirror) - expected[:1]).max() < 1e-5


@pytest.mark.parametrize("mirror", [False, True])
def test_faces_in_a_picture_are_embedded_as_the_cpu_does(embedder, runner, portraits, mirror):
    views = [(portraits["Eileen Collins"], np.stack([COLLINS, COLLINS + 5, COLLINS - 8]))]

    (ours,), (theirs,) = (
        one.look(views, mirror=mirror) for one in (embedder, defaults.embedder(runner, embedder.spec))
    )

    assert most_off(ours.chips, theirs.chips)[1] <= 1
    assert np.linalg.norm(ours.embeddings - theirs.embeddings, axis=1).max() < 1e-2


def test_chips_in_its_room_are_not_copied_again(embedder, runner, faces):
    room = embedder.room(len(faces))
    np.copyto(room, faces)

    found = embedder.embed(room)

    assert not any(slot.chips_here.any() for slot in embedder._slots)
    assert np.abs(found - defaults.embedder(runner, embedder.spec).embed(faces, mirror=False)).max() < 1e-5
    assert embedder.room(2).shape == (2, *embedder.spec.template.shape)


def test_chips_may_be_a_view_of_larger_pictures(cutter, faces):
    framed = np.zeros((len(faces), 170, 160, 3), np.uint8)
    inner = framed[:, 10 : 10 + faces.shape[1], 5 : 5 + faces.shape[2]]
    inner[:] = faces

    assert np.array_equal(cutter.embed(inner), cutter.embed(faces))


@pytest.mark.parametrize(
    "wrong", [np.zeros((1, 150, 150, 3), np.float32), np.zeros((1, 160, 150, 3), np.uint8), np.zeros((150, 150, 3))]
)
def test_other_shapes_are_refused(cutter, wrong):
    with pytest.raises(ValueError, match=r"chips: expected \(N, (150, 150|112, 112), 3\) uint8"):
        cutter.embed(wrong)


def test_close_frees_all_memory(device, spec):
    cutter = GpuEmbedder(device, Recorder(spec), spec)
    cutter.look([(noise(100, 100), COLLINS[None])])

    cutter.close()

    assert not device.memory


def test_embedder_without_kernels_cuts_on_the_cpu_and_says_why(models_dir, tmp_path, monkeypatch, caplog):
    def no_kernels(*_):
        raise UnavailableError("no kernels for this GPU")

    monkeypatch.setattr(backends, "choose", lambda gpu: backends.BackendChoice(("tensorrt", "cpu"), {}, has_gpu=True))
    monkeypatch.setattr(cuda_driver, "gpu", lambda number: cuda_driver.GpuInfo("a GPU", "9.0", 1 << 30))
    monkeypatch.setattr(cubin_cache, "load", no_kernels)
    config = msgspec.structs.replace(engines_for(tmp_path), models=ModelsConfig(dir=str(models_dir)))

    with open_embedder(config) as embedder:
        assert isinstance(embedder, CpuEmbedder)
        assert not embedder.reads_in_place

    assert "recognize: chips are cut on the CPU, not on the GPU (no kernels for this GPU)" in caplog.text


def on_the_gpu(models_dir: Path, engines: Path, precision: str, model: str) -> Config:
    """A config whose embedder and kernels are built."""
    need("tensorrt")
    config = msgspec.structs.replace(
        engines_for(engines, precision),
        models=ModelsConfig(dir=str(models_dir)),
        recognize=RecognizeConfig(model=model),
    )
    prepare.ensure([recipe_for(embedders.embedder_of(config).path, config, bindings.version())], engines)
    cubin_cache.ensure(engines, cuda_driver.gpu(config.gpu.device).capability)
    return config


# two people are 0.6 apart
@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "most"), [("fp32", 1e-3), ("fp16", 2e-2)])
def test_the_gpu_agrees_with_the_cpu(models_dir, tmp_path_factory, runner, spec, portraits, faces, precision, most):
    config = on_the_gpu(models_dir, kept_engines(tmp_path_factory.getbasetemp() / "engines"), precision, spec.name)
    reference = defaults.embedder(runner, spec)
    views = [
        (portraits["Eileen Collins"], np.stack([COLLINS + np.array((n / 3, -n / 4)) for n in range(40)])),
        (noise(1080, 1920), np.stack([placed(20, scale, (900, 500)) for scale in (0.5, 2.5, 6.0)])),
        (
            noise_nv12(1081, 1921, PictureFormat.NV12_709),
            np.stack([placed(20, scale, (900, 501)) for scale in (0.5, 2.5, 6.0)]),
        ),
    ]
    with open_embedder(config) as embedder:
        assert isinstance(embedder, GpuEmbedder)
        for mirror in (False, True):
            found = embedder.embed(faces, mirror=mirror)
            assert np.linalg.norm(found - reference.embed(faces, mirror=mirror), axis=1).max() < most
            for ours, theirs in zip(
                embedder.look(views, mirror=mirror), reference.look(views, mirror=mirror), strict=True
            ):
                share, levels = most_off(ours.chips, theirs.chips)
                assert levels <= 1
                assert share < 0.001
                of_same_chips = reference.embed(ours.chips, mirror=mirror)
                assert np.linalg.norm(ours.embeddings - of_same_chips, axis=1).max() < most
        room = embedder.room(70)
        room[:] = np.resize(faces, room.shape)
        assert np.array_equal(embedder.embed(room), embedder.embed(room.copy()))


@pytest.mark.gpu
def test_the_gpu_in_fp16_agrees_with_dlib(models_dir, tmp_path_factory, portraits):
    dlib = pytest.importorskip("dlib", reason="needs the reference: pip install dlib-bin")
    reference = dlib.face_recognition_model_v1(str(published().embedder))
    config = on_the_gpu(models_dir, kept_engines(tmp_path_factory.getbasetemp() / "engines"), "fp16", "dlib")
    with open_embedder(config) as embedder:
        (looked,) = embedder.look([(portraits["Eileen Collins"], np.stack([COLLINS, COLLINS + 4, COLLINS - 6]))])
    theirs = [reference.compute_face_descriptor(np.ascontiguousarray(chip[..., ::-1])) for chip in looked.chips]
    assert np.linalg.norm(looked.embeddings - np.array(theirs), axis=1).max() < 2e-2
