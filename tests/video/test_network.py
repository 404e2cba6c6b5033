"""Streams over real sockets: served whole, refused, silent, stalled.

A time-out that doesn't interrupt shows as another message, when the peer gives up after 30 s, or as a test that hangs.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jetstream.errors import SourceError
from jetstream.video.ffmpeg import within
from tests.support.defaults import open_source, probe


def test_served_video_is_live_and_whole(
    clip: Callable[..., Path], serve: Callable[..., str], number: Callable[[np.ndarray], int]
) -> None:
    url = serve(clip("clip.ts"))
    with open_source(url, open_timeout_s=5, read_timeout_s=5) as source:
        assert source.live
        assert source.frames_expected is None
        frames = list(source)
    assert [number(frame.image) for frame in frames] == list(range(60))
    assert frames[0].pts_s == 0.0


def test_probe_of_a_served_video(clip: Callable[..., Path], serve: Callable[..., str]) -> None:
    found = probe(serve(clip("clip.ts")), open_timeout_s=5)
    assert (found.kind, found.width, found.height, found.live) == ("network", 160, 120, True)


def test_refused_connection_is_said() -> None:
    with pytest.raises(SourceError, match=r"the connection is refused; check the address and the port"):
        open_source("rtsp://me:secret@127.0.0.1:9/live", open_timeout_s=5)


@pytest.mark.parametrize(
    ("status", "sentence"), [(401, "access is denied"), (403, "access is denied"), (404, "no such stream")]
)
def test_http_status_is_said_in_words(
    clip: Callable[..., Path], serve: Callable[..., str], status: int, sentence: str
) -> None:
    with pytest.raises(SourceError, match=sentence):
        open_source(serve(clip("clip.ts"), status=status), open_timeout_s=5)


def test_page_is_no_video(tmp_path: Path, serve: Callable[..., str]) -> None:
    page = tmp_path / "index.html"
    page.write_text("<html>Welcome to your camera</html>" * 50)
    with pytest.raises(SourceError, match=r"no video"):
        open_source(serve(page), open_timeout_s=5)


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_opening_a_silent_peer_is_interrupted(silent_peer: str, scheme: str) -> None:
    with pytest.raises(SourceError, match=r"no answer within 0\.5 s; check the address") as caught:
        open_source(f"{scheme}://me:secret@{silent_peer}/live", open_timeout_s=0.5)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_reading_a_stalled_stream_is_interrupted(
    clip: Callable[..., Path], serve: Callable[..., str], number: Callable[[np.ndarray], int]
) -> None:
    url = serve(clip("clip.ts", size=(640, 480), frames=100), stall_after=0.6)
    got = []
    with (
        open_source(url, open_timeout_s=1, read_timeout_s=0.5) as source,
        pytest.raises(SourceError, match=r"no answer within 0\.5 s"),
    ):
        got.extend(number(frame.image) for frame in source)
    assert len(got) > 10
    assert got == list(range(len(got)))


def test_stream_that_stalls_before_its_first_frame_is_interrupted(
    clip: Callable[..., Path], serve: Callable[..., str]
) -> None:
    with pytest.raises(SourceError, match=r"no answer within 0\.5 s|no video"):
        probe(serve(clip("clip.ts"), stall_after=0.002), open_timeout_s=0.5, read_timeout_s=0.5)


def test_call_that_nothing_interrupts_is_left_behind() -> None:
    released = threading.Event()
    with pytest.raises(TimeoutError):
        within(0.05, lambda: released.wait(30))
    released.set()


def test_error_inside_a_limited_call_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 / 0)
