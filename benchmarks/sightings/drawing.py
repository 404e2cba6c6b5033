"""Draws the walks of one camera into an H.264 video, with the box of each face that is in sight."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.sightings.cast import FACE_PX, Look, Person
from benchmarks.sightings.timetable import EASE, WIDTH_PX, Walk
from tests.support.defaults import video_sink

WIDTH, HEIGHT, FPS = WIDTH_PX, 720, 20
CLIP_FPS = 25
LEAST_SEEN = 0.3
"""share of a face in sight from which on its box is in the truth"""


class SeenFace(NamedTuple):
    """A face in one frame."""

    person: str
    box: tuple[float, float, float, float]  # xyxy px, the part in the picture


def draw(
    path: Path, walks: Sequence[Walk], people: Mapping[str, Person], length_s: float, seed: int
) -> list[list[SeenFace]]:
    """Write the video; the faces of each frame."""
    room = _room(seed)
    truth = []
    with video_sink(path, fps=FPS, width=WIDTH, height=HEIGHT) as sink:
        for number in range(round(length_s * FPS)):
            time_s = number / FPS
            image, seen = room.copy(), []
            for walk in walks:
                if _starts_s(walk) <= time_s <= _stops_s(walk):
                    seen += _put(image, walk, people[walk.person], time_s)
            sink.write(image, time_s)
            truth.append(seen)
    return truth


def _put(image: NDArray[np.uint8], walk: Walk, person: Person, time_s: float) -> Iterator[SeenFace]:
    """Lay the person over the picture, softly cut around the head."""
    look = _look_at(person.looks, time_s - walk.begin_s, walk.seed)
    zoom = walk.face_px / FACE_PX * (1 + 0.04 * math.sin(0.9 * time_s + walk.seed))
    turn = math.radians(4 * math.sin(0.7 * time_s + 2 * walk.seed))
    middle = look.box.reshape(2, 2).mean(axis=0)
    x, y = _place(walk, time_s)
    cosine, sine = zoom * math.cos(turn), zoom * math.sin(turn)
    matrix = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0]])
    matrix[:, 2] = np.array([x, y]) - matrix[:, :2] @ middle
    half = np.array([look.image.shape[1], look.image.shape[0]]) * zoom * 0.72
    left, top = (max(0, int(v)) for v in (x - half[0], y - half[1]))
    right, bottom = min(WIDTH, int(x + half[0])), min(HEIGHT, int(y + half[1]))
    if right - left < 2 or bottom - top < 2:
        return
    matrix[:, 2] -= (left, top)
    size = (right - left, bottom - top)
    shown = cv2.warpAffine(look.image, matrix, size, flags=cv2.INTER_AREA)
    mask = cv2.warpAffine(_mask(look), matrix, size, flags=cv2.INTER_LINEAR)[..., None]
    part = image[top:bottom, left:right]
    part[:] = (part * (1 - mask) + shown * mask).astype(np.uint8)
    half_face = (look.box[2:] - look.box[:2]) / 2 * zoom
    box = np.array([x - half_face[0], y - half_face[1], x + half_face[0], y + half_face[1]])
    inside = np.clip(box, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT])
    share = np.prod(np.maximum(inside[2:] - inside[:2], 0)) / np.prod(box[2:] - box[:2])
    if share >= LEAST_SEEN:
        yield SeenFace(walk.person, tuple(np.round(inside, 1).tolist()))


def _mask(look: Look) -> NDArray[np.float32]:
    """An ellipse around hair and chin with a soft edge, in the look's own pixels."""
    height, width = look.image.shape[:2]
    key = (height, width)
    if key not in _masks:
        mask = np.zeros((height, width), np.uint8)
        cv2.ellipse(mask, (width // 2, height // 2), (int(0.40 * width), int(0.42 * height)), 0, 0, 360, 255, -1)
        _masks[key] = cv2.GaussianBlur(mask, (0, 0), 0.03 * width).astype(np.float32) / 255
    return _masks[key]


_masks: dict[tuple[int, int], NDArray[np.float32]] = {}


def _look_at(looks: Sequence[Look], since_s: float, seed: int) -> Look:
    """The clip forwards and backwards, from a place by chance."""
    if len(looks) == 1:
        return looks[0]
    turn = 2 * (len(looks) - 1)
    at = (seed + int(since_s * CLIP_FPS)) % turn
    return looks[at if at < len(looks) else turn - at]


def _starts_s(walk: Walk) -> float:
    return walk.begin_s - walk.in_s


def _stops_s(walk: Walk) -> float:
    return walk.end_s + walk.out_s


def _place(walk: Walk, time_s: float) -> tuple[float, float]:
    """The middle of the face: on the picture's edge at `begin_s` and `end_s`, swaying where the person stands."""
    stand = walk.stand_x * WIDTH + 14 * math.sin(0.8 * (time_s - walk.begin_s))
    first, last = (0.0 if left else float(WIDTH) for left in (walk.from_left, walk.to_left))
    since, left_s = time_s - walk.begin_s, walk.end_s - time_s
    if since < walk.in_s:
        x = first + (stand - first) * _eased(since / walk.in_s)
    elif left_s < walk.out_s:
        x = last + (stand - last) * _eased(left_s / walk.out_s)
    else:
        x = stand
    return x, walk.stand_y * HEIGHT + 8 * math.sin(1.1 * time_s + walk.seed)


def _eased(share: float) -> float:
    """From the edge at a steady speed, then slower; before the edge, as far outside."""
    return EASE * share - (EASE - 1) * share**3 if share > 0 else EASE * share


def _room(seed: int) -> NDArray[np.uint8]:
    """A wall with soft light, a door and a shelf, which the detector takes for nothing."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    light = 120 + 50 * np.exp(-(((x - 300 - 90 * (seed % 7)) / 600) ** 2) - ((y - 200) / 500) ** 2)
    room = np.stack([light * 0.95, light, light * 1.02], axis=2)
    room += np.random.default_rng(seed).normal(0, 2.0, (HEIGHT, WIDTH, 1))
    cv2.rectangle(room, (900, 180), (1080, 720), (70, 90, 120), -1)
    cv2.rectangle(room, (120, 420), (420, 440), (60, 70, 90), -1)
    room[640:] *= 0.6
    return np.asarray(np.clip(room, 0, 255), np.uint8)
