"""Frames of video files, network streams and V4L2 cameras, by FFmpeg. Damaged frames are skipped, counted and reported.

A live source's times are those of arrival: cameras state wrong ones, and FFmpeg invents some. It doesn't reconnect: a
live source that fails, or whose data becomes no picture, raises SourceError, and `capture` opens it again.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol, TypeAlias, cast

import av
from av.packet import Packet
from av.video.stream import VideoStream

from jetstream.errors import SourceError
from jetstream.picture_format import PicturePlace
from jetstream.video import nvdec
from jetstream.video.camera import wait_for_frame
from jetstream.video.ffmpeg import OpenVideo
from jetstream.video.frames import USUAL_FPS, LazyFrame, Source, SourceSettings
from jetstream.video.pixels import FrameConverter, PixelAspect
from jetstream.video.troubles import network_trouble, no_picture, reason_of, silence

Opener: TypeAlias = Callable[[], OpenVideo]
"""opens the container of one pass"""

MOST_FAILED_READS = 64
"""largest number of failed reads in a row; after more, the rest of a file is left out"""


class PacketTap(Protocol):
    """Sees a source's packets while it reads them, and keeps what it wants. Raises nothing."""

    with_sound: bool
    """whether it wants the packets of a file's sound, too; a live source's come anyway"""

    def see(self, opened: OpenVideo, packet: "Packet[Any]", arrived_ns: int) -> None:
        """One packet, which is not changed, of what was opened; when it was read (CLOCK_MONOTONIC)."""


class StreamSource(Source):
    """`opener` opens the container for each pass and raises SourceError if it can't; `shown` names it in messages.
    `tap`: who sees the packets, too."""

    def __init__(
        self,
        opener: Opener,
        shown: str,
        settings: SourceSettings,
        *,
        live: bool,
        decode_threads: int,
        fps_limit: float,
        loop: bool,
    ) -> None:
        super().__init__(fps_limit=fps_limit, loop=loop and not live)
        self._opener, self._shown, self.live = opener, shown, live
        self._read_timeout_s, self._decode_threads = settings.read_timeout_s, decode_threads
        self._convert = FrameConverter(settings)
        self.tap: PacketTap | None = None
        self._opened: OpenVideo | None = opener()
        stream = self._opened.stream
        self.fps = float(stream.average_rate or 0) or None
        self.frames_expected = None if live else expected_frames(self._opened)
        self._size = (stream.codec_context.width, stream.codec_context.height)
        self._start_pass()

    def describe(self) -> str:
        parts = ["{}x{}".format(*self._size)]
        parts += [f"{self.fps:.4g} fps"] if self.fps else []
        parts += [f"{self.frames_expected} frames"] if self.frames_expected else []
        return f"{self._shown} ({', '.join(parts)})"

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
        self._opened = None

    def _start_pass(self) -> None:
        self._good = self._damaged = self._packets = 0
        self._cut = False
        self._start_s: float | None = None
        self._end_s = 0.0
        self._arrived_s = self._wanted_s = time.monotonic()  # of the last packet; since when a picture is waited for

    def packets(self) -> "Iterator[tuple[OpenVideo, Packet[VideoStream]]]":
        """The whole packets of one pass, for who decodes them elsewhere, with what they are of. Raises as iterating the
        source does, but for data that becomes no picture, which only the decoder knows."""
        opened = self._open_pass()
        try:
            for packet in self._whole_packets(opened):
                if packet is not None and packet.size:
                    self._good += 1
                    self._wanted_s = time.monotonic()
                    yield opened, packet
        except SourceError:
            if self._good == 0:
                opened.blame()
            raise
        self._cut |= opened.cut_off
        self._pass_ended(self._good)
        self.close()

    def without_picture(self, opened: OpenVideo) -> SourceError:
        """The error of a live source whose packets have become no picture for its time limit to read."""
        opened.blame()
        return SourceError(f"{self._shown}: {no_picture(self._read_timeout_s)}")

    @property
    def shown(self) -> str:
        """The source in messages, without a password."""
        return self._shown

    def _open_pass(self) -> OpenVideo:
        self._opened = self._opened or self._opener()
        self._start_pass()
        return self._opened

    def _shots(self) -> Iterator[LazyFrame]:
        opened = self._open_pass()
        stream = opened.stream
        aspect, self._convert.crop = PixelAspect(stream), opened.crop
        # With frame threads, damaged files decode differently from run to run. Slices don't delay frames.
        stream.thread_type = "AUTO" if self._decode_threads > 1 and not self.live else "SLICE"
        stream.codec_context.thread_count = self._decode_threads
        if not self.live and stream.start_time is not None and stream.time_base is not None:
            self._start_s = float(stream.start_time * stream.time_base)
        try:
            for packet in self._whole_packets(opened):
                for frame in self._decoded(stream, packet):
                    if frame.is_corrupt:
                        self._count_damage()
                        continue
                    self._good += 1
                    self._convert.see(frame, aspect)
                    yield LazyFrame(
                        self._seconds(frame, stream),
                        partial(self._picture, self._convert.conversion_of(frame, nv12=self.may_give_nv12)),
                    )
                    self._wanted_s = time.monotonic()
        except SourceError:
            if self._good == 0:
                opened.blame()
            raise
        self._cut |= opened.cut_off or (not self.live and ends_early(opened, self._packets, self._end_s))
        self.opens()  # a GPU's driver may take as long to close as to open
        self.close()

    def _whole_packets(self, opened: OpenVideo) -> "Iterator[Packet[VideoStream] | None]":
        """Packets in order, then one that flushes the decoder.

        A damaged last packet is left out: followed by the flush it would make the decoder drop undamaged frames.
        """
        held: Packet[VideoStream] | None = None
        for packet in self._read(opened):
            last = packet is None or packet.size == 0
            if held is not None and not last:
                yield held
            elif held is not None:
                self._cut = True
                self._count_damage()
            held = packet if packet is not None and packet.is_corrupt else None
            if held is None:
                yield packet

    def _read(self, opened: OpenVideo) -> "Iterator[Packet[VideoStream] | None]":
        # Sound that goes on without a picture must not escape the time limit, so packets of all streams are seen.
        streams = () if self.live or (self.tap is not None and self.tap.with_sound) else (opened.stream,)
        packets = opened.container.demux(*streams)
        failed = 0
        while True:
            self._wait(opened)
            asked_s = time.monotonic()
            try:
                packet = next(packets)
            except StopIteration:
                opened.refuse_failure()
                return
            except av.FFmpegError as error:
                opened.refuse_failure()
                failed += 1
                again = isinstance(error, av.error.InvalidDataError) and failed <= MOST_FAILED_READS
                if self.live and (self._late(asked_s) or not again):
                    raise SourceError(self._lost(error, late=self._late(asked_s))) from None
                if not again:
                    self._cut = True
                    yield None
                    return
                packets = opened.container.demux(*streams)  # the generator ended when it raised
                self._refuse_no_picture(opened)
                continue
            failed = 0
            late = self.live and self._late(asked_s)
            self._arrived_s = time.monotonic()
            self.heard()
            if self.tap is not None and packet.size:
                self.tap.see(opened, packet, round(self._arrived_s * 1e9))
            if packet.stream_index == opened.stream.index:
                self._packets += packet.size > 0
                yield cast("Packet[VideoStream]", packet)
            # After a time-out FFmpeg first returns what its parser holds, and would then wait as long again.
            if late and packet.size:
                raise SourceError(f"{self._shown}: {silence(self._read_timeout_s)}")
            self._refuse_no_picture(opened)

    def _refuse_no_picture(self, opened: OpenVideo) -> None:
        """Raises SourceError if a live source has sent for too long what becomes no picture."""
        if self.live and time.monotonic() - self._wanted_s > self._read_timeout_s:
            opened.refuse_failure()
            raise SourceError(f"{self._shown}: {no_picture(self._read_timeout_s)}")

    def _wait(self, opened: OpenVideo) -> None:
        if opened.descriptor is not None and not wait_for_frame(opened.descriptor, self._read_timeout_s):
            raise SourceError(f"{self._shown}: no picture for {self._read_timeout_s:g} s; plug the camera in again")

    def _late(self, asked_s: float) -> bool:
        return time.monotonic() - asked_s >= self._read_timeout_s

    def _lost(self, error: av.FFmpegError, *, late: bool) -> str:
        if self._opened is not None and self._opened.descriptor is not None:
            return f"{self._shown}: the camera is gone ({reason_of(error)}); plug it in again"
        return f"{self._shown}: {network_trouble(error, self._read_timeout_s, late=late)}"

    def _decoded(self, stream: VideoStream, packet: "Packet[VideoStream] | None") -> list[av.VideoFrame]:
        try:
            return stream.codec_context.decode(packet)
        except av.error.EOFError:  # flushed twice
            return []
        except av.FFmpegError:
            self._count_damage()
            return []

    def _picture(self, conversion: Callable[[], PicturePlace]) -> PicturePlace | None:
        try:
            return conversion()
        except av.FFmpegError:
            self._count_damage()
            return None

    def _count_damage(self) -> None:
        self._damaged += 1
        self.skipped += 1
        context = self._opened.stream.codec_context if self._opened else None
        # NVDEC refuses each frame that it can't decode, so a stream would never give a frame
        if context is not None and context.is_hwaccel and self._good == 0 and self._damaged > MOST_FAILED_READS:
            raise SourceError(nvdec.unable(self._shown, f"this {context.name}"))

    def _seconds(self, frame: av.VideoFrame, stream: VideoStream) -> float | None:
        if self.live:
            self._start_s = self._arrived_s if self._start_s is None else self._start_s
            return self._arrived_s - self._start_s
        if frame.pts is None:
            return None
        assert stream.time_base is not None
        time_s = float(frame.pts * stream.time_base)
        self._start_s = time_s if self._start_s is None else self._start_s
        self._end_s = max(self._end_s, time_s - self._start_s + 1 / (self.fps or USUAL_FPS))
        return time_s - self._start_s

    def _pass_ended(self, yielded: int) -> None:
        if self.live:
            return
        if yielded == 0:
            raise SourceError(f"{self._shown}: none of its frames can be decoded; convert it to H.264 or name another")
        told = []
        if self._cut:
            of = f" of {self.frames_expected}" if self._good < (self.frames_expected or 0) else ""
            told.append(f"damaged after frame {self._good}{of}; the frames before it were processed")
        if self._damaged > self._cut:
            told.append(
                "1 damaged frame was left out"
                if self._damaged == 1
                else f"{self._damaged} damaged frames were left out"
            )
        if told:
            self.warning = f"{self._shown}: {'; '.join(told)}"


def expected_frames(opened: OpenVideo) -> int | None:
    """Number of frames that a file states, or that follows from its duration; None if it states neither."""
    stream, duration_s = opened.stream, stated_duration_s(opened)
    if stream.frames:
        return stream.frames
    return round(duration_s * stream.average_rate) if duration_s and stream.average_rate else None


def stated_duration_s(opened: OpenVideo) -> float | None:
    """Duration of the video in s by the file's header; None if it states none, or only one for video and sound."""
    container, stream = opened.container, opened.stream
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    tag = stream.metadata.get("DURATION", "")  # Matroska: 00:00:16.725000000
    if tag.count(":") == 2:
        hours, minutes, seconds = tag.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    if container.duration is not None and len(container.streams) == 1:
        return float(container.duration / av.time_base)
    return None


def ends_early(opened: OpenVideo, packets: int, end_s: float) -> bool:
    """Whether a file whose last frame ended at `end_s` is shorter than its header states."""
    duration_s = stated_duration_s(opened)
    if duration_s is None:
        return False
    # AVI may state a rate of 1000 although it has fewer frames.
    frame_s = max(1 / float(opened.stream.average_rate or USUAL_FPS), end_s / max(1, packets))
    # Headers are approximate. Where frames are missing by the stated count, too, a frame or two are enough.
    tolerance_s = 1.5 * frame_s if packets < opened.stream.frames else max(0.5, 2 * frame_s)
    return duration_s - end_s > tolerance_s
