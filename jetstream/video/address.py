"""What the text of a source means, and how it is shown: passwords masked.

Decodes nothing; of a file it reads the beginning.
"""

import glob
import re
import shlex
from pathlib import Path

from jetstream.errors import SourceError
from jetstream.video.camera import camera_of
from jetstream.video.picture_files import SUFFIXES, source_kind

NETWORK = ("rtsp", "rtsps", "http", "https")
PIPELINE = "gst:"
LONGEST_PIPELINE = 100
"""characters of a pipeline that are shown"""
TELLING_KEYS = {"channel", "subtype", "stream", "profile", "camera", "cam"}
"""Query keys of camera addresses that distinguish cameras; the values of all others are masked."""
SECRET = re.compile(r"([\w-]*(?:pass|pw|pwd|secret|token|credential|user|user-id|username)[\w-]*)=(.+)", re.IGNORECASE)
"""A property of a GStreamer element with a value to mask."""


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
        raise SourceError(f"{spec[:100]!r}: {getattr(error, 'strerror', None) or error}; check the path") from None


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
    raise SourceError(f"{spec}: no such file, folder or camera; check the path")


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
    """A source for messages, with passwords masked; at most LONGEST_PIPELINE characters of a pipeline."""
    if not is_pipeline(spec):
        return masked(spec) if "://" in spec else spec
    try:
        words = shlex.split(spec.removeprefix(PIPELINE))
    except ValueError:
        return f"{PIPELINE} (a pipeline)"
    text = " ".join([PIPELINE, *(masked_word(word) for word in words)])
    return text if len(text) <= LONGEST_PIPELINE else f"{text[: LONGEST_PIPELINE - 2]} …"


def masked_word(word: str) -> str:
    """A word of a GStreamer pipeline, with `***` for what may be secret."""
    if secret := SECRET.fullmatch(word):
        return f"{secret[1]}=***"
    before, mark, address = word.partition("://")
    scheme = re.search(r"[A-Za-z][A-Za-z0-9+.-]*$", before)
    return before[: scheme.start()] + masked(scheme[0] + mark + address) if mark and scheme else word


def masked(url: str) -> str:
    """The URL with `***` for what may be secret: user, password, and query values of keys not in TELLING_KEYS."""
    scheme, _, rest = url.partition("://")
    rest, mark, query = rest.partition("?")
    authority = rest.partition("/")[0]
    # With an unescaped "/" in the password the "@" is outside the authority, whose "port" is then no number.
    if "@" in authority or ("@" in rest and re.search(r":(?![0-9]*$)", authority)):
        rest = "***@" + rest.rpartition("@")[2]
    return f"{scheme}://{rest}{mark}{re.sub(r'[^&]+', _masked_pair, query)}"


def _masked_pair(pair: re.Match[str]) -> str:
    key, equals, _ = pair[0].partition("=")
    if key.casefold() in TELLING_KEYS and "@" not in pair[0]:
        return pair[0]
    return f"{key}=***" if equals else "***"
