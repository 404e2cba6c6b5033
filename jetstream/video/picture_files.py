"""Which files are pictures, and their order.

Reads no file.
"""

import glob
import re
from pathlib import Path

from jetstream.errors import SourceError

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff")


def list_images(folder_or_glob: str | Path) -> list[Path]:
    """The pictures in a folder (not in its subfolders) or of a glob, in natural order: img2 before img10.

    Chosen by suffix; hidden files are left out. Empty if there are none.
    """
    text = str(folder_or_glob)
    found = Path(text).iterdir() if Path(text).is_dir() else (Path(name) for name in glob.glob(text, recursive=True))
    pictures = (p for p in found if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file())
    return sorted(pictures, key=natural_order)


def pictures_of(spec: str) -> list[Path]:
    """The pictures of a path, folder or glob, in natural order. Raises SourceError if there are none."""
    path = Path(spec)
    if path.suffix.lower() in SUFFIXES and not path.is_dir() and not (glob.has_magic(spec) and not path.exists()):
        if not path.exists():
            raise SourceError(f"{spec}: no such picture; check the path")
        return [path]
    found = list_images(spec)
    if not found:
        kinds = ", ".join(SUFFIXES)
        raise SourceError(f"{spec}: no pictures here; name a folder or a pattern with pictures in it ({kinds})")
    return found


def natural_order(path: Path) -> list[tuple[int, int, str]]:
    """A sort key: numbers in names by value, letters case-insensitively, ties by the exact name."""
    pieces = re.split(r"([0-9]+)", str(path))
    key = [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece.casefold()) for piece in pieces]
    return [*key, (2, 0, str(path))]
