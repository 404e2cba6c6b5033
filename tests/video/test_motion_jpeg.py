"""Which files that begin as a JPEG are videos."""

import io

import pytest

from jetstream.video.motion_jpeg import is_motion_jpeg
from tests.support.picture_files import encoded, picture, video


def is_video(content: bytes) -> bool:
    return is_motion_jpeg(io.BytesIO(content))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 100}], ids=["plain", "scans", "large"])
def test_one_picture_right_behind_the_other_is_a_video(options: dict[str, bool]) -> None:
    both = encoded("JPEG", picture(0), **options) + encoded("JPEG", picture(1), **options)
    assert is_video(both)
    assert not is_video(encoded("JPEG", picture(0), **options))


def test_motion_jpeg_of_ffmpeg_is_a_video() -> None:
    assert is_video(video("mjpeg", "mjpeg"))


def test_photo_with_a_film_a_depth_map_or_another_view_behind_it_is_none() -> None:
    photo = encoded("JPEG")
    assert not is_video(photo + video("mp4"))
    assert not is_video(photo + encoded("JPEG", picture(1).resize((20, 20))))
    assert not is_video(encoded("MPO", picture(0), save_all=True, append_images=[picture(1)]))


def test_damaged_file_is_none() -> None:
    both = encoded("JPEG", picture(0)) + encoded("JPEG", picture(1))
    for length in range(0, len(both) // 2, 7):
        assert not is_video(both[:length])
    assert not is_video(b"\xff\xd8\xff\xff\xff\xff")
