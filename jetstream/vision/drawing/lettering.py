"""Names in scripts that must be shaped, as small pictures: Arabic, Hebrew, Thai, Devanagari, emoji and others.

HarfBuzz shapes (Pillow's raqm); letters that need no shaping are OpenCV's, so that a name is drawn in its usual font
where it can be. Knows no frame and no track. What can't be drawn as it should is logged once.
"""

import logging
import unicodedata
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from jetstream.vision.drawing import fonts
from jetstream.vision.drawing.graphemes import RIGHT_TO_LEFT, clusters, in_order, is_emoji, levels

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

WEIGHT = 500  # between regular and bold
FONT: Final = cv2.FontFace("sans")  # built into OpenCV 5, with Latin, Greek, Cyrillic, Chinese, Japanese and Korean
ELLIPSIS = "…"
BITMAP_SIZES = (109, 128, 136, 160, 96, 72, 64, 48, 32)
"""px of the only size of fonts with coloured pictures; Noto's is the first"""
MIRRORED = str.maketrans("()[]{}<>«»", ")(][}{><»«")
"""signs that are turned where text goes from right to left"""
SHRUNK = 0.5
"""least size of tall letters that are scaled down to fit, relative to the line's"""

Colour = tuple[int, int, int]  # BGR

log = logging.getLogger(__name__)


class Lettering(NamedTuple):
    """Drawn text: its ink and, where it has its own colours, those; both as wide as the text."""

    ink: NDArray[np.uint8]  # (H, W) 0..255, the share of ink
    colours: NDArray[np.uint8]  # (H, W, 3) BGR
    has_colours: NDArray[np.bool_]  # (H, W) where `colours` counts, not the ink's


class Line(NamedTuple):
    """The height of a line and where its letters stand, px."""

    size: int  # of the letters
    height: int
    baseline: int  # from above


@lru_cache(maxsize=4096)
def is_simple(text: str) -> bool:
    """Whether OpenCV draws it rightly: from left to right, a glyph a letter, and it has them all."""
    return text.isascii() or all(_is_simple(cluster) for cluster in clusters(text))


@lru_cache(maxsize=4096)
def _is_simple(cluster: str) -> bool:
    is_plain = len(cluster) == 1 and unicodedata.bidirectional(cluster) not in (*RIGHT_TO_LEFT, "AN")
    if not is_plain or unicodedata.category(cluster)[0] == "M" or is_emoji(cluster):
        return False
    return cluster.isspace() or cluster == "?" or not np.array_equal(_glyph(cluster), _glyph("?"))


def _glyph(letter: str) -> NDArray[np.uint8]:
    """As OpenCV draws it; "?" where it has none."""
    image = np.zeros((40, 60), np.uint8)
    cv2.putText(image, letter, (5, 30), (255,), FONT, 24, WEIGHT)
    return image


def simple_width(text: str, size: int) -> int:
    """px that OpenCV needs."""
    return int(cv2.getTextSize((1 << 14, 1 << 14), text, (0, 0), FONT, size, WEIGHT)[2])


@lru_cache(maxsize=512)
def cut(text: str, size: int, most_px: int) -> str:
    """`text`, or as many of its first grapheme clusters as fit into `most_px` with an ellipsis."""
    if width(text, size) <= most_px:
        return text
    parts = clusters(text)
    short, long = 0, len(parts)
    while long - short > 1:
        middle = (short + long) // 2
        if width("".join(parts[:middle]) + ELLIPSIS, size) <= most_px:
            short = middle
        else:
            long = middle
    return "".join(parts[:short]).rstrip() + ELLIPSIS


def width(text: str, size: int) -> int:
    """px of the text on a line of letters of `size` px."""
    if is_simple(text):
        return simple_width(text, size)
    return int(drawn(text, Line(size, size + 8, size + 1)).ink.shape[1])


def put(letters: Lettering, image: NDArray[np.uint8], x: int, ink: Colour) -> None:
    """Draw text onto `image` (H, W, 3) uint8 BGR, as high as the line, from column `x` on."""
    part = image[:, x : x + letters.ink.shape[1]]
    share = (letters.ink / np.float32(255))[..., None]
    colours = np.where(letters.has_colours[..., None], letters.colours, np.array(ink, np.uint8))
    part[:] = np.rint(share * colours + (1 - share) * part)


@lru_cache(maxsize=128)
def drawn(text: str, line: Line) -> Lettering:
    """One line of text of any script, its runs in the order of their directions."""
    parts = clusters(text)
    keyed = [(level, _font(part)) for part, level in zip(parts, levels(parts), strict=True)]
    for at in range(1, len(keyed)):  # letters are shaped across spaces; those of pictures are very wide
        if parts[at].isspace() and not is_emoji(parts[at - 1]):
            keyed[at] = (keyed[at][0], keyed[at - 1][1])
    runs: list[tuple[int, str, Path | None]] = []
    for key, group in groupby(zip(keyed, parts, strict=True), key=lambda pair: pair[0]):
        runs.append((key[0], "".join(part for _, part in group), key[1]))
    pieces = [
        _piece(runs[at][1], runs[at][2], line, right=runs[at][0] % 2 == 1) for at in in_order([run[0] for run in runs])
    ]
    return Lettering(*(np.concatenate(planes, axis=1) for planes in zip(*pieces, strict=True)))


def _font(cluster: str) -> Path | None:
    """The font of a cluster; None: OpenCV's, also for what no font has."""
    if _is_simple(cluster) or cluster.isspace():
        return None
    found = fonts.font_of(cluster)
    if found is None:
        _tell_missing(fonts.script_of(cluster))
    elif not shapes():
        _tell_unshaped()
    return found


@cache  # so it is told once
def _tell_missing(script: str) -> None:
    package = fonts.package_of(script)
    log.warning(
        "no font here has %s: names in it are drawn as ?; install one, such as the package %s, and start again",
        script if script == "emoji" else script.title(),
        package,
    )


@cache
def _tell_unshaped() -> None:
    log.warning(
        "Pillow can't shape text here, so names in Arabic, Hindi and others are drawn letter by letter; "
        "install the package libfribidi0, or Pillow as a wheel from PyPI, and start again"
    )


@cache
def shapes() -> bool:
    """Whether Pillow has raqm, which loads FriBiDi from the system."""
    from PIL import features

    return bool(features.check("raqm"))


def _piece(text: str, font: Path | None, line: Line, *, right: bool) -> Lettering:
    """Text of one font and one direction."""
    if font is not None:
        try:
            return _shaped(text, font, line, right=right)
        except OSError:  # though the font lists its letters
            text = "?" * len(clusters(text))
    return _plain("".join(reversed(clusters(text))).translate(MIRRORED) if right else text, line)


def _shaped(text: str, font: Path, line: Line, *, right: bool) -> Lettering:
    """Drawn by Pillow. Raises OSError for a damaged font, and for one whose coloured pictures Pillow can't draw."""
    from PIL import Image, ImageDraw

    direction = ("rtl" if right else "ltr") if shapes() else None
    written = text if shapes() or not right else "".join(reversed(clusters(text)))
    loaded, scale = _loaded(font, line.size)
    for _ in range(2):
        box = loaded.getbbox(written, direction=direction, anchor="ls")
        if scale != 1 or box[3] - box[1] <= line.height:
            break
        fitting = int(line.size * line.height / (box[3] - box[1]))
        loaded, scale = _loaded(font, max(round(line.size * SHRUNK), fitting))
    left, wide = max(0, -round(box[0])), max(1, round(max(box[2], loaded.getlength(written, direction=direction))))
    up, down = max(1, -round(box[1])), max(1, round(box[3]))
    canvas = Image.new("RGBA", (left + wide, up + down))
    pen = ImageDraw.Draw(canvas)
    pen.text((left, up), written, (0, 0, 0, 255), loaded, "ls", direction=direction, embedded_color=True)
    rgba = np.array(canvas)
    if not rgba[..., 3].any():
        _tell_missing(fonts.script_of(text))
        raise OSError(f"{font}: draws nothing")
    return _placed(rgba, up, scale, line)


def _placed(rgba: NDArray[np.uint8], up: int, scale: float, line: Line) -> Lettering:
    """A drawn piece, whose letters stand `up` px below its upper edge, scaled and moved to the line."""
    if scale != 1:
        # a picture stands in the middle of the line
        side = max(1, round(rgba.shape[1] * scale)), max(1, round(rgba.shape[0] * scale))
        premultiplied = rgba.copy()
        premultiplied[..., :3] = cv2.multiply(rgba[..., :3], cv2.merge([rgba[..., 3]] * 3), scale=1 / 255)
        rgba = np.asarray(cv2.resize(premultiplied, side, interpolation=cv2.INTER_AREA), np.uint8)
        alpha = np.maximum(rgba[..., 3:], 1).astype(np.float32)
        rgba[..., :3] = np.minimum(rgba[..., :3] * (255 / alpha), 255)
        top = (line.height - side[1]) // 2
    else:
        top = max(0, min(line.baseline - up, line.height - rgba.shape[0]))  # deep letters stand higher
    height, wide = line.height, rgba.shape[1]
    whole = np.zeros((height, wide, 4), np.uint8)
    first, last = max(0, top), min(height, top + rgba.shape[0])
    whole[first:last] = rgba[first - top : last - top]
    bgr = np.ascontiguousarray(whole[..., 2::-1])
    return Lettering(np.ascontiguousarray(whole[..., 3]), bgr, np.asarray(bgr.any(axis=2), np.bool_))


def _plain(text: str, line: Line) -> Lettering:
    """Drawn by OpenCV; "?" for what it doesn't have."""
    shown = "".join(cluster if _is_simple(cluster) else "?" for cluster in clusters(text))
    ink = np.zeros((line.height, max(1, simple_width(shown, line.size))), np.uint8)
    cv2.putText(ink, shown, (0, line.baseline), (255,), FONT, line.size, WEIGHT)
    return Lettering(ink, np.zeros((*ink.shape, 3), np.uint8), np.zeros(ink.shape, np.bool_))


@lru_cache(maxsize=32)
def _loaded(path: Path, size: int) -> "tuple[FreeTypeFont, float]":
    """The font, and by how much what it draws is to be scaled; not 1 for one with pictures of one size."""
    from PIL import ImageFont

    engine = ImageFont.Layout.RAQM if shapes() else ImageFont.Layout.BASIC
    for its_size in (size, *BITMAP_SIZES):
        try:
            font = ImageFont.truetype(str(path), its_size, layout_engine=engine)
        except OSError:  # it has other sizes only
            continue
        return font, 1.0 if its_size == size else size * 1.1 / its_size
    raise OSError(f"{path}: no font that can be drawn")
