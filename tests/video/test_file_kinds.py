"""What a file is, by its content."""

import os
from pathlib import Path

import pytest

from jetstream.video.file_kinds import EMPTY, HEIF_SEQUENCE, UNKNOWN, FileKind, is_cut_off, kind_at
from tests.support.picture_files import MOVING, NOT_READ, STILL, animated, encoded, heif_sequence, put, tiff_of, video


def kind_of(folder: Path, content: bytes) -> FileKind:
    return kind_at(put(folder, "file", content))


@pytest.mark.parametrize("name", STILL)
def test_picture_is_told_from_its_content(tmp_path: Path, name: str) -> None:
    assert kind_of(tmp_path, STILL[name]()) == FileKind("picture", name)


@pytest.mark.parametrize("name", MOVING)
def test_animated_picture_is_told_from_a_still_one(tmp_path: Path, name: str) -> None:
    assert kind_of(tmp_path, MOVING[name]()) == FileKind("animation", name)


def test_animation_of_one_frame_is_a_picture(tmp_path: Path) -> None:
    for kind in ("WEBP", "GIF", "PNG"):
        assert kind_of(tmp_path, animated(kind, frames=1)) == FileKind("picture", kind)


def test_sequence_of_heic_pictures_is_an_animation(tmp_path: Path) -> None:
    assert kind_of(tmp_path, heif_sequence()) == HEIF_SEQUENCE


@pytest.mark.parametrize(
    "mark", [b"heic", b"heix", b"mif1", b"heim", b"heis"], ids=["iphone", "canon", "other", "layers", "scalable"]
)
def test_brands_of_heif_are_known(tmp_path: Path, mark: bytes) -> None:
    content = b"\0\0\0\x18ftyp" + mark + b"\0\0\0\0mif1heic" + bytes(40)
    assert kind_of(tmp_path, content) == FileKind("picture", "HEIF")


def test_avif_under_the_general_brand_is_avif(tmp_path: Path) -> None:
    content = b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf" + bytes(40)
    assert kind_of(tmp_path, content) == FileKind("picture", "AVIF")


@pytest.mark.parametrize("name", NOT_READ)
def test_picture_of_another_format_is_foreign(tmp_path: Path, name: str) -> None:
    kind = kind_of(tmp_path, NOT_READ[name])
    assert kind.family == "foreign"
    assert kind.name


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("mp4", "libx264"),
        ("mov", "libx264"),
        ("matroska", "libx264"),
        ("webm", "libvpx"),
        ("avi", "libx264"),
        ("mpegts", "libx264"),
        ("flv", "libx264"),
        ("mpeg", "mpeg2video"),
        ("ogg", "libvpx"),
        ("asf", "libx264"),
        ("h264", "libx264"),
        ("hevc", "libx265"),
        ("mxf", "mpeg2video"),
    ],
)
def test_video_is_told_from_its_content(tmp_path: Path, container: str, codec: str) -> None:
    assert kind_of(tmp_path, video(container, codec)).family == "video"


def test_motion_jpeg_2000_is_a_video(tmp_path: Path) -> None:
    content = b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypmjp2" + bytes(60)
    assert kind_of(tmp_path, content).family == "video"


def test_quicktime_of_before_brands_is_a_video(tmp_path: Path) -> None:
    assert kind_of(tmp_path, b"\0\0\x10\0moov" + bytes(100)).family == "video"


@pytest.mark.parametrize(
    "text",
    [b"just some text", b"BM is a firm", b"P5 is a road", b"GIF is a format", b"RIFF", b"\0" * 2000, b"<p>svg</p>"],
)
def test_what_only_looks_like_a_picture_is_unknown(tmp_path: Path, text: bytes) -> None:
    assert kind_of(tmp_path, text) == UNKNOWN


def test_empty_file_and_what_is_no_file_are_no_pictures(tmp_path: Path) -> None:
    assert kind_of(tmp_path, b"") == EMPTY
    os.mkfifo(tmp_path / "pipe")
    assert kind_at(tmp_path / "pipe") == UNKNOWN  # and is not waited for
    assert kind_at(tmp_path) == UNKNOWN


def test_notes_of_macos_and_a_web_page_are_named(tmp_path: Path) -> None:
    assert "._" in kind_of(tmp_path, b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(40)).name
    assert kind_of(tmp_path, b"<!DOCTYPE html><html><body><svg/></body></html>").name == "a web page"


@pytest.mark.parametrize("name", [*MOVING, "TIFF", "HEIF", "JPEG"])
def test_file_of_any_length_has_a_kind(tmp_path: Path, name: str) -> None:
    content = (MOVING.get(name) or STILL[name])()
    for length in range(1, min(len(content), 120)):
        assert kind_of(tmp_path, content[:length]).family in ("picture", "animation", "foreign", "other", "video")


def test_tiff_with_smaller_pages_is_no_raw_picture(tmp_path: Path) -> None:
    assert kind_of(tmp_path, tiff_of({0xFE: 0, 0x14A: 100, 0x103: 5})) == FileKind("picture", "TIFF")


def test_file_is_looked_at_again_when_it_changes(tmp_path: Path) -> None:
    path = put(tmp_path, "photo", b"text")
    assert kind_at(path) == UNKNOWN
    put(tmp_path, "photo", STILL["JPEG"]())
    assert kind_at(path) == FileKind("picture", "JPEG")


def test_heic_that_ends_early_is_cut_off_and_one_with_a_film_behind_it_is_not() -> None:
    whole = encoded("HEIF")
    assert not is_cut_off(whole)
    assert not is_cut_off(whole + b"\0\0\0\x10mpvd" + bytes(8) + b"SEFT")
    assert is_cut_off(whole[:-10])
