"""The decode stage in one process, with real packets between it and capture."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jetstream.config import load
from jetstream.errors import StuckError
from jetstream.ipc.ring import LocalRing
from jetstream.ipc.rings import Rings
from jetstream.ipc.segment import segment_name
from jetstream.messages import Captured, Demuxed, Ended, Tick
from jetstream.stages import decode as stage
from jetstream.stages.decode import decode
from jetstream.video.gop.description import StreamDescription
from jetstream.video.gop.ring import DESCRIPTION, KEY, PacketRing
from tests.support.defaults import video_sink
from tests.support.packets import decoded_apart
from tests.support.rtsp import rtsp_camera

CONFIG = load.build(
    {"cameras": [{"name": name, "source": "rtsp://camera/", "decoder": "shared"} for name in ("a", "b")]}, where="test"
)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Thirty frames at 50 a second; frame i is of grey 8 i."""
    path = tmp_path / "clip.mp4"
    with video_sink(path, fps=50, width=64, height=48) as sink:
        for i in range(30):
            sink.write(np.full((48, 64, 3), 8 * i, np.uint8), i / 50)
    return path


def test_file_comes_out_in_order_with_its_times(clip: Path) -> None:
    found = decoded_apart(clip)

    lost = sum(dropped.count for dropped in found.dropped)
    assert len(found.frames) + lost == 30
    for frame, image in zip(found.frames, found.images, strict=True):
        assert abs(float(image.mean()) - 8 * round(frame.pts_s * 50)) < 4
    captured_ns = [frame.captured_ns for frame in found.frames]
    assert captured_ns == sorted(set(captured_ns))
    assert captured_ns[-1] - captured_ns[0] >= 0.5e9, "at its own rate"
    assert not any(frame.live for frame in found.frames)


def test_frames_are_thinned_to_the_cameras_rate(clip: Path) -> None:
    found = decoded_apart(clip, fps=10)

    assert [round(frame.pts_s * 10) for frame in found.frames] == list(range(6))


def test_frames_are_turned_and_scaled_as_the_camera_says(clip: Path) -> None:
    found = decoded_apart(clip, rotate=90, max_width=24, max_height=100)

    assert {image.shape for image in found.images} == {(32, 24, 3)}


def test_stream_comes_out_with_the_times_of_its_packets() -> None:
    begun_ns = time.monotonic_ns()
    with rtsp_camera() as (address, _):
        found = decoded_apart(f"rtsp://{address}", most=25)

    assert {image.shape for image in found.images} == {(240, 320, 3)}
    times_s = [frame.time_s for frame in found.frames]
    assert all(frame.live for frame in found.frames)
    assert times_s == sorted(set(times_s))
    assert times_s[0] > begun_ns * 1e-9
    assert 0 <= found.frames[0].pts_s < found.frames[-1].pts_s < 60


def test_camera_without_packets_is_left_to_its_capture() -> None:
    messages = [Demuxed(camera="a", count=1, arrived_ns=1), Tick(), Ended(sender="")]

    assert list(decode(iter(messages), Rings({"a": LocalRing(), "b": LocalRing()}), CONFIG)) == []


def test_process_ends_when_too_many_decoders_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "MOST_HUNG", 1)
    monkeypatch.setattr("jetstream.capturing.decoding.HUNG_S", 0.1)
    monkeypatch.setattr(stage, "_open_decoder", lambda *_: Hanging())
    names = {name: f"{segment_name(name)}.packets" for name in ("a", "b")}
    with PacketRing.create(names["a"], data_bytes=1 << 16) as a, PacketRing.create(names["b"], data_bytes=1 << 16) as b:
        for ring in (a, b):
            described = StreamDescription("h264", "h264", b"", 8, 8, live=True, shown="camera", begun_ns=0, fps=None)
            ring.write(described.encoded(), flags=DESCRIPTION)
            ring.write(b"packet", flags=KEY, arrived_ns=time.monotonic_ns())
        rings = Rings({"a": LocalRing(), "b": LocalRing()}, names)
        with pytest.raises(StuckError, match=r"^2 calls of decoders don't return"):
            list(decode(ticks(), rings, CONFIG))


class Hanging:
    """A decoder whose call doesn't return for a while."""

    damaged = 0

    def decode(self, packet: object) -> list[Captured]:
        time.sleep(3)
        return []

    def finish(self) -> list[Captured]:
        return []

    def close(self) -> None:
        pass


def ticks() -> Iterator[Tick]:
    for _ in itertools.count():
        time.sleep(0.01)
        yield Tick()
