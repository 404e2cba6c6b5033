"""Animated pictures as a source."""

from pathlib import Path

import numpy as np
import pytest

from jetstream.errors import SourceError
from jetstream.video.source import kind_of
from tests.support.defaults import open_source, probe
from tests.support.picture_files import FRAMES, MOVING, SIZE, animated, picture, put


@pytest.mark.parametrize("name", MOVING)
def test_each_frame_comes_once_and_in_its_time(tmp_path: Path, name: str) -> None:
    path = put(tmp_path, "film", animated(name, duration=[100, 200, 50, 100]))
    assert kind_of(str(path)) == "animation"
    with open_source(str(path)) as source:
        frames = list(source)
        assert (source.live, source.frames_expected, source.fps) == (False, FRAMES, 10)
        assert source.warning is None
    assert [round(frame.pts_s, 3) for frame in frames] == [0.0, 0.1, 0.3, 0.35]
    for seed, frame in enumerate(frames):
        wanted = np.asarray(picture(seed))[:, :, ::-1]
        assert np.abs(frame.image.astype(int) - wanted).mean() < 40  # AVIF halves the colours


def test_frames_without_a_time_are_shown_as_browsers_do(tmp_path: Path) -> None:
    path = put(tmp_path, "fast.gif", animated("GIF", duration=10))
    with open_source(str(path)) as source:
        assert [round(frame.pts_s, 2) for frame in source] == [0.0, 0.1, 0.2, 0.3]


def test_picture_for_other_programs_in_an_apng_is_no_frame(tmp_path: Path) -> None:
    path = put(tmp_path, "film.png", animated("PNG", default_image=True))
    with open_source(str(path)) as source:
        assert len(list(source)) == source.frames_expected == FRAMES - 1


def test_animation_is_scaled_thinned_turned_and_repeated_like_a_video(tmp_path: Path) -> None:
    path = put(tmp_path, "film.webp", MOVING["WEBP"]())
    with open_source(str(path), max_width=48, fps_limit=5) as source:
        frames = list(source)
    assert [frame.image.shape for frame in frames] == [(32, 48, 3)] * 2
    with open_source(str(path), rotate=90) as source:
        assert next(source).image.shape == (96, 64, 3)
    with open_source(str(path), loop=True) as source:
        times = [round(next(source).pts_s, 2) for _ in range(FRAMES + 2)]
    assert times == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]


@pytest.mark.parametrize("name", ["GIF", "PNG"])
def test_animation_that_is_cut_off_gives_the_frames_before(tmp_path: Path, name: str) -> None:
    whole = MOVING[name]()
    path = put(tmp_path, "film", whole[: len(whole) * 3 // 4])
    with open_source(str(path)) as source:
        frames = list(source)
        assert 1 <= len(frames) < FRAMES
        assert source.warning is None or "damaged after frame" in source.warning


@pytest.mark.parametrize("name", ["WEBP", "AVIF"])
def test_animation_whose_index_is_cut_off_is_refused(tmp_path: Path, name: str) -> None:
    path = put(tmp_path, "film", MOVING[name]()[: 3 * len(MOVING[name]()) // 4])
    with pytest.raises(SourceError, match="film: the picture is damaged"), open_source(str(path)) as source:
        list(source)


def test_probe_tells_what_an_animation_is(tmp_path: Path) -> None:
    found = probe(str(put(tmp_path, "film.gif", MOVING["GIF"]())))
    assert found[:6] == ("animation", *SIZE, 10.0, FRAMES, False)


def test_every_frame_of_a_real_animated_webp_comes(data_dir: Path) -> None:
    with open_source(str(data_dir / "cases" / "animated.webp")) as source:
        assert len(list(source)) == 15
