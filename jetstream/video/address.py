"""What the text of a source means, and how it is shown in messages.

Decodes nothing; of a file it reads the beginning.
"""

import glob
import re
from pathlib import Path

from jetstream.errors import SourceError
from jetstream.files import is_there
from jetstream.masking import PIPELINE, masked_source
from jetstream.video.camera import camera_of
from jetstream.video.picture_files import SUFFIXES, source_kind

NETWORK = ("rtsp", "rtsps", "http", "https")
WEB = ("http", "https")
LONGEST_PIPELINE = 100
"""characters of a pipeline that are shown"""

BLANKS = " \t\r\n\v\f\u00a0\u2007\u202f\u3000\ufeff\u200b\u200c\u200d\u2060\u200e\u200f\u202a\u202c"
"""seen as nothing or as a blank; copied along with an address"""
QUOTES = "\"'`<>\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb"
ADDRESS = re.compile(r"(?:rtsps?|https?)://", re.IGNORECASE)
PREFIX = re.compile(r"ffmpeg:\s*", re.IGNORECASE)
"""stands before addresses in configs of other programs, whose options may follow as OPTIONS"""
OPTIONS = re.compile(r"(?:#(?:video|audio|hardware|raw|rotate|width|height|timeout|input|async)(?:=[^#@/]*)?)+$")
HARMLESS = re.compile(
    r"(?:ffmpeg|ffplay|ffprobe|vlc|mpv|curl|url|src|source|stream|address|exec|onvif|i|[ :=-])+", re.I
)
"""words that may stand before an address, and are shown; anything else could be a password"""


def cleaned(spec: str) -> str:
    """`spec` without what is copied along with it: blanks and quotes around it, `ffmpeg:` before an address. The scheme
    is in small letters. A file that is there keeps its name."""
    bare = spec.strip(BLANKS)
    if bare[:1] in QUOTES and bare[-1:] in QUOTES:
        bare = bare.strip(BLANKS + QUOTES)
    if prefix := PREFIX.match(bare):
        inner = bare[prefix.end() :].strip(BLANKS + QUOTES)
        bare = OPTIONS.sub("", inner) if ADDRESS.match(inner) else bare
    if scheme := ADDRESS.match(bare):
        return scheme[0].lower() + bare[scheme.end() :]
    return spec if bare == spec or is_there(spec) else bare


def may_be_film(spec: str) -> bool:
    """Whether `spec` is an address that only its server's answer tells from a film: one of the web."""
    return cleaned(spec).partition("://")[0] in WEB


def kind_of(spec: str) -> str:
    """ "camera", "network", "pipeline", "video", "images", "animation" or "demo", from the name and the content of the
    file at it.

    Raises SourceError for a URL of an unknown scheme, and for a path that doesn't exist.
    """
    spec = cleaned(spec)
    if spec == "demo":
        return "demo"
    if is_pipeline(spec):
        return "pipeline"
    if scheme := re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", spec):
        if scheme[1].lower() in NETWORK:
            return "network"
        raise SourceError(f"{masked_source(spec)}: addresses start with {', '.join(NETWORK)}; for a file give its path")
    refuse_almost_an_address(spec)
    try:
        return _local_kind(spec)
    except (OSError, ValueError) as error:  # an impossible file name, or no permission
        raise SourceError(
            f"{shown(spec)[:100]!r}: {getattr(error, 'strerror', None) or error}; check the path"
        ) from None


def refuse_almost_an_address(spec: str) -> None:
    """Raises SourceError, which shows no password, for what was meant as an address and doesn't start like one."""
    if is_there(spec):
        return
    if found := ADDRESS.search(spec):
        before = spec[: found.start()]
        what = f"`{before.strip()}`" if HARMLESS.fullmatch(before) else "what stands"
        scheme = found[0].lower()
        raise SourceError(f"{scheme[:-3]}…: take off {what} before the address, so that it starts with {scheme}")
    if found := re.match(r"(rtsps?|https?)(?::|//|\\\\)", spec, re.IGNORECASE):
        scheme = found[1].lower()
        raise SourceError(f"{scheme}…: an address starts with {scheme}://; write the colon and both slashes")


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
    return spec.lstrip(BLANKS).startswith(PIPELINE)


def is_live(spec: str, *, every_frame: bool = False) -> bool:
    """Whether it is a camera or a stream, which doesn't wait for its reader. Raises SourceError as `kind_of` does.

    Of an address of the web it is said before the server is asked; the opened source knows better. A GStreamer pipeline
    counts as live unless `every_frame`, where it is read like a file.
    """
    kind = kind_of(spec)
    return kind in ("camera", "network") or (kind == "pipeline" and not every_frame)


def shown(spec: str) -> str:
    """A source for messages: masked, and at most LONGEST_PIPELINE characters of a pipeline. A file's name is whole."""
    if "://" not in spec and is_there(spec):
        return spec
    text = masked_source(spec)
    return text if not is_pipeline(spec) or len(text) <= LONGEST_PIPELINE else f"{text[: LONGEST_PIPELINE - 2]} …"
