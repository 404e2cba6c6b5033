"""What fragmented MP4 (ISO/IEC 14496-12) needs here of its boxes: where they lie, and when a fragment is decoded.

Decodes nothing. Damaged data raises ValueError.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

HEADER_BYTES = 8
LARGE = 1
"""as a size: the real one stands behind the kind, in 8 bytes"""
NS = 10**9


class Mp4Box(NamedTuple):
    """A box in some bytes."""

    kind: bytes  # 4
    start: int
    body: int  # where its content begins
    end: int


def boxes(data: "bytes | bytearray | memoryview", start: int = 0, end: int | None = None) -> Iterator[Mp4Box]:
    """The boxes between two positions. The last one may be cut off: then it ends beyond `end`."""
    end = len(data) if end is None else end
    while start + HEADER_BYTES <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        body = start + HEADER_BYTES
        if size == LARGE:
            if body + 8 > end:
                return
            (size,) = struct.unpack_from(">Q", data, body)
            body += 8
        if size < body - start:
            raise ValueError(f"a box of {size} bytes")
        yield Mp4Box(kind, start, body, start + size)
        start += size


def timescales(init: bytes) -> Mapping[int, int]:
    """Ticks a second of each track, by its number, from the header of a fragmented MP4."""
    found = {}
    for track in _within(init, b"moov", b"trak"):
        track_id, scale = 0, 0
        for box in boxes(init, track.body, track.end):
            if box.kind == b"tkhd":
                (track_id,) = struct.unpack_from(">I", init, box.body + (20 if init[box.body] == 1 else 12))
            elif box.kind == b"mdia":
                header = next(one for one in boxes(init, box.body, box.end) if one.kind == b"mdhd")
                (scale,) = struct.unpack_from(">I", init, header.body + (20 if init[header.body] == 1 else 12))
        found[track_id] = scale
    return found


def placed(fragment: bytes, scales: Mapping[int, int], *, by_ns: int, number: int) -> bytearray:
    """The fragment, decoded later by `by_ns`, as fragment `number` (taken modulo 2**32) of its file."""
    moved = bytearray(fragment)
    for moof in (box for box in boxes(fragment) if box.kind == b"moof"):
        for box in boxes(fragment, moof.body, moof.end):
            if box.kind == b"mfhd":
                struct.pack_into(">I", moved, box.body + 4, number % (1 << 32))
            elif box.kind == b"traf":
                _move(moved, box, scales, by_ns)
    return moved


def _move(fragment: bytearray, traf: Mp4Box, scales: Mapping[int, int], by_ns: int) -> None:
    parts = {box.kind: box for box in boxes(fragment, traf.body, traf.end)}
    (track,) = struct.unpack_from(">I", fragment, parts[b"tfhd"].body + 4)
    at = parts[b"tfdt"].body
    if fragment[at] != 1:
        raise ValueError("a decode time of 32 bits")
    (time,) = struct.unpack_from(">q", fragment, at + 4)
    struct.pack_into(">q", fragment, at + 4, max(time + by_ns * scales[track] // NS, 0))


def number_of(fragment: "bytes | bytearray | memoryview", moof: Mp4Box) -> int:
    """The number that a moof box states."""
    header = next(box for box in boxes(fragment, moof.body, moof.end) if box.kind == b"mfhd")
    return int(struct.unpack_from(">I", fragment, header.body + 4)[0])


def _within(data: bytes, *path: bytes) -> list[Mp4Box]:
    """The boxes at a path of kinds."""
    found = [Mp4Box(b"", 0, 0, len(data))]
    for kind in path:
        found = [box for outer in found for box in boxes(data, outer.body, outer.end) if box.kind == kind]
    return found
