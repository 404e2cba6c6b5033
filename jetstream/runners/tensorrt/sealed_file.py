"""Files with a checksum: a line of magic, a line of JSON (the seal), and the content.

Damage is noticed here, because a driver or TensorRT may crash on it. Knows neither.
"""

import hashlib
from pathlib import Path
from typing import TypeVar

import msgspec

from jetstream import files
from jetstream.errors import GARBLED
from jetstream.runners.base import UnavailableError

HEADER_BYTES = 4096  # at most


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """The second line. A kind of file that stores more in it adds fields."""

    length: int
    sha256: str


AnySeal = TypeVar("AnySeal", bound=Seal)


def checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write(path: Path, magic: bytes, seal: Seal, content: bytes) -> None:
    """Write the file, which appears complete or not at all. Raises OSError."""
    files.replace(path, magic + msgspec.json.encode(seal) + b"\n" + content)


def parts(path: Path, magic: bytes, kind: type[AnySeal], what: str) -> tuple[AnySeal, bytes]:
    """Seal and content, not checked yet. Raises UnavailableError where the file isn't `what` ("an engine")."""
    try:
        whole = path.read_bytes()
    except OSError as error:
        raise UnavailableError(f"{path}: {error.strerror}") from None
    end = whole.find(b"\n", len(magic), HEADER_BYTES)
    try:
        if not whole.startswith(magic) or end < 0:
            raise msgspec.DecodeError
        return msgspec.json.decode(whole[len(magic) : end], type=kind), whole[end + 1 :]
    except GARBLED:
        raise UnavailableError(f"{path}: not {what} made by jetstream, or damaged") from None


def check(path: Path, seal: Seal, content: bytes) -> None:
    """Raise UnavailableError unless the content has the seal's length and checksum."""
    if len(content) != seal.length:
        raise UnavailableError(f"{path}: cut off: {len(content)} of {seal.length} bytes")
    if checksum(content) != seal.sha256:
        raise UnavailableError(f"{path}: damaged: its checksum differs")
