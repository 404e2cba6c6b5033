"""The part of a picture that its container says to show: MP4 and MOV `clap`, Matroska's PixelCrop.

FFmpeg reads both but leaves cropping to the player, and PyAV doesn't pass it on, so the file's headers are read here.
A codec's own cropping is FFmpeg's work. Decodes nothing; a header that makes no sense crops nothing.
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, NamedTuple

TRACK_PATH = (b"mdia", b"minf", b"stbl", b"stsd")
SAMPLE_ENTRY_BYTES = 78
"""of a video's sample entry (ISO/IEC 14496-12, 12.1.3) between its box's header and the boxes inside"""
MOST_PARTS = 10_000
"""beside each other in a file that isn't made to keep its reader busy"""
SEGMENT, TRACKS, TRACK, VIDEO = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae", b"\xe0"
CROPS = (b"\x54\xcc", b"\x54\xdd", b"\x54\xbb", b"\x54\xaa")
"""Matroska's PixelCropLeft, Right, Top and Bottom (RFC 9559, 5.1.4.1.28)"""


class Crop(NamedTuple):
    """Columns and rows to leave out."""

    left: int = 0
    right: int = 0
    top: int = 0
    bottom: int = 0

    def fits(self, width: int, height: int) -> bool:
        """Whether something is left of a picture of this size, and less than all of it."""
        return any(self) and min(self) >= 0 and self.left + self.right < width and self.top + self.bottom < height


WHOLE = Crop()


def crop_of(path: Path, container: str, stream_id: int, number: int) -> Crop:
    """What the file says of one of its videos.

    container  FFmpeg's name of the format
    stream_id  FFmpeg's id of the stream, an MP4's track
    number     its place among the videos
    """
    damage = (OSError, ValueError, struct.error, ZeroDivisionError, IndexError)
    with suppress(*damage), path.open("rb") as file:
        if "mp4" in container:
            return _of_mp4(file, path.stat().st_size, stream_id)
        if "matroska" in container:
            return _of_matroska(file, path.stat().st_size, number)
    return WHOLE


def _of_mp4(file: BinaryIO, end: int, track: int) -> Crop:
    for moov, moov_end in _boxes(file, 0, end, b"moov"):
        for trak, trak_end in _boxes(file, moov, moov_end, b"trak"):
            (header, _), *_ = _boxes(file, trak, trak_end, b"tkhd")
            version = _read(file, header, 1)[0]
            (number,) = struct.unpack(">I", _read(file, header + (20 if version else 12), 4))
            if number == track:
                return _clap(file, trak, trak_end)
    return WHOLE


def _clap(file: BinaryIO, at: int, end: int) -> Crop:
    for name in TRACK_PATH:
        (at, end), *_ = _boxes(file, at, end, name)
    for entry, entry_end in _boxes(file, at + 8, end):
        width, height = struct.unpack(">2H", _read(file, entry + 24, 4))
        for clap, _ in _boxes(file, entry + SAMPLE_ENTRY_BYTES, entry_end, b"clap"):
            fields = struct.unpack(">8i", _read(file, clap, 32))
            wide, high, right, down = (Fraction(fields[i], fields[i + 1]) for i in range(0, 8, 2))
            return _around_middle(width, height, wide, high, right, down)
        break
    return WHOLE


def _around_middle(width: int, height: int, wide: Fraction, high: Fraction, right: Fraction, down: Fraction) -> Crop:
    """`clap` states the size that is shown and how far its middle is from the picture's (ISO/IEC 14496-12, 12.1.4)."""
    left, top = round((width - wide) / 2 + right), round((height - high) / 2 + down)
    return Crop(left, width - round(wide) - left, top, height - round(high) - top)


def _boxes(file: BinaryIO, at: int, end: int, name: bytes | None = None) -> Iterator[tuple[int, int]]:
    """Begin and end of the content of each box, or of those with this name."""
    for _ in range(MOST_PARTS):
        if at + 8 > end:
            return
        length, kind, head = *struct.unpack(">I4s", _read(file, at, 8)), 8
        if length == 1:
            length, head = struct.unpack(">Q", _read(file, at + 8, 8))[0], 16
        length = length or end - at
        if length < head:
            return
        if name is None or kind == name:
            yield at + head, min(at + length, end)
        at += length


def _of_matroska(file: BinaryIO, end: int, number: int) -> Crop:
    for segment, segment_end in _elements(file, 0, end, SEGMENT):
        for tracks, tracks_end in _elements(file, segment, segment_end, TRACKS):
            videos = [
                video
                for track in _elements(file, tracks, tracks_end, TRACK)
                for video in _elements(file, *track, VIDEO)
            ]
            found = {
                name: int.from_bytes(_read(file, at, min(stop - at, 8)), "big")
                for name in CROPS
                for at, stop in _elements(file, *videos[number], name)
            }
            return Crop(*(found.get(name, 0) for name in CROPS))
    return WHOLE


def _elements(file: BinaryIO, at: int, end: int, name: bytes) -> Iterator[tuple[int, int]]:
    """Begin and end of the content of each EBML element with this name (RFC 8794)."""
    for _ in range(MOST_PARTS):
        if at >= end:
            return
        kind = _read(file, at, 9 - _read(file, at, 1)[0].bit_length())
        at += len(kind)
        size = _read(file, at, 9 - _read(file, at, 1)[0].bit_length())
        at += len(size)
        length = int.from_bytes(size, "big") & ((1 << 7 * len(size)) - 1)
        if length == (1 << 7 * len(size)) - 1:  # unknown: a live recording
            length = end - at
        if kind == name:
            yield at, min(at + length, end)
        at += length


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    data = file.read(size)
    if len(data) < size:
        raise ValueError("cut off")
    return data
