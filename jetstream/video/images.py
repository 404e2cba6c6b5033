"""Pictures from disk: upright, 8 bit, three channels, whatever the file's format.

Knows no video and no face. OpenCV decodes what it decodes fast and well; Pillow and its HEIF plugin do the rest. The
format is that of the content, and no other reader of Pillow's is tried.
"""

import io
import math
import os
import stat
import struct
import warnings
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple

import cv2
import numpy as np

from jetstream.errors import SourceError
from jetstream.video.file_kinds import HEIF_SEQUENCE, is_cut_off, kind_in
from jetstream.video.frames import Image
from jetstream.video.picture_files import why_no_picture

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

if "OPENCV_LOG_LEVEL" not in os.environ:
    # OpenCV prints several lines for a picture that it can't decode; read_image raises a sentence
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

MOST_PIXELS = 100_000_000
"""more than any camera has; decoded it takes 300 MB"""
MOST_BYTES = 1_000_000_000
"""more than 100 megapixels take uncompressed, with 16 bit for each of four channels"""
DAMAGED = "the picture is damaged or of an unusual kind; save it again as JPEG or PNG"
READERS = f"2{'+heif' if find_spec('pillow_heif') else ''}"
"""Changes when more formats are read, so that photos which couldn't be read are tried again."""
BY_OPENCV = {"JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"}
PLUGINS = {"WEBP": "WebP", "TIFF": "Tiff", "JPEG2000": "Jpeg2K", "AVIF": "Avif"}
"""Pillow's modules that it doesn't load at once."""
ORIENTATION = 0x0112
"""EXIF's tag"""
NO_HEIF = "HEIC needs the package pillow-heif; `pip install pillow-heif`, or save the picture as JPEG"
NO_AVIF = "this Pillow can't read AVIF; `pip install -U pillow`, or save the picture as JPEG"
GARBLED = (
    *(OSError, EOFError, ValueError, SyntaxError, RuntimeError, MemoryError, struct.error),
    *(TypeError, LookupError, ArithmeticError, AttributeError),
)
"""The exceptions that Pillow's readers raise for damaged files."""


class PictureError(Exception):
    """Why a picture can't be read: the end of a sentence that begins with its path."""


def read_image(path: str | Path) -> Image:
    """(H, W, 3) uint8 BGR, upright: turned as the file's format says. Transparency is removed, 16 bit become 8. Of
    several pictures or frames in one file the first.

    Raises SourceError if the file is missing, unreadable, damaged, no picture that can be read, or over 100 megapixels.
    """
    path = Path(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise SourceError(f"{path}: can't be read (not a file); name a picture")
        with path.open("rb") as file:
            return _read(file, path, status.st_size)
    except FileNotFoundError:
        raise SourceError(f"{path}: no such picture; check the path") from None
    except OSError as error:
        raise SourceError(f"{path}: can't be read ({error.strerror}); check the file") from None
    except PictureError as error:
        raise SourceError(f"{path}: {error}") from None


def why_unreadable(path: Path) -> str:
    """The sentence with which `read_image` refuses it; empty if it doesn't."""
    try:
        read_image(path)
    except SourceError as error:
        return str(error)
    return ""


def open_picture(file: BinaryIO | Path, name: str) -> "Picture":
    """Pillow's picture of a format, its size checked by the header; nothing is decoded yet. Raises PictureError."""
    from PIL import Image as Pillow  # video needs none of it
    from PIL import features

    try:
        if name == "HEIF":
            import_module("pillow_heif").register_heif_opener()
        elif name == "AVIF" and not features.check("avif"):
            raise PictureError(NO_AVIF)
        elif name in PLUGINS:
            import_module(f"PIL.{PLUGINS[name]}ImagePlugin")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Pillow.open(file, formats=(name,))
    except ImportError:
        raise PictureError(NO_HEIF) from None
    except Pillow.DecompressionBombError:
        raise PictureError(f"far over {MOST_PIXELS // 10**6} megapixels; scale it down first") from None
    except GARBLED:
        raise PictureError(DAMAGED) from None
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise PictureError(f"{width}x{height} is over {MOST_PIXELS // 10**6} megapixels; scale it down first")
    return picture


def frame(picture: "Picture", index: int = 0) -> Image:
    """A frame of Pillow's picture, decoded: (H, W, 3) uint8 BGR, upright. Raises PictureError."""
    from PIL import ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if index:
                picture.seek(index)
            picture.load()
            turned = picture.getexif().get(ORIENTATION, 1) != 1
            upright = ImageOps.exif_transpose(picture) if turned else picture
            return np.ascontiguousarray(_rgb(upright)[:, :, ::-1])
    except GARBLED:
        raise PictureError(DAMAGED) from None


def _read(file: BinaryIO, path: Path, size: int) -> Image:
    kind = kind_in(file)
    if not kind.is_picture:
        raise PictureError(why_no_picture(kind))
    if size > MOST_BYTES:
        raise PictureError(f"over {MOST_BYTES // 10**9} GB; save it as JPEG or PNG")
    if kind == HEIF_SEQUENCE:
        return _first_frame(path)
    file.seek(0)
    # OpenCV decodes bytes, since its own file access fails for some characters in a path.
    data = file.read()
    if kind.name in ("HEIF", "AVIF") and is_cut_off(data):
        raise PictureError(DAMAGED)
    picture = open_picture(io.BytesIO(data), kind.name)
    image = _by_opencv(data) if kind.name in BY_OPENCV else None
    return frame(picture) if image is None else image


class _AsStored(NamedTuple):
    """Source settings that change nothing, but keep to the limit of size."""

    max_width: int = math.isqrt(MOST_PIXELS)
    max_height: int = math.isqrt(MOST_PIXELS)
    open_timeout_s: float = 0.0  # of no use for files
    read_timeout_s: float = 0.0
    image_fps: float = 1.0
    rotate: Literal[0, 90, 180, 270] = 0
    flip: Literal["", "horizontal", "vertical", "both"] = ""


def _first_frame(path: Path) -> Image:
    """Of a HEIF sequence, which is a film in all but its name: libheif's plugin for Pillow reads single pictures."""
    from jetstream.video.ffmpeg import open_file
    from jetstream.video.stream import StreamSource

    opener = partial(open_file, path)
    with StreamSource(opener, str(path), _AsStored(), live=False, decode_threads=1, fps_limit=0, loop=False) as source:
        return next(source).image


def _by_opencv(data: bytes) -> Image | None:
    """None where OpenCV can't decode it, or only in part."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)


def _rgb(picture: "Picture") -> Image:
    """(H, W, 3) uint8 RGB. 16 bit and fractions are scaled to 8 bit, where Pillow would cut them off."""
    if picture.mode not in ("I", "F") and not picture.mode.startswith("I;16"):
        return np.asarray(picture.convert("RGB"), np.uint8)
    values = np.asarray(picture, np.float64)
    most = 65535.0 if picture.mode != "F" else max(1.0, float(np.nanmax(values, initial=1.0)))
    grey = np.nan_to_num(np.clip(values * (255.0 / most), 0, 255)).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
