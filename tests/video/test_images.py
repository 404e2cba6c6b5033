"""Pictures from disk: every kind, upright, bounded, and refused in words."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from jetstream.errors import SourceError
from jetstream.video.images import read_image
from jetstream.video.picture_files import list_images

RED_TOP_LEFT = np.zeros((40, 60, 3), np.uint8)  # RGB
RED_TOP_LEFT[:20, :30] = (255, 0, 0)


def is_red(pixel: np.ndarray) -> bool:
    blue, green, red = (int(value) for value in pixel)
    return red > 200 and blue < 60 and green < 60


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tiff"])
def test_each_kind_is_bgr(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture.{suffix}"
    Image.fromarray(RED_TOP_LEFT).save(path)
    image = read_image(path)
    assert image.shape == (40, 60, 3)
    assert image.dtype == np.uint8
    assert is_red(image[5, 5])
    assert not is_red(image[-5, -5])


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_exif_orientation_is_applied(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    path = tmp_path / f"turned.{suffix}"
    Image.fromarray(RED_TOP_LEFT).save(path, exif=exif)
    image = read_image(path)
    assert image.shape == (60, 40, 3)
    assert is_red(image[5, -5])


@pytest.mark.parametrize("mode", ["L", "LA", "1", "RGBA", "P", "CMYK"])
def test_other_modes_have_three_channels(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("picture.jpg" if mode == "CMYK" else "picture.png")
    Image.fromarray(RED_TOP_LEFT).convert(mode).save(path)
    image = read_image(path)
    assert image.shape == (40, 60, 3)
    assert is_red(image[5, 5]) == (mode in ("RGBA", "P", "CMYK"))


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_become_eight(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"deep.{suffix}"
    cv2.imwrite(str(path), np.full((40, 60, 3), 0xC800, np.uint16))
    assert abs(int(read_image(path)[5, 5, 0]) - 0xC8) <= 1


def test_unicode_path_is_read(tmp_path: Path) -> None:
    path = tmp_path / "Zoë 写真" / "été.png"
    path.parent.mkdir()
    Image.fromarray(RED_TOP_LEFT).save(path)
    assert read_image(path).shape == (40, 60, 3)


def test_one_pixel_is_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "dot.png"
    Image.fromarray(np.full((1, 1, 3), 7, np.uint8)).save(path)
    assert read_image(path).tolist() == [[[7, 7, 7]]]


def test_huge_picture_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    header = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    framed = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(framed))
    with pytest.raises(SourceError, match=r"huge\.png: .*over 100 megapixels; scale it down"):
        read_image(path)


def test_missing_picture_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nobody\.jpg: no such picture"):
        read_image(tmp_path / "nobody.jpg")


@pytest.mark.parametrize(
    "data", [b"", b"just some text", b"\xff\xd8\xff\xe0 but no more"], ids=["empty", "text", "stub"]
)
def test_no_picture_is_said(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "false.jpg"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"false\.jpg: .*(not a picture|damaged)"):
        read_image(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tiff"])
def test_cut_off_picture_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError, match=r"cut\.\w+: .*(damaged|not a picture)"):
        read_image(path)


def test_folder_is_refused_as_a_picture(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="can't be read"):
        read_image(tmp_path)


def test_pictures_are_listed_in_natural_order(tmp_path: Path) -> None:
    for name in ("img10.jpg", "img2.JPG", "Img1.png", "notes.txt", ".hidden.jpg", "sub.jpg/"):
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path)] == ["Img1.png", "img2.JPG", "img10.jpg"]
    assert [path.name for path in list_images(tmp_path / "img*")] == ["img2.JPG", "img10.jpg"]
