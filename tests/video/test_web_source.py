"""What an address of the web is: a film in both paces, a playlist, a live stream; over real sockets."""

import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from jetstream.video.web import WebClient
from jetstream.video.web_source import meaning
from tests.support.defaults import open_source, probe
from tests.support.http_cameras import Camera, serving_file
from tests.support.serving import Quiet, serving

LIMITS = {"open_timeout_s": 5, "read_timeout_s": 5}
Number = Callable[[np.ndarray], int]


@pytest.mark.parametrize(
    ("kind", "length", "ranges", "beginning", "what"),
    [
        ("multipart/x-mixed-replace;boundary=a", None, "", b"", "pictures"),
        ("multipart/x-mixed-replace", 999999999, "bytes", b"--a\r\n", "pictures"),
        ("image/jpeg", 5000, "bytes", b"\xff\xd8\xff\xe0", "pictures"),
        ("text/plain", None, "", b"--frame\r\nContent-Type: image/jpeg\r\n\r\n", "pictures"),
        ("application/octet-stream", None, "", b"\xff\xd8\xff\xe0", "pictures"),
        ("application/vnd.apple.mpegurl", 300, "bytes", b"#EXTM3U\n", "playlist"),
        ("text/plain", 300, "", b"\xef\xbb\xbf#EXTM3U\n", "playlist"),
        ("application/dash+xml", 300, "bytes", b'<?xml version="1.0"?>\n<MPD xmlns="a">', "playlist"),
        ("video/mp4", 300, "bytes", b"\0\0\0\x20ftypisom", "film"),
        ("application/octet-stream", 300, "Bytes", b"\x1aE\xdf\xa3", "film"),
        ("video/mp4", 300, "none", b"\0\0\0\x20ftypisom", "film"),
        ("video/mp2t", None, "", b"G@\0", "stream"),
        ("video/x-flv", None, "", b"FLV", "stream"),
        ("", 300, "", b"G@\0", "stream"),
    ],
)
def test_meaning_of_an_answer(kind: str, length: int | None, ranges: str, beginning: bytes, what: str) -> None:
    assert meaning(kind, length, ranges, beginning) == what


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts", "faststart.mp4"])
def test_film_on_a_web_server_is_a_file(clip: Callable[..., Path], number: Number, name: str) -> None:
    path = clip(name, container={"movflags": "faststart"} if name.startswith("fast") else {})
    with serving_file(path) as url, open_source(url, every_frame=True, **LIMITS) as source:
        assert not source.live
        frames = list(source)
        assert source.warning is None
    assert [number(frame.image) for frame in frames] == list(range(60))
    assert [frame.pts_s for frame in frames] == pytest.approx([i / 25 for i in range(60)], abs=0.002)


def test_film_without_ranges_is_a_file_too(clip: Callable[..., Path], number: Number) -> None:
    path = clip("clip.mp4", container={"movflags": "faststart"})
    with serving_file(path, ranges=False) as url, open_source(url, **LIMITS) as source:
        assert not source.live
        assert [number(frame.image) for frame in source] == list(range(60))


def test_probe_of_a_film_tells_its_length(clip: Callable[..., Path]) -> None:
    with serving_file(clip("clip.mp4")) as url:
        found = probe(url, **LIMITS)
    assert (found.frames, found.live, found.fps) == (60, False, 25)


def test_film_on_a_web_server_loops(clip: Callable[..., Path], number: Number) -> None:
    with serving_file(clip("clip.mp4", frames=4)) as url, open_source(url, loop=True, **LIMITS) as source:
        frames = list(islice(source, 10))
    assert [number(frame.image) for frame in frames] == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert [frame.pts_s for frame in frames] == pytest.approx([i / 25 for i in range(10)], abs=0.002)


@pytest.mark.parametrize("ended", [True, False], ids=["vod", "live"])
def test_playlist_is_a_file_if_it_ends(tmp_path: Path, number: Number, ended: bool) -> None:
    folder = tmp_path / "hls"
    folder.mkdir()
    write_playlist(folder, ended=ended)

    class Files(Camera):
        def reply(self) -> None:
            data = (folder / self.path.lstrip("/")).read_bytes()
            kind = "application/vnd.apple.mpegurl" if self.path.endswith("m3u8") else "video/mp2t"
            self.answer(200, {"Content-Type": kind, "Accept-Ranges": "bytes"}, data)

    with serving(Files) as port, open_source(f"http://127.0.0.1:{port}/a.m3u8", **LIMITS) as source:
        assert source.live is not ended
        frames = list(source) if ended else list(islice(source, 5))
    assert len(frames) == (60 if ended else 5)


def write_playlist(folder: Path, *, ended: bool) -> None:
    options = {"hls_time": "1", "hls_list_size": "0"} | ({} if ended else {"hls_flags": "omit_endlist"})
    with av.open(str(folder / "a.m3u8"), "w", format="hls", options=options) as output:
        stream: Any = output.add_stream("libx264", rate=25, options={"g": "25", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for index in range(60):
            frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), index, np.uint8), "bgr24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def test_live_stream_is_read_over_one_connection(clip: Callable[..., Path], number: Number) -> None:
    data = clip("clip.ts").read_bytes()

    class Live(Camera):
        def reply(self) -> None:
            self.close_connection = True
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            self.end_headers()
            self.wfile.write(data)

    with serving(Live) as port, open_source(f"http://127.0.0.1:{port}/live", **LIMITS) as source:
        assert source.live
        assert [number(frame.image) for frame in source] == list(range(60))
    assert Live.gets == 1


def test_pause_of_an_http_1_0_stream_counts_by_the_time_limit_of_reads() -> None:
    class Pausing(Quiet):
        def reply(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"a")
            time.sleep(1.0)
            self.wfile.write(b"b")

    with serving(Pausing) as port:
        client = WebClient(f"http://127.0.0.1:{port}/", 0.5)
        answer = client.get({})
        client.patience(20)

        assert (answer.read(1), answer.read(1)) == (b"a", b"b")
        client.patience(20)
        assert answer.read(1) == b""
        client.close()
