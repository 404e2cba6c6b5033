"""What the text of a source means, and how it is shown in messages.

Decodes nothing; of a file it reads the beginning.
"""

import glob
import os
import re
from pathlib import Path

from jetstream.errors import SourceError
from jetstream.masking import PIPELINE
from jetstream.masking import masked_source as masked
from jetstream.video.camera import camera_of
from jetstream.video.picture_files import SUFFIXES, source_kind

NETWORK = ("rtsp", "rtsps", "http", "https")
LONGEST_PIPELINE = 100
"""characters of a pipeline that are shown"""


def kind_of(spec: str) -> str:
    """ "camera", "network", "pipeline", "video", "images", "animation" or "demo", from the name and the content of the
    file at it.

    Raises SourceError for a URL of an unknown scheme, and for a path that doesn't exist.
    """
    if spec == "demo":
        return "demo"
    if is_pipeline(spec):
        return "pipeline"
    if scheme := re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", spec):
        if scheme[1].lower() in NETWORK:
            return "network"
        raise SourceError(f"{masked(spec)}: addresses start with {', '.join(NETWORK)}; for a file give its path")
    try:
        return _local_kind(spec)
    except (OSError, ValueError) as error:  # an impossible file name, or no permission
        raise SourceError(
            f"{shown(spec)[:100]!r}: {getattr(error, 'strerror', None) or error}; check the path"
        ) from None


def _local_kind(spec: str) -> str:
    if camera_of(spec):
        return "camera"
    path = Path(spec)
    if path.is_dir() or (glob.has_magic(spec) and not path.exists()):
        return "images"
    if path.exists():
        return source_kind(path)
    if path.suffix.lower() in SUFFIXES:
        return "images"
    raise SourceError(f"{shown(spec)}: no such file, folder or camera; check the path")


def is_pipeline(spec: str) -> bool:
    """Whether `spec` is a GStreamer pipeline."""
    return spec.startswith(PIPELINE)


def is_live(spec: str, *, every_frame: bool = False) -> bool:
    """Whether it is a camera or a stream, which doesn't wait for its reader. Raises SourceError as `kind_of` does.

    A GStreamer pipeline counts as live unless `every_frame`, where it is read like a file.
    """
    kind = kind_of(spec)
    return kind in ("camera", "network") or (kind == "pipeline" and not every_frame)


def shown(spec: str) -> str:
    """A source for messages: masked, and at most LONGEST_PIPELINE characters of a pipeline. A file's name is whole."""
    if "://" not in spec and _is_there(spec):
        return spec
    text = masked(spec)
    return text if not is_pipeline(spec) or len(text) <= LONGEST_PIPELINE else f"{text[: LONGEST_PIPELINE - 2]} …"


def _is_there(path: str) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:  # such as for a NUL byte
        return False
