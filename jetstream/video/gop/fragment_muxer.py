"""Packets of one connection to fragments of MP4, without decoding: the header once, then a piece for each second or key
frame, whichever comes first.

Knows no file and no clock.
"""

import io
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import av
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from jetstream.video.gop.feed import ns_of
from jetstream.video.gop.mp4_boxes import boxes
from jetstream.video.gop.ring import NO_TIME

if TYPE_CHECKING:
    from av.container import OutputContainer

VIDEO_CODECS: Final = ("h264", "hevc", "av1", "vp9", "mpeg4")
"""FFmpeg's names of what MP4 carries and common players play; the rest has to be encoded"""
AUDIO_CODECS: Final = ("aac", "mp3", "opus", "ac3", "eac3", "flac", "alac")
WITH_HEADER: Final = ("h264", "hevc")
"""codecs whose stream may repeat its header before each key frame, as Annex B does"""
NEW_EXTRADATA: Final = "new_extradata"
FARTHEST_BACK_NS: Final = 1_000_000_000
FARTHEST_ON_NS: Final = 60_000_000_000
FRAGMENT_US: Final = 1_000_000
"""longest fragment; what a killed writer loses"""
OPTIONS: Final = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof",
    "frag_duration": str(FRAGMENT_US),
    "use_editlist": "0",
    "flush_packets": "1",
    "max_interleave_delta": "1",  # sound never holds the picture back
}


class MuxedFragment(NamedTuple):
    """One moof box and its samples."""

    data: bytes
    begin_ns: int  # decode time of its first packet, from the first one of the connection
    end_ns: int
    first_ns: int  # when its first packet arrived, CLOCK_MONOTONIC
    last_ns: int
    is_key: bool  # its first picture is a key frame


class FragmentMuxer:
    """Fragments of a video stream, and of its sound where there is some. `init`: the header, once there is a fragment.
    `template`: a stream with the header of the packets to come, such as `video` itself.

    The first packet must be a key frame. Times within count from the first packet, on the stream's own time.
    """

    def __init__(self, video: VideoStream, template: VideoStream, sound: AudioStream | None) -> None:
        self._sink = _Sink()
        self._output: OutputContainer = av.open(self._sink, "w", format="mp4", options=OPTIONS)
        self._streams: dict[int, Stream] = {video.index: self._output.add_stream_from_template(template, opaque=False)}
        if sound is not None:
            self._streams[sound.index] = self._output.add_stream_from_template(sound, opaque=False)
        self.init = b""
        self._zero_ns: int | None = None  # decode time of the first packet
        self._end_ns = 0
        self._newest: dict[int, int] = {}  # decode time of each stream's newest packet, in its ticks
        self._video, self._has_video = video.index, False  # whether the open one has a picture
        self._open: MuxedFragment | None = None  # what is known of the one that is being filled

    def takes(self, packet: "Packet[Any]") -> bool:
        """Whether the packet is of one of the streams."""
        return packet.stream_index in self._streams

    def is_far(self, packet: "Packet[Any]") -> bool:
        """Whether the packet's time is so far from the ones before that the stream's clock must have been set."""
        time_ns = ns_of(packet, packet.dts)
        if time_ns == NO_TIME or self._zero_ns is None:
            return False
        return not -FARTHEST_BACK_NS < time_ns - self._zero_ns - self._end_ns < FARTHEST_ON_NS

    def add(self, packet: "Packet[Any]", arrived_ns: int) -> MuxedFragment | None:
        """Add a packet, of which a copy is taken; the fragment before it, once it is whole. Raises av.FFmpegError."""
        copy = copied(packet)
        copy.stream = self._streams[packet.stream_index]
        self._place(copy, packet.stream_index)
        begin_ns, duration_ns = ns_of(copy, copy.dts), max(ns_of(copy, copy.duration), 0)
        self._output.mux(copy)
        whole = self._taken()
        is_video = packet.stream_index == self._video
        self._see(begin_ns, duration_ns, arrived_ns, is_key=packet.is_keyframe if is_video else None)
        return whole

    def end(self) -> MuxedFragment | None:
        """The last fragment. Nothing can be added afterwards. Raises av.FFmpegError."""
        self._output.close()
        return self._taken()

    def _place(self, packet: "Packet[Any]", stream: int) -> None:
        """Give the packet the times that MP4 needs: each decoded after the one before, and shown no earlier."""
        newest = self._newest.get(stream)
        dts = packet.dts if packet.dts is not None else packet.pts
        if newest is not None:
            dts = newest + 1 if dts is None else max(dts, newest + 1)
        packet.dts = self._newest[stream] = dts or 0
        packet.pts = packet.dts if packet.pts is None else max(packet.pts, packet.dts)

    def _see(self, time_ns: int, duration_ns: int, arrived_ns: int, *, is_key: bool | None) -> None:
        """Note what the open fragment has from now on; `is_key` is None for sound."""
        self._zero_ns = time_ns if self._zero_ns is None else self._zero_ns
        begin_ns = time_ns - self._zero_ns
        self._end_ns = max(self._end_ns, begin_ns + duration_ns)
        fragment = self._open or MuxedFragment(b"", begin_ns, begin_ns, arrived_ns, arrived_ns, is_key=False)
        self._open = fragment._replace(end_ns=self._end_ns, last_ns=arrived_ns)
        if is_key is not None and not self._has_video:
            self._has_video, self._open = True, self._open._replace(is_key=is_key)

    def _taken(self) -> MuxedFragment | None:
        """The fragment that was written since the last call."""
        data = self._sink.taken()
        if not self.init:
            self.init, data = _split(data, b"moof")
        data, _ = _split(data, b"mfra")  # at the end of a file
        fragment = self._open
        if not data or fragment is None:
            return None
        self._open, self._has_video = None, False
        return fragment._replace(data=data)


class HeaderWatch:
    """The header of a video stream, which some repeat before their key frames, and may change then.

    `template`: a stream that has the newest header.
    """

    def __init__(self, video: VideoStream) -> None:
        self.template = video
        self._codec = video.codec_context.codec.canonical_name
        repeats = self._codec in WITH_HEADER and not _has_lengths(video)
        self._filter = BitStreamFilterContext("extract_extradata", in_stream=video) if repeats else None
        self._header: bytes | None = None
        self._probed: ExitStack = ExitStack()

    def changed(self, packet: "Packet[VideoStream]") -> bool:
        """Whether it is another one from this key frame on. Raises av.FFmpegError."""
        if self._filter is None or not packet.is_keyframe:
            return False
        header = b"".join(
            bytes(one.get_sidedata(NEW_EXTRADATA)) for one in self._filter.filter(copied(packet)) if _has_header(one)
        )
        before, self._header = self._header, header or self._header
        if before is None or self._header == before:
            return False
        self._probed.close()
        container = self._probed.enter_context(av.open(io.BytesIO(bytes(packet)), format=self._codec))
        self.template = container.streams.video[0]
        return True

    def close(self) -> None:
        """Release the template."""
        self._probed.close()


def copied(packet: "Packet[Any]") -> "Packet[Any]":
    """The packet without its stream; a decoder may still get the one that it is of."""
    copy: Packet[Any] = Packet(bytes(packet))
    copy.pts, copy.dts, copy.duration, copy.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    copy.is_keyframe = packet.is_keyframe
    return copy


def _has_header(packet: "Packet[Any]") -> bool:
    has = getattr(packet, "has_sidedata", None)  # PyAV 14 has none
    return has is not None and has(NEW_EXTRADATA)


def _has_lengths(video: VideoStream) -> bool:
    """Whether its packets are of lengths and units, as in MP4, and not of Annex B: the header says it with a 1."""
    return (video.codec_context.extradata or b"\0")[:1] == b"\x01"


def _split(data: bytes, kind: bytes) -> tuple[bytes, bytes]:
    """What is before the first box of this kind, and the rest."""
    at = next((box.start for box in boxes(data) if box.kind == kind), len(data))
    return data[:at], data[at:]


class _Sink:
    """What FFmpeg writes, until it is taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """All that was written since the last call."""
        data, self._parts = b"".join(self._parts), []
        return data
