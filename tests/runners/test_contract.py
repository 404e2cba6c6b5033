"""What every backend must do, on the real networks. A new backend adds one row to BACKENDS."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from jetstream.config.schema import Config
from jetstream.errors import ModelError
from jetstream.networks.profiles import profiles_of
from jetstream.runners.base import Runner, TensorSpec, require
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.runners.tensorrt.runner import TensorRTRunner
from tests.support import tensorrt_standin
from tests.support.gpu import built_and_opened, need

FLOAT = np.dtype(np.float32)
EXPECTED = {
    "pnet": (
        [TensorSpec("image", FLOAT, (None, 3, None, None))],
        [TensorSpec("logit", FLOAT, (None, 1, None, None)), TensorSpec("offsets", FLOAT, (None, 4, None, None))],
    ),
    "rnet": (
        [TensorSpec("image", FLOAT, (None, 3, 24, 24))],
        [TensorSpec("logit", FLOAT, (None,)), TensorSpec("offsets", FLOAT, (None, 4))],
    ),
    "onet": (
        [TensorSpec("image", FLOAT, (None, 3, 48, 48))],
        [
            TensorSpec("logit", FLOAT, (None,)),
            TensorSpec("offsets", FLOAT, (None, 4)),
            TensorSpec("landmarks", FLOAT, (None, 10)),
        ],
    ),
    "embedder": (
        [TensorSpec("chip", FLOAT, (None, 3, 150, 150))],
        [TensorSpec("embedding", FLOAT, (None, 128))],
    ),
}
BACKENDS = [
    pytest.param("cpu", id="onnxrt"),
    pytest.param("standin", id="tensorrt-standin"),
    pytest.param("onnxruntime", id="onnxrt-cuda", marks=pytest.mark.gpu),
    pytest.param("tensorrt", id="tensorrt", marks=pytest.mark.gpu),
]


@pytest.fixture(params=BACKENDS)
def open_runner(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Path], Runner]]:
    if request.param == "standin":
        with tensorrt_standin.installed():
            yield _open_on_standin
        return
    need(request.param)
    if request.param == "cpu":
        yield OnnxRunner
    elif request.param == "onnxruntime":
        yield functools.partial(OnnxRunner, device=0)
    else:
        yield functools.partial(built_and_opened, engines=tmp_path_factory.getbasetemp() / "engines")


def _open_on_standin(path: Path) -> Runner:
    engine = tensorrt_standin.engine(path, profiles_of(path.stem, Config()))
    return TensorRTRunner(engine, outside=lambda: OnnxRunner(path))


@pytest.fixture
def rnet(open_runner: Callable[[Path], Runner], models_dir: Path) -> Iterator[Runner]:
    with open_runner(models_dir / "rnet.onnx") as runner:
        yield runner


def crops(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 3, 24, 24)).astype(np.float32)


@pytest.mark.parametrize("model", EXPECTED)
def test_built_model_has_the_promised_inputs_and_outputs(open_runner, models_dir, model):
    inputs, outputs = EXPECTED[model]
    with open_runner(models_dir / f"{model}.onnx") as runner:
        require(runner, f"{model}.onnx", inputs, outputs)
        assert {spec.name for spec in runner.outputs} == {spec.name for spec in outputs}


@pytest.mark.parametrize("model", EXPECTED)
def test_outputs_have_the_promised_dtype_and_shape_for_batches_of_one_and_three(open_runner, models_dir, model):
    inputs, outputs = EXPECTED[model]
    with open_runner(models_dir / f"{model}.onnx") as runner:
        for count in (1, 3):
            shape = (count, *(size or 40 for size in inputs[0].shape[1:]))
            answers = runner.infer({inputs[0].name: np.full(shape, 99.0, np.float32)})
            assert list(answers) == [spec.name for spec in runner.outputs]
            for spec in outputs:
                answer = answers[spec.name]
                assert answer.dtype == FLOAT
                assert len(answer) == count
                assert all(size in (None, has) for size, has in zip(spec.shape, answer.shape, strict=True))


def test_pictures_of_any_size_go_through_one_runner(open_runner, models_dir):
    with open_runner(models_dir / "pnet.onnx") as runner:
        small = runner.infer({"image": np.zeros((1, 3, 12, 12), np.float32)})
        large = runner.infer({"image": np.zeros((2, 3, 61, 90), np.float32)})
    assert small["offsets"].shape == (1, 4, 1, 1)
    assert large["offsets"].shape[:2] == (2, 4)
    assert large["logit"].shape[2:] == large["offsets"].shape[2:]


def test_a_row_of_a_batch_gets_the_answer_it_gets_alone(rnet):
    feeds = crops(8)
    together = rnet.infer({"image": feeds})
    alone = rnet.infer({"image": feeds[5:6]})
    np.testing.assert_allclose(together["offsets"][5:6], alone["offsets"], atol=1e-5)


def test_the_same_feeds_give_the_same_bytes_twice(rnet):
    first = rnet.infer({"image": crops(4)})
    second = rnet.infer({"image": crops(4)})
    assert first["logit"].tobytes() == second["logit"].tobytes()


def test_an_answer_is_not_overwritten_by_the_next_call(rnet):
    answer = rnet.infer({"image": crops(4)})["offsets"]
    kept = answer.copy()
    rnet.infer({"image": crops(4)[::-1] / 2})
    np.testing.assert_array_equal(answer, kept)


def test_feeds_may_be_a_view_with_strides(rnet):
    rows = crops(6)
    np.testing.assert_array_equal(
        rnet.infer({"image": rows[::2]})["offsets"], rnet.infer({"image": rows[::2].copy()})["offsets"]
    )


@pytest.mark.parametrize(
    "feeds",
    [
        {},
        {"picture": crops(1)},
        {"image": crops(1), "picture": crops(1)},
        {"image": crops(1).astype(np.float64)},
        {"image": crops(1).astype(np.uint8)},
        {"image": crops(1)[0]},
        {"image": crops(1)[:, :, :23]},
        {"image": crops(1)[:0]},
    ],
    ids=["nothing", "other name", "one too many", "float64", "uint8", "no batch", "too few rows", "empty batch"],
)
def test_feeds_that_are_not_the_inputs_are_a_value_error(rnet, feeds):
    with pytest.raises(ValueError, match="expected input"):
        rnet.infer(feeds)


def test_a_closed_runner_refuses_and_closes_again_quietly(open_runner, models_dir):
    runner = open_runner(models_dir / "rnet.onnx")
    runner.close()
    runner.close()
    with pytest.raises(ValueError, match="closed"):
        runner.infer({"image": crops(1)})


def test_a_missing_model_says_what_to_run(open_runner, tmp_path):
    with pytest.raises(ModelError, match=r"rnet\.onnx: no such model; run `jetstream models`"):
        open_runner(tmp_path / "rnet.onnx")


@pytest.mark.parametrize("keep", [0, 100, 200_000], ids=["empty", "a beginning", "half"])
def test_a_damaged_model_says_what_to_run(open_runner, models_dir, tmp_path, keep):
    damaged = tmp_path / "rnet.onnx"
    damaged.write_bytes((models_dir / "rnet.onnx").read_bytes()[:keep])
    with pytest.raises(ModelError, match=r"rnet\.onnx: .*run `jetstream models`"):
        open_runner(damaged)


def test_bytes_that_are_no_model_say_what_to_run(open_runner, tmp_path):
    (tmp_path / "rnet.onnx").write_bytes(b"not a model" * 50)
    with pytest.raises(ModelError, match=r"rnet\.onnx: .*run `jetstream models`"):
        open_runner(tmp_path / "rnet.onnx")
