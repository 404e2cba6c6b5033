"""Whether a file that begins as a JPEG is a video: motion JPEG without a container, one picture right behind the other.

Knows the segments of a JPEG (ITU-T T.81, annex B) and decodes nothing.
"""

from collections.abc import Iterator
from typing import BinaryIO

MOST_BYTES = 1 << 24
"""of the first picture; a video's are smaller"""


def is_motion_jpeg(file: BinaryIO) -> bool:
    """Whether a file that begins as a JPEG has a second one of the same size right behind it, so that it is a video.

    Not so an MPO, whose pictures are views of one moment, nor a photo with a film or a depth map behind it.
    """
    data = file.read(2 * MOST_BYTES)
    end = _end_of_jpeg(data)
    if end is None or b"MPF\0" in data[:end]:
        return False
    behind = data[end:]
    return behind.startswith(b"\xff\xd8\xff") and _size_of_jpeg(data) == _size_of_jpeg(behind) is not None


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The marker of each segment of a JPEG's header, and where its content begins and ends; the last is SOS."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, at + 4, end
        if marker == 0xDA:
            return
        at = end


def _end_of_jpeg(data: bytes) -> int | None:
    """Where the first picture in `data` ends, after its EOI; None if that isn't in `data`."""
    at = next((end for marker, _, end in _jpeg_segments(data) if marker == 0xDA), None)
    while at is not None and (at := data.find(b"\xff", at)) >= 0 and at + 1 < len(data):
        marker = data[at + 1]
        if marker == 0xD9:
            return at + 2
        # in coded data: a stuffed byte, a restart, a fill byte; else a segment between two scans
        at += 1 if marker == 0xFF else 2 if marker == 0 or 0xD0 <= marker <= 0xD7 else 2 + _length(data, at + 2)
    return None


def _length(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def _size_of_jpeg(data: bytes) -> bytes | None:
    """Height and width as stored in a JPEG's header."""
    for marker, start, _ in _jpeg_segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # SOF0 to SOF15
            return data[start + 1 : start + 5]
    return None
