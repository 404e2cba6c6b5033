"""Pictures from disk: every kind, upright, bounded, and refused in words."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from jetstream.errors import SourceError
from jetstream.video.images import read_image
from tests.support.picture_files import (
    MOVING,
    NOT_READ,
    SIZE,
    STILL,
    encoded,
    heif_sequence,
    huge_png,
    picture,
    put,
    video,
)

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
    path = put(tmp_path, "huge.png", huge_png(20000, 20000))
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


@pytest.mark.parametrize("name", STILL)
def test_picture_is_read_whatever_its_name_says(tmp_path: Path, name: str) -> None:
    for file in ("photo", "photo.jpg", "photo.heic", "photo.mp4", "photo.txt"):
        image = read_image(put(tmp_path, file, STILL[name]()))
        assert image.shape == (SIZE[1], SIZE[0], 3)
        assert is_red(image[8, 8])


@pytest.mark.parametrize("name", MOVING)
def test_animation_read_as_a_picture_is_its_first_frame(tmp_path: Path, name: str) -> None:
    assert is_red(read_image(put(tmp_path, "photo", MOVING[name]()))[8, 8])


def test_sequence_of_heic_pictures_read_as_a_picture_is_its_first_frame(tmp_path: Path) -> None:
    image = read_image(put(tmp_path, "burst.heics", heif_sequence()))
    assert image.shape == (144, 176, 3)
    assert is_red(image[8, 8])


def test_first_of_several_pictures_in_a_file_is_read(tmp_path: Path) -> None:
    for kind in ("TIFF", "MPO"):
        content = encoded(kind, picture(0), save_all=True, append_images=[picture(1), picture(2)])
        assert is_red(read_image(put(tmp_path, "photo", content))[8, 8])


def test_photo_with_a_film_behind_it_is_a_photo(tmp_path: Path) -> None:
    for name in ("JPEG", "HEIF"):
        film = video("mp4")
        behind = film if name == "JPEG" else (8 + len(film)).to_bytes(4, "big") + b"mpvd" + film
        assert is_red(read_image(put(tmp_path, "PXL_1.MP.jpg", STILL[name]() + behind))[8, 8])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_picture_is_turned_once(tmp_path: Path, kind: str, orientation: int) -> None:
    """HEIC and AVIF are written with their own turn (irot, imir) and with EXIF's, as phones do."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = read_image(put(tmp_path, "photo", encoded(kind, picture(), exif=exif.tobytes())))
    wanted = np.asarray(ImageOps.exif_transpose(with_exif(picture(), exif)))[:, :, ::-1]
    assert image.shape == wanted.shape
    assert np.abs(image.astype(int) - wanted).mean() < 40


def with_exif(image: Image.Image, exif: Image.Exif) -> Image.Image:
    image.info["exif"] = exif.tobytes()
    return image


def test_exif_alone_turns_no_heic(tmp_path: Path) -> None:
    """As the standard says (ISO/IEC 23008-12), and as viewers do."""
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded("HEIF", picture(), exif=exif.tobytes())
    assert content.count(b"irot") == 1
    content = content.replace(b"irot", b"free")  # now nothing turns it but EXIF
    assert read_image(put(tmp_path, "photo", content)).shape == (SIZE[1], SIZE[0], 3)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *(("HEIF", mode) for mode in ("L", "LA", "RGBA", "P")),
        *(("AVIF", mode) for mode in ("L", "RGBA", "P")),
        *(("JPEG2000", mode) for mode in ("L", "LA", "RGBA", "I;16")),
        *(("TIFF", mode) for mode in ("1", "L", "P", "RGBA", "CMYK", "YCbCr", "I;16", "F")),
        *(("PPM", mode) for mode in ("1", "L", "I;16")),
        *(("WEBP", mode) for mode in ("L", "RGBA")),
        ("GIF", "L"),
    ],
)
def test_each_mode_of_each_kind_is_read(tmp_path: Path, kind: str, mode: str) -> None:
    grey = picture().convert("L")
    deep = {
        "I;16": Image.fromarray(np.asarray(grey).astype(np.uint16) * 257),
        "F": Image.fromarray(np.asarray(grey).astype(np.float32) / 255),
    }
    image = read_image(put(tmp_path, "photo", encoded(kind, deep.get(mode) or picture().convert(mode))))
    assert image.shape == (SIZE[1], SIZE[0], 3)
    if mode != "1":
        colours = mode in ("RGBA", "P", "CMYK", "YCbCr")
        wanted = np.asarray(picture())[:, :, ::-1] if colours else np.asarray(grey)[:, :, None]
        assert np.abs(image.astype(int) - wanted).mean() < 40


@pytest.mark.parametrize("name", NOT_READ)
def test_picture_of_another_format_is_refused_with_the_remedy(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match=r"not a picture that can be read \(.+\); convert it to JPEG or PNG$"):
        read_image(put(tmp_path, name, NOT_READ[name]))


def test_video_read_as_a_picture_is_refused_with_what_takes_videos(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"me\.jpg: a video, not a picture; `jetstream enroll`"):
        read_image(put(tmp_path, "me.jpg", video("mov")))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("name", STILL)
def test_picture_that_is_cut_off_anywhere_is_refused(tmp_path: Path, name: str, share: float) -> None:
    content = STILL[name]()
    with pytest.raises(SourceError, match=r"photo: .*damaged"):
        read_image(put(tmp_path, "photo", content[: int(share * len(content))]))


def test_heic_of_tiles_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    """Each tile is a picture of its own: those that are there would be shown, and the others in one colour."""
    content = encoded("HEIF", picture().resize((400, 300)), tile_size=128)
    read_image(put(tmp_path, "whole", content))
    with pytest.raises(SourceError, match="damaged"):
        read_image(put(tmp_path, "photo", content[: len(content) * 9 // 10]))


def test_header_that_promises_too_much_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    for name, content in (
        (
            "b.gif",
            b"GIF89a"
            + struct.pack("<HH", 65535, 65535)
            + b"\0\0\0,"
            + struct.pack("<4H", 0, 0, 65535, 65535)
            + b"\0\2\1\0\0;",
        ),
        ("b.ppm", b"P6 30000 30000 255\n"),
        (
            "b.bmp",
            b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 30000, 30000, 1, 24, *[0] * 6),
        ),
        ("b.heic", large_heif(encoded("HEIF"))),
        ("b.png", huge_png(11000, 11000)),
    ):
        with pytest.raises(SourceError, match=rf"{name}: .*over 100 megapixels; scale it down first$"):
            read_image(put(tmp_path, name, content))


def large_heif(content: bytes) -> bytes:
    at = content.index(b"ispe") + 8
    return content[:at] + struct.pack(">II", 30000, 30000) + content[at + 8 :]


def test_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = put(tmp_path, "photo.jpg", STILL["JPEG"]())
    os.truncate(path, 2_000_000_000)
    with pytest.raises(SourceError, match=r"photo\.jpg: over 1 GB"):
        read_image(path)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "photo.jpg")
    with pytest.raises(SourceError, match="not a file"):
        read_image(tmp_path / "photo.jpg")


def test_heic_without_its_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, "me.heic", STILL["HEIF"]())
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(SourceError, match=r"me\.heic: HEIC needs the package pillow-heif; `pip install pillow-heif`"):
        read_image(path)


def test_damaged_picture_prints_nothing_of_its_decoder(tmp_path: Path) -> None:
    path = put(tmp_path, "cut.gif", STILL["GIF"]()[:200])
    words = (
        "import sys; from pathlib import Path; from jetstream.video.images import why_unreadable; "
        "print(why_unreadable(Path(sys.argv[1])))"
    )
    done = subprocess.run([sys.executable, "-c", words, path], capture_output=True, text=True, check=True)
    assert "damaged" in done.stdout
    assert done.stderr == ""


def test_heic_of_a_phone_is_the_same_picture_as_its_jpeg(data_dir: Path) -> None:
    heic, jpeg = (read_image(data_dir / "cases" / f"two.{suffix}") for suffix in ("HEIC", "jpg"))
    assert heic.shape == jpeg.shape
    assert np.abs(heic.astype(int) - jpeg).mean() < 4
