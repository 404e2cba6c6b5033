"""Errors to look at: small pictures of the faces that went wrong, each beside the photo that it was taken for.

Knows no page.
"""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from jetstream.errors import SourceError
from jetstream.evaluation.metrics import Outcome, ProbeResult
from jetstream.video.images import read_image

MOST = 60
"""Pictures a sheet: past it nobody looks, and the page grows."""
SIDE_PX = 112
QUALITY = 80


class ErrorTile(NamedTuple):
    """One mistake. Pictures are JPEG in base64; None where a picture can't be read."""

    picture: str | None
    beside: str | None  # the nearest photo of the person who was nearest
    lines: tuple[str, ...]


class ErrorSheet(NamedTuple):
    title: str
    tiles: tuple[ErrorTile, ...]
    all: int  # how many mistakes there are; more than tiles where they are too many


KINDS: tuple[tuple[Outcome, str], ...] = (
    ("wrong", "Known people named wrongly"),
    ("named", "Strangers who were given a name"),
    ("unknown", "Known people not recognised"),
)


def sheets(asked: Sequence[ProbeResult], pictures: Mapping[str, Path], gallery: Mapping[str, Path]) -> list[ErrorSheet]:
    """A sheet a kind of mistake, worst first. `pictures` are the files asked, `gallery` those enrolled."""
    found = []
    for outcome, title in KINDS:
        mistakes = [one for one in asked if one.outcome == outcome]
        mistakes.sort(key=lambda one: (one.score if outcome == "unknown" else -one.score, one.file))
        tiles = tuple(_tile(one, pictures, gallery) for one in mistakes[:MOST])
        found.append(ErrorSheet(title, tiles, len(mistakes)))
    return found


def jpeg(image: NDArray[np.uint8]) -> str:
    """(H, W, 3) uint8 BGR as JPEG in base64, its longer side SIDE_PX."""
    scale = SIDE_PX / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    content = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return base64.b64encode(content.tobytes()).decode()


def crop(image: NDArray[np.uint8], box: Sequence[float]) -> NDArray[np.uint8]:
    """The face in `box` (xyxy px) with a quarter around it, as far as the picture goes."""
    x1, y1, x2, y2 = box
    border = 0.25 * max(x2 - x1, y2 - y1)
    height, width = image.shape[:2]
    left, top = (int(np.clip(value - border, 0, limit - 1)) for value, limit in ((x1, width), (y1, height)))
    right, bottom = (int(np.clip(value + border, 1, limit)) for value, limit in ((x2, width), (y2, height)))
    return image[top : max(bottom, top + 1), left : max(right, left + 1)]


def _tile(one: ProbeResult, pictures: Mapping[str, Path], gallery: Mapping[str, Path]) -> ErrorTile:
    lines = [f"is {one.person}", f"answered {one.name or 'unknown'}"]
    if one.nearest is not None:
        lines.append(f"{one.distance:.3f} from {one.nearest}")
    lines.append(one.file)
    beside = gallery.get(one.photo) if one.photo is not None else None
    if one.photo is not None:
        lines.append(f"nearest {one.photo}")
    return ErrorTile(_read(pictures.get(one.file)), _read(beside), tuple(lines))


def _read(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return jpeg(read_image(path))
    except SourceError:
        return None
