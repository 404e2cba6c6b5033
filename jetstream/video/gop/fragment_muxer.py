"""Packets of one connection to fragments of MP4, without decoding.

Knows no file and no clock.
"""

import io
from contextlib import ExitStack
from typing import Any, Final

import av
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from jetstream.video.gop.feed import ns_of
from jetstream.video.gop.fragment_output import FragmentOutput, MuxedFragment
from jetstream.video.gop.ring import NO_TIME

VIDEO_CODECS: Final = ("h264", "hevc", "av1", "vp9", "mpeg4")
"""FFmpeg's names of what MP4 carries and common players play; the rest has to be encoded"""
AUDIO_CODECS: Final = ("aac", "mp3", "opus", "ac3", "eac3", "flac", "alac")
WITH_HEADER: Final = ("h264", "hevc")
"""codecs whose stream may repeat its header before each key frame, as Annex B does"""
NEW_EXTRADATA: Final = "new_extradata"
FARTHEST_BACK_NS: Final = 1_000_000_000
FARTHEST_ON_NS: Final = 60_000_000_000


class FragmentMuxer(FragmentOutput):
    """Fragments of the packets of a video stream, and of its sound where there is some. `template`: a stream with the
    header of the packets to come, such as `video` itself."""

    def __init__(self, video: VideoStream, template: VideoStream, sound: AudioStream | None) -> None:
        super().__init__()
        self._streams: dict[int, Stream] = {video.index: self._output.add_stream_from_template(template, opaque=False)}
        if sound is not None:
            self._streams[sound.index] = self._output.add_stream_from_template(sound, opaque=False)
        self._video = video.index
        self._newest: dict[int, int] = {}  # decode time of each stream's newest packet, in its ticks

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
        is_video = packet.stream_index == self._video
        return self._put(copy, arrived_ns, is_key=packet.is_keyframe if is_video else None)

    def _place(self, packet: "Packet[Any]", stream: int) -> None:
        """Give the packet the times that MP4 needs: each decoded after the one before, and shown no earlier."""
        newest = self._newest.get(stream)
        dts = packet.dts if packet.dts is not None else packet.pts
        if newest is not None:
            dts = newest + 1 if dts is None else max(dts, newest + 1)
        packet.dts = self._newest[stream] = dts or 0
        packet.pts = packet.dts if packet.pts is None else max(packet.pts, packet.dts)


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
