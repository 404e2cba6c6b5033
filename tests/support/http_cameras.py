"""Real HTTP cameras and film servers for a test: MJPEG in many shapes, single pictures, logins, films and playlists."""

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from tests.support.serving import Quiet, serving


def picture(index: int, suffix: str = ".jpg") -> bytes:
    """64x48, of grey 5 * index."""
    return bytes(cv2.imencode(suffix, np.full((48, 64, 3), 5 * index, np.uint8))[1])


class Shape(NamedTuple):
    """How a camera sends MJPEG. `part`: its headers, with %d for the length."""

    kind: str | None = "multipart/x-mixed-replace; boundary=frame"
    boundary: bytes = b"--frame\r\n"
    part: bytes = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
    end: bytes = b"\r\n"
    first: bool = True
    preamble: bytes = b""
    suffix: str = ".jpg"
    cut: int = 0  # bytes that are missing at each picture's end


BARE = b"Content-Type: image/jpeg\r\n\r\n"
SHAPES = {
    "as-it-should-be": Shape(),
    "boundary-with-dashes": Shape(kind="multipart/x-mixed-replace; boundary=--frame"),
    "boundary-quoted": Shape(kind='multipart/x-mixed-replace; boundary="frame"'),
    "boundary-of-another-name": Shape(kind="multipart/x-mixed-replace; boundary=other"),
    "boundary-not-stated": Shape(kind="multipart/x-mixed-replace"),
    "no-length": Shape(part=BARE),
    "line-feeds-alone": Shape(
        boundary=b"--frame\n", part=b"Content-Type: image/jpeg\nContent-Length: %d\n\n", end=b"\n"
    ),
    "first-boundary-missing": Shape(first=False),
    "preamble": Shape(preamble=b"This is a stream of pictures.\r\n\r\n"),
    "image/jpg": Shape(part=b"Content-Type: image/jpg\r\n\r\n"),
    "image/pjpeg": Shape(part=b"content-type: image/pjpeg\r\n\r\n"),
    "charset": Shape(part=b"Content-type: image/jpeg; charset=utf-8\r\n\r\n"),
    "multipart/mixed": Shape(kind="Multipart/Mixed; Boundary=frame"),
    "no-part-headers": Shape(part=b"\r\n"),
    "wrong-length": Shape(part=b"Content-Type: image/jpeg\r\nContent-Length: 7%d\r\n\r\n"),
    "no-line-end": Shape(end=b""),
    "no-boundary-at-all": Shape(kind="video/x-motion-jpeg", boundary=b"", part=b"", end=b""),
    "said-to-be-bytes": Shape(kind="application/octet-stream"),
    "said-to-be-nothing": Shape(kind=None),
    "png": Shape(suffix=".png"),
    "webp": Shape(suffix=".webp", part=BARE),
    "bmp": Shape(suffix=".bmp", part=BARE),
    "no-end-marker": Shape(cut=2),
}


class Camera(Quiet):
    """`gets` counts requests, `connections` the connections; `pictures` asked-for pictures."""

    protocol_version = "HTTP/1.1"
    gets = connections = 0
    challenge = ""
    password = ""
    algorithm: Callable[[bytes], "hashlib._Hash"] = hashlib.md5

    def setup(self) -> None:
        super().setup()
        type(self).connections += 1

    def handle(self) -> None:
        with suppress(ConnectionError):  # a client that has seen enough
            super().handle()

    def do_GET(self) -> None:  # noqa: N802
        type(self).gets += 1
        if self.challenge and not self.is_known():
            self.answer(401, {"WWW-Authenticate": self.challenge})
            return
        with suppress(OSError):
            self.reply()

    def is_known(self) -> bool:
        """Whether the request has the login `admin`, by Basic or Digest."""
        said = self.headers.get("Authorization", "")
        if said.startswith("Basic "):
            import base64

            return base64.b64decode(said[6:]).decode() == f"admin:{self.password}"
        values = {key: quoted or plain for key, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]*))', said)}
        if not values:
            return False

        def digest(text: str) -> str:
            return type(self).algorithm(text.encode()).hexdigest()

        first, second = digest(f"admin:{values['realm']}:{self.password}"), digest(f"GET:{self.path}")
        middle = f"{values['nonce']}:{values['nc']}:{values['cnonce']}:auth" if "qop" in values else values["nonce"]
        return values["response"] == digest(f"{first}:{middle}:{second}") and values["uri"] == self.path

    def answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def stream_of(shape: Shape, *, fps: float = 50, count: int = 10_000) -> type[Camera]:
    class Mjpeg(Camera):
        def reply(self) -> None:
            self.close_connection = True
            self.send_response(200)
            if shape.kind is not None:
                self.send_header("Content-Type", shape.kind)
            self.end_headers()
            self.wfile.write(shape.preamble)
            for index in range(count):
                data = picture(index % 40, shape.suffix)
                data = data[: len(data) - shape.cut]
                part = shape.part % len(data) if b"%d" in shape.part else shape.part
                self.wfile.write((shape.boundary if shape.first or index else b"") + part + data + shape.end)
                time.sleep(1 / fps)

    return Mjpeg


@contextmanager
def serving_file(path: Path, *, ranges: bool = True, kind: str = "video/mp4") -> Iterator[str]:
    """The address of a film on a web server, which can be read from any place if `ranges`."""
    data = path.read_bytes()

    class Films(Camera):
        def reply(self) -> None:
            asked = re.match(r"bytes=(\d+)-", self.headers.get("Range", "")) if ranges else None
            begin = int(asked[1]) if asked else 0
            if begin >= len(data):
                self.answer(416, {"Content-Range": f"bytes */{len(data)}"})
                return
            headers = {"Content-Type": kind} | ({"Accept-Ranges": "bytes"} if ranges else {})
            if asked:
                headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
            self.answer(206 if asked else 200, headers, data[begin:])

    with serving(Films) as port:
        yield f"http://127.0.0.1:{port}/{path.name}"
