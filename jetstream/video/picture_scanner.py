"""Whole pictures in a flow of bytes: JPEG, PNG, WebP and BMP, by their own structure.

So an MJPEG stream is read whatever its boundary, part headers and line ends are, or where they are missing. Decodes
nothing.
"""

import re
from typing import Final

STARTS: Final = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|RIFF....WEBP|BM....\x00\x00\x00\x00", re.DOTALL)
LONGEST_START: Final = 12
MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""a marker within the data of a JPEG: no stuffed byte, no restart and no fill byte"""
LARGEST_BYTES: Final = 1 << 26
"""of one picture; far more than a camera sends"""
BARE: Final = b"\x01\xd8" + bytes(range(0xD0, 0xD8))
"""markers without a length"""


def codec_of(picture: bytes) -> str:
    """FFmpeg's name of the codec."""
    return {b"\xff\xd8": "mjpeg", b"\x89P": "png", b"RI": "webp"}.get(picture[:2], "bmp")


class PictureScanner:
    """Takes bytes as they arrive. A JPEG is given as soon as its last byte is there, or when the next one begins."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._at = 0  # from where on the picture at the beginning is not read yet; 0: none has begun
        self._in_data = False  # of a JPEG: between two markers

    def feed(self, piece: bytes) -> list[bytes]:
        """The pictures that `piece` completes, in order."""
        self._bytes += piece
        found = []
        while (size := self._next_size()) is not None:
            if size:
                found.append(bytes(self._bytes[:size]))
            del self._bytes[: size or 1]
            self._at, self._in_data = 0, False
        return found

    def _next_size(self) -> int | None:
        """Size of the picture at the beginning, 0 if it is none after all; None until more bytes arrive."""
        if self._at == 0:
            start = STARTS.search(self._bytes)
            if start is None:
                del self._bytes[: max(0, len(self._bytes) - LONGEST_START + 1)]
                return None
            del self._bytes[: start.start()]
            self._at = 2
        if len(self._bytes) > LARGEST_BYTES:
            return 0
        codec = codec_of(bytes(self._bytes[:2]))
        return self._jpeg() if codec == "mjpeg" else self._png() if codec == "png" else self._sized(codec)

    def _jpeg(self) -> int | None:
        """Walks the segments, so that a thumbnail inside is no picture (ITU-T T.81, annex B)."""
        data = self._bytes
        while True:
            if self._in_data:
                found = MARKER.search(data, self._at)
                if found is None:
                    self._at = max(2, len(data) - 1)
                    return None
                self._at, self._in_data = found.start(), False
            if len(data) < self._at + 4:
                return self._at + 2 if data[self._at :] == b"\xff\xd9" else None
            marker = data[self._at + 1]
            if data[self._at] != 0xFF:
                return 0
            if marker == 0xFF:  # a fill byte
                self._at += 1
            elif marker == 0xD9:
                return self._at + 2
            elif marker == 0xD8:  # the next picture: this one has no end marker
                return self._at
            elif marker in BARE:
                self._at += 2
            else:
                self._at += 2 + int.from_bytes(data[self._at + 2 : self._at + 4], "big")
                self._in_data = marker == 0xDA

    def _png(self) -> int | None:
        self._at = max(self._at, 8)
        while len(self._bytes) >= self._at + 8:
            last = self._bytes[self._at + 4 : self._at + 8] == b"IEND"
            end = self._at + 12 + int.from_bytes(self._bytes[self._at : self._at + 4], "big")
            if last and len(self._bytes) >= end:
                return end
            if last:
                return None
            self._at = end
            if end > LARGEST_BYTES:
                return 0
        return None

    def _sized(self, codec: str) -> int | None:
        at, more = (4, 8) if codec == "webp" else (2, 0)
        size = int.from_bytes(self._bytes[at : at + 4], "little") + more
        if size > LARGEST_BYTES or size < LONGEST_START:
            return 0
        return size if len(self._bytes) >= size else None
