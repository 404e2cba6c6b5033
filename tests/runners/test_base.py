"""The check at open: what fits, and the sentence where it does not."""

import numpy as np
import pytest

from jetstream.errors import ModelError
from jetstream.runners.base import TensorSpec, require

FLOAT = np.dtype(np.float32)
CHIP = TensorSpec("chip", FLOAT, (None, 3, 150, 150))
EMBEDDING = TensorSpec("embedding", FLOAT, (None, 128))


class Loaded:
    """A runner as `require` sees it: specs only."""

    def __init__(self, inputs=(CHIP,), outputs=(EMBEDDING,)):
        self.inputs = inputs
        self.outputs = outputs


def check(runner):
    require(runner, "embedder.onnx", [CHIP], [EMBEDDING])


def test_a_network_with_these_tensors_is_accepted():
    check(Loaded())


def test_a_network_with_one_more_output_is_accepted():
    check(Loaded(outputs=(TensorSpec("norm", FLOAT, (None,)), EMBEDDING)))


def test_a_dynamic_size_is_accepted_where_a_fixed_one_is_asked_for():
    check(Loaded(inputs=(CHIP._replace(shape=(None, 3, None, None)),)))


@pytest.mark.parametrize(
    "chip",
    [
        CHIP._replace(name="image"),
        CHIP._replace(dtype=np.dtype(np.uint8)),
        CHIP._replace(shape=(1, 3, 150, 150)),
        CHIP._replace(shape=(None, 3, 112, 112)),
        CHIP._replace(shape=(None, 3, 150)),
    ],
    ids=["other name", "other dtype", "fixed batch", "other size", "other rank"],
)
def test_another_input_is_refused_with_what_was_found(chip):
    with pytest.raises(ModelError) as refusal:
        check(Loaded(inputs=(chip,)))
    assert str(refusal.value) == (
        f"embedder.onnx: expected input chip (any, 3, 150, 150) float32, found {chip}; "
        "run `jetstream models` to rebuild it"
    )


def test_a_missing_output_is_refused():
    with pytest.raises(ModelError, match=r"expected output embedding \(any, 128\) float32, found embeddings"):
        check(Loaded(outputs=(EMBEDDING._replace(name="embeddings"),)))


def test_an_input_nobody_will_feed_is_refused():
    with pytest.raises(ModelError, match="unexpected input mask"):
        check(Loaded(inputs=(CHIP, TensorSpec("mask", FLOAT, (None,)))))
