"""Pictures of faces made worse: covered (see `covers`), blurred, dark, over-exposed, small, compressed, tilted.

Knows no detector, no network and no set of pictures: a picture and its five landmarks in, a worse one out.
`degrade(NAME, image, landmarks, seed)` gives the same picture for the same seed; the names are in DEGRADATIONS.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.names import covers
from benchmarks.names.canvas import Picture, Points, Pose, pixels, pose_of


class Degraded(NamedTuple):
    image: Picture
    landmarks: Points  # (5, 2): where the five points now are, which a detector may miss


Degradation = Callable[[Picture, Points, np.random.Generator], Degraded]
DEGRADATIONS: Final[dict[str, Degradation]] = {}


def degrade(name: str, image: Picture, landmarks: NDArray[Any], seed: int = 0) -> Degraded:
    """`image` (H, W, 3) uint8 BGR made worse as DEGRADATIONS[name] does; the same for the same seed."""
    random = np.random.default_rng([seed, *name.encode()])
    return DEGRADATIONS[name](image, np.asarray(landmarks, np.float64).reshape(5, 2), random)


def _covered(draw: covers.Draw) -> Degradation:
    def degradation(image: Picture, points: Points, random: np.random.Generator) -> Degraded:
        return Degraded(covers.cover(draw, image, pose_of(points), random), points)

    return degradation


def _optics(name: str, worse: Callable[[Picture, Pose, np.random.Generator], NDArray[Any]]) -> None:
    """Register what changes pixels and leaves the points where they are."""

    def degradation(image: Picture, points: Points, random: np.random.Generator) -> Degraded:
        return Degraded(pixels(worse(image, pose_of(points), random)), points)

    DEGRADATIONS[name] = degradation


def _blurred(units: float) -> Callable[..., NDArray[Any]]:
    return lambda image, pose, random: cv2.GaussianBlur(image, (0, 0), max(units * pose.unit_px, 0.3))


def _moved(image: Picture, pose: Pose, random: np.random.Generator) -> NDArray[Any]:
    """Smeared over 0.3 of the eyes' distance, in any direction."""
    length, angle = 0.3 * pose.unit_px, random.uniform(0, np.pi)
    side = int(length / 2) + 2
    kernel = np.zeros((2 * side + 1, 2 * side + 1), np.float32)
    for step in np.linspace(-length / 2, length / 2, 8 * side):
        x, y = side + step * np.cos(angle), side + step * np.sin(angle)
        for column in (int(x), int(x) + 1):
            for row in (int(y), int(y) + 1):
                kernel[row, column] += max(0, 1 - abs(x - column)) * max(0, 1 - abs(y - row))
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def _dark(light: float) -> Callable[..., NDArray[Any]]:
    """`light` of the light, in linear brightness, and a sensor's noise: photons (3,000 at white), 3 of readout."""

    def worse(image: Picture, pose: Pose, random: np.random.Generator) -> NDArray[Any]:
        electrons = (image.astype(np.float64) / 255) ** 2.2 * light * 3000
        read = random.poisson(electrons) + random.normal(0, 3, image.shape)
        return 255 * (np.clip(read, 0, None) / 3000) ** (1 / 2.2)

    return worse


def _small(image: Picture, pose: Pose, random: np.random.Generator) -> NDArray[Any]:
    """As if the eyes were 10 px apart."""
    scale = min(10 / pose.unit_px, 1.0)
    size = max(round(image.shape[1] * scale), 2), max(round(image.shape[0] * scale), 2)
    less = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return cv2.resize(less, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_CUBIC)


def _jpeg(image: Picture, pose: Pose, random: np.random.Generator) -> NDArray[Any]:
    """Quality 10 of 100, with the face as large in blocks as one whose eyes are 30 px apart."""
    scale = min(30 / pose.unit_px, 1.0)
    less = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    back = cv2.imdecode(cv2.imencode(".jpg", less, [cv2.IMWRITE_JPEG_QUALITY, 10])[1], cv2.IMREAD_COLOR)
    return cv2.resize(back, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_CUBIC)


def _tilted(image: Picture, points: Points, random: np.random.Generator) -> Degraded:
    """The picture turned by 30 degrees around the face."""
    centre = points.mean(axis=0)
    matrix = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), float(random.choice([-30, 30])), 1.0)
    size = image.shape[1], image.shape[0]
    turned = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return Degraded(pixels(turned), points @ matrix[:, :2].T + matrix[:, 2])


DEGRADATIONS.update({name: _covered(draw) for name, draw in covers.COVERS.items()})
_optics("mild_blur", _blurred(0.055))
_optics("strong_blur", _blurred(0.12))
_optics("motion_blur", _moved)
_optics("low_light_8", _dark(1 / 8))
_optics("low_light_32", _dark(1 / 32))
_optics("over_exposed_2", lambda image, pose, random: image * 2.0)
_optics("over_exposed_4", lambda image, pose, random: image * 4.0)
_optics("small", _small)
_optics("jpeg", _jpeg)
DEGRADATIONS["tilted"] = _tilted
