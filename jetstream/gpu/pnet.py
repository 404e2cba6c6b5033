"""P-Net's weights as the fused kernel (kernels/pnet.cu) takes them.

Knows the names that `weights.mtcnn` gives its constants, in the one file whose sha256 `weights` pins; no GPU.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jetstream.errors import ModelError

FLOATS = 6740  # PNET_FLOATS
_FIRST_OUT = 10
_FILL = 8


def weights(path: Path) -> NDArray[np.float32]:
    """(FLOATS,) float32 from pnet.onnx. Raises ModelError where the file is missing or another network."""
    import onnx  # a quarter of a second, which only a process with a GPU pays
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from onnx import numpy_helper

    try:
        graph = onnx.load(str(path)).graph
        c = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
        parts = _parts(*(c[f"c{number}"] for number in range(13)))
    except (OSError, LookupError, ValueError, DecodeError) as error:
        raise ModelError(f"{path}: not P-Net ({error}); run `jetstream models` to build it") from None
    flat = np.concatenate([np.ravel(part) for part in parts]).astype(np.float32)
    if flat.size != FLOATS:
        raise ModelError(f"{path}: not P-Net ({flat.size} weights); run `jetstream models` to build it")
    return flat


def _parts(*c: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Layer by layer, output channels last, so that a thread loads neighbouring ones at once.

    The model pools before its first PReLU (`weights.mtcnn._pooled_prelu`), with a convolution of its own for channels
    whose slope is negative, and with the sign turned where the slope is over 1. Here both are undone.
    """
    first, first_bias, larger, linear, second, second_bias, slope, _, third, third_bias, heads, heads_bias, cut = c
    number = np.arange(_FIRST_OUT)
    signs = np.sign((larger + linear)[number, number, 0, 0])
    slopes = linear[number, number, 0, 0] * signs
    for extra in range(_FIRST_OUT, len(first)):
        channel = int(np.flatnonzero(linear[:, extra, 0, 0])[0])
        tap = np.unravel_index(np.abs(first[channel]).argmax(), first[channel].shape)
        slopes[channel] = first[extra][tap] / first[channel][tap]
    kernels = first[:_FIRST_OUT].reshape(_FIRST_OUT, 27)
    return [
        np.pad(kernels, [(0, 0), (0, 1)]),
        first_bias[:_FIRST_OUT],
        slopes,
        (second * signs[:, None, None]).transpose(1, 2, 3, 0),
        second_bias,
        slope,
        third.transpose(1, 2, 3, 0),
        third_bias,
        heads[:, :, 0, 0].T,
        cut[:, :, 0, 0].T,
        np.pad(heads_bias, (0, _FILL - len(heads_bias))),
    ]
