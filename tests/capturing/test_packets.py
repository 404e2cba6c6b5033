"""Capture in packet mode: files with their times, streams with their time limits."""

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from jetstream.capturing import packets
from jetstream.capturing.packets import demuxed
from jetstream.config.schema import CameraConfig
from jetstream.errors import SourceError
from jetstream.messages import Demuxed, Dropped, Tick
from jetstream.video.frames import Source
from jetstream.video.gop.description import described
from jetstream.video.gop.feed import PictureWatch
from jetstream.video.gop.reader import GopReader
from jetstream.video.gop.ring import DESCRIPTION, END, KEY, GopPacket, PacketRing
from jetstream.video.source import open_source
from tests.support.defaults import video_sink
from tests.support.http_cameras import Shape, stream_of
from tests.support.packets import decoded_apart
from tests.support.rtsp import rtsp_camera
from tests.support.serving import serving
from tests.support.waiting import wait_until


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[PacketRing]:
    with PacketRing.create("packets", data_bytes=1 << 20, directory=tmp_path) as ring:
        yield ring


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Twenty frames at 100 a second; frame i is of grey 10 i."""
    path = tmp_path / "clip.mp4"
    with video_sink(path, fps=100, width=64, height=48) as sink:
        for i in range(20):
            sink.write(np.full((48, 64, 3), 10 * i, np.uint8), i / 100)
    return path


def packets_in(ring: PacketRing) -> list[GopPacket]:
    return [packet for number in range(ring.cursor) if (packet := ring.read(number)) is not None]


@pytest.fixture
def told_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every packet is told."""
    monkeypatch.setattr(packets, "TELL_S", 0.0)


def opener(camera: CameraConfig) -> Callable[[], Source]:
    return lambda: open_source(camera.source, camera, loop=False)


def test_looped_file_goes_on_in_time(ring: PacketRing, clip: Path, told_each: None) -> None:
    camera = CameraConfig(name="a", source=str(clip), loop=True)
    running = demuxed(itertools.repeat(Tick()), ring, camera, opener(camera), 60.0)
    for message in running:
        if isinstance(message, Demuxed) and ring.cursor > 51:
            break
    running.close()

    flags = [packet.flags for packet in packets_in(ring)]
    times = [packet.pts_ns for packet in packets_in(ring) if packet.flags in (0, KEY)]
    assert sorted(times) == [round(i * 1e7) for i in range(len(times))]
    assert END in flags, "the decoder gives what it holds at the end of each pass"
    assert flags[flags.index(END) + 1] == DESCRIPTION
    described_as = {packet.data for packet in packets_in(ring) if packet.flags == DESCRIPTION}
    assert len(described_as) == 1, "the decoder is not opened again for each pass"


def test_file_goes_on_where_its_capture_died(ring: PacketRing, clip: Path, told_each: None) -> None:
    camera = CameraConfig(name="a", source=str(clip))
    first = demuxed(itertools.repeat(Tick()), ring, camera, opener(camera), 60.0)
    for message in first:
        if isinstance(message, Demuxed) and ring.cursor > 10:
            break
    first.close()
    before = ring.cursor

    list(demuxed(itertools.repeat(Tick()), ring, camera, opener(camera), 60.0))

    again = packets_in(ring)[before:]
    assert again[0].flags == DESCRIPTION
    assert again[1].flags == KEY, "a decoder needs the whole group of pictures"
    assert {packet.pts_ns for packet in packets_in(ring) if packet.data and packet.flags != DESCRIPTION} == {
        round(i * 1e7) for i in range(20)
    }


@pytest.mark.parametrize("tell_s", [0.0, 0.05, 60.0])
def test_packets_are_counted_however_seldom_they_are_told(
    ring: PacketRing, clip: Path, tell_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packets, "TELL_S", tell_s)
    camera = CameraConfig(name="a", source=str(clip))
    told = [m for m in demuxed(itertools.repeat(Tick()), ring, camera, opener(camera), 60.0) if isinstance(m, Demuxed)]
    assert sum(message.count for message in told) == ring.cursor
    assert len(told) <= 0.2 / tell_s + 3 if tell_s else len(told) >= 20


def test_file_that_is_missing_is_refused(ring: PacketRing, tmp_path: Path) -> None:
    camera = CameraConfig(name="a", source=str(tmp_path / "none.mp4"))
    with pytest.raises(SourceError, match="no such file"):
        list(demuxed(itertools.repeat(Tick()), ring, camera, opener(camera), 60.0))


def test_packet_too_large_for_the_ring_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "large.avi"
    noise = np.random.default_rng(1).integers(0, 256, (1080, 1920, 3), np.uint8)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mjpeg", rate=25, options={"qmin": "1", "qmax": "1"})
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuvj420p"
        for _ in range(3):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(noise, "bgr24")))
        output.mux(stream.encode(None))

    found = decoded_apart(path)

    assert found.frames == []
    assert path.stat().st_size > 3 * 500_000, "a key frame may take half of a ring of 1 MB"


class Running:
    """A live source in packet mode, and a decoder's reader of it."""

    def __init__(self, ring: PacketRing, source: str, **limits: float) -> None:
        self.camera = CameraConfig(name="a", source=source, **limits)  # type: ignore[arg-type]
        self.ring, self.reader = ring, GopReader(ring)
        self.told: list[Demuxed | Dropped] = []
        self.sends_pictures: bool | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        ticks = iter(lambda: None if self._stopped.is_set() else Tick(), None)
        running = demuxed(ticks, self.ring, self.camera, opener(self.camera), 60.0)
        while True:
            try:
                self.told.append(next(running))
            except StopIteration as end:
                self.sends_pictures = end.value
                return

    def reconnects(self) -> int:
        return sum(isinstance(message, Dropped) and message.reason == "reconnect" for message in self.told)

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()


def test_stream_is_described_before_each_key_frame(ring: PacketRing) -> None:
    with rtsp_camera() as (address, _):
        running = Running(ring, f"rtsp://{address}")
        try:
            wait_until(lambda: sum(packet.flags == KEY for packet in packets_in(ring)) >= 2)
        finally:
            running.stop()
    found = packets_in(ring)
    stream = described(found[0].data)
    assert (stream.codec, stream.live, stream.width, stream.height) == ("h264", True, 320, 240)
    keys = [index for index, packet in enumerate(found) if packet.flags == KEY]
    assert all(found[index - 1].flags == DESCRIPTION for index in keys)
    arrivals = [packet.arrived_ns for packet in found]
    assert arrivals == sorted(arrivals)


def test_stream_that_becomes_no_picture_is_opened_again(ring: PacketRing) -> None:
    with rtsp_camera() as (address, _):
        running = Running(ring, f"rtsp://{address}", read_timeout_s=1.0)
        try:

            def decode() -> bool:
                while (packet := running.reader.read()) is not None:
                    ring.tell(packet.number, pictured=False)
                return running.reconnects() > 0

            wait_until(decode)
        finally:
            running.stop()


def test_stream_without_a_decoder_is_left_open(ring: PacketRing) -> None:
    with rtsp_camera() as (address, camera):
        running = Running(ring, f"rtsp://{address}", read_timeout_s=0.5)
        try:
            wait_until(lambda: ring.cursor > 60)  # more than two seconds
        finally:
            running.stop()
    assert running.reconnects() == 0
    assert len(camera.asked) == 1


def test_decoder_that_is_behind_says_nothing_of_the_stream(ring: PacketRing) -> None:
    watch = PictureWatch(ring, 1.0)
    found = []
    for tenth in range(40):
        ring.write(b"packet", flags=KEY)
        ring.tell(max(0, ring.cursor - 25), pictured=False)
        found.append(watch.fail(tenth / 10))
    assert not any(found)


def test_address_that_sends_pictures_is_left_to_capture(ring: PacketRing) -> None:
    with serving(stream_of(Shape())) as port:
        running = Running(ring, f"http://127.0.0.1:{port}/mjpeg")
        try:
            wait_until(lambda: running.sends_pictures)
        finally:
            running.stop()
    assert ring.cursor == 0
