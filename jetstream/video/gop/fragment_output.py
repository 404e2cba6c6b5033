"""Packets to fragments of MP4 in memory: the header once, then a piece for each second or key frame, whichever comes
first.

Knows no file, no clock, and not where the packets are from.
"""

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import av

from jetstream.video.gop.feed import ns_of
from jetstream.video.gop.mp4_boxes import boxes

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet

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


class FragmentOutput:
    """Base of what makes the fragments of one connection. `init`: the header, once there is a fragment.

    The first packet must be a key frame. Times within count from the first packet, on the stream's own time.
    """

    def __init__(self) -> None:
        self._sink = _Sink()
        self._output: OutputContainer = av.open(self._sink, "w", format="mp4", options=OPTIONS)
        self.init = b""
        self._zero_ns: int | None = None  # decode time of the first packet
        self._end_ns = 0
        self._open: MuxedFragment | None = None  # what is known of the one that is being filled
        self._has_video = False  # whether that has a picture

    def end(self) -> MuxedFragment | None:
        """The last fragment. Nothing can be added afterwards. Raises av.FFmpegError."""
        self._output.close()
        return self._taken()

    def _put(self, packet: "Packet[Any]", arrived_ns: int, *, is_key: bool | None) -> MuxedFragment | None:
        """Add a packet of one of the output's streams; the fragment before it, once it is whole. `is_key` is None for
        sound. Raises av.FFmpegError."""
        begin_ns, duration_ns = ns_of(packet, packet.dts), max(ns_of(packet, packet.duration), 0)
        self._output.mux(packet)
        whole = self._taken()
        self._see(begin_ns, duration_ns, arrived_ns, is_key=is_key)
        return whole

    def _see(self, time_ns: int, duration_ns: int, arrived_ns: int, *, is_key: bool | None) -> None:
        """Note what the open fragment has from now on."""
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
