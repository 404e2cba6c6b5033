"""Where the galleries of a folder of photos are stored: one for each embedding network that has learnt from it.

Knows no photo and opens no gallery.
"""

import glob
import hashlib
import os
from pathlib import Path
from typing import Final

MANIFEST: Final = "manifest.json"
"""the file that makes a folder a gallery"""
_UNNAMED: Final = "dlib"
"""the network whose galleries' folders don't end with its name: the only one that versions before 0.2 had"""


def gallery_dir(faces_dir: Path, models_dir: Path, model: str) -> Path:
    """The folder of the gallery that the network `model` makes of `faces_dir`.

    It is named after `faces_dir`, with a digest of its absolute path without links.
    """
    path = os.path.realpath(faces_dir)
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
    name = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in os.path.basename(path))
    suffix = "" if model == _UNNAMED else f"-{model}"
    return models_dir / "galleries" / f"{name[:40] or 'root'}-{digest}{suffix}"


def has_gallery(faces_dir: Path, models_dir: Path, model: str) -> bool:
    """Whether the network `model` has made a gallery of `faces_dir`."""
    return (gallery_dir(faces_dir, models_dir, model) / MANIFEST).exists()


def gallery_dirs(faces_dir: Path, models_dir: Path) -> list[Path]:
    """The folders of all galleries of `faces_dir` that exist, whichever network made them."""
    unnamed = gallery_dir(faces_dir, models_dir, _UNNAMED)
    named = sorted(unnamed.parent.glob(f"{glob.escape(unnamed.name)}-*"))
    return [folder for folder in (unnamed, *named) if folder.is_dir()]
