"""Chips to train `vision.recognition.occlusion` on: real faces with and without something drawn over eyes or mouth.

Knows no network. Beside the drawings of `covers` there are patches of any colour or texture and outline, over the eyes,
over the lower face, or where they hide nothing. Then the picture's light, sharpness and colours are changed, and its
landmarks moved a little, as a detector's are on a covered face.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.names import covers
from benchmarks.names.canvas import Canvas, Picture, Points, Pose, pixels, pose_of, skin_of
from jetstream.vision.recognition import align, occlusion

LOWER: Final = ("mask", "plain_mask", "hand", "scarf", "patch_lower")
EYES: Final = ("sunglasses", "plain_sunglasses", "tinted", "patch_eyes")
FREE: Final = ("thick_glasses", "thin_glasses", "hat", "patch_aside")
UNIT_PX: Final = 40  # faces are scaled down to this distance between the eyes; a chip has 54, the model sees 18
DRAWN_A_FACE: Final = 8  # kinds, drawn at random, beside two free looks
ASIDE: Final = ((0, -1.1), (-1.1, 0.7), (1.1, 0.7), (0, 2.2), (-0.9, 1.7), (0.9, 1.7), (-1.2, -0.2), (1.2, -0.2))


class LabelledFace(NamedTuple):
    """A face cut from a picture, with room around it."""

    file: str
    image: Picture
    landmarks: Points
    eyes_covered: bool  # it wears sunglasses


class Samples(NamedTuple):
    chips: NDArray[np.uint8]  # (N, SIDE, SIDE, 3) BGR, as the model sees them
    covered: NDArray[np.float32]  # (N, 2): whether the lower face and the eyes are
    kinds: NDArray[np.str_]
    faces: NDArray[np.intp]  # the face of each


def samples(faces: Sequence[LabelledFace], seed: int) -> Samples:
    random = np.random.default_rng(seed)
    textures = [cv2.resize(faces[row].image, (150, 150)) for row in random.permutation(len(faces))[:60]]
    chips, covered, kinds, owners = [], [], [], []
    for number, face in enumerate(faces):
        drawn = random.permutation(np.array(LOWER + EYES + FREE))[:DRAWN_A_FACE]
        for turn, kind in enumerate(["as_it_is", "free", *drawn.tolist()]):
            image = _drawn(kind, face, random, textures)
            eyes = face.eyes_covered or kind in EYES
            if kind in LOWER and random.random() < 0.12:
                image, eyes = _drawn("plain_sunglasses", face._replace(image=image), random, textures), True
            landmarks = face.landmarks
            if turn:
                image = _in_other_light(image, random) if random.random() < 0.8 else image
                landmarks = _jittered(landmarks, random)
            chips.append(occlusion.shrunk(align.chip(image, landmarks, align.DLIB)))
            covered.append((kind in LOWER, eyes))
            kinds.append(kind)
            owners.append(number)
    return Samples(np.stack(chips), np.array(covered, np.float32), np.array(kinds), np.array(owners, np.intp))


def _drawn(kind: str, face: LabelledFace, random: np.random.Generator, textures: Sequence[Picture]) -> Picture:
    if kind in covers.COVERS:
        return covers.cover(covers.COVERS[kind], face.image, pose_of(face.landmarks), random, UNIT_PX)
    pose, canvas = pose_of(face.landmarks), Canvas(UNIT_PX)
    if kind == "tinted":
        return _tinted(face.image, canvas, pose, random)
    if not kind.startswith("patch_"):
        return face.image
    fill = random.random()
    if fill < 0.4:
        colour = _texture(canvas, random, textures)
    elif fill < 0.8:
        colour = np.ones_like(canvas.colour) * random.uniform(0, 255, 3).astype(np.float32)
    else:
        colour = np.ones_like(canvas.colour) * skin_of(face.image, pose) * np.float32(random.uniform(0.6, 1.2))
    draw = {"patch_lower": _over_mouth, "patch_eyes": _over_eyes, "patch_aside": _aside}[kind]
    draw(canvas, colour, pose.narrow, random)
    return canvas.put(face.image, pose, flat=random.random() < 0.5)


def _tinted(image: Picture, canvas: Canvas, pose: Pose, random: np.random.Generator) -> Picture:
    """Sunglasses as they are sold in summer: lighter lenses, mirrors of any colour, a sky or a window in them."""
    kind = str(random.choice(["wayfarer", "aviator", "round", "narrow", "oversized"]))
    lens = random.uniform(15, 90) + random.uniform(-15, 60, 3) * (1 + 2 * (random.random() < 0.3))
    covers.glasses(
        canvas, pose, kind, random.uniform(0, 170, 3), random.uniform(0.02, 0.09), lens, random.uniform(0.6, 0.95)
    )
    if random.random() < 0.5:
        level, slope = random.uniform(-0.2, 0.2), random.uniform(-0.6, 0.6)
        bright = (canvas.alpha > 0.5) & (canvas.y < level + slope * np.abs(canvas.x))
        canvas.shade(cv2.GaussianBlur(bright.astype(np.float32), (0, 0), 1.5), random.uniform(0.4, 2.5))
    return canvas.put(image, pose, flat=random.random() < 0.3)


def _over_mouth(canvas: Canvas, colour: NDArray[np.float32], narrow: float, random: np.random.Generator) -> None:
    top, bottom, upper, lower = random.uniform((0.2, 1.6, 0.7, 0.7), (0.8, 3.4, 1.5, 1.5))
    sides = top + random.uniform(0, 0.3)
    outline = [
        [-upper, sides], [0, top], [upper, sides], [lower, (top + bottom) / 2], [0.7 * lower, bottom],
        [-0.7 * lower, bottom], [-lower, (top + bottom) / 2],
    ]  # fmt: skip
    canvas.paint(canvas.area(np.array(outline), int(random.integers(0, 4))), colour, random.uniform(0.9, 1))


def _over_eyes(canvas: Canvas, colour: NDArray[np.float32], narrow: float, random: np.random.Generator) -> None:
    if random.random() < 0.5:  # a band
        top, bottom, wide = random.uniform((-0.45, 0.2, 0.8), (-0.2, 0.45, 1.25))
        outline = np.array([[-wide, top], [wide, top], [wide, bottom], [-wide, bottom]])
        canvas.paint(canvas.area(outline, int(random.integers(0, 3))), colour, random.uniform(0.85, 1))
        return
    size, darkness = random.uniform((0.28, 0.22), (0.45, 0.42)), np.float32(random.uniform(0.1, 1))
    for side in (-0.5, 0.5):
        canvas.paint(_ellipse(canvas, (side * narrow, 0.02), size), colour * darkness, random.uniform(0.85, 1))


def _aside(canvas: Canvas, colour: NDArray[np.float32], narrow: float, random: np.random.Generator) -> None:
    canvas.paint(_ellipse(canvas, ASIDE[random.integers(len(ASIDE))], random.uniform(0.2, 0.45, 2)), colour)


def _ellipse(canvas: Canvas, middle: tuple[float, float], size: NDArray[np.float64]) -> NDArray[np.float32]:
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    return canvas.area(np.stack([np.cos(angle), np.sin(angle)], 1) * size + np.array(middle), 1)


def _texture(canvas: Canvas, random: np.random.Generator, textures: Sequence[Picture]) -> NDArray[np.float32]:
    height, width = canvas.alpha.shape
    scale = random.uniform(0.5, 2)
    part = cv2.resize(textures[random.integers(len(textures))], None, fx=scale, fy=scale)
    part = np.roll(part, tuple(random.integers(0, part.shape[:2])), (0, 1))
    times = -(-height // part.shape[0]), -(-width // part.shape[1]), 1
    return np.tile(part, times)[:height, :width].astype(np.float32)


def _in_other_light(image: Picture, random: np.random.Generator) -> Picture:
    """Each change by chance: grey, brighter or darker, a colour cast, blur, noise, JPEG."""
    chance = random.random(7)
    values = image.astype(np.float32)
    if chance[0] < 0.25:
        values[:] = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None]
    if chance[1] < 0.5:
        values = 255 * (values / 255) ** random.uniform(0.5, 2)
    if chance[2] < 0.4:
        values = values * random.uniform(0.25, 1.6)
    if chance[3] < 0.3:
        values = values * random.uniform(0.8, 1.2, 3)
    values = np.clip(values, 0, 255)
    if chance[4] < 0.4:
        values = cv2.GaussianBlur(values, (0, 0), random.uniform(0.5, 5))
    if chance[5] < 0.3:
        values = values + random.normal(0, random.uniform(1, 12), values.shape)
    changed = pixels(values)
    if chance[6] < 0.2:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(10, 60))]
        changed = cv2.imdecode(cv2.imencode(".jpg", changed, quality)[1], cv2.IMREAD_COLOR)
    return changed


def _jittered(landmarks: Points, random: np.random.Generator) -> Points:
    """Each point a little elsewhere, and for one in seven all of them turned, wider or narrower, and aside, too. More
    than this costs more real sunglasses than it finds real masks."""
    unit, middle = pose_of(landmarks).unit_px, landmarks.mean(axis=0)
    reach = random.choice([0.0, 0.02, 0.05]) * unit
    moved = landmarks + random.normal(0, reach, (5, 2)) + random.normal(0, reach, (1, 2))
    if random.random() < 0.15:
        angle, scale = random.uniform((-0.1, 0.88), (0.1, 1.14))
        turn = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        moved = (moved - middle) @ turn + middle + random.uniform(-0.07, 0.07, 2) * unit
    return moved
