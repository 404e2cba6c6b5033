"""Decoders of several cameras in one process: one that hangs or fails is replaced, and the others go on."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from jetstream.capturing import decoding
from jetstream.capturing.decoder_thread import OpenDecoder
from jetstream.capturing.decoding import DecodedCamera
from jetstream.config.schema import CameraConfig
from jetstream.errors import SourceError, StuckError
from jetstream.ipc.ring import LocalRing, Ring
from jetstream.messages import Captured, Dropped
from jetstream.picture_format import Nv12Picture, PictureFormat
from jetstream.video.frames import Image
from jetstream.video.gop.decoder import DecodedPicture, GopDecoder
from jetstream.video.gop.description import StreamDescription
from jetstream.video.gop.ring import DESCRIPTION, KEY, GopPacket, PacketRing
from tests.support.file_slots import FileSlots, on_gpu
from tests.support.waiting import wait_until

STREAM = StreamDescription("h264", "h264", b"", 8, 8, live=True, shown="camera", begun_ns=0, fps=None)


class Stub:
    """A decoder that gives a grey picture for each packet, of the packet's first byte as its value, and does what
    `trouble` says before."""

    def __init__(self, trouble: Callable[[GopPacket], None] = lambda packet: None) -> None:
        self.damaged, self._trouble = 0, trouble

    def decode(self, packet: GopPacket) -> list[DecodedPicture]:
        self._trouble(packet)

        def picture() -> Image:
            return np.full((8, 8, 3), packet.data[0], np.uint8)

        return [DecodedPicture(None, picture)]

    def finish(self) -> list[DecodedPicture]:
        return []

    def close(self) -> None:
        pass


class Camera:
    """A camera's packets, frames and thread."""

    def __init__(
        self, name: str, folder: Path, opener: OpenDecoder, stack: ExitStack, ring: Ring | None = None
    ) -> None:
        self.ring = ring or LocalRing(slots=64)
        self.packets = stack.enter_context(PacketRing.create(name, data_bytes=1 << 16, directory=folder))
        self.told: deque[Captured | Dropped] = deque()
        camera = CameraConfig(name=name, source="rtsp://camera/", decoder="shared")
        self.decoded = DecodedCamera(camera, self.ring, self.packets, 4, opener, 60.0, self.told)
        stack.callback(self.decoded.close)

    def send(self, *values: int, key: bool = True) -> None:
        if key:
            self.packets.write(STREAM.encoded(), flags=DESCRIPTION)
        for value in values:
            self.packets.write(bytes([value]), flags=KEY, arrived_ns=time.monotonic_ns())
            self.decoded.wake()
            time.sleep(0.001)

    def values(self) -> list[int]:
        """Of the frames that were written."""
        frames = [message.frame.frame_id for message in self.told if isinstance(message, Captured)]
        return [int(image[0, 0, 0]) for image in map(self.ring.read, frames) if image is not None]

    def reasons(self) -> list[str]:
        return [message.reason for message in self.told if isinstance(message, Dropped)]

    def watch(self) -> "Camera":
        self.decoded.watch(time.monotonic())
        return self


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Callable[..., Camera]]:
    with ExitStack() as stack:
        yield lambda name, opener: Camera(name, tmp_path, opener, stack)


def test_hung_decoder_is_replaced_and_the_other_camera_goes_on(
    camera: Callable[..., Camera], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "HUNG_S", 0.2)
    free = threading.Event()

    def hang(packet: GopPacket) -> None:
        if packet.data[0] == 13:
            free.wait()

    bad = camera("bad", lambda _: Stub(hang)).watch()
    good = camera("good", lambda _: Stub()).watch()
    bad.send(1, 13)
    wait_until(lambda: bad.watch().decoded.hung == 1)
    good.send(1, 2, 3)
    wait_until(lambda: good.watch().values() == [1, 2, 3])
    bad.send(4, 5)
    wait_until(lambda: bad.watch().values() == [1, 4, 5])
    assert bad.reasons() == ["decoder"]

    free.set()
    wait_until(lambda: bad.decoded.hung == 0)
    assert bad.values() == [1, 4, 5], "the thread that was given up writes no frame"


@pytest.mark.parametrize("is_idle", [True, False])
def test_reader_gets_a_frame_from_the_gpu_when_it_asks(tmp_path: Path, is_idle: bool) -> None:
    grey = Nv12Picture(np.full((8, 8), 77, np.uint8), np.full((4, 4, 2), 128, np.uint8), PictureFormat.NV12_601_FULL)

    class OnGpu(Stub):
        def decode(self, packet: GopPacket) -> list[DecodedPicture]:
            return [DecodedPicture(None, lambda: on_gpu(grey))]

    with (
        ExitStack() as stack,
        Ring.create("frames", slots=64, max_width=16, max_height=16, directory=tmp_path) as ring,
        Ring.attach("frames", directory=tmp_path) as reader,
    ):
        slots = FileSlots(ring.slots, ring.layout.gpu_slot_bytes)
        stack.callback(slots.close)
        ring.share(slots)
        one = Camera("a", tmp_path, lambda _: OnGpu(), stack, ring).watch()
        one.send(1)
        wait_until(lambda: ring.cursor == 1)
        done = threading.Event()

        def loop() -> None:  # that of the stage
            while not done.wait(0.002):
                one.decoded.look()
                if not is_idle:
                    one.send(2, key=False)

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            image = reader.read(ring.cursor - 1)
        finally:
            done.set()
            thread.join()
        assert image is not None
        assert image.min() == image.max() == 77


def test_frame_that_cannot_be_written_ends_the_process(
    camera: Callable[..., Camera], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "HUNG_S", 0.2)
    free = threading.Event()
    one = camera("a", lambda _: Stub())
    monkeypatch.setattr(one.ring, "write", lambda *_, **__: free.wait())
    one.watch().send(1)
    with pytest.raises(StuckError, match=r"a: writing a frame takes \d+ s"):
        wait_until(lambda: one.watch().decoded.hung > 0)
    free.set()


def test_decoder_that_fails_is_opened_again_after_a_pause(camera: Callable[..., Camera]) -> None:
    opened: list[float] = []

    def opener(_: StreamDescription) -> GopDecoder:
        opened.append(time.monotonic())
        if len(opened) < 3:
            raise SourceError("camera: the GPU doesn't decode it")
        return Stub()

    one = camera("one", opener).watch()
    one.send(7)
    wait_until(lambda: one.watch().values() == [7])

    assert one.reasons() == ["decoder", "decoder"]
    assert opened[1] - opened[0] > 0.3, "0.5 s, varied by a fifth"
    assert opened[2] - opened[1] > 0.7


def test_thread_that_starts_late_begins_at_the_newest_group_of_pictures(camera: Callable[..., Camera]) -> None:
    one = camera("one", lambda _: Stub())
    one.send(1, 2)
    one.send(3, 4)
    one.watch()
    wait_until(lambda: one.values() == [3, 4])


def test_frames_that_a_killed_process_has_written_are_not_written_again(camera: Callable[..., Camera]) -> None:
    first = camera("one", lambda _: Stub())
    first.send(1, 2, 3)
    newest = first.packets.read(first.packets.cursor - 2)
    assert newest is not None
    first.ring.write(np.zeros((8, 8, 3), np.uint8), captured_ns=newest.arrived_ns)  # frame 2, by another process
    told: deque[Captured | Dropped] = deque()
    again = DecodedCamera(first.decoded.camera, first.ring, first.packets, 4, lambda _: Stub(), 60.0, told)
    again.watch(time.monotonic())
    try:
        wait_until(lambda: len(told) == 1)
        wait_until(again.is_done)
    finally:
        again.close()
    (written,) = told
    assert isinstance(written, Captured)
    image = first.ring.read(written.frame.frame_id)
    assert image is not None
    assert image[0, 0, 0] == 3


def test_frames_without_a_place_are_counted_and_the_newest_is_written(camera: Callable[..., Camera]) -> None:
    one = camera("one", lambda _: Stub())
    cell = one.ring.register("track")
    one.watch()
    one.send(*range(1, 10))
    wait_until(lambda: one.reasons() == ["busy"] * 4)
    assert one.values() == [1, 2, 3, 4]
    cell.done(3)
    wait_until(lambda: one.values() == [1, 2, 3, 4, 9])
    newest = one.told[-1]
    assert isinstance(newest, Captured)
    assert newest.frame.frame_id == 8, "four were left out"


def test_end_waits_for_the_frames_that_are_left(camera: Callable[..., Camera]) -> None:
    one = camera("one", lambda _: Stub(lambda packet: time.sleep(0.05))).watch()
    one.send(1, 2, 3)
    assert not one.decoded.is_done()
    wait_until(one.decoded.is_done)
    assert one.values()[-1] == 3
