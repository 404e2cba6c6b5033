"""Packets of one camera in shared memory: one writer, many readers, no locks, and never a torn packet.

Knows no codec and no stage; never blocks. Packets are numbered 0, 1, 2, ...; what is known of packet n stands in line
n % entries of the index. The bytes have absolute positions that only grow: position p is at byte p % data_bytes. A
packet never wraps physically: where the rest of the memory is too short, the writer leaves it out. Three 64-bit
counters are in the header: `begun`, one more than the last packet the writer has begun; `reserved`, the position after
the last byte it may have written; and `cursor`, one more than the last packet it has finished.

Before each key frame the writer writes a description packet, which says how the packets after it are decoded. So each
group of pictures is complete in itself. The word `described` has one more than the number of the newest description.

To write packet n = cursor of `size` bytes, the writer
 1. takes the position p = reserved, or the next multiple of data_bytes where the packet would wrap;
 2. sets begun to n + 1 and reserved to p + size: from here on, packet n - entries is gone, and every packet that begins
    below p + size - data_bytes;
 3. fence;
 4. writes the index line (n, p, size, flags, pts, dts, when it arrived) and the bytes;
 5. fence;
 6. sets cursor to n + 1: from here on, packet n is there;
 7. of a description: sets described to n + 1.
To read packet n, a reader
 8. returns None unless n < cursor;
 9. fence;
10. reads the index line, and goes on only if it is valid as 13 says;
11. copies the bytes;
12. fence;
13. uses the copy only if begun <= n + entries and reserved <= p + data_bytes. Otherwise the writer has overwritten the
    packet: the reader was lapped, and starts again at the newest description.

Why no torn packet is used: a reader that saw one byte of a step 4 sees, after the fence in 12, the counters of the step
2 before it, so a check in 13 fails. Counters only grow, also over a writer that was killed: the next one begins at the
killed one's `reserved`, whose bytes may have been overwritten, and writes the same number again, which nobody has read.
A lock on a byte of the file ensures one writer. What a counter and a fence are: see `ipc.ring`.

One line more is the decoder's, which it alone writes: `taken`, one more than the last packet that it has decoded, and
`pictured`, one more than the last packet after which a picture came. So the writer can tell a camera that sends what
becomes no picture. Nothing else depends on them.
"""

import mmap
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from jetstream.errors import RingError
from jetstream.ipc.cells import LINE_WORDS, Fence
from jetstream.ipc.segment import SHARED_MEMORY, Segment

MAGIC = int.from_bytes(b"jetpacks", "little")
VERSION = 1
BYTES_AN_ENTRY = 2048
"""the index has an entry for so many bytes of data: cameras send larger packets on average at 25 frames a second from
0.4 Mbit/s on"""
FEWEST_ENTRIES = 64
SMALLEST_BYTES = 1 << 12

# Offsets in 64-bit words. The first line never changes, the second is the writer's, the third the decoder's.
BEGUN, RESERVED, CURSOR, DESCRIBED, LATEST = range(LINE_WORDS, LINE_WORDS + 5)
TAKEN, PICTURED = range(2 * LINE_WORDS, 2 * LINE_WORDS + 2)
INDEX = 3 * LINE_WORDS

KEY, DESCRIPTION, END = 1, 2, 4
"""flags: a key frame; a description, no frame; no frame either: the stream ends or begins anew, and the decoder gives
what it holds"""
NO_TIME = -(1 << 63)
"""a pts or dts that the stream doesn't state"""


class GopPacket(NamedTuple):
    """A private copy of one packet."""

    number: int
    flags: int  # KEY, DESCRIPTION, END
    pts_ns: int  # on the camera's time, which goes on over loops of a file; NO_TIME: not stated
    dts_ns: int
    arrived_ns: int  # CLOCK_MONOTONIC
    data: bytes


class PacketLayout(NamedTuple):
    """The sizes of one packet ring."""

    data_bytes: int

    @property
    def entries(self) -> int:
        return max(FEWEST_ENTRIES, self.data_bytes // BYTES_AN_ENTRY)

    @property
    def header_bytes(self) -> int:
        return -(-(INDEX + self.entries * LINE_WORDS) * 8 // mmap.PAGESIZE) * mmap.PAGESIZE

    @property
    def total_bytes(self) -> int:
        return self.header_bytes + self.data_bytes

    @property
    def constants(self) -> tuple[int, ...]:
        """The header's first line."""
        return (MAGIC, VERSION, self.data_bytes, self.entries, self.total_bytes, 0, 0, 0)


class PacketRing:
    """One camera's packets: `create` in the supervisor, `attach` everywhere else.

    A context manager that closes and, in the creator, unlinks.
    """

    def __init__(self, segment: Segment, layout: PacketLayout, *, created: bool) -> None:
        self.layout = layout
        self._segment, self._created = segment, created
        self._fence = Fence()
        self._words = segment.memory[: layout.header_bytes].cast("Q")
        self._times = segment.memory[: layout.header_bytes].cast("q")
        self._data = segment.memory[layout.header_bytes : layout.total_bytes]

    @classmethod
    def create(cls, name: str, *, data_bytes: int, directory: Path = SHARED_MEMORY) -> "PacketRing":
        """Reserve the memory of a new ring. Take `name` from `packets_name`.

        Raises RingError when it doesn't fit into `directory` or exists already, ValueError below SMALLEST_BYTES.
        """
        if data_bytes < SMALLEST_BYTES:
            raise ValueError(f"a packet ring of {data_bytes} bytes: needs {SMALLEST_BYTES} at least")
        layout = PacketLayout(data_bytes)
        contents = f"a packet ring of {data_bytes / 1e6:.0f} MB (pipeline.packets_mb)"
        segment = Segment.create(name, layout.total_bytes, contents=contents, directory=directory)
        ring = cls(segment, layout, created=True)
        ring._times[LATEST] = NO_TIME
        for word, value in reversed(list(enumerate(layout.constants))):  # the magic number last: it marks a valid ring
            ring._words[word] = value
        return ring

    @classmethod
    def attach(cls, name: str, *, directory: Path = SHARED_MEMORY) -> "PacketRing":
        """Open a ring that exists. Raises RingError when there is none, or the file is no ring of this version."""
        segment = Segment.attach(name, directory=directory)
        try:
            return cls(segment, checked_layout(segment.path, segment.memory), created=False)
        except RingError:
            segment.close()
            raise

    @property
    def cursor(self) -> int:
        """The number of the newest packet and one more."""
        return self._words[CURSOR]

    @property
    def newest_description(self) -> int | None:
        """The number of the newest description: where a reader starts, and where one that was lapped starts again."""
        described = self._words[DESCRIBED]
        return described - 1 if described else None

    @property
    def newest_ns(self) -> int:
        """The largest pts or dts written so far; NO_TIME: none. For a writer that goes on where one died."""
        return self._times[LATEST]

    @property
    def unpictured(self) -> tuple[int, int]:
        """What the decoder says: one more than the number of the last packet it has taken, and of the last one after
        which a picture came."""
        return self._words[TAKEN], self._words[PICTURED]

    def tell(self, taken: int, *, pictured: bool) -> None:
        """For the decoder: packet `taken` was decoded, and whether a picture came."""
        self._words[TAKEN] = taken + 1
        if pictured:
            self._words[PICTURED] = taken + 1

    @property
    def largest_bytes(self) -> int:
        """How large a packet may be: half of the ring."""
        return self.layout.data_bytes // 2

    def bytes_since(self, number: int) -> int:
        """Bytes written after packet `number` began, of those that are still there; all of them where it is gone. For
        the writer alone."""
        if number < 0 or self._words[CURSOR] - number > self.layout.entries:
            return self.layout.data_bytes
        return self._words[RESERVED] - self._words[self._line(number) + 1]

    def write(
        self,
        data: "bytes | memoryview",
        *,
        flags: int = 0,
        pts_ns: int = NO_TIME,
        dts_ns: int = NO_TIME,
        arrived_ns: int = 0,
    ) -> int:
        """Append a packet without waiting; return its number. The parameters are as of `GopPacket`.

        Raises ValueError for more than `largest_bytes`, RingError when another process is the writer.
        """
        size, limit = len(data), self.layout.data_bytes
        if size > self.largest_bytes:
            raise ValueError(f"a packet of {size} bytes: the ring takes at most {self.largest_bytes}")
        self._segment.become_writer("packet ring")
        words, times = self._words, self._times
        number, position = words[CURSOR], words[RESERVED]
        if position % limit + size > limit:
            position += limit - position % limit
        line, start = self._line(number), position % limit
        words[BEGUN] = number + 1
        words[RESERVED] = position + size
        self._fence()
        words[line], words[line + 1], words[line + 2], words[line + 3] = number, position, size, flags
        times[line + 4], times[line + 5], times[line + 6] = pts_ns, dts_ns, arrived_ns
        self._data[start : start + size] = data
        times[LATEST] = max(times[LATEST], pts_ns, dts_ns)
        self._fence()
        words[CURSOR] = number + 1
        if flags & DESCRIPTION:
            words[DESCRIBED] = number + 1
        return number

    def read(self, number: int) -> GopPacket | None:
        """A copy of the packet; None when it was overwritten, or isn't written yet.

        Raises RingError when the index is damaged.
        """
        words, times, line = self._words, self._times, self._line(number)
        if not 0 <= number < words[CURSOR]:
            return None
        self._fence()
        found, position, size, flags = words[line], words[line + 1], words[line + 2], words[line + 3]
        pts_ns, dts_ns, arrived_ns = times[line + 4], times[line + 5], times[line + 6]
        if not self._holds(number, position):
            return None
        start = position % self.layout.data_bytes
        if found != number or start + size > self.layout.data_bytes:  # not a torn read: `_holds` was true after it
            raise RingError(f"{self._segment.path}: damaged packet ring; start the run again")
        data = bytes(self._data[start : start + size])
        return GopPacket(number, flags, pts_ns, dts_ns, arrived_ns, data) if self._holds(number, position) else None

    def close(self) -> None:
        """Release the memory."""
        for view in (self._words, self._times, self._data):
            view.release()
        self._segment.close()

    def __enter__(self) -> "PacketRing":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if self._created:
            self._segment.unlink()

    def _holds(self, number: int, position: int) -> bool:
        """Steps 12 and 13."""
        self._fence()
        words = self._words
        return words[BEGUN] <= number + self.layout.entries and words[RESERVED] <= position + self.layout.data_bytes

    def _line(self, number: int) -> int:
        return INDEX + number % self.layout.entries * LINE_WORDS


def packets_name(ring: str) -> str:
    """The name of the segment of a camera's packets. `ring`: that of its frames."""
    return f"{ring}.packets"


def checked_layout(path: Path, memory: memoryview) -> PacketLayout:
    """The layout in the header of `memory`, which this releases. Raises RingError unless it is a complete ring of this
    version."""
    with memory:
        words = tuple(memory[: LINE_WORDS * 8].cast("Q")) if len(memory) >= LINE_WORDS * 8 else (0,) * LINE_WORDS
        found_bytes = len(memory)
    layout = PacketLayout(words[2])
    if words[:2] != (MAGIC, VERSION) or words != layout.constants or found_bytes != layout.total_bytes:
        raise RingError(f"{path}: not a packet ring of this version of jetstream; stop the run and start it again")
    return layout
