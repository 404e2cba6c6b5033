"""MTCNN, slowly and in the open: float64 numpy on the published weights, the published Matlab code step by step.

Knows nothing of jetstream; how a picture is sampled is its caller's affair. `ExactSampler` does by the definition that
jetstream's pyramid states. Boxes are the published code's: x1, y1, x2, y2 count pixels from 1 and include the last.
"""

import math
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from onnx import numpy_helper


class Net:
    """One published network, layer by layer."""

    def __init__(self, path: Path) -> None:
        graph = onnx.load(str(path)).graph
        self.values = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in graph.initializer}
        slopes = [node.input[1] for node in graph.node if node.op_type == "PRelu"]
        self.slopes = [self.values[name].ravel() for name in slopes]

    def conv(self, x: np.ndarray, name: str) -> np.ndarray:
        """Valid convolution of (C, H, W)."""
        weight, bias = self.values[f"{name}.weight"], self.values[f"{name}.bias"]
        windows = sliding_window_view(x, weight.shape[2:], axis=(1, 2))
        return np.einsum("cyxij,ocij->oyx", windows, weight, optimize=True) + bias[:, None, None]

    def dense(self, x: np.ndarray, name: str) -> np.ndarray:
        return self.values[f"{name}.weight"] @ x + self.values[f"{name}.bias"]

    def prelu(self, x: np.ndarray, number: int) -> np.ndarray:
        slope = self.slopes[number - 1].reshape(-1, *[1] * (x.ndim - 1))
        return np.where(x > 0, x, slope * x)

    @staticmethod
    def pool(x: np.ndarray, size: int) -> np.ndarray:
        """Maximum over size x size every 2 pixels; windows may hang over the right and bottom border."""
        rows, columns = (math.ceil((n - size) / 2) * 2 + size for n in x.shape[1:])
        padded = np.full((x.shape[0], rows, columns), -np.inf)
        padded[:, : x.shape[1], : x.shape[2]] = x
        return sliding_window_view(padded, (size, size), axis=(1, 2))[:, ::2, ::2].max(axis=(3, 4))


def softmax(x: np.ndarray) -> np.ndarray:
    """Over the first axis."""
    powers = np.exp(x - x.max(axis=0))
    return powers / powers.sum(axis=0)


def pnet(net: Net, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probability (h, w) and offsets (4, h, w) of a normalised RGB (3, H, W)."""
    x = net.pool(net.prelu(net.conv(x, "features.conv1"), 1), 2)
    x = net.prelu(net.conv(x, "features.conv2"), 2)
    x = net.prelu(net.conv(x, "features.conv3"), 3)
    return softmax(net.conv(x, "conv4_1"))[1], net.conv(x, "conv4_2")


def rnet(net: Net, x: np.ndarray) -> tuple[float, np.ndarray]:
    """Probability and offsets (4,) of a normalised RGB (3, 24, 24)."""
    x = net.pool(net.prelu(net.conv(x, "features.conv1"), 1), 3)
    x = net.pool(net.prelu(net.conv(x, "features.conv2"), 2), 3)
    x = net.prelu(net.conv(x, "features.conv3"), 3)
    x = net.prelu(net.dense(x.transpose(0, 2, 1).ravel(), "features.conv4"), 4)
    return float(softmax(net.dense(x, "conv5_1"))[1]), net.dense(x, "conv5_2")


def onet(net: Net, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Probability, offsets (4,) and landmarks (10,) of a normalised RGB (3, 48, 48)."""
    x = net.pool(net.prelu(net.conv(x, "features.conv1"), 1), 3)
    x = net.pool(net.prelu(net.conv(x, "features.conv2"), 2), 3)
    x = net.pool(net.prelu(net.conv(x, "features.conv3"), 3), 2)
    x = net.prelu(net.conv(x, "features.conv4"), 4)
    x = net.prelu(net.dense(x.transpose(0, 2, 1).ravel(), "features.conv5"), 5)
    return float(softmax(net.dense(x, "conv6_1"))[1]), net.dense(x, "conv6_2"), net.dense(x, "conv6_3")


class Sampler(Protocol):
    """One BGR picture at any size."""

    def level_shape(self, scale: float) -> tuple[int, int]: ...

    def level(self, scale: float) -> np.ndarray:
        """The whole of it, (rows, columns, 3)."""
        ...

    def crop(self, box: np.ndarray, side: int) -> np.ndarray:
        """(side, side, 3) of the pixels x1..x2, y1..y2, black outside the picture."""
        ...


class ExactSampler:
    """A picture, halved exactly as often as it goes, and bilinear from there, rounded to whole grey levels."""

    def __init__(self, image: np.ndarray) -> None:
        self.halvings = [image.astype(np.float64)]
        while min(self.halvings[-1].shape[:2]) >= 2:
            last = self.halvings[-1]
            even = last[: last.shape[0] // 2 * 2, : last.shape[1] // 2 * 2]
            quarters = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
            self.halvings.append(np.floor(quarters / 4 + 0.5))

    def level_shape(self, scale: float) -> tuple[int, int]:
        image, shrink = self._halving_for(scale)
        return round(image.shape[0] * shrink), round(image.shape[1] * shrink)

    def level(self, scale: float) -> np.ndarray:
        image, shrink = self._halving_for(scale)
        rows, columns = ((np.arange(size) + 0.5) / shrink - 0.5 for size in self.level_shape(scale))
        inside = [np.clip(at, 0, size - 1) for at, size in zip((rows, columns), image.shape, strict=False)]
        return np.rint(bilinear(image, *inside))

    def crop(self, box: np.ndarray, side: int) -> np.ndarray:
        left, top, right, bottom = box[0] - 1, box[1] - 1, box[2], box[3]
        ratio = max(right - left, bottom - top, 1) / side
        k = min(max(math.floor(math.log2(ratio)), 0), len(self.halvings) - 1)
        centres = (np.arange(side) + 0.5) / side
        rows = (top + (bottom - top) * centres) / 2**k - 0.5
        columns = (left + (right - left) * centres) / 2**k - 0.5
        return np.rint(bilinear(self.halvings[k], rows, columns))

    def _halving_for(self, scale: float) -> tuple[np.ndarray, float]:
        k = 0
        while 2.0 ** -(k + 1) >= scale:
            k += 1
        return self.halvings[k], scale * 2**k


def bilinear(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(len(rows), len(columns), 3) between the pixels' centres; pixels outside are black."""

    def pixels(at_rows: np.ndarray, at_columns: np.ndarray) -> np.ndarray:
        inside = ((at_rows >= 0) & (at_rows < image.shape[0]))[:, None] & (
            (at_columns >= 0) & (at_columns < image.shape[1])
        )
        found = image[np.clip(at_rows, 0, image.shape[0] - 1)][:, np.clip(at_columns, 0, image.shape[1] - 1)]
        return np.where(inside[..., None], found, 0)

    y, x = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, right = (rows - y)[:, None, None], (columns - x)[None, :, None]
    upper = pixels(y, x) * (1 - right) + pixels(y, x + 1) * right
    lower = pixels(y + 1, x) * (1 - right) + pixels(y + 1, x + 1) * right
    return upper * (1 - down) + lower * down


def normalised(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) BGR 0..255 to (3, H, W) RGB."""
    return ((image[..., ::-1] - 127.5) / 128).transpose(2, 0, 1)


def nms(boxes: list[np.ndarray], threshold: float, kind: str = "union") -> list[np.ndarray]:
    """Boxes are x1, y1, x2, y2, score, ...; the best first."""
    kept: list[np.ndarray] = []
    for box in sorted(boxes, key=lambda box: -box[4]):
        if all(overlap(box, other, kind) <= threshold for other in kept):
            kept.append(box)
    return kept


def overlap(a: np.ndarray, b: np.ndarray, kind: str) -> float:
    shared_width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    shared_height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    shared = max(shared_width, 0) * max(shared_height, 0)
    area_a, area_b = ((box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b))
    return float(shared / (min(area_a, area_b) if kind == "min" else area_a + area_b - shared))


def squared(box: np.ndarray) -> np.ndarray:
    width, height = box[2] - box[0], box[3] - box[1]
    side = max(width, height)
    x, y = box[0] + width / 2 - side / 2, box[1] + height / 2 - side / 2
    return np.array([x, y, x + side, y + side, *box[4:]])


def detect(
    nets: tuple[Net, Net, Net],
    sampler: Sampler,
    min_face: float,
    thresholds: tuple[float, float, float],
    factor: float,
    after_pnet_iou: float | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes (N, 4), scores (N,), landmarks (N, 5, 2) of a picture, the best first.

    `after_pnet_iou`: jetstream's one step more than the published code, or None.
    """
    boxes = [np.trunc(box) for box in first_stage(nets[0], sampler, min_face, thresholds[0], factor, after_pnet_iou)]
    boxes = [np.trunc(squared(box)) for box in second_stage(nets[1], sampler, boxes, thresholds[1])]
    found = third_stage(nets[2], sampler, boxes, thresholds[2])
    rows = np.array(found).reshape(-1, 15)
    return rows[:, :4], rows[:, 4], rows[:, 5:].reshape(-1, 2, 5).transpose(0, 2, 1)


def first_stage(
    net: Net, sampler: Sampler, min_face: float, threshold: float, factor: float, after_pnet_iou: float | None
) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    scale = 12 / min_face
    while min(sampler.level_shape(scale)) >= 12:
        probability, offsets = pnet(net, normalised(sampler.level(scale)))
        cells = []
        for row, column in np.argwhere(probability >= threshold):
            x1, y1 = np.trunc((2 * column + 1) / scale), np.trunc((2 * row + 1) / scale)
            x2, y2 = np.trunc((2 * column + 12) / scale), np.trunc((2 * row + 12) / scale)
            cells.append(np.array([x1, y1, x2, y2, probability[row, column], *offsets[:, row, column]]))
        found += nms(cells, 0.5)
        scale *= factor
    moved = []
    for x1, y1, x2, y2, score, *offsets in nms(found, 0.7):
        w, h = x2 - x1, y2 - y1
        dx1, dy1, dx2, dy2 = offsets
        moved.append(squared(np.array([x1 + dx1 * w, y1 + dy1 * h, x2 + dx2 * w, y2 + dy2 * h, score])))
    return moved if after_pnet_iou is None else nms(moved, after_pnet_iou)


def second_stage(net: Net, sampler: Sampler, boxes: list[np.ndarray], threshold: float) -> list[np.ndarray]:
    passed = []
    for box in boxes:
        score, offsets = rnet(net, normalised(sampler.crop(box, 24)))
        if score > threshold:
            passed.append(np.array([*box[:4], score, *offsets]))
    return [shifted(box[:5], box[5:]) for box in nms(passed, 0.7)]


def third_stage(net: Net, sampler: Sampler, boxes: list[np.ndarray], threshold: float) -> list[np.ndarray]:
    passed = []
    for box in boxes:
        score, offsets, points = onet(net, normalised(sampler.crop(box, 48)))
        if score > threshold:
            w, h = box[2] - box[0] + 1, box[3] - box[1] + 1
            xs, ys = w * points[:5] + box[0] - 1, h * points[5:] + box[1] - 1
            passed.append(np.array([*shifted(np.array([*box[:4], score]), offsets), *xs, *ys]))
    return nms(passed, 0.7, "min")


def shifted(box: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    w, h = box[2] - box[0] + 1, box[3] - box[1] + 1
    return np.array([*(box[:4] + offsets * (w, h, w, h)), box[4]])
