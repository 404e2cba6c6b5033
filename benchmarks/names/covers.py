"""Masks, glasses, hands, scarves and hats drawn over a face, in units of the eyes' distance (see `canvas`).

Knows no detector and no network. A drawing is a function of a canvas, the face's pose, a random generator and the
colour of the face's skin.
"""

from collections.abc import Callable
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.names.canvas import Canvas, Picture, Points, Pose, skin_of

Colour = tuple[float, float, float]  # BGR, 0..255
Draw = Callable[[Canvas, Pose, np.random.Generator, NDArray[np.float32]], None]
COVERS: Final[dict[str, Draw]] = {}
FLAT: Final = ("plain_mask", "plain_sunglasses")  # take no light from the face and throw no shadow
CLEAR: Final = ("thick_glasses", "thin_glasses", "hat")  # leave free what recognition needs most


def cover(draw: Draw, image: Picture, pose: Pose, random: np.random.Generator, px: int = 100) -> Picture:
    """`image` (H, W, 3) uint8 BGR with what `draw` draws over the face, at `px` pixels a unit."""
    canvas, flat = Canvas(px), draw.__name__ in FLAT
    draw(canvas, pose, random, skin_of(image, pose))
    return canvas.put(image, pose, shadow=0.0 if flat else 0.25, flat=flat)


def _turned(points: Any, turn: float) -> Points:
    """Points of an upright face as a turned one shows them: the middle moves with the nose, the edges stay."""
    out = np.array(points, np.float64)
    out[:, 0] += 1.1 * turn * np.clip(1 - (out[:, 0] / 1.05) ** 2, 0, 1) * np.clip(out[:, 1] / 0.5, 0, 1)
    return out


def _both(points: Any) -> Points:
    """A right half and its mirror image, as one outline from the top middle clockwise."""
    half = np.array(points, np.float64)
    return np.concatenate([half, half[::-1] * (-1, 1)])


def _cover(draw: Draw) -> Draw:
    COVERS[draw.__name__] = draw
    return draw


CLOTHS: Final[tuple[Colour, ...]] = (
    (220, 195, 150), (240, 240, 238), (35, 32, 30), (190, 205, 160), (190, 170, 225), (120, 60, 30), (60, 40, 130),
    (140, 170, 200), (130, 130, 130),
)  # fmt: skip


@_cover
def mask(canvas: Canvas, pose: Pose, random: np.random.Generator, skin: NDArray[np.float32]) -> None:
    """A surgical mask: pleats, ear loops, a bend over the nose."""
    top, bottom = random.uniform(0.18, 0.36), random.uniform(1.8, 2.05)
    shape = _turned(
        _both([[0.0, top], [0.3, top + 0.07], [0.62, top + 0.26], [1.0, top + 0.3], [1.0, 1.15], [0.62, bottom - 0.15],
               [0.2, bottom]]), pose.turn)  # fmt: skip
    cloth = np.array(CLOTHS[random.integers(len(CLOTHS))]) * random.uniform(0.88, 1.05)
    for side in (-1, 1):
        for start, end in (((0.93, top + 0.33), (1.35, 0.05)), ((0.9, 1.25), (1.35, 0.55))):
            canvas.paint(canvas.line([[side * start[0], start[1]], [side * end[0], end[1]]], 0.035), cloth * 0.9 + 15)
    area = canvas.area(shape)
    canvas.paint(area, cloth)
    middle = 0.9 * pose.turn
    ridge = np.exp(-(((canvas.x - middle) / 0.3) ** 2)) * np.clip(1.2 - np.abs(canvas.y - 0.6), 0, 1)
    canvas.shade(area * (1 - np.clip(ridge + 0.35 - 0.2 * canvas.x**2, 0, 1)), 0.72)
    for level in np.linspace(top + 0.5, bottom - 0.4, 3):
        pleat = [[x + middle * (1 - x * x), level + 0.06 * (1 - x * x)] for x in np.linspace(-0.9, 0.9, 15)]
        canvas.shade(area * cv2.GaussianBlur(canvas.line(pleat, 0.03), (0, 0), 2), 0.8)
    if random.random() < 0.3:  # a pattern
        dots = (np.sin(canvas.x * 40) * np.sin(canvas.y * 40) > 0.4).astype(np.float32)
        canvas.paint(area * dots, 255 - cloth, 0.6)


def _lens(kind: str) -> Points:
    """The outline of the right lens around the eye, in units."""
    if kind == "round":
        angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        return np.stack([0.34 * np.cos(angle), 0.06 + 0.34 * np.sin(angle)], 1)
    return np.array({
        "wayfarer": [[-0.38, -0.2], [0.0, -0.25], [0.42, -0.25], [0.4, 0.1], [0.25, 0.33], [-0.15, 0.35], [-0.34, 0.1]],
        "aviator": [[-0.4, -0.2], [0.0, -0.25], [0.44, -0.2], [0.42, 0.2], [0.2, 0.52], [-0.15, 0.45], [-0.35, 0.15]],
        "narrow": [[-0.4, -0.15], [0.0, -0.18], [0.45, -0.2], [0.42, 0.08], [0.2, 0.2], [-0.2, 0.2], [-0.38, 0.05]],
        "oversized": [[-0.4, -0.35], [0.1, -0.4], [0.55, -0.35], [0.55, 0.2], [0.3, 0.55], [-0.1, 0.55], [-0.4, 0.3]],
    }[kind])  # fmt: skip


def glasses(canvas: Canvas, pose: Pose, kind: str, frame: Any, width: float, lens: Any, opacity: float) -> None:
    outline, arm, narrow = _lens(kind), -0.12, pose.narrow
    for side in (-1, 1):
        shape = (outline + np.array([0.5, 0.02])) * (side * narrow, 1)
        area = canvas.area(shape, 2)
        fall = np.clip(1.1 - 0.35 * (canvas.y + 0.3), 0.6, 1.1)[..., None]
        canvas.paint(area, np.asarray(lens, np.float32) * fall * np.ones_like(canvas.colour), opacity)
        glint = area * np.exp(-(((canvas.x - side * 0.5 * narrow + 0.12 + 0.5 * (canvas.y + 0.1)) / 0.07) ** 2))
        canvas.paint(glint * (canvas.y < 0.1), (235, 230, 225), 0.25)
        edge = cv2.morphologyEx(area, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        edge = cv2.dilate(edge, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (round(width * canvas.px) | 1,) * 2))
        canvas.paint(edge, frame)
        outer = float(shape[:, 0].max() if side > 0 else shape[:, 0].min())
        canvas.paint(canvas.line([[outer, arm], [side * 1.3, arm + 0.02]], max(width, 0.04)), frame)
    canvas.paint(canvas.line([[-0.15 * narrow, -0.08], [0, -0.12], [0.15 * narrow, -0.08]], max(width, 0.04)), frame)


@_cover
def sunglasses(canvas: Canvas, pose: Pose, random: np.random.Generator, skin: NDArray[np.float32]) -> None:
    kind = str(random.choice(["wayfarer", "aviator", "round", "narrow", "oversized", "shield"]))
    lens = [(22, 20, 18), (20, 35, 55), (25, 45, 30), (70, 40, 25), (60, 60, 62)][random.integers(5)]
    frame = [(18, 18, 18), (40, 60, 90), (150, 160, 165), (60, 140, 170)][random.integers(4)]
    opacity = random.uniform(0.82, 0.98)
    if kind == "shield":
        area = canvas.area(_both([[0, -0.22], [0.6, -0.28], [1.05, -0.2], [1.0, 0.12], [0.6, 0.32], [0.25, 0.3],
                                  [0.08, 0.1]]), 2)  # fmt: skip
        canvas.paint(area, lens, opacity)
        canvas.paint(area * np.exp(-(((canvas.y + 0.1 + 0.1 * canvas.x) / 0.06) ** 2)), (200, 190, 180), 0.35)
        return
    glasses(canvas, pose, kind, frame, random.uniform(0.02, 0.08), lens, opacity)


@_cover
def thick_glasses(canvas: Canvas, pose: Pose, random: np.random.Generator, skin: NDArray[np.float32]) -> None:
    """Clear lenses in a thick frame, which hide no part of the face that matters."""
    frame = [(20, 20, 20), (30, 50, 85), (50, 30, 120), (110, 60, 30)][random.integers(4)]
    kind = str(random.choice(["wayfarer", "round", "narrow", "oversized"]))
    glasses(canvas, pose, kind, frame, random.uniform(0.07, 0.13), (225, 220, 215), random.uniform(0.02, 0.1))


@_cover
def thin_glasses(canvas: Canvas, pose: Pose, random: np.random.Generator, skin: NDArray[np.float32]) -> None:
    frame = [(50, 50, 50), (90, 120, 150), (150, 150, 150)][random.integers(3)]
    kind = str(random.choice(["aviator", "round", "narrow", "wayfarer"]))
    glasses(canvas, pose, kind, frame, random.uniform(0.015, 0.04), (225, 220, 215), random.uniform(0.0, 0.12))


@_cover
def hand(canvas: Canvas, pose: Pose, random: np.random.Generator, skin: NDArray[np.float32]) -> None:
    """Over the mouth, in the face's own colour: a palm, four fingers, dark lines between them."""
    side, tone = random.choice([-1.0, 1.0]), skin * random.uniform(0.85, 1.08)
    lean, middle = random.uniform(0.2, 0.9), 0.9 * pose.turn
    shift = np.array([middle + random.uniform(-0.15, 0.15), random.uniform(-0.1, 0.15)])
    wrist = np.array([side * 0.9, 2.9])
    palm = np.array([[side * 0.55, 1.55], [side * 0.1, 1.9], [side * 0.5, 3.3], [side * 1.5, 3.3], [side * 1.1, 1.9]])
    canvas.paint(canvas.area(palm + shift), tone)
    for finger in range(4):
        knuckle = np.array([side * (0.75 - 0.02 * finger), 1.0 + 0.27 * finger]) + shift
        tip = knuckle - (side * (1.25 - 0.1 * abs(finger - 1.3)), 0.25 * lean)
        bend = (knuckle + tip) / 2 + (0, -0.08)
        canvas.paint(cv2.GaussianBlur(canvas.line([wrist, knuckle, bend, tip], 0.34), (0, 0), 2), tone * 0.72)
        canvas.paint(canvas.line([wrist, knuckle, bend, tip], 0.28), tone)
        canvas.shade(cv2.GaussianBlur(canvas.line([knuckle - (0, 0.05), bend - (0, 0.05)], 0.08), (0, 0), 6), 1.07)
        nail = canvas.line([tip - (side * 0.02, 0.0), tip - (side * 0.06, 0.0)], 0.14)
        canvas.paint(nail, tone * 0.9 + (18, 18, 26), 0.6)


@_cover
def scarf(canvas: Canvas, pose: Pose, random: np.random.Generator, skin: NDArray[np.float32]) -> None:
    """Wrapped over mouth and chin, sometimes up to the nose."""
    top = random.uniform(0.45, 0.85)
    wool = random.uniform(30, 180) + random.uniform(-25, 25, 3)
    shape = [[-1.25, top], [-0.5, top - 0.06], [0.0, top - 0.12], [0.5, top - 0.06], [1.25, top], [1.9, 2.6],
             [1.9, 3.4], [-1.9, 3.4], [-1.9, 2.6]]  # fmt: skip
    area = canvas.area(_turned(shape, pose.turn), 2)
    canvas.paint(area, wool)
    if random.random() < 0.6:
        stripes = (np.sin((canvas.y + 0.15 * canvas.x**2) * random.uniform(8, 25)) > 0.2).astype(np.float32)
        canvas.paint(area * stripes, 255 - wool, 0.5)
    for level in np.linspace(top + 0.3, 2.8, 6):
        fold = [[x, level + 0.18 * np.sin(2 * x + level * 5) - 0.1 * x * x] for x in np.linspace(-1.5, 1.5, 21)]
        canvas.shade(area * cv2.GaussianBlur(canvas.line(fold, 0.12), (0, 0), 8), 0.6)
    grain = random.normal(0, 0.06, canvas.alpha.shape).astype(np.float32)
    canvas.colour *= 1 + grain[..., None]


@_cover
def hat(canvas: Canvas, pose: Pose, random: np.random.Generator, skin: NDArray[np.float32]) -> None:
    """A cap whose brim hides the forehead and darkens the eyes; they stay visible."""
    edge, felt = random.uniform(-0.5, -0.3), np.array(random.uniform(15, 150)) + random.uniform(-15, 40, 3)
    darkness = np.clip(1 - (canvas.y - edge) / 0.7, 0, 1) * (canvas.y > edge) * (np.abs(canvas.x) < 1.1)
    canvas.paint(darkness.astype(np.float32), (10, 10, 10), random.uniform(0.2, 0.6))
    crown = [[-1.35, edge], [-1.5, -1.3], [-1.1, -2.2], [1.1, -2.2], [1.5, -1.3], [1.35, edge]]
    area = canvas.area(_turned(crown, pose.turn), 2)
    canvas.paint(area, felt)
    canvas.shade(area * np.clip(np.abs(canvas.x) - 0.3, 0, 1), 0.55)
    brim = [[-1.4, edge], [-0.7, edge - 0.35], [0.7, edge - 0.35], [1.4, edge], [0.8, edge + 0.1], [-0.8, edge + 0.1]]
    canvas.paint(canvas.area(brim, 2), felt * 0.6)


@_cover
def plain_mask(canvas: Canvas, pose: Pose, random: np.random.Generator, skin: NDArray[np.float32]) -> None:
    """One colour from the nose to the chin, without light and folds."""
    top, wide = random.uniform(0.2, 0.55), random.uniform(0.8, 1.1)
    outline = _both([[0, top], [wide, top + random.uniform(0, 0.25)], [wide, 1.2], [0.5 * wide, 1.85], [0, 1.95]])
    canvas.paint(canvas.area(outline, int(random.integers(0, 3))), CLOTHS[random.integers(len(CLOTHS))])


@_cover
def plain_sunglasses(canvas: Canvas, pose: Pose, random: np.random.Generator, skin: NDArray[np.float32]) -> None:
    """Two dark shapes and a line, without light."""
    size, tone = random.uniform(0.3, 0.44), random.uniform(0, 45)
    lens = np.array([[-1, -0.6], [1, -0.6], [1, 0.75], [-1, 0.75]]) * size
    rounds = int(random.integers(0, 4))
    for side in (-0.5, 0.5):
        canvas.paint(canvas.area(lens + np.array([side * pose.narrow, 0.02]), rounds), (tone, tone, tone))
    canvas.paint(canvas.line([[-0.5, -0.05], [0.5, -0.05]], 0.06), (tone, tone, tone))
