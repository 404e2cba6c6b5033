"""TensorRT on a real GPU: builds, answers, bad engines, memory. JETSTREAM_ENGINES=FOLDER keeps engines between runs.

Building all eight takes minutes: `python -m benchmarks.bench_engines` does it in parallel first.
"""

import logging
import shutil
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import cv2
import matplotlib
import msgspec
import numpy as np
import pytest

from jetstream.config.schema import Config, GpuConfig, ModelsConfig, RecognizeConfig, with_preset
from jetstream.networks import build
from jetstream.networks.open import open_embedder, open_picture_detector
from jetstream.networks.runner import open_runner, open_tensorrt, recipe_for
from jetstream.runners import cuda_context
from jetstream.runners.base import UnavailableError
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.runners.tensorrt import bindings, engine_cache, prepare
from jetstream.runners.tensorrt.build_pool import BuildLimits
from jetstream.runners.tensorrt.build_protocol import TOLERANCE
from jetstream.runners.tensorrt.prepare import PreparedEngine
from jetstream.runners.tensorrt.runner import TensorRTRunner
from jetstream.vision.detection.detector import faces_in
from tests.support.gpu import BINDINGS, kept_engines, need

pytestmark = pytest.mark.gpu
NETWORKS = ("pnet", "rnet", "onet", "embedder")
# two ways to compute one answer: their difference as a share of the largest value
CLOSE = {"fp32": 1e-3, "fp16": 2e-2}


@pytest.fixture(scope="session", autouse=True)
def _gpu() -> None:
    need("tensorrt")


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return kept_engines(tmp_path_factory.getbasetemp() / "engines")


@pytest.fixture(scope="session")
def made(folder, models_dir) -> dict[tuple[str, str], PreparedEngine]:
    """All engines of the default config, in both precisions."""
    found = {}
    for precision in ("fp16", "fp32"):
        config = config_of(folder, models_dir, precision)
        for one in prepare.ensure(build.recipes(config, bindings.version()), folder):
            found[one.recipe.network, precision] = one
    return found


@pytest.fixture(scope="session")
def rnet(folder, models_dir) -> Path:
    """The smallest engine but P-Net's, the quickest to build: what is done to engines is done to a copy of it."""
    recipe = recipe_for(models_dir / "rnet.onnx", config_of(folder, models_dir), bindings.version())
    (one,) = prepare.ensure([recipe], folder)
    assert one.path is not None, one.reason
    return one.path


@pytest.fixture
def copy(rnet, folder, tmp_path) -> Path:
    """R-Net's engine in a folder of this test's own; the timing cache makes building again quick."""
    own = tmp_path / "engines"
    own.mkdir()
    for path in (rnet, folder / "timing.cache"):
        shutil.copy(path, own)
    return own


def config_of(folder: Path, models_dir: Path, precision: str = "fp32", backend: str = "tensorrt") -> Config:
    gpu = GpuConfig(backend=backend, bindings=BINDINGS, precision=precision, engines_dir=str(folder))
    dlib = RecognizeConfig(model="dlib")  # SFace is computed in fp32 alone
    return with_preset(Config(gpu=gpu, models=ModelsConfig(dir=str(models_dir)), recognize=dlib))


def picture(count: int, *shape: int, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, *shape)).astype(np.float32)


def largest_difference(given: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    return max(float(np.abs(given[name] - expected[name]).max() / np.abs(expected[name]).max()) for name in expected)


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_is_built_and_passes_its_test(made, network, precision):
    one = made[network, precision]
    assert one.path is not None, one.reason
    assert 0 <= one.error <= TOLERANCE[one.recipe.precision]


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
@pytest.mark.parametrize("count", [1, 2, 7, 63, 64, 65, 150])
@pytest.mark.parametrize(("network", "side_px"), [("rnet", 24), ("onet", 48)])
def test_crops_of_any_number_get_onnx_runtimes_answers(made, folder, models_dir, network, side_px, count, precision):
    path = models_dir / f"{network}.onnx"
    feeds = {"image": picture(count, side_px, side_px)}
    with OnnxRunner(path, threads=4) as cpu, open_tensorrt(path, config_of(folder, models_dir, precision)) as gpu:
        answers = gpu.infer(feeds)
        assert largest_difference(answers, cpu.infer(feeds)) < CLOSE[precision]
        alone = gpu.infer({"image": feeds["image"][count - 1 :]})
        # one profile's kernels round otherwise than another's: 1e-6 of a logit on an H100, in fp16 8e-3 on an H200
        last = {name: values[count - 1 :] for name, values in answers.items()}
        assert largest_difference(alone, last) < CLOSE[precision]


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
@pytest.mark.parametrize("count", [1, 2, 3, 9, 32, 33])
def test_chips_of_any_number_get_onnx_runtimes_answers(made, folder, models_dir, count, precision):
    path = models_dir / "embedder.onnx"
    feeds = {"chip": picture(count, 150, 150)}
    with OnnxRunner(path, threads=8) as cpu, open_tensorrt(path, config_of(folder, models_dir, precision)) as gpu:
        assert largest_difference(gpu.infer(feeds), cpu.infer(feeds)) < CLOSE[precision]


@pytest.mark.parametrize("shape", [(12, 12), (13, 200), (324, 576), (325, 577)])
def test_every_level_goes_through_tensorrt(made, folder, models_dir, shape):
    path = models_dir / "pnet.onnx"
    feeds = {"image": picture(1, *shape)}
    with OnnxRunner(path, threads=4) as cpu, open_tensorrt(path, config_of(folder, models_dir)) as gpu:
        answers = gpu.infer(feeds)
        assert gpu._other is None
        expected = cpu.infer(feeds)
        assert {name: values.shape for name, values in answers.items()} == {
            name: values.shape for name, values in expected.items()
        }
        assert largest_difference(answers, expected) < CLOSE["fp32"]


def test_a_picture_that_is_too_large_goes_to_the_other_runner(made, folder, models_dir):
    path = models_dir / "pnet.onnx"
    feeds = {"image": picture(1, 400, 700)}
    with OnnxRunner(path) as cpu, open_tensorrt(path, config_of(folder, models_dir)) as gpu:
        np.testing.assert_array_equal(gpu.infer(feeds)["logit"], cpu.infer(feeds)["logit"])


def test_runners_share_one_context_and_the_last_releases_it(made, folder, models_dir):
    config = config_of(folder, models_dir)
    with closing(open_tensorrt(models_dir / "onet.onnx", config)) as last:
        with closing(open_tensorrt(models_dir / "rnet.onnx", config)):
            assert len(cuda_context._open) == 1
        assert len(last.infer({"image": picture(3, 48, 48)})["logit"]) == 3
    assert cuda_context._open == {}


def test_opening_and_closing_leaves_no_memory_behind(made, folder, models_dir):
    config = config_of(folder, models_dir)

    def free_mib() -> float:
        with held.current():
            return held.free_bytes() / 2**20

    def once() -> None:
        with open_tensorrt(models_dir / "embedder.onnx", config) as runner:
            runner.infer({"chip": picture(5, 150, 150)})

    with closing(cuda_context.use(0, config.gpu.bindings)) as held:
        for _ in range(3):
            once()
        before_mib = free_mib()
        for _ in range(10):
            once()
        assert before_mib - free_mib() < 4


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[: len(content) // 2], lambda content: bytes(len(content))],
    ids=["truncated", "zeroed"],
)
def test_a_damaged_engine_is_set_aside_and_the_next_backend_answers(copy, models_dir, caplog, damage):
    path = models_dir / "rnet.onnx"
    config = config_of(copy, models_dir)
    file = copy / recipe_for(path, config, bindings.version()).file
    file.write_bytes(damage(file.read_bytes()))
    with caplog.at_level(logging.INFO), open_runner(path, config) as runner:
        assert isinstance(runner, OnnxRunner)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "rnet: TensorRT can't run it" in caplog.text
    assert not file.exists()
    assert file.with_name(file.name + ".bad").exists()


def test_an_engine_that_tensorrt_refuses_is_set_aside_and_built_again(copy, models_dir):
    """Whole, with the right checksum, and not of this TensorRT: only loading it tells."""
    recipe = recipe_for(models_dir / "rnet.onnx", config_of(copy, models_dir), bindings.version())
    plan, inputs, outputs = engine_cache.read(copy / recipe.file, recipe)
    engine_cache.write(copy / recipe.file, recipe, bytes(64) + plan[64:], inputs, outputs)
    (one,) = prepare.ensure([recipe], copy)
    assert one.path == copy / recipe.file
    assert one.seconds > 0
    assert "TensorRT can't load the engine" in one.notes[0]
    assert (copy / f"{recipe.file}.bad").exists()


def test_an_engine_that_answers_wrongly_is_noticed(copy, models_dir):
    """It was built from other weights."""
    recipe = recipe_for(models_dir / "rnet.onnx", config_of(copy, models_dir), bindings.version())
    scaled = copy / "rnet.onnx"
    _scaled_weights(models_dir / "rnet.onnx", scaled)
    wrong = recipe_for(scaled, config_of(copy, models_dir), bindings.version())
    (other,) = prepare.ensure([wrong], copy)
    assert other.path is not None, other.reason
    engine_cache.write(copy / recipe.file, recipe, *engine_cache.read(other.path, wrong))
    (one,) = prepare.ensure([recipe], copy)
    assert "its answers differ from ONNX Runtime's" in one.notes[0]
    assert one.path is not None


def test_an_engine_that_hangs_in_its_test_is_ended_and_built_again(copy, models_dir, tmp_path):
    script = tmp_path / "hanging.py"
    script.write_text(
        textwrap.dedent(f"""
            import time
            from pathlib import Path
            from jetstream.runners.tensorrt import build_process
            lives = Path({str(tmp_path / "lives")!r})
            if not lives.exists():
                lives.touch()
                build_process.TensorRTRunner.infer = lambda self, feeds: time.sleep(600)
            build_process.main()
        """)
    )
    recipe = recipe_for(models_dir / "rnet.onnx", config_of(copy, models_dir), bindings.version())
    limits = BuildLimits(test_s=15.0)  # a healthy one takes about 3 s, most of it to load CUDA
    (one,) = prepare.ensure([recipe], copy, limits=limits, command=[sys.executable, str(script)])
    assert one.notes[0].startswith("no answer in 1")
    assert "while testing" in one.notes[0]
    assert one.path is not None, one.reason


def test_a_folder_that_cannot_be_written_gives_way_to_a_temporary_one(
    made, folder, models_dir, monkeypatch, caplog, tmp_path
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    temporary, _ = prepare.writable(Path("/proc/engines"))
    shutil.copytree(folder, temporary, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.bad", "*.new"))
    config = config_of(Path("/proc/engines"), models_dir, "fp16", backend="auto")
    with caplog.at_level(logging.INFO):
        prepared = build.prepare(config)
    assert prepared.gpu.backend == "tensorrt"
    assert prepared.gpu.engines_dir == str(temporary)
    assert "/proc/engines" in caplog.text


def test_without_engines_auto_goes_on_with_the_next_and_says_what_to_run(models_dir, tmp_path, caplog):
    config = config_of(tmp_path, models_dir, backend="auto")
    with caplog.at_level(logging.INFO), open_runner(models_dir / "rnet.onnx", config) as runner:
        assert isinstance(runner, OnnxRunner)
    assert "`jetstream build`" in caplog.text


def test_a_gpu_that_is_not_there_is_said(made, folder, models_dir):
    config = config_of(folder, models_dir)
    config = msgspec.structs.replace(config, gpu=msgspec.structs.replace(config.gpu, device=63))
    with pytest.raises(UnavailableError, match=r"no gpu\.device 63"):
        open_tensorrt(models_dir / "rnet.onnx", config)


# fp16 is O-Net's alone: were R-Net's answers rounded, a crop might move by a pixel and the neighbour of a box win
@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_the_cascade_finds_the_cpus_faces(made, folder, models_dir, precision):
    portrait = cv2.imread(str(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"))
    images = [portrait, cv2.resize(portrait, None, fx=0.6, fy=0.6)]
    with open_picture_detector(config_of(folder, models_dir, precision, backend="cpu")) as detector:
        expected = [faces_in(detector, image) for image in images]
    with open_picture_detector(config_of(folder, models_dir, precision)) as detector:
        found = [faces_in(detector, image) for image in images]
    for ours, theirs in zip(found, expected, strict=True):
        assert len(ours.boxes) == len(theirs.boxes) > 0
        assert np.abs(ours.boxes - theirs.boxes).max() < 1.0
        assert np.abs(ours.landmarks - theirs.landmarks).max() < 1.0
        assert np.abs(ours.scores - theirs.scores).max() < 0.01


@pytest.mark.parametrize(("precision", "most"), [("fp32", 1e-3), ("fp16", 2e-2)])
def test_embeddings_are_the_cpus(made, folder, models_dir, precision, most):
    chips = np.random.default_rng(1).integers(0, 256, (5, 150, 150, 3)).astype(np.uint8)
    with open_embedder(config_of(folder, models_dir, precision, backend="cpu")) as embedder:
        expected = embedder.embed(chips, mirror=True)
    with open_embedder(config_of(folder, models_dir, precision)) as embedder:
        found = embedder.embed(chips, mirror=True)
    assert np.linalg.norm(found - expected, axis=1).max() < most  # two people are 0.6 apart


def test_an_engine_that_cannot_be_loaded_leaves_no_context():
    with pytest.raises(UnavailableError, match="TensorRT can't load the engine"):
        TensorRTRunner(engine_cache.Engine(b"no engine" * 100, (), ()), outside=lambda: pytest.fail("not needed"))
    assert cuda_context._open == {}


def _scaled_weights(source: Path, target: Path) -> None:
    import onnx
    from onnx import numpy_helper

    model = onnx.load(source)
    for weights in model.graph.initializer:
        values = numpy_helper.to_array(weights)
        if values.dtype == np.float32:
            weights.CopyFrom(numpy_helper.from_array(values * np.float32(0.9), weights.name))
    onnx.save(model, target)
