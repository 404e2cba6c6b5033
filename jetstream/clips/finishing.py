"""Gives a clip its exact beginning and end, without encoding anything: a plain MP4 takes the place of the fragments.

The pictures from the last key frame to the beginning are in it and not shown (an edit list says so). Knows no sighting.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import av

if TYPE_CHECKING:
    from av.packet import Packet

OPTIONS: Final = {"use_editlist": "1", "avoid_negative_ts": "disabled"}
PACKETS_A_STEP: Final = 100


def finish(video: Path, start_s: float, end_s: float | None, target: Path | None = None) -> Iterator[None]:
    """Replace the clip by what is in it from `start_s` to `end_s`, in seconds of its own time; a step at a time.

    end_s   None: to its end
    target  where the new file goes instead; the clip stays

    Raises OSError and av.FFmpegError: the clip stays as it is.
    """
    partial = (target or video).with_name(f".{(target or video).name}")
    try:
        yield from _copy(video, partial, start_s, end_s)
        os.replace(partial, target or video)
    finally:
        partial.unlink(missing_ok=True)


def _copy(video: Path, partial: Path, start_s: float, end_s: float | None) -> Iterator[None]:
    with ExitStack() as stack:
        source = stack.enter_context(av.open(f"file:{video}"))
        file = stack.enter_context(
            open(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w+b")
        )
        output = stack.enter_context(av.open(file, "w", format="mp4", options=OPTIONS))
        streams = {stream.index: output.add_stream_from_template(stream, opaque=False) for stream in source.streams}
        cuts = {index: _EndCut(end_s) for index in streams}
        for count, packet in enumerate(source.demux()):
            if packet.size and cuts[packet.stream_index].keeps(packet):
                _move(packet, start_s)
                packet.stream = streams[packet.stream_index]
                output.mux(packet)
            if count % PACKETS_A_STEP == 0:
                yield
        output.close()
        file.flush()
        os.fsync(file.fileno())


class _EndCut:
    """Which packets of a stream come before its end: those decoded until then, and the ones that are shown between
    them."""

    def __init__(self, end_s: float | None) -> None:
        self._end_s, self._newest, self._is_over = end_s, -1, False

    def keeps(self, packet: "Packet[Any]") -> bool:
        if self._end_s is None or packet.pts is None or packet.dts is None or packet.time_base is None:
            return True
        if float(packet.dts * packet.time_base) > self._end_s:
            self._is_over = self._is_over or packet.pts > self._newest
            return not self._is_over
        self._newest = max(self._newest, packet.pts)
        return True


def _move(packet: "Packet[Any]", start_s: float) -> None:
    assert packet.time_base is not None
    by = round(Fraction(start_s) / packet.time_base)
    packet.pts = None if packet.pts is None else packet.pts - by
    packet.dts = None if packet.dts is None else packet.dts - by
