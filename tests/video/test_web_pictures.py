"""HTTP cameras over real sockets: MJPEG in every shape, and single pictures that are asked for again."""

import hashlib
import time
import urllib.parse
from itertools import islice

import pytest

from jetstream.errors import SourceError
from tests.support.defaults import open_source, probe
from tests.support.http_cameras import SHAPES, Camera, Shape, picture, stream_of
from tests.support.serving import serving

LIMITS = {"open_timeout_s": 5, "read_timeout_s": 5}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_pictures_of_a_stream_arrive_in_order_whatever_its_shape(shape: Shape) -> None:
    with serving(stream_of(shape)) as port, open_source(f"http://127.0.0.1:{port}/mjpg", **LIMITS) as source:
        frames = list(islice(source, 4))
        assert source.live
        assert source.fps is None
    assert [round(float(frame.image.mean()) / 5) for frame in frames] == [0, 1, 2, 3]
    assert frames[0].image.shape == (48, 64, 3)


def test_times_and_rate_of_a_stream_are_those_of_arrival() -> None:
    with (
        serving(stream_of(Shape(), fps=10)) as port,
        open_source(f"http://127.0.0.1:{port}/", fps_limit=5, **LIMITS) as source,
    ):
        frames = list(islice(source, 5))
    assert [frame.pts_s for frame in frames] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8], abs=0.12)


def test_stream_that_ends_is_said_to_have_ended() -> None:
    with serving(stream_of(Shape(), count=5)) as port, open_source(f"http://127.0.0.1:{port}/", **LIMITS) as source:
        assert len(list(source)) == 5


def test_stream_that_stalls_is_lost_within_its_limit() -> None:
    class Stalls(Camera):
        def reply(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
            self.end_headers()
            self.wfile.write(b"--b\r\n\r\n" + picture(1) + b"\r\n--b\r\n")
            time.sleep(3)

    with (
        serving(Stalls) as port,
        open_source(f"http://127.0.0.1:{port}/", open_timeout_s=2, read_timeout_s=0.5) as source,
        pytest.raises(SourceError, match=r"no answer within 0\.5 s; check the address"),
    ):
        list(source)


@pytest.mark.parametrize("what", [b"\xff\xd8\xff\xe0\x00\x04ab\xff\xd9", b"no picture"], ids=["damaged", "none"])
def test_stream_without_a_picture_has_a_limit(what: bytes) -> None:
    class Empty(Camera):
        def reply(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
            self.end_headers()
            for _ in range(100):
                self.wfile.write(b"--b\r\n\r\n" + what + b"\r\n")
                time.sleep(0.05)

    begun_s = time.monotonic()
    with serving(Empty) as port, pytest.raises(SourceError, match=r"it sends data, but no picture for"):
        open_source(f"http://127.0.0.1:{port}/", open_timeout_s=0.5, read_timeout_s=0.5)
    assert time.monotonic() - begun_s < 4


class Snapshot(Camera):
    kind = "image/jpeg"

    def reply(self) -> None:
        self.answer(200, {"Content-Type": self.kind}, picture(self.gets % 40))


@pytest.mark.parametrize("kind", ["image/jpeg", "image/jpg", "Image/JPEG; charset=utf-8", "application/octet-stream"])
def test_single_picture_is_asked_for_at_the_wanted_rate(kind: str) -> None:
    camera = type("Camera", (Snapshot,), {"kind": kind})
    with serving(camera) as port, open_source(f"http://127.0.0.1:{port}/s.jpg", fps_limit=10, **LIMITS) as source:
        frames = list(islice(source, 5))
        assert (source.live, source.fps) == (True, 10)
        assert "asked for 10 times a second" in source.describe()
    assert [round(float(frame.image.mean()) / 5) for frame in frames] == [1, 2, 3, 4, 5]
    assert [frame.pts_s for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=0.09)
    assert camera.connections == 1  # type: ignore[attr-defined]


def test_picture_without_kept_connection_or_length_is_asked_for_again() -> None:
    class Old(Camera):
        protocol_version = "HTTP/1.0"

        def reply(self) -> None:
            self.wfile.write(b"HTTP/1.0 200 OK\nContent-type: image/jpeg\n\n" + picture(self.gets))

    with serving(Old) as port, open_source(f"http://127.0.0.1:{port}/", fps_limit=20, **LIMITS) as source:
        assert [round(float(f.image.mean()) / 5) for f in islice(source, 3)] == [1, 2, 3]
    assert Old.connections >= 3


def test_connection_that_the_server_closes_silently_is_opened_anew() -> None:
    class Closes(Snapshot):
        def reply(self) -> None:
            super().reply()
            self.close_connection = True

    with serving(Closes) as port, open_source(f"http://127.0.0.1:{port}/", fps_limit=20, **LIMITS) as source:
        assert len(list(islice(source, 4))) == 4


def test_unchanged_picture_is_not_sent_again_and_stays_the_camera_s_picture() -> None:
    class Tagged(Camera):
        sent = 0

        def reply(self) -> None:
            if self.headers.get("If-None-Match") == '"one"':
                self.send_response(304)
                self.end_headers()
                return
            type(self).sent += 1
            self.answer(200, {"Content-Type": "image/jpeg", "ETag": '"one"'}, picture(7))

    with serving(Tagged) as port, open_source(f"http://127.0.0.1:{port}/", fps_limit=20, **LIMITS) as source:
        frames = list(islice(source, 4))
    assert [round(float(f.image.mean()) / 5) for f in frames] == [7] * 4
    assert Tagged.sent == 1


def test_kind_of_a_picture_may_change() -> None:
    class Mixed(Camera):
        def reply(self) -> None:
            kind = (".jpg", ".png", ".bmp", ".webp")[self.gets % 4]
            self.answer(200, {"Content-Type": f"image/{kind[1:]}"}, picture(self.gets, kind))

    with serving(Mixed) as port, open_source(f"http://127.0.0.1:{port}/", fps_limit=30, **LIMITS) as source:
        assert [round(float(f.image.mean()) / 5) for f in islice(source, 5)] == [1, 2, 3, 4, 5]


def test_failed_requests_are_no_loss_before_the_limit_and_one_sentence_then() -> None:
    class Busy(Camera):
        def reply(self) -> None:
            if 1 < self.gets < 4 or self.gets > 6:
                self.answer(503, {})
            else:
                self.answer(200, {"Content-Type": "image/jpeg"}, picture(self.gets))

    with (
        serving(Busy) as port,
        open_source(f"http://127.0.0.1:{port}/", fps_limit=20, open_timeout_s=2, read_timeout_s=0.6) as source,
    ):
        assert [round(float(f.image.mean()) / 5) for f in islice(source, 4)] == [1, 4, 5, 6]
        with pytest.raises(SourceError, match=r"its answer is 503 Service Unavailable; check the device"):
            next(source)


PASSWORD = "p@ss:w/o#r?d%20 ä"
DIGEST = 'Digest realm="cam", nonce="abc", algorithm={}, qop="auth"'


@pytest.mark.parametrize(
    ("challenge", "algorithm"),
    [
        ('Basic realm="a, b"', hashlib.md5),
        (DIGEST.format("MD5"), hashlib.md5),
        ('Digest realm="cam", nonce="abc"', hashlib.md5),
        (DIGEST.format("SHA-256"), hashlib.sha256),
        (f'{DIGEST.format("SHA-256")}, {DIGEST.format("MD5")}, Basic realm="cam"', hashlib.sha256),
    ],
    ids=["basic", "md5", "old", "sha256", "several"],
)
@pytest.mark.parametrize("camera", [Snapshot, stream_of(Shape())], ids=["picture", "stream"])
def test_login_is_given_when_asked_for(camera: type[Camera], challenge: str, algorithm: object) -> None:
    known = type("Known", (camera,), {"challenge": challenge, "password": PASSWORD, "algorithm": algorithm})
    login = f"admin:{urllib.parse.quote(PASSWORD, safe='')}"
    with serving(known) as port:
        with open_source(f"http://{login}@127.0.0.1:{port}/a?b=c d", fps_limit=20, **LIMITS) as source:
            assert len(list(islice(source, 3))) == 3
        for wrong in ("admin:secret@", ""):
            with pytest.raises(SourceError, match="access is denied; check the user name") as caught:
                probe(f"http://{wrong}127.0.0.1:{port}/", **LIMITS)
            assert "secret" not in str(caught.value)


def test_redirect_is_followed_and_no_other_host_gets_the_password() -> None:
    class Target(Snapshot):
        heard: str | None = None

        def reply(self) -> None:
            type(self).heard = self.headers.get("Authorization")
            super().reply()

    with serving(Target) as there:

        class Moved(Camera):
            def reply(self) -> None:
                self.answer(302, {"Location": f"http://localhost:{there}/new"})

        with serving(Moved) as port:
            assert probe(f"http://me:secret@127.0.0.1:{port}/", **LIMITS).width == 64
    assert Target.heard is None
