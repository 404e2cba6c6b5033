"""What is looked at before the first frame: all cameras at once, none of which holds the others up."""

import logging
import time
from pathlib import Path
from typing import Any

import pytest

from jetstream import startup
from jetstream.config import load
from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.replay.replay import expected_frames
from jetstream.startup import check_sources
from tests.support.clips import demo_clip
from tests.support.http_cameras import Shape, serving_file, stream_of
from tests.support.rtsp import rtsp_camera
from tests.support.serving import serving

SILENT_S = 2.0


def config_of(*sources: str, pace: str = "live", wait_for_cameras: bool = False) -> Config:
    cameras: list[dict[str, Any]] = [
        {"name": f"c{i}", "source": source, "open_timeout_s": SILENT_S, "read_timeout_s": SILENT_S}
        for i, source in enumerate(sources)
    ]
    pipeline = {"pace": pace, "wait_for_cameras": wait_for_cameras}
    return load.build({"cameras": cameras, "pipeline": pipeline}, where="test")


def test_silent_cameras_take_one_time_out_together(silent_peer: str, caplog: pytest.LogCaptureFixture) -> None:
    silent = [f"rtsp://{silent_peer}/{i}" for i in range(3)]
    begun_s = time.monotonic()
    lines = list(check_sources(config_of(*silent, "demo", f"http://{silent_peer}/a")))
    assert time.monotonic() - begun_s < 2 * SILENT_S + 1
    assert [line.partition(":")[0] for line in lines] == ["camera c3"]
    assert caplog.text.count("no answer within 2 s") == 4
    assert caplog.text.count("it will be tried again") == 4


def test_camera_that_answers_has_its_line_before_a_silent_one_has_given_up(silent_peer: str) -> None:
    lines = check_sources(config_of(f"rtsp://{silent_peer}/0", "demo"))
    begun_s = time.monotonic()
    assert next(lines).startswith("camera c1: demo")
    assert time.monotonic() - begun_s < SILENT_S


def test_run_starts_with_the_cameras_that_answer(silent_peer: str, caplog: pytest.LogCaptureFixture) -> None:
    begun_s = time.monotonic()
    lines = list(check_sources(config_of(f"rtsp://{silent_peer}/0", "demo"), settle_s=0.2))
    assert time.monotonic() - begun_s < SILENT_S
    assert len(lines) == 1
    assert "camera c0: no picture yet; the run starts without it" in caplog.text


def test_run_that_waits_for_cameras_starts_with_none(silent_peer: str, caplog: pytest.LogCaptureFixture) -> None:
    config = config_of(f"rtsp://{silent_peer}/0", wait_for_cameras=True)
    assert list(check_sources(config, settle_s=0.2)) == []
    assert "camera c0: no picture yet" in caplog.text


def test_camera_whose_packets_become_no_picture_does_not_hold_up(caplog: pytest.LogCaptureFixture) -> None:
    with rtsp_camera(broken=True) as (broken, _), rtsp_camera() as (whole, _):
        lines = list(check_sources(config_of(f"rtsp://{broken}", f"rtsp://{whole}")))
    assert len(lines) == 1
    assert "it sends data, but no picture for 2 s" in caplog.text


def test_file_that_cannot_be_read_is_refused_however_many_cameras_answer(tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_text("no film")
    with pytest.raises(UserError, match=r"no\.mp4"):
        list(check_sources(config_of("demo", str(tmp_path / "no.mp4")), settle_s=0.0))


def test_every_camera_that_fails_has_a_line_where_none_answers(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UserError) as caught, caplog.at_level(logging.WARNING):
        list(check_sources(config_of("rtsp://127.0.0.1:9/a", "rtsp://127.0.0.1:9/b", "98")))
    said = f"{caught.value}\n{caplog.text}"
    for what in ("127.0.0.1:9/a", "127.0.0.1:9/b", "camera 98"):
        assert said.count(what) == 1
    assert "tried again" not in said


def test_camera_is_refused_where_every_frame_counts() -> None:
    with pytest.raises(UserError, match="a camera can't wait"):
        list(check_sources(config_of("demo", "rtsp://127.0.0.1:9/a", pace="every-frame")))


def test_film_on_a_web_server_is_taken_where_every_frame_counts(tmp_path: Path) -> None:
    with serving_file(demo_clip(tmp_path / "film.mp4", frames=5)) as url:
        (line,) = check_sources(config_of(url, pace="every-frame"))
        assert "5 frames" in line
        assert expected_frames(config_of(url).cameras[0]) == 5


def test_camera_of_the_web_is_refused_where_every_frame_counts() -> None:
    with serving(stream_of(Shape())) as port, pytest.raises(UserError, match="a camera can't wait"):
        list(check_sources(config_of(f"http://127.0.0.1:{port}/", pace="every-frame")))


def test_a_run_waits_for_further_cameras_for_seconds_only() -> None:
    assert 0 < startup.SETTLE_S < 5
