"""Reader cells: how far each reader has got, in shared memory that the writer reads.

Knows no frames, no pixels and no process: sixteen cache lines of 64-bit words, one line for each reader.

A line holds: registered (0 or 1), done (frames numbered below it are done), and the reader's name in 48 bytes.
Only the reader writes to its line. The caller must prevent two readers from claiming a line at once.
"""

import threading

LINE_WORDS = 8
CELLS = 16
CELL_WORDS = CELLS * LINE_WORDS

_REGISTERED = 0
_DONE = 1
_NAME = slice(2 * 8, LINE_WORDS * 8)  # bytes of the line
_NAME_BYTES = _NAME.stop - _NAME.start


class Fence:
    """A full memory barrier built from a lock: acquire, release, acquire, release.

    x86 reorders nothing across the locked instruction in each. On aarch64 an acquire alone lets earlier accesses move
    below it, and a release alone lets later ones move above it; but nothing moves across the first release and the
    second acquire together (Arm Architecture Reference Manual, barrier-ordered-before: a Release comes before a later
    Acquire). Any number of threads may share one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __call__(self) -> None:
        acquire, release = self._lock.acquire, self._lock.release
        acquire()
        release()
        acquire()
        release()


class Cell:
    """One reader's cell. A reader that died and registers again under its name gets the same cell."""

    def __init__(self, line: memoryview, fence: Fence) -> None:
        self._line = line
        self._fence = fence

    @property
    def done_below(self) -> int:
        """Frames numbered below this are done."""
        return self._line[_DONE]

    def done(self, frame_id: int) -> None:
        """Mark `frame_id` and all frames before it as done. A lower number than before has no effect."""
        if frame_id >= self._line[_DONE]:
            self._fence()  # reads of the frame in place must come before the writer can see this
            self._line[_DONE] = frame_id + 1

    def release(self) -> None:
        """Unregister: the writer no longer waits for this reader. The cell can't be used afterwards."""
        self._line[_REGISTERED] = 0
        self._line.release()


class Cells:
    """All cells of a ring, in `words`: CELL_WORDS words of 64 bits that start as zeros."""

    def __init__(self, words: memoryview, fence: Fence) -> None:
        self._words = words
        self._fence = fence

    def register(self, reader: str, cursor: int) -> Cell:
        """The reader's earlier cell if it has one, else a free cell in which all frames below `cursor` are done.

        Raises ValueError when the name is empty or longer than 48 bytes, or no cell is free.
        """
        name = reader.encode()
        if not 0 < len(name) <= _NAME_BYTES:
            raise ValueError(f"{reader!r}: a reader's name has 1 to {_NAME_BYTES} bytes")
        names = [self._name(index) for index in range(CELLS)]
        if name in names:
            return Cell(self._line(names.index(name)), self._fence)
        if b"" not in names:
            taken = ", ".join(name.decode() for name in names)
            raise ValueError(f"{reader}: all {CELLS} reader cells are taken, by {taken}")
        line = self._line(names.index(b""))
        line.cast("B")[_NAME] = name.ljust(_NAME_BYTES, b"\0")
        line[_DONE] = cursor
        self._fence()
        line[_REGISTERED] = 1
        return Cell(line, self._fence)

    def slowest(self) -> int | None:
        """The frame number below which every registered reader is done; None without readers."""
        words = self._words
        lines = range(0, CELL_WORDS, LINE_WORDS)
        return min((words[line + _DONE] for line in lines if words[line + _REGISTERED]), default=None)

    def close(self) -> None:
        """Release the memory; cells handed out stay valid."""
        self._words.release()

    def _line(self, index: int) -> memoryview:
        return self._words[index * LINE_WORDS : (index + 1) * LINE_WORDS]

    def _name(self, index: int) -> bytes:
        """The registered reader's name; empty for a free cell."""
        line = self._line(index)
        return bytes(line.cast("B")[_NAME]).rstrip(b"\0") if line[_REGISTERED] else b""
