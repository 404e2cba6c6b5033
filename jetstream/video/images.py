"""Pictures from disk: upright, 8 bit, three channels, whatever the file's format.

Knows no video and no face.
"""

import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import UnidentifiedImageError

from jetstream.errors import SourceError
from jetstream.video.frames import Image

MOST_PIXELS = 100_000_000
"""more than any camera has; decoded it takes 300 MB"""
DAMAGED = "the picture is damaged or of an unusual kind; save it again as JPEG or PNG"


def read_image(path: str | Path) -> Image:
    """(H, W, 3) uint8 BGR, rotated by its EXIF orientation. Transparency is removed, 16 bit become 8.

    Raises SourceError if the file is missing, unreadable, damaged, no picture, or over 100 megapixels.
    """
    path = Path(path)
    try:
        refuse_oversized(path)
        # OpenCV decodes bytes, since its own file access fails for some characters in a path.
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except FileNotFoundError:
        raise SourceError(f"{path}: no such picture; check the path") from None
    except UnidentifiedImageError:
        raise SourceError(f"{path}: not a picture that can be read; convert it to JPEG or PNG") from None
    except OSError as error:
        if error.errno is None:  # raised by Pillow for an incomplete header
            raise SourceError(f"{path}: {DAMAGED}") from None
        raise SourceError(f"{path}: can't be read ({error.strerror}); check the file") from None
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise SourceError(f"{path}: {DAMAGED}")
    return np.asarray(image, np.uint8)


def refuse_oversized(path: Path) -> None:
    """Raises SourceError if the picture has more than MOST_PIXELS by its header. Reads the header only."""
    from PIL import Image as Header  # video needs none of it

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Header.DecompressionBombWarning)
            with Header.open(path) as header:
                width, height = header.size
    except Header.DecompressionBombError:
        raise SourceError(f"{path}: far over {MOST_PIXELS // 10**6} megapixels; scale it down first") from None
    except (ValueError, SyntaxError):  # raised by Pillow's plugins for some damaged headers
        raise UnidentifiedImageError(str(path)) from None
    if width * height > MOST_PIXELS:
        limit = MOST_PIXELS // 10**6
        raise SourceError(f"{path}: {width}x{height} is over {limit} megapixels; scale it down first")
