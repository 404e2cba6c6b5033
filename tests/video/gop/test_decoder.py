"""Pictures of packets from the ring are those of the source itself: size, shape, turn, colours and times."""

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from jetstream.config.schema import CameraConfig
from jetstream.errors import RingError, SourceError
from jetstream.gpu.ring_slots import RingSlots, open_context
from jetstream.ipc.ring import Ring
from jetstream.picture_format import GpuPicture, Nv12Picture
from jetstream.runners import cuda_bindings
from jetstream.video import nvdec
from jetstream.video.cropping import WHOLE
from jetstream.video.geometry import Orientation
from jetstream.video.gop.decoder import LibavDecoder
from jetstream.video.gop.description import StreamDescription, describe, described
from jetstream.video.gop.feed import ns_of
from jetstream.video.gop.ring import KEY, NO_TIME, GopPacket
from tests.support.corners import filtered, joined, marked_video
from tests.support.defaults import open_source
from tests.support.packets import decoded_apart
from tests.support.rings import served

SETTINGS = CameraConfig(name="a", source="demo")
DESCRIPTION = StreamDescription("h264", "h264", b"", 160, 120, live=True, shown="camera", begun_ns=0, fps=None)


def turned(path: Path) -> Path:
    """The MP4 with a quarter turn in its track's header (ISO/IEC 14496-12, 8.3.2)."""
    data = bytearray(path.read_bytes())
    identity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    at = data.index(identity, data.index(b"tkhd"))
    data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


MAKERS: dict[str, Callable[[Path], Path]] = {
    "b-frames": lambda folder: marked_video(folder / "a.mp4", frames=12, options={"bf": "2", "g": "4"}),
    "aspect": lambda folder: marked_video(folder / "a.mkv", aspect=Fraction(2)),
    "turned": lambda folder: turned(marked_video(folder / "a.mp4")),
    "hevc": lambda folder: marked_video(folder / "a.mp4", codec="libx265", options={"x265-params": "log-level=none"}),
    "vp9": lambda folder: marked_video(folder / "a.webm", codec="libvpx-vp9"),
    "mpeg4": lambda folder: marked_video(folder / "a.avi", codec="mpeg4"),
    "mjpeg": lambda folder: marked_video(folder / "a.avi", codec="mjpeg", pix_fmt="yuvj420p", full_range=True),
    "full range": lambda folder: marked_video(folder / "a.mp4", full_range=True, pix_fmt="yuvj420p"),
    "bt709": lambda folder: filtered(
        marked_video(folder / "b.mp4"), folder / "a.mp4", "h264_metadata=matrix_coefficients=1"
    ),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_frames_decoded_apart_are_those_of_the_source(tmp_path: Path, kind: str) -> None:
    path = MAKERS[kind](tmp_path)
    with open_source(str(path)) as source:
        expected = list(source)

    found = decoded_apart(path)

    lost = sum(dropped.count for dropped in found.dropped)
    assert len(found.images) + lost == len(expected) > 0
    by_time = {round(frame.pts_s, 3): frame.image for frame in expected}
    for frame, image in zip(found.frames, found.images, strict=True):
        np.testing.assert_array_equal(image, by_time[round(frame.pts_s, 3)])


@pytest.mark.gpu
def test_gpu_decodes_what_the_source_decodes_on_it(tmp_path: Path) -> None:
    path = marked_video(tmp_path / "a.mp4", (320, 240), frames=12, options={"bf": "2", "g": "4"})
    try:
        nvdec.refuse_missing(0)
    except SourceError as error:
        pytest.skip(str(error))
    with open_source(str(path), cuda_device=0) as source:
        expected = {round(frame.pts_s, 3): frame.image for frame in source}

    found = decoded_apart(path, decoder="shared-cuda", backend="cpu")

    assert len(found.frames) > 0
    for frame, image in zip(found.frames, found.images, strict=True):
        np.testing.assert_array_equal(image, expected[round(frame.pts_s, 3)])


@pytest.mark.gpu
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("bindings", cuda_bindings.ORDER)
def test_frames_that_stay_on_the_gpu_are_those_that_are_copied_down(tmp_path: Path, codec: str, bindings: str) -> None:
    """Through a ring: written there, read here."""
    path = marked_video(tmp_path / "a.mp4", (322, 242), frames=12, codec=codec, options={"bf": "2", "g": "4"})
    try:
        nvdec.hold_context(0)
    except SourceError as error:
        pytest.skip(str(error))
    if missing := cuda_bindings.missing(bindings):  # type: ignore[arg-type]
        pytest.skip(missing)
    if not nvdec.keeps_frames():
        pytest.skip("this PyAV can't leave frames on the GPU")
    description, packets = packets_of(path)
    here = LibavDecoder(description, SETTINGS, 0, nv12=True)
    there = LibavDecoder(description, SETTINGS, 0, nv12=True, on_gpu=True)
    with (
        Ring.create("frames", slots=64, max_width=640, max_height=480, directory=tmp_path) as ring,
        Ring.attach("frames", directory=tmp_path) as reader,
        open_context(0, bindings) as context,  # type: ignore[arg-type]
    ):
        slots = RingSlots(context, ring.slots, ring.layout.gpu_slot_bytes)
        ring.share(slots)
        expected = [one.picture() for packet in packets for one in here.decode(packet)]
        for packet in packets:
            for one in there.decode(packet):
                picture = one.picture()
                assert isinstance(picture, GpuPicture)
                ring.write(picture)
        assert ring.cursor == len(expected) > 8
        with served(ring):
            for number, picture in enumerate(expected):
                view = reader.view(number)
                assert view is not None
                assert isinstance(view.picture, Nv12Picture)
                assert isinstance(picture, Nv12Picture)
                np.testing.assert_array_equal(view.picture.luma, picture.luma)
                np.testing.assert_array_equal(view.picture.chroma, picture.chroma)
                assert view.picture.format is picture.format
        slots.close()
    here.close()
    there.close()


def packets_of(path: Path) -> tuple[StreamDescription, list[GopPacket]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        described = describe(stream, crop=WHOLE, upright=Orientation(), live=True, shown="film", begun_ns=0)
        packets = [
            GopPacket(n, KEY if one.is_keyframe else 0, ns_of(one, one.pts), ns_of(one, one.dts), 0, bytes(one))
            for n, one in enumerate(container.demux(stream))
            if one.size
        ]
    return described, packets


def test_gpu_that_is_not_there_is_told_in_one_sentence(no_gpu: None) -> None:
    with pytest.raises(SourceError, match=r"""^camera: .*; .*set the camera's decoder to "cpu"[^;]*$"""):
        LibavDecoder(DESCRIPTION, SETTINGS, 0, nv12=False)


def test_stream_that_changes_its_size_goes_on(tmp_path: Path) -> None:
    parts = [marked_video(tmp_path / f"{width}.ts", (width, 120), frames=8) for width in (160, 240)]

    found = decoded_apart(joined(tmp_path / "both.ts", parts))

    assert {image.shape for image in found.images} == {(120, 160, 3), (120, 240, 3)}
    times = [frame.pts_s for frame in found.frames]
    assert times == sorted(times)


def test_damaged_packet_is_counted_and_the_next_key_frame_goes_on() -> None:
    decoder = LibavDecoder(DESCRIPTION, SETTINGS, None, nv12=False)

    assert decoder.decode(GopPacket(1, KEY, 0, 0, 0, b"\0\0\0\1\x65" + bytes(40))) == []
    assert decoder.damaged == 1
    decoder.close()


def test_codec_that_is_not_there_is_refused_in_one_sentence() -> None:
    unknown = StreamDescription("h2640", "h2640", b"", 1, 1, live=True, shown="camera", begun_ns=0, fps=None)
    with pytest.raises(SourceError, match=r"^camera: a decoder of h2640 can't be opened \("):
        LibavDecoder(unknown, SETTINGS, None, nv12=False)


def test_description_is_read_as_it_was_written() -> None:
    assert described(DESCRIPTION.encoded()) == DESCRIPTION
    assert DESCRIPTION.upright == Orientation()
    with pytest.raises(RingError, match="damaged description"):
        described(DESCRIPTION.encoded()[:-3])


def test_picture_without_a_time_says_so(tmp_path: Path) -> None:
    decoder = LibavDecoder(
        StreamDescription("mjpeg", "mjpeg", b"", 64, 48, live=True, shown="camera", begun_ns=0, fps=None),
        SETTINGS,
        None,
        nv12=False,
    )

    data = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes()
    (picture,) = decoder.decode(GopPacket(1, KEY, NO_TIME, NO_TIME, 0, data))
    assert picture.pts_ns is None
    image = picture.picture()
    assert image is not None
    assert image.shape == (48, 64, 3)
