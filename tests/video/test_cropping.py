"""What a container says to leave out of its pictures."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest

from tests.support.corners import UPRIGHT, marked_video, shown


def boxed(data: bytes, path: Sequence[bytes], extra: bytes) -> bytes:
    """MP4 boxes with `extra` at the end of the first sample entry inside the box at `path`."""
    made, at = b"", 0
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + length]
        if name == path[0] and len(path) > 1:
            content = boxed(content, path[1:], extra)
        elif name == path[0]:
            (entry,) = struct.unpack_from(">I", content, 8)
            content = content[:8] + struct.pack(">I", entry + len(extra)) + content[12 : 8 + entry] + extra
        made += struct.pack(">I", len(content) + 8) + name + content
        at += length
    return made


def with_clap(path: Path, width: int, height: int, right: tuple[int, int], down: tuple[int, int]) -> Path:
    clap = struct.pack(">I4s4I", 40, b"clap", width, 1, height, 1) + struct.pack(">iIiI", *right, *down)
    path.write_bytes(boxed(path.read_bytes(), (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"), clap))
    return path


@pytest.mark.parametrize(
    ("right", "down", "expected"),
    [((0, 1), (0, 1), UPRIGHT), ((-40, 1), (-30, 1), "RRRR"), ((80, 2), (60, 2), "WWWW")],
)
def test_clean_aperture_is_what_is_shown(
    tmp_path: Path, right: tuple[int, int], down: tuple[int, int], expected: str
) -> None:
    path = with_clap(marked_video(tmp_path / "a.mp4"), 80, 60, right, down)
    assert shown(path) == [(expected, 80, 60)]
    assert [size for _, *size in shown(path, rotate=90)] == [[60, 80]]
    assert shown(path, max_width=40) == [(expected, 40, 30)]


def test_aspect_is_that_of_the_clean_aperture(tmp_path: Path) -> None:
    path = with_clap(marked_video(tmp_path / "a.mov", (720, 576), aspect=Fraction(12, 11)), 704, 576, (0, 1), (0, 1))
    assert shown(path) == [(UPRIGHT, 768, 576)]


@pytest.mark.parametrize("size", [(0, 0), (160, 0), (9999, 9999), (160, 120)])
def test_aperture_without_sense_crops_nothing(tmp_path: Path, size: tuple[int, int]) -> None:
    assert shown(with_clap(marked_video(tmp_path / "a.mp4"), *size, (0, 1), (0, 1))) == [(UPRIGHT, 160, 120)]
    path = with_clap(marked_video(tmp_path / "b.mp4"), 80, 60, (1, 0), (0, 0))
    assert shown(path) == [(UPRIGHT, 160, 120)]


def test_matroska_crop_is_applied(tmp_path: Path) -> None:
    path = marked_video(tmp_path / "a.mkv")
    data = path.read_bytes()
    crop = b"\x54\xcc\x81\x50\x54\xbb\x81\x3c"  # 80 px at the left, 60 px at the top
    at = data.index(b"\xb0\x81\xa0\xba\x81\x78")  # PixelWidth 160, PixelHeight 120
    video = data.rindex(b"\xe0", 0, at)
    path.write_bytes(enlarged(data, video, at, crop))
    assert shown(path) == [("WWWW", 80, 60)]


def enlarged(data: bytes, video: int, at: int, extra: bytes) -> bytes:
    """A Matroska file with `extra` at `at` inside the Video element at `video`."""
    sizes = [video + 1]
    track = data.rindex(b"\xae", 0, video)
    sizes += [track + 1, data.rindex(b"\x16\x54\xae\x6b", 0, track) + 4]
    made = bytearray(data)
    for place in sizes:
        length = 9 - made[place].bit_length()
        value = int.from_bytes(made[place : place + length], "big") + len(extra)
        made[place : place + length] = value.to_bytes(length, "big")
    made[at:at] = extra
    return bytes(made)
