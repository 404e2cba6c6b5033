"""Draws the demo: a short synthetic film of two public-domain portraits that pass each other, made without a camera.

Detects no face: the script below defines their positions.
"""

import math
from collections.abc import Iterator
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from jetstream.video.demo_film import DESCRIBED, FPS, FRAMES, HEIGHT, PERIOD_S, WIDTH, collins_path, hopper_path
from jetstream.video.folder import placed
from jetstream.video.frames import Image, LazyFrame, Source, SourceSettings
from jetstream.video.images import read_image

COUNTER_Y = 600
"""px; a counter covers everything below"""
FEATHER_PX = 2.0

# px in astronaut.png: hair, collar, suit, helmet under the arm
COLLINS_OUTLINE = (
    *((227, 16), (201, 22), (178, 36), (162, 52), (154, 70), (156, 98), (172, 116), (177, 134), (185, 152)),
    *((160, 151), (134, 164), (119, 184), (119, 202), (66, 246), (41, 294), (27, 342), (21, 390), (24, 478)),
    *((38, 512), (488, 512), (494, 470), (484, 425), (464, 392), (434, 364), (400, 352), (364, 354), (353, 288)),
    *((340, 262), (306, 238), (303, 216), (290, 195), (256, 176), (262, 156), (269, 136), (279, 126), (294, 110)),
    *((300, 90), (296, 58), (276, 31), (248, 18)),
)
# px in grace_hopper.jpg: cap, glasses, uniform
HOPPER_OUTLINE = (
    *((258, 23), (218, 30), (192, 46), (177, 66), (174, 84), (158, 96), (149, 112), (149, 180), (155, 190)),
    *((159, 228), (167, 262), (178, 274), (194, 294), (202, 318), (150, 352), (80, 370), (54, 382), (38, 408)),
    *((27, 450), (16, 600), (504, 600), (503, 490), (497, 430), (488, 396), (471, 380), (357, 337), (332, 314)),
    *((338, 298), (350, 283), (362, 258), (371, 226), (375, 196), (370, 178), (371, 132), (366, 92), (352, 86)),
    *((344, 60), (318, 42), (285, 27)),
)
# (seconds, px of the face's middle): they cross at 6 s and at 17 s; Hopper is away from 10.5 to 14 s
COLLINS_WALK = ((0.0, 330), (4.0, 360), (8.0, 930), (15.0, 900), (19.0, 340), (20.0, 330))
HOPPER_WALK = (
    *((0.0, 960), (4.0, 930), (8.0, 340), (9.5, 330), (11.0, -300)),
    *((13.5, -300), (15.0, 350), (19.0, 930), (20.0, 960)),
)


class Actor(NamedTuple):
    """A cut-out portrait, its path and its sizes."""

    cutout: Image  # (H, W, 4) uint8 BGRA, colours already times alpha
    face_x: float  # px in the portrait of the face's middle
    face_width: float  # px in the portrait
    walk: tuple[tuple[float, int], ...]
    nearest_s: float  # time at which it is largest
    face_px: tuple[float, float]  # width in the frame, farthest and nearest


class Pose(NamedTuple):
    x: float  # px of the face's middle
    bottom: float  # px of the portrait's lower edge
    scale: float  # of the portrait
    face_px: float  # width; a nearer person has a larger one


class Scene(NamedTuple):
    wall: Image  # (720, 1280, 3)
    counter: Image  # (720 - COUNTER_Y, 1280, 3)
    actors: tuple[Actor, ...]


def scene(index: int) -> Image:
    """Frame `index` of the film, (720, 1280, 3) uint8 BGR: a function of the index, periodic after FRAMES.

    Raises SourceError if a portrait's wheel isn't installed.
    """
    stage, time_s = set_stage(), index % FRAMES / FPS
    image: Image = stage.wall.copy()
    posed = [(pose_at(actor, time_s), actor) for actor in stage.actors]
    for pose, actor in sorted(posed, key=lambda pair: pair[0].face_px):  # the nearer one last, in front
        draw(image, actor, pose)
    image[COUNTER_Y:] = stage.counter
    light = 0.86 + 0.2 * math.sin(2 * math.pi * time_s / (PERIOD_S / 2))
    return np.asarray(cv2.convertScaleAbs(image, dst=image, alpha=light), np.uint8)


def pose_at(actor: Actor, time_s: float) -> Pose:
    nearness = 0.5 + 0.5 * math.cos(2 * math.pi * (time_s - actor.nearest_s) / PERIOD_S)
    far_px, near_px = actor.face_px
    face_px = far_px + (near_px - far_px) * nearness
    sway = 6 * math.sin(2 * math.pi * time_s / 2.5)
    return Pose(along(actor.walk, time_s) + sway, 610 + 170 * nearness + sway / 2, face_px / actor.face_width, face_px)


def along(walk: tuple[tuple[float, int], ...], time_s: float) -> float:
    """x in px at a time, interpolated between the points of a walk with zero speed at each point (smoothstep)."""
    for (start_s, start), (end_s, end) in pairwise(walk):
        if time_s <= end_s:
            part = (time_s - start_s) / (end_s - start_s)
            return start + (end - start) * part * part * (3 - 2 * part)
    return walk[-1][1]


def draw(image: Image, actor: Actor, pose: Pose) -> None:
    """Blend a scaled portrait into `image` (720, 1280, 3) uint8 BGR in place, above the counter only."""
    height, width = actor.cutout.shape[:2]
    left, top = pose.x - actor.face_x * pose.scale, pose.bottom - height * pose.scale
    x1, y1 = max(0, math.floor(left)), max(0, math.floor(top))
    x2, y2 = min(WIDTH, math.ceil(left + width * pose.scale)), min(COUNTER_Y, math.ceil(pose.bottom))
    if x1 >= x2 or y1 >= y2:
        return
    matrix = np.array([[pose.scale, 0, left - x1], [0, pose.scale, top - y1]])
    patch = cv2.warpAffine(actor.cutout, matrix, (x2 - x1, y2 - y1), flags=cv2.INTER_LINEAR)
    behind = image[y1:y2, x1:x2]
    through = cv2.cvtColor(cv2.bitwise_not(patch[..., 3]), cv2.COLOR_GRAY2BGR)
    cv2.add(cv2.multiply(behind, through, scale=1 / 255), cv2.cvtColor(patch, cv2.COLOR_BGRA2BGR), dst=behind)


@cache
def set_stage() -> Scene:
    """Everything that doesn't change, made once."""
    collins = Actor(cut_out(collins_path(), COLLINS_OUTLINE), 224, 105, COLLINS_WALK, 6.0, (88, 155))
    hopper = Actor(cut_out(hopper_path(), HOPPER_OUTLINE), 265, 205, HOPPER_WALK, 17.0, (112, 200))
    return Scene(paint_wall(), paint_counter(), (collins, hopper))


def cut_out(path: Path, outline: tuple[tuple[int, int], ...]) -> Image:
    """(H, W, 4) uint8 BGRA, premultiplied, of the area inside the outline, its edge feathered inwards."""
    portrait = read_image(path)
    inside = np.zeros(portrait.shape[:2], np.uint8)
    cv2.fillPoly(inside, [np.array(outline, np.int32)], 255)
    inside = np.asarray(cv2.erode(inside, np.ones((5, 5), np.uint8), borderValue=255), np.uint8)
    alpha = cv2.GaussianBlur(inside, (0, 0), FEATHER_PX, borderType=cv2.BORDER_REPLICATE)
    colours = cv2.multiply(portrait, cv2.cvtColor(alpha, cv2.COLOR_GRAY2BGR), scale=1 / 255)
    return np.asarray(np.dstack([colours, alpha]), np.uint8)


def paint_wall() -> Image:
    """(720, 1280, 3) uint8 BGR: an evening wall with lights out of focus."""
    down = np.linspace(0, 1, HEIGHT, dtype=np.float32)[:, None, None]
    wall = (1 - down) * bgr(112, 84, 52) + down * bgr(146, 150, 168)
    wall = np.ascontiguousarray(np.broadcast_to(wall, (HEIGHT, WIDTH, 3)))
    lights = np.zeros_like(wall)
    for x, y, radius, colour in lights_of(np.random.default_rng(7)):
        cv2.circle(lights, (x, y), radius, colour, cv2.FILLED, cv2.LINE_AA)
    lights = cv2.GaussianBlur(lights, (0, 0), 5)
    return np.clip(wall + lights, 0, 255).astype(np.uint8)


def lights_of(rng: np.random.Generator) -> Iterator[tuple[int, int, int, tuple[float, float, float]]]:
    for _ in range(26):
        warm = float(rng.uniform(0.2, 1.0))
        strength = float(rng.uniform(16, 52))
        colour = (strength * (1 - 0.7 * warm), strength * 0.8, strength)
        yield int(rng.integers(0, WIDTH)), int(rng.integers(0, 380)), int(rng.integers(14, 54)), colour


def paint_counter() -> Image:
    """(720 - COUNTER_Y, 1280, 3) uint8 BGR: a wooden counter with a lit edge."""
    height = HEIGHT - COUNTER_Y
    noise = np.random.default_rng(3).normal(0, 9, (height, WIDTH // 16)).astype(np.float32)
    grain = cv2.GaussianBlur(cv2.resize(noise, (WIDTH, height), interpolation=cv2.INTER_LINEAR), (0, 0), 6, sigmaY=0.8)
    shade = np.linspace(1.0, 0.55, height, dtype=np.float32)[:, None, None]
    wood = (bgr(58, 88, 128) + grain[..., None] * 2) * shade
    wood[:5] += 50
    return np.asarray(np.clip(wood, 0, 255), np.uint8)


def bgr(blue: float, green: float, red: float) -> NDArray[np.float32]:
    return np.array((blue, green, red), np.float32)


class DemoSource(Source):
    """The film as a source: 25 frames a second, 20 s a pass."""

    fps = float(FPS)
    frames_expected = FRAMES

    def __init__(self, settings: SourceSettings, *, fps_limit: float, loop: bool) -> None:
        super().__init__(fps_limit=fps_limit, loop=loop)
        self._settings = settings
        set_stage()  # raises for a missing wheel now, not at the first frame

    def describe(self) -> str:
        return DESCRIBED

    def close(self) -> None:
        """Holds nothing."""

    def _shots(self) -> Iterator[LazyFrame]:
        for index in range(FRAMES):
            yield LazyFrame(index / FPS, partial(self._picture, index))

    def _picture(self, index: int) -> Image:
        return placed(scene(index), self._settings)

    def _pass_ended(self, yielded: int) -> None:
        """Nothing is ever left out."""
