"""What a user can name as a source, and what is said of what isn't one."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from jetstream.errors import SourceError
from jetstream.masking import masked_source
from jetstream.video.address import cleaned
from jetstream.video.source import is_live, kind_of
from tests.support.defaults import open_source, probe
from tests.support.picture_files import FRAMES, NOT_READ, STILL, encoded, heif_sequence, put, video


def write_pictures(folder: Path, sizes: list[tuple[int, int]]) -> None:
    folder.mkdir(exist_ok=True)
    for index, (width, height) in enumerate(sizes):
        cv2.imwrite(str(folder / f"p{index}.png"), np.full((height, width, 3), 10 * index, np.uint8))


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("demo", "demo"),
        ("0", "camera"),
        ("/dev/video3", "camera"),
        ("usb-046d_HD_Pro_Webcam_C920-video-index0", "camera"),
        ("rtsp://u:p@10.0.0.2/live", "network"),
        ("HTTPS://cam/mjpeg", "network"),
        ("holiday/*.jpg", "images"),
        ("me.jpg", "images"),
    ],
)
def test_kind_is_told_by_the_name(spec: str, kind: str) -> None:
    assert kind_of(spec) == kind
    assert is_live(spec) == (kind in ("camera", "network"))


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("99", r"^camera 99: no /dev/video99 here; plug a camera in, or try `make demo`$"),
        ("/dev/video98", r"^camera /dev/video98: no /dev/video98 here; plug"),
        ("usb-Lost-video-index0", r"no /dev/v4l/by-id/usb-Lost-video-index0 here; plug"),
        ("gone.mp4", r"^gone\.mp4: no such file, folder or camera; check the path$"),
        ("gone.jpg", r"^gone\.jpg: no such picture; check the path$"),
        ("gone/*.jpg", r"^gone/\*\.jpg: no pictures here; name"),
        ("rtmp://u:secret@h/x", r"^rtmp://\*\*\*@h/x: addresses start with rtsp"),
    ],
)
def test_missing_source_is_one_sentence(spec: str, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence):
        open_source(spec)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [(b"", "the file is empty"), (b"dear diary,\n" * 200, "not a video"), (bytes(range(256)) * 64, "not a video")],
    ids=["empty", "text", "bytes"],
)
@pytest.mark.parametrize("name", ["notes.txt", "notes.mp4", "notes"])
def test_no_video_is_one_sentence(tmp_path: Path, name: str, data: bytes, sentence: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(SourceError, match=rf"{path}: .*{sentence}"):
        open_source(str(path))


@pytest.mark.parametrize("name", NOT_READ)
def test_picture_of_a_format_that_is_not_read_is_one_sentence(tmp_path: Path, name: str) -> None:
    path = put(tmp_path, name, NOT_READ[name])
    with pytest.raises(SourceError, match=r"not a picture that can be read \(.+\); convert it to JPEG or PNG$"):
        open_source(str(path))


def test_picture_that_ffmpeg_would_show_as_a_film_is_refused_like_the_others(tmp_path: Path) -> None:
    for kind in ("TGA", "PCX", "SGI"):
        path = put(tmp_path, f"photo.{kind.lower()}", encoded(kind))
        with pytest.raises(SourceError, match=r"not a picture that can be read; convert it to JPEG or PNG$"):
            open_source(str(path))


@pytest.mark.parametrize("name", ["HEIF", "AVIF", "JPEG2000", "JPEG"])
def test_picture_named_like_a_film_is_one_frame(tmp_path: Path, name: str) -> None:
    with open_source(str(put(tmp_path, "photo.mp4", STILL[name]()))) as source:
        assert [frame.image.shape for frame in source] == [(64, 96, 3)]


@pytest.mark.parametrize(
    ("container", "codec"),
    [("mov", "libx264"), ("matroska", "libx264"), ("mpegts", "libx264"), ("mpeg", "mpeg2video"), ("mjpeg", "mjpeg")],
)
@pytest.mark.parametrize("name", ["film.jpg", "film.png", "film"])
def test_film_named_like_a_picture_is_a_film(tmp_path: Path, name: str, container: str, codec: str) -> None:
    path = put(tmp_path, name, video(container, codec, frames=12))
    with open_source(str(path)) as source:
        assert len(list(source)) >= 10  # of a stream that is cut off, FFmpeg keeps the last ones


def test_film_whose_title_is_no_utf8_is_read(tmp_path: Path) -> None:
    content = video("avi", title="Zoe and friends").replace(b"Zoe and", b"Zo\xe9 and")
    assert b"Zo\xe9" in content
    with open_source(str(put(tmp_path, "film.avi", content))) as source:
        assert len(list(source)) == FRAMES


def test_sequence_of_heic_pictures_is_a_film(tmp_path: Path) -> None:
    with open_source(str(put(tmp_path, "burst.heic", heif_sequence()))) as source:
        assert len(list(source)) == FRAMES


def test_folder_of_all_kinds_of_pictures_is_read_and_the_rest_is_told(tmp_path: Path) -> None:
    for name, content in STILL.items():
        put(tmp_path, f"photo {name}", content())
    put(tmp_path, "raw.dng", NOT_READ["phone.dng"])
    put(tmp_path, "film.mov", video("mov"))
    with open_source(str(tmp_path)) as source:
        assert len(list(source)) == len(STILL)
        assert source.warning is not None
        assert f"1 of {len(STILL) + 1} pictures can't be read" in source.warning
        assert "convert it to JPEG or PNG" in source.warning


def test_folder_without_pictures_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").touch()
    with pytest.raises(SourceError, match=r"no pictures here; name a folder"):
        open_source(str(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "mine.mp4"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(SourceError, match="no permission to read it"):
        open_source(str(path))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://cam:554/live", "rtsp://cam:554/live"),
        ("rtsp://admin:secret@cam:554/live", "rtsp://***@cam:554/live"),
        ("rtsp://admin:se@cret@cam/live", "rtsp://***@cam/live"),
        ("rtsp://admin:se/cret@cam/live", "rtsp://***@cam/live"),
        ("http://cam/clip@2x.ts", "http://cam/clip@2x.ts"),
        ("http://cam/v?user=me&password=secret&channel=1", "http://cam/v?user=***&password=***&channel=1"),
        ("http://cam/v?secret", "http://cam/v?***"),
        ("rtsp://admin:se?cret@cam/live", "rtsp://***@cam/live"),
    ],
)
def test_secrets_in_addresses_are_masked(url: str, shown: str) -> None:
    assert masked_source(url) == shown


def test_pictures_of_differing_sizes_are_a_video(tmp_path: Path) -> None:
    write_pictures(tmp_path, [(60, 40), (400, 100), (30, 90)])
    with open_source(str(tmp_path), max_width=200, max_height=80, image_fps=10) as source:
        frames = list(source)
        assert (source.live, source.frames_expected, source.warning) == (False, 3, None)
    assert [frame.image.shape for frame in frames] == [(40, 60, 3), (50, 200, 3), (80, 27, 3)]
    assert [frame.pts_s for frame in frames] == [0.0, 0.1, 0.2]


def test_unreadable_picture_is_skipped_and_told(tmp_path: Path) -> None:
    write_pictures(tmp_path, [(60, 40)] * 3)
    (tmp_path / "p1.png").write_bytes(b"not a picture")
    with open_source(str(tmp_path), image_fps=10) as source:
        assert [frame.pts_s for frame in source] == [0.0, 0.2]
        assert source.skipped == 1
        assert source.warning is not None
        assert "1 of 3 pictures can't be read and were left out" in source.warning
        assert "p1.png" in source.warning


def test_no_readable_picture_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(b"not a picture")
    with (
        open_source(str(tmp_path)) as source,
        pytest.raises(SourceError, match="none of its pictures can be read"),
    ):
        next(source)


def test_single_picture_is_a_video_of_one_frame(tmp_path: Path) -> None:
    write_pictures(tmp_path, [(60, 40)])
    with open_source(str(tmp_path / "p0.png")) as source:
        assert len(list(source)) == 1


def test_looped_pictures_go_on_in_time(tmp_path: Path) -> None:
    write_pictures(tmp_path, [(60, 40)] * 2)
    with open_source(str(tmp_path), image_fps=10, loop=True) as source:
        assert [round(next(source).pts_s, 3) for _ in range(5)] == [0.0, 0.1, 0.2, 0.3, 0.4]


def test_probe_tells_size_rate_and_length(tmp_path: Path) -> None:
    write_pictures(tmp_path, [(400, 200)] * 3)
    found = probe(str(tmp_path), max_width=100)
    assert found[:6] == ("images", 100, 50, 25.0, 3, False)
    assert "3 pictures" in str(found)


def test_probe_of_a_missing_camera_says_so() -> None:
    with pytest.raises(SourceError, match="camera 99: no /dev/video99 here"):
        probe("99", open_timeout_s=1)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("RTSP://u:P@Cam/Live", "rtsp://u:P@Cam/Live"),
        ("Http://cam/v", "http://cam/v"),
        (" rtsp://cam/s\n", "rtsp://cam/s"),
        ("\ufeffrtsp://cam/s\u200b", "rtsp://cam/s"),
        ("\u00a0http://cam", "http://cam"),
        ('"rtsp://cam/s"', "rtsp://cam/s"),
        ("' http://cam '", "http://cam"),
        ("\u201chttp://cam\u201d", "http://cam"),
        ("<http://cam>", "http://cam"),
        ("ffmpeg:rtsp://u:p@cam/s", "rtsp://u:p@cam/s"),
        ("FFMPEG: http://cam#video=h264#hardware", "http://cam"),
        ("ffmpeg:'rtsp://cam'", "rtsp://cam"),
        ("rtsp://u:p#video@cam/s", "rtsp://u:p#video@cam/s"),
        (" demo ", "demo"),
        ("'0'", "0"),
        (" gst: videotestsrc", "gst: videotestsrc"),
    ],
)
def test_what_is_copied_along_with_a_source_is_taken_off(written: str, meant: str) -> None:
    assert cleaned(written) == meant
    assert kind_of(written) == kind_of(meant)


def test_file_keeps_a_name_that_looks_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("'a'.mp4", " b.mp4", "'c'"):
        (tmp_path / name).write_bytes(b"x")
        assert cleaned(name) == name
    (tmp_path / "d.mp4").write_bytes(b"x")
    assert cleaned("'d.mp4' ") == "d.mp4"


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("ffmpeg -i rtsp://u:secret@cam/s", r"^rtsp…: take off `ffmpeg -i` before the address, so that it starts"),
        ("url=HTTP://u:secret@cam", r"take off `url=` before the address, so that it starts with http://"),
        ("secret rtsp://cam/s", r"^rtsp…: take off what stands before the address"),
        ("rtsp:/u:secret@cam/s", r"^rtsp…: an address starts with rtsp://; write the colon and both slashes$"),
        ("http//u:secret@cam", r"^http…: an address starts with http://"),
        ("RTSP:\\\\u:secret@cam\\s", r"^rtsp…: an address starts with rtsp://"),
    ],
)
def test_what_is_almost_an_address_is_said_without_its_password(written: str, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence) as caught:
        kind_of(written)
    assert "secret" not in str(caught.value)
