"""Small files that are large or slow to decode."""

import io
import struct
import zlib

from PIL import Image

from tests.support.picture_files import SIZE, encoded

SIDE = 30_000


def png_bomb() -> bytes:
    """110 kB of 900 megapixels, 2.7 GB decoded."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, 1, 0, 0, 0, 0)  # one bit a pixel
    rows = zlib.compress(bytes((SIDE // 8 + 1) * SIDE), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def heic_bomb() -> bytes:
    """A HEIC that says it has 900 megapixels."""
    plain = encoded("HEIF")
    (width, height) = SIZE
    size = struct.pack(">II", width, height)
    assert size in plain
    return plain.replace(size, struct.pack(">II", SIDE, SIDE))


def slow_jpeg(scans: int = 100_000) -> bytes:
    """A progressive JPEG of 36 megapixels whose last scan comes again and again: some bytes for 0.1 s each."""
    buffer = io.BytesIO()
    Image.new("L", (6000, 6000), 90).save(buffer, "JPEG", progressive=True, quality=50)
    whole = buffer.getvalue()
    at = whole.rindex(b"\xff\xda")
    return whole[:at] + whole[at:-2] * scans + whole[-2:]
