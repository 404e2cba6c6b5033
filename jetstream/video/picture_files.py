"""Which files are pictures, by their content, and their order; and the sentence for a file that is no picture.

Decodes nothing. A name matters only where the content says nothing: `photo.jpg` is a picture also where it is damaged.
"""

import glob
import re
from pathlib import Path

from jetstream.errors import SourceError
from jetstream.video.file_kinds import EMPTY, HEIF_SEQUENCE, FileKind, kind_at
from jetstream.video.motion_jpeg import is_motion_jpeg

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
    *(".tif", ".tiff", ".jp2", ".j2k", ".j2c", ".jpf", ".jpx", ".heic", ".heif", ".hif", ".heics", ".avif", ".avifs"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
"""of the formats that `images` reads"""
FORMATS = "JPEG, PNG, WebP, HEIC, AVIF, TIFF, GIF, BMP, JPEG 2000 or PNM"
REMEDY = "convert it to JPEG or PNG"


def is_picture(path: Path) -> bool:
    """Whether it is a picture by its content, or would be one by its name."""
    return path.suffix.lower() in SUFFIXES or kind_of_file(path).is_picture


def kind_of_file(path: Path) -> FileKind:
    """What the file is by its content; the unknown kind where it can't be read."""
    try:
        return kind_at(path)
    except OSError:
        return FileKind("other")


def list_images(folder_or_glob: str | Path) -> list[Path]:
    """The pictures in a folder (not in its subfolders) or of a glob, in natural order: img2 before img10.

    Pictures of formats that aren't read are listed too, so that whoever reads them can say so. Hidden files are left
    out. Empty if there are none.
    """
    text = str(folder_or_glob)
    found = Path(text).iterdir() if Path(text).is_dir() else (Path(name) for name in glob.glob(text, recursive=True))
    files = (path for path in found if not path.name.startswith(".") and path.is_file())
    return sorted(
        (path for path in files if is_picture(path) or kind_of_file(path).family == "foreign"), key=natural_order
    )


def pictures_of(spec: str) -> list[Path]:
    """The pictures of a path, folder or glob, in natural order. Raises SourceError if there are none."""
    path = Path(spec)
    if path.is_file():
        return [path]
    if path.suffix.lower() in SUFFIXES and not path.is_dir() and not glob.has_magic(spec):
        raise SourceError(f"{spec}: no such picture; check the path")
    found = list_images(spec)
    if not found:
        raise SourceError(f"{spec}: no pictures here; name a folder or a pattern with pictures in it ({FORMATS})")
    return found


def source_kind(path: Path) -> str:
    """What a file is as a source: "images" for a picture, "animation" or "video". An unknown one goes by its name.

    Raises SourceError for a picture of a format that isn't read.
    """
    kind = kind_of_file(path)
    if kind.family == "foreign":
        raise SourceError(f"{path}: {why_no_picture(kind)}")
    if kind.name == "JPEG" and _is_motion_jpeg(path):
        return "video"
    if kind == HEIF_SEQUENCE:  # Pillow has no reader for these, FFmpeg has
        return "video"
    if kind.family in ("animation", "video"):
        return kind.family
    return "images" if is_picture(path) else "video"


def why_no_picture(kind: FileKind) -> str:
    """Why a file of this kind isn't read as a picture, and what to do: for a sentence that begins with its path."""
    if kind.family == "video":
        return "a video, not a picture; `jetstream enroll` and `jetstream replay` take videos"
    if kind == EMPTY:
        return "damaged: the file is empty; copy it again"
    if kind.family == "foreign":
        return f"not a picture that can be read ({kind.name}); {REMEDY}"
    if kind.name:
        return f"not a picture but {kind.name}; name the picture itself"
    return f"not a picture that can be read; {REMEDY}"


def natural_order(path: Path) -> list[tuple[int, int, str]]:
    """A sort key: numbers in names by value, letters case-insensitively, ties by the exact name."""
    pieces = re.split(r"([0-9]+)", str(path))
    key = [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece.casefold()) for piece in pieces]
    return [*key, (2, 0, str(path))]


def _is_motion_jpeg(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return is_motion_jpeg(file)
    except OSError:
        return False
