"""Network cameras that misbehave: real servers, one of them GStreamer's RTSP server."""

import contextlib
import itertools
import random
import socket
import subprocess
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import pytest

from jetstream.video.demo import scene
from tests.faults.harness import Ear, Faulty, Tell, left_behind, played, stop
from tests.support.command import free_port
from tests.support.serving import Quiet, serving
from tests.support.waiting import wait_until

pytestmark = pytest.mark.pipeline

CONFIG = """
[[cameras]]
name = "street"
source = "{url}"
decoder = "{decoder}"
open_timeout_s = 2
read_timeout_s = {read_timeout_s}

[pipeline]
wait_for_cameras = true

[recognize]
faces = "demo"
"""
PIECE_S = 2.0
SYSTEM_PYTHON = "/usr/bin/python3"
RTSP_SERVER = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer(); server.set_address("127.0.0.1"); server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory(); factory.set_shared(True)
factory.set_launch("( videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=25/1 ! "
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=12 ! rtph264pay name=pay0 pt=96 )")
server.get_mount_points().add_factory("/cam", factory); server.attach(None)
print("serving", flush=True)
GLib.MainLoop().run()
"""


def piece(path: Path, *, width: int, height: int, first: int = 0, pts_s: float = 0.0) -> bytes:
    """PIECE_S of the demo's scene as an MPEG transport stream, whose times begin at `pts_s`."""
    with av.open(str(path), "w", format="mpegts") as output:
        stream = output.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size = 12
        for index in range(int(PIECE_S * 25)):
            picture = cv2.resize(scene(first + index), (width, height))
            frame = av.VideoFrame.from_ndarray(picture, "bgr24")
            frame.time_base, frame.pts = Fraction(1, 25), round(pts_s * 25) + index
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path.read_bytes()


class Camera:
    """Sends one piece after the other at the pace of a camera; a number is so many seconds of silence.

    `fault_s`: when it began to send the second item, in time.monotonic().
    """

    def __init__(self, items: Sequence[bytes | float]) -> None:
        self.items, self.fault_s, self.connections = items, 0.0, 0
        camera = self

        class Handler(Quiet):
            def reply(self) -> None:
                camera.connections += 1
                self.send_response(200)
                self.end_headers()
                with contextlib.suppress(OSError):
                    for index, item in enumerate(camera.items):
                        if index == 1 and not camera.fault_s:
                            camera.fault_s = time.monotonic()
                        camera.send(self, item)

        self.handler = Handler

    def send(self, handler: Quiet, item: bytes | float) -> None:
        if isinstance(item, float):
            time.sleep(item)
            return
        step = len(item) // 40
        for begin in range(0, len(item), step):
            handler.wfile.write(item[begin : begin + step])
            time.sleep(PIECE_S / 40)


def corrupt(data: bytes) -> bytes:
    """One byte in a hundred is another."""
    dice = random.Random(1)
    damaged = bytearray(data)
    for place in dice.sample(range(len(data)), len(data) // 100):
        damaged[place] = dice.randrange(256)
    return bytes(damaged)


@contextmanager
def watching(
    jetstream: Faulty, url: str, read_timeout_s: float = 10, decoder: str = "cpu"
) -> Iterator[tuple["subprocess.Popen[str]", Ear]]:
    settings = CONFIG.format(url=url, read_timeout_s=read_timeout_s, decoder=decoder)
    (jetstream.folder / "street.toml").write_text(settings)
    with (
        jetstream.running("street.toml", "--headless", "--record", "rec") as process,
        Ear(jetstream) as ear,
    ):
        yield process, ear


def check_end(jetstream: Faulty, process: "subprocess.Popen[str]") -> None:
    assert jetstream.restarts() == {}, jetstream.log()
    assert stop(process) == 0, jetstream.log()
    assert left_behind(jetstream, process.pid) == []
    assert played(jetstream.folder / "rec") > 0


Faults = dict[str, Callable[[Path], Sequence[bytes | float]]]
FAULTS: Faults = {
    "picture size changes from 640x360 to 320x240": lambda f: [
        piece(f / "a.ts", width=640, height=360),
        piece(f / "b.ts", width=320, height=240, pts_s=2),
        *[piece(f / "c.ts", width=320, height=240, pts_s=2 * n) for n in range(2, 30)],
    ],
    "times jump back by an hour": lambda f: [
        piece(f / "a.ts", width=320, height=240, pts_s=3600),
        *[piece(f / "b.ts", width=320, height=240, pts_s=2 * n) for n in range(30)],
    ],
    "1 % of the bytes damaged for 2 s": lambda f: [
        piece(f / "a.ts", width=320, height=240),
        corrupt(piece(f / "b.ts", width=320, height=240, pts_s=2)),
        *[piece(f / "c.ts", width=320, height=240, pts_s=2 * n) for n in range(2, 30)],
    ],
    "2 s of silence": lambda f: [
        piece(f / "a.ts", width=320, height=240),
        2.0,
        *[piece(f / "b.ts", width=320, height=240, pts_s=2 * n) for n in range(1, 30)],
    ],
}


@pytest.mark.faults
@pytest.mark.parametrize("decoder", ["cpu", "shared"])
@pytest.mark.parametrize("fault", list(FAULTS))
def test_stream_with_a_fault_goes_on_with_rising_times(
    jetstream: Faulty, tmp_path: Path, tell: Tell, fault: str, decoder: str
) -> None:
    camera = Camera(FAULTS[fault](tmp_path))
    with (
        serving(camera.handler) as port,
        watching(jetstream, f"http://127.0.0.1:{port}/cam.ts", decoder=decoder) as (process, ear),
    ):
        wait_until(lambda: camera.fault_s > 0)
        took_s = ear.wait_for_frames(1, camera.fault_s + 0.5) + 0.5
        ear.wait_for_frames(60, camera.fault_s + PIECE_S + 0.5)
        silence_s = ear.longest_silence_s(camera.fault_s)
        check_end(jetstream, process)
        camera.items = []

    for earlier, later in itertools.pairwise(ear.heard):
        assert 0 < later[1]["pts_s"] - earlier[1]["pts_s"] < 60
        assert later[1]["frame_id"] > earlier[1]["frame_id"]
    again = jetstream.log().count("opened again in")
    sees = f"topic silent for {silence_s:.1f} s" + (f"; opened again {again} times, each said" if again else "")
    where = "" if decoder == "cpu" else " (decoded by `decode`)"
    tell(f"camera: {fault}{where}", sees, max(took_s, silence_s), "what could not be decoded")


@pytest.mark.faults
def test_peer_that_accepts_and_never_answers_is_tried_again_until_it_does(jetstream: Faulty, tell: Tell) -> None:
    port = free_port()
    listener = socket.create_server(("127.0.0.1", port))
    accepted: list[socket.socket] = []
    threading.Thread(target=accept_all, args=(listener, accepted), daemon=True).start()
    with watching(jetstream, f"rtsp://127.0.0.1:{port}/cam", read_timeout_s=2) as (process, ear):
        wait_until(lambda: jetstream.log().count("no answer within 2 s") >= 3)  # the first is the start's own look
        assert ear.heard == []
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in accepted:
            connection.close()
        if not has_rtsp():
            check_nothing_left(jetstream, process)
            tell(
                "RTSP peer accepts and never answers",
                "`no answer within 2 s; opened again in ...`",
                None,
                "that camera",
            )
            return
        with rtsp_server(port):
            took_s = ear.wait_for_frames(20, time.monotonic())
            check_end(jetstream, process)
    tell("RTSP peer accepts and never answers, then is a camera", "`no answer within 2 s; opened again in ...`", took_s)


def accept_all(listener: socket.socket, accepted: list[socket.socket]) -> None:
    with contextlib.suppress(OSError):
        while True:
            accepted.append(listener.accept()[0])


def check_nothing_left(jetstream: Faulty, process: "subprocess.Popen[str]") -> None:
    assert stop(process) == 0, jetstream.log()
    assert left_behind(jetstream, process.pid) == []


@pytest.mark.faults
@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_rtsp_server_that_goes_and_returns_is_heard_again(jetstream: Faulty, tell: Tell, how: str) -> None:
    if not has_rtsp():
        pytest.skip("needs Debian's python3-gi and gir1.2-gst-rtsp-server-1.0")
    port = free_port()
    with rtsp_server(port) as server, watching(jetstream, f"rtsp://127.0.0.1:{port}/cam", 2) as (process, ear):
        ear.wait_for_frames(10, 0)
        if how == "stopped":
            server.kill()
            server.wait()
        else:
            server.send_signal(19)
        gone_s = time.monotonic()
        wait_until(lambda: "opened again in" in jetstream.log())
        said_s = time.monotonic() - gone_s
        server.kill()
        server.wait()
        with rtsp_server(port):
            took_s = ear.wait_for_frames(20, time.monotonic())
            check_end(jetstream, process)
    said = next(line for line in jetstream.log().splitlines() if "opened again in" in line)
    said = said[said.index("127.0.0.1") :].replace(f"127.0.0.1:{port}/cam", "")[2:50]
    what = "server killed (camera unplugged)" if how == "stopped" else "server stands still (read_timeout_s 2)"
    tell(
        f"RTSP {what}, then started again", f"after {said_s:.1f} s a warning", took_s, "that camera's frames meanwhile"
    )


def has_rtsp() -> bool:
    probe = textwrap.dedent("import gi; gi.require_version('GstRtspServer', '1.0')")
    with contextlib.suppress(OSError):
        return subprocess.run([SYSTEM_PYTHON, "-c", probe], check=False, capture_output=True).returncode == 0
    return False


@contextmanager
def rtsp_server(port: int) -> Iterator["subprocess.Popen[str]"]:
    server = subprocess.Popen(
        [SYSTEM_PYTHON, "-c", RTSP_SERVER, str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert server.stdout is not None
    with closing(server.stdout):
        try:
            assert server.stdout.readline() == "serving\n"
            yield server
        finally:
            server.kill()
            server.wait()
