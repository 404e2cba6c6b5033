"""A sheet drawn upright in front of a face and laid over the picture, in the face's place, turn and light.

Knows no detector and no network.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]  # (H, W, 3) uint8 BGR
Points = NDArray[np.float64]  # (N, 2), x and y


class Pose(NamedTuple):
    """Where a face is. A unit is the distance between the eyes, or what it would be if the head weren't turned."""

    matrix: NDArray[np.float64]  # (2, 3): units from the middle of the eyes, x along the eyes and y down, to pixels
    unit_px: float
    turn: float  # how far the nose lies from the middle, in units, positive to the right
    narrow: float  # the distance between the eyes in units: less than 1 where the head is turned


def pose_of(points: Points) -> Pose:
    """(5, 2): left eye, right eye, nose, left and right mouth corner as seen in the picture."""
    eyes, mouth = (points[0] + points[1]) / 2, (points[3] + points[4]) / 2
    across, down = points[1] - points[0], (mouth - eyes) / 1.1
    distance, height = max(float(np.hypot(*across)), 1e-3), float(np.hypot(*down))
    unit = max(distance, 0.9 * height)
    across = across / distance * unit
    down = (down + np.array([-across[1], across[0]])) / 2  # half of the way to a right angle
    turn = float(np.dot(points[2] - (eyes + mouth) / 2, across)) / unit**2
    return Pose(np.column_stack([across, down, eyes]), unit, float(np.clip(turn, -0.45, 0.45)), distance / unit)


def pixels(values: NDArray[Any]) -> Picture:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


class Canvas:
    """A sheet in front of the face, drawn upright in units and then laid over the picture."""

    LEFT, TOP, WIDTH, HEIGHT = 2.6, 2.4, 5.2, 6.0  # units

    def __init__(self, px: int = 100) -> None:
        """`px`: pixels a unit."""
        self.px = px
        shape = int(self.HEIGHT * self.px), int(self.WIDTH * self.px)
        self.colour = np.zeros((*shape, 3), np.float32)
        self.alpha = np.zeros(shape, np.float32)
        self.x = np.arange(shape[1], dtype=np.float32)[None] / self.px - self.LEFT
        self.y = np.arange(shape[0], dtype=np.float32)[:, None] / self.px - self.TOP

    def area(self, outline: NDArray[Any], rounds: int = 3) -> NDArray[np.float32]:
        """How much of each pixel a closed outline (N, 2) encloses; its corners are cut `rounds` times."""
        points = np.asarray(outline, np.float64)
        for _ in range(rounds):
            following = np.roll(points, -1, axis=0)
            points = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], 1).reshape(-1, 2)
        mask = np.zeros(self.alpha.shape, np.uint8)
        cv2.fillPoly(mask, [self._fixed(points)], 255, cv2.LINE_AA, 4)
        return mask.astype(np.float32) / 255

    def line(self, points: NDArray[Any], width: float, closed: bool = False) -> NDArray[np.float32]:
        mask = np.zeros(self.alpha.shape, np.uint8)
        thickness = max(1, round(width * self.px))
        cv2.polylines(mask, [self._fixed(np.asarray(points, np.float64))], closed, 255, thickness, cv2.LINE_AA, 4)
        return mask.astype(np.float32) / 255

    def paint(self, mask: NDArray[np.float32], colour: Any, opacity: float = 1.0) -> None:
        """Lay a colour (3,) or (H, W, 3) over what is there."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return
        part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        paint = np.asarray(colour, np.float32)
        new, old = mask[part] * np.float32(opacity), self.alpha[part]
        alpha = new + old * (1 - new)
        share = (new / np.maximum(alpha, 1e-6))[..., None]
        self.colour[part] += share * ((paint if paint.ndim == 1 else paint[part]) - self.colour[part])
        self.alpha[part] = alpha

    def shade(self, mask: NDArray[np.float32], factor: float) -> None:
        """Darken (under 1) or lighten what is drawn, where `mask` says."""
        self.colour *= 1 + mask[..., None] * (factor - 1)

    def put(self, image: Picture, pose: Pose, shadow: float = 0.25, flat: bool = False) -> Picture:
        """The picture with this sheet over it, in the face's light unless `flat`, with a soft shadow at its edge."""
        shrink = min(1.0, pose.unit_px / self.px)
        size = max(2, round(self.alpha.shape[1] * shrink)), max(2, round(self.alpha.shape[0] * shrink))
        sheet = np.dstack([self.colour * self.alpha[..., None], self.alpha])
        sheet = cv2.resize(sheet, size, interpolation=cv2.INTER_AREA)
        to_units = np.array([[self.WIDTH / size[0], 0, -self.LEFT], [0, self.HEIGHT / size[1], -self.TOP], [0, 0, 1]])
        place = (pose.matrix @ to_units).astype(np.float64)
        laid = cv2.warpAffine(sheet, place, (image.shape[1], image.shape[0]), flags=cv2.INTER_LINEAR)
        light = np.float32(1.0) if flat else light_of(image, pose)
        if _is_grey(image):
            laid[..., :3] = laid[..., :3].mean(axis=2, keepdims=True)
        alpha = laid[..., 3:]
        dark = cv2.GaussianBlur(laid[..., 3], (0, 0), max(0.06 * pose.unit_px, 0.5))[..., None]
        under = image * (1 - shadow * dark)
        return pixels(under * (1 - alpha) + laid[..., :3] * light)

    def _fixed(self, points: Points) -> NDArray[np.int32]:
        return np.asarray(np.round((points + np.array([self.LEFT, self.TOP])) * self.px * 16), np.int32)


def light_of(image: Picture, pose: Pose) -> NDArray[np.float32]:
    """(H, W, 1): how bright a white sheet would be, from the face's own brightness and where it falls off."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    blurred = cv2.GaussianBlur(grey, (0, 0), max(0.5 * pose.unit_px, 1.0), borderType=cv2.BORDER_REPLICATE)
    inner = pose.matrix @ np.array([[-0.4, 0.4, 0.0, -0.5, 0.5], [0.5, 0.5, 0.4, 0.8, 0.8], [1.0] * 5])
    columns = np.clip(inner[0], 0, image.shape[1] - 1).astype(int)
    rows = np.clip(inner[1], 0, image.shape[0] - 1).astype(int)
    face = max(float(blurred[rows, columns].mean()), 4.0)
    level = min((0.35 + 0.65 * face / 140), 1.25) if face > 50 else face / 85
    return (level * (0.5 + 0.5 * np.clip(blurred / face, 0.4, 1.5)))[..., None]


def _is_grey(image: Picture) -> bool:
    less = image[::4, ::4].astype(np.int16)
    return float((less.max(axis=2) - less.min(axis=2)).mean()) < 3


def skin_of(image: Picture, pose: Pose) -> NDArray[np.float32]:
    """The colour (3,) of the cheeks and the nose, in the light that `_light` will multiply back."""
    x, y = np.meshgrid(np.linspace(-0.55, 0.55, 12), np.linspace(0.35, 0.7, 6))
    places = pose.matrix @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    columns = np.clip(places[0], 0, image.shape[1] - 1).astype(int)
    rows = np.clip(places[1], 0, image.shape[0] - 1).astype(int)
    return np.asarray(np.median(image[rows, columns] / light_of(image, pose)[rows, columns], axis=0), np.float32)
