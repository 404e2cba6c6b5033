"""A real RTSP camera for a test, on a free port of this machine: H.264 over TCP, UDP or both, as its faults allow."""

import contextlib
import random
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np

OK = "200 OK"
HANG_UP = ""
SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=cam\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:trackID=0\r\n"
)


@dataclass
class RtspCamera:
    """`answers`: its status to SETUP for each transport; HANG_UP closes the connection. `mute`: transports over which
    it sends nothing. `broken`: packets arrive, and none can be decoded. `asked`: the transports that were asked for."""

    answers: dict[str, str] = field(default_factory=lambda: {"tcp": OK, "udp": OK})
    mute: tuple[str, ...] = ()
    broken: bool = False
    asked: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as lines:
            transport, target = "tcp", 0
            while request := _request(lines):
                method, headers = request
                more = body = ""
                status = OK
                if method == "DESCRIBE":
                    more, body = "Content-Type: application/sdp\r\n", SDP
                elif method == "SETUP":
                    wanted = headers["transport"]
                    transport = "tcp" if "TCP" in wanted else "udp"
                    self.asked.append(transport)
                    status = self.answers[transport]
                    if status == HANG_UP:
                        return
                    found = re.search(r"client_port=(\d+)", wanted)
                    target = int(found[1]) if found else 0
                    ports = "" if transport == "tcp" else ";server_port=40000-40001"
                    more = f"Transport: {wanted}{ports}\r\n"
                more += "Session: 1;timeout=60\r\n" + (f"Content-Length: {len(body)}\r\n" if body else "")
                connection.sendall(f"RTSP/1.0 {status}\r\nCSeq: {headers['cseq']}\r\n{more}\r\n{body}".encode())
                if method == "PLAY" and transport not in self.mute:
                    threading.Thread(target=self._play, args=(connection, transport, target), daemon=True).start()

    def _play(self, connection: socket.socket, transport: str, target: int) -> None:
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        ):
            taken.bind(("127.0.0.1", 0))
            taken.settimeout(0.2)
            threading.Thread(target=self._encode, args=(taken.getsockname()[1],), daemon=True).start()
            dice = random.Random(1)
            while not self.stopped.is_set():
                with contextlib.suppress(TimeoutError):
                    packet = taken.recv(2048)
                    if self.broken:  # slices without the parameter sets that they need
                        packet = packet[:12] + b"\x41" + dice.randbytes(len(packet) - 13)
                    if transport == "tcp":
                        connection.sendall(b"$\0" + len(packet).to_bytes(2, "big") + packet)
                    else:
                        sender.sendto(packet, ("127.0.0.1", target))

    def _encode(self, port: int) -> None:
        with av.open(f"rtp://127.0.0.1:{port}?pkt_size=1200", "w", format="rtp") as output:
            options = {"tune": "zerolatency", "preset": "ultrafast", "bf": "0", "g": "10"}
            stream: Any = output.add_stream("libx264", rate=25, options=options)
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            begun_s = time.monotonic()
            for index in range(25 * 60):
                if self.stopped.wait(max(0.0, begun_s + index / 25 - time.monotonic())):
                    return
                frame = av.VideoFrame.from_ndarray(np.full((240, 320, 3), index % 200, np.uint8), "bgr24")
                frame.time_base, frame.pts = Fraction(1, 25), index
                output.mux(stream.encode(frame))


def _request(lines: Any) -> tuple[str, dict[str, str]] | None:
    line = lines.readline()
    while line[:1] == b"$":  # the client's RTCP, within the connection
        line = line[:4] + lines.read(max(0, int.from_bytes(line[2:4], "big") + 4 - len(line)))
        line = lines.readline()
    if not line.strip():
        return None
    headers = {}
    while header := lines.readline().decode().strip():
        key, _, value = header.partition(":")
        headers[key.lower()] = value.strip()
    return line.decode().split()[0], headers


@contextmanager
def rtsp_camera(**how: Any) -> Iterator[tuple[str, RtspCamera]]:
    """The camera's address without its scheme, and the camera."""
    camera = RtspCamera(**how)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=camera.serve, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}/cam", camera
        finally:
            camera.stopped.set()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
