"""Error sheets: small pictures of wrongly recognised faces, each beside the nearest enrolled photo.

Knows no HTML.
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
"""Most pictures on a sheet; more would only make the page larger."""
SIDE_PX = 112
QUALITY = 80


class ErrorTile(NamedTuple):
    """One error. Pictures are JPEG in base64, or None where a picture can't be read."""

    picture: str | None
    beside: str | None  # the nearest photo of the nearest person
    lines: tuple[str, ...]


class ErrorSheet(NamedTuple):
    """The errors of one kind."""

    title: str
    tiles: tuple[ErrorTile, ...]  # at most MOST
    all: int  # number of errors of this kind


KINDS: tuple[tuple[Outcome, str], ...] = (
    ("wrong", "Known people named wrongly"),
    ("named", "Strangers who were given a name"),
    ("unknown", "Known people not recognised"),
)


def sheets(
    results: Sequence[ProbeResult], pictures: Mapping[str, Path], gallery: Mapping[str, Path]
) -> list[ErrorSheet]:
    """A sheet for each kind of error, the worst errors first.

    `pictures` maps the tested files to their paths, `gallery` the enrolled ones.
    """
    found = []
    for outcome, title in KINDS:
        errors = [one for one in results if one.outcome == outcome]
        errors.sort(key=lambda one: (one.score if outcome == "unknown" else -one.score, one.file))
        tiles = tuple(_tile(one, pictures, gallery) for one in errors[:MOST])
        found.append(ErrorSheet(title, tiles, len(errors)))
    return found


def jpeg(image: NDArray[np.uint8]) -> str:
    """`image`, (H, W, 3) uint8 BGR, as JPEG in base64, scaled to a longer side of SIDE_PX."""
    scale = SIDE_PX / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    content = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return base64.b64encode(content.tobytes()).decode()


def crop(image: NDArray[np.uint8], box: Sequence[float]) -> NDArray[np.uint8]:
    """The part of `image`, (H, W, 3) uint8, around `box` (xyxy px), with a quarter of its side added on each side."""
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
