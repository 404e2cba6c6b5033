"""Which files of a folder or a pattern are pictures, in which order, and what a file is as a source."""

import os
from pathlib import Path

import pytest

from jetstream.errors import SourceError
from jetstream.video.picture_files import list_images, pictures_of, source_kind
from tests.support.picture_files import MOVING, NOT_READ, STILL, encoded, heif_sequence, picture, put, video


def test_pictures_are_listed_in_natural_order(tmp_path: Path) -> None:
    for name in ("img10.jpg", "img2.JPG", "Img1.png", "notes.txt", ".hidden.jpg", "sub.jpg/"):
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path)] == ["Img1.png", "img2.JPG", "img10.jpg"]
    assert [path.name for path in list_images(tmp_path / "img*")] == ["img2.JPG", "img10.jpg"]


def test_picture_is_listed_by_its_content(tmp_path: Path) -> None:
    for name in ("DSC0001", "me.jfif", "me.mpo", "me.jp2", "me.dat", "me.mp4"):
        put(tmp_path, name, STILL["JPEG"]())
    put(tmp_path, "IMG_1.MOV", video("mov"))
    put(tmp_path, "notes.txt", b"just some text")
    put(tmp_path, "Thumbs.db", b"\xd0\xcf\x11\xe0" + bytes(40))
    put(tmp_path, "._me.jpg", b"\0\5\x16\7")
    listed = ["DSC0001", "me.dat", "me.jfif", "me.jp2", "me.mp4", "me.mpo"]
    assert [path.name for path in list_images(tmp_path)] == listed


def test_picture_of_another_format_is_listed_so_that_somebody_says_so(tmp_path: Path) -> None:
    for name, content in NOT_READ.items():
        put(tmp_path, name, content)
    assert len(list_images(tmp_path)) == len(NOT_READ)


def test_named_file_is_taken_whatever_its_name(tmp_path: Path) -> None:
    path = put(tmp_path, "photo[1]", STILL["PNG"]())
    assert pictures_of(str(path)) == [path]


@pytest.mark.parametrize("content", [*STILL.values()], ids=[*STILL])
def test_still_picture_is_a_picture_as_a_source(tmp_path: Path, content) -> None:
    assert source_kind(put(tmp_path, "photo.mp4", content())) == "images"


@pytest.mark.parametrize("content", [*MOVING.values()], ids=[*MOVING])
def test_animated_picture_is_an_animation_as_a_source(tmp_path: Path, content) -> None:
    assert source_kind(put(tmp_path, "photo.jpg", content())) == "animation"


def test_films_in_pictures_clothes_are_videos(tmp_path: Path) -> None:
    assert source_kind(put(tmp_path, "film.jpg", video("mp4"))) == "video"
    assert source_kind(put(tmp_path, "burst.heics", heif_sequence())) == "video"
    assert source_kind(put(tmp_path, "cam.jpg", video("mjpeg", "mjpeg"))) == "video"


def test_photos_with_more_behind_them_are_pictures(tmp_path: Path) -> None:
    for kind in ("MPO", "TIFF"):
        content = encoded(kind, picture(0), save_all=True, append_images=[picture(1)])
        assert source_kind(put(tmp_path, "photo", content)) == "images"
    assert source_kind(put(tmp_path, "PXL.MP.jpg", STILL["JPEG"]() + video("mp4"))) == "images"


@pytest.mark.parametrize("name", NOT_READ)
def test_picture_of_another_format_is_no_source(tmp_path: Path, name: str) -> None:
    path = put(tmp_path, name, NOT_READ[name])
    with pytest.raises(SourceError, match=r"not a picture that can be read \(.+\); convert it to JPEG or PNG$"):
        source_kind(path)


def test_unknown_content_goes_by_its_name(tmp_path: Path) -> None:
    assert source_kind(put(tmp_path, "a.heic", b"just some text")) == "images"
    assert source_kind(put(tmp_path, "a.dat", b"just some text")) == "video"
    os.mkfifo(tmp_path / "pipe")
    assert source_kind(tmp_path / "pipe") == "video"  # FFmpeg may read it
