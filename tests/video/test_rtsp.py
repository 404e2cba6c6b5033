"""RTSP cameras over real sockets: the ways to carry a stream, and pictures that never come."""

import time

import pytest

from jetstream.errors import SourceError
from tests.support.defaults import open_source, probe
from tests.support.rtsp import HANG_UP, OK, rtsp_camera

LIMITS = {"open_timeout_s": 5, "read_timeout_s": 5}


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ({"tcp": OK, "udp": OK}, ["tcp"]),
        ({"tcp": OK, "udp": "461 Unsupported Transport"}, ["tcp"]),
        ({"tcp": "461 Unsupported Transport", "udp": OK}, ["tcp", "udp"]),
        ({"tcp": "400 Bad Request", "udp": OK}, ["tcp", "udp"]),
        ({"tcp": "451 Parameter Not Understood", "udp": OK}, ["tcp", "udp"]),
        ({"tcp": "500 Internal Server Error", "udp": OK}, ["tcp", "udp"]),
        ({"tcp": HANG_UP, "udp": OK}, ["tcp", "udp"]),
    ],
    ids=["both", "tcp-only", "461", "400", "451", "500", "hangs-up"],
)
def test_stream_comes_in_the_first_way_that_the_server_takes(answers: dict[str, str], asked: list[str]) -> None:
    with rtsp_camera(answers=answers) as (address, camera):
        found = probe(f"rtsp://{address}", **LIMITS)
    assert (found.width, found.height) == (320, 240)
    assert camera.asked == asked


def test_server_that_takes_no_way_is_one_sentence() -> None:
    no = "461 Unsupported Transport"
    with (
        rtsp_camera(answers={"tcp": no, "udp": no}) as (address, _),
        pytest.raises(SourceError, match=r"it refuses TCP and UDP; check its streaming settings"),
    ):
        probe(f"rtsp://{address}", **LIMITS)


def test_denied_access_is_not_tried_in_another_way() -> None:
    with rtsp_camera(answers={"tcp": "401 Unauthorized", "udp": OK}) as (address, camera):
        with pytest.raises(SourceError, match="access is denied"):
            probe(f"rtsp://{address}", **LIMITS)
        assert camera.asked == ["tcp"]


def test_way_that_brings_no_packet_is_not_the_first_the_next_time() -> None:
    with rtsp_camera(mute=("tcp",)) as (address, camera):
        with pytest.raises(SourceError, match=r"no answer within 0\.5 s"):
            probe(f"rtsp://{address}", open_timeout_s=0.5, read_timeout_s=0.5)
        assert probe(f"rtsp://{address}", **LIMITS).width == 320
    assert camera.asked == ["tcp", "udp"]


def test_packets_that_become_no_picture_have_a_limit() -> None:
    with rtsp_camera(broken=True) as (address, _):
        begun_s = time.monotonic()
        with pytest.raises(SourceError, match=r"it sends data, but no picture for 1 s; in its settings turn video"):
            probe(f"rtsp://{address}", open_timeout_s=1, read_timeout_s=1)
        assert time.monotonic() - begun_s < 10


def test_scheme_may_be_in_capitals_and_an_address_quoted() -> None:
    with rtsp_camera() as (address, _):
        assert probe(f' "ffmpeg:RTSP://{address}"', **LIMITS).kind == "network"


def test_times_are_those_of_arrival() -> None:
    with rtsp_camera() as (address, _), open_source(f"rtsp://{address}", fps_limit=5, **LIMITS) as source:
        next(source)  # after it come those that queued while the stream was analysed
        assert source.live
        frames = [(frame.pts_s, time.monotonic()) for frame, _ in zip(source, range(5), strict=False)]
    began, ended = frames[1], frames[-1]
    assert ended[0] - began[0] == pytest.approx(ended[1] - began[1], abs=0.1)
