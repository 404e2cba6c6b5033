"""Repair of a fragmented MP4 whose last fragment is incomplete, such as after a full disk: strict readers refuse it.

Knows boxes (ISO/IEC 14496-12, 4.2), no codec.
"""

import os
import struct
from pathlib import Path
from typing import BinaryIO


def cut_to_last_fragment(video: Path) -> None:
    """Remove what follows the last complete fragment. Raises OSError."""
    with video.open("rb+") as file:
        file.truncate(whole_bytes(file))


def whole_bytes(file: BinaryIO) -> int:
    """Number of bytes up to the end of the last complete box that isn't a `moof`, whose `mdat` would be missing."""
    n_bytes = file.seek(0, os.SEEK_END)
    place = whole = 0
    while place + 8 <= n_bytes:
        file.seek(place)
        least, (size, kind) = 8, struct.unpack(">I4s", file.read(8))
        if size == 1:  # the size follows, in 64 bits
            least, (size,) = 16, struct.unpack(">Q", file.read(8).ljust(8, b"\0"))
        if size < least or place + size > n_bytes:
            break
        place += size
        if kind != b"moof":
            whole = place
    return whole
