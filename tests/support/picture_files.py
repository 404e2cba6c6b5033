"""Picture and video files of every kind, made on the spot."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from PIL import Image

SIZE = (96, 64)  # width, height
FRAMES = 4
ORIENTATION = 0x0112


def picture(seed: int = 0) -> Image.Image:
    """Coloured squares that no encoder makes into another seed's; the top left one is red."""
    squares = np.random.default_rng(seed).integers(0, 255, (8, 12, 3), np.uint8)
    squares[:3, :3] = (255, 0, 0)
    return Image.fromarray(squares.repeat(8, axis=0).repeat(8, axis=1))


def encoded(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
    """A picture in a format of Pillow's, or of pillow-heif."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    buffer = io.BytesIO()
    (image or picture()).save(buffer, kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def animated(kind: str, frames: int = FRAMES, **options: object) -> bytes:
    """An animated picture: each frame for 100 ms, or as long as `duration` says."""
    first, *others = (picture(seed) for seed in range(frames))
    return encoded(kind, first, **{"save_all": True, "append_images": others, "duration": 100, **options})


def video(container: str, codec: str = "libx264", frames: int = FRAMES, title: str = "") -> bytes:
    """A video in a container of FFmpeg's."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        output.metadata["title"] = title
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height = 176, 144
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for seed in range(frames):
            frame = av.VideoFrame.from_image(picture(seed).resize((176, 144)))
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def heif_sequence() -> bytes:
    """An HEIC image sequence: a film of HEVC with other brands and another handler."""
    film = video("mp4", "libx265")
    (size,) = struct.unpack(">I", film[:4])
    brands = b"ftypmsf1" + film[12:16] + b"hevc" * ((size - 16) // 4)
    return film[:4] + brands + film[size:].replace(b"vide", b"pict", 1)


def tiff_of(tags: dict[int, int], mark: bytes = b"II*\0") -> bytes:
    """The beginning of a TIFF with these tags, all of which are numbers."""
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return mark + struct.pack("<IH", 8, len(tags)) + entries + bytes(40)


def huge_png(width: int, height: int) -> bytes:
    """A PNG whose header promises so many pixels, without any."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    framed = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


Content = Callable[[], bytes]

STILL: dict[str, Content] = {
    "JPEG": lambda: encoded("JPEG"),
    "PNG": lambda: encoded("PNG"),
    "WEBP": lambda: encoded("WEBP"),
    "GIF": lambda: encoded("GIF"),
    "BMP": lambda: encoded("BMP"),
    "TIFF": lambda: encoded("TIFF"),
    "JPEG2000": lambda: encoded("JPEG2000"),
    "PPM": lambda: encoded("PPM"),
    "AVIF": lambda: encoded("AVIF"),
    "HEIF": lambda: encoded("HEIF"),
}
"""By the name of their kind."""
MOVING: dict[str, Content] = {
    "WEBP": lambda: animated("WEBP"),
    "GIF": lambda: animated("GIF"),
    "PNG": lambda: animated("PNG"),
    "AVIF": lambda: animated("AVIF"),
}
NOT_READ: dict[str, bytes] = {
    "photo.jxl": b"\xff\x0a\xfa\x1f" + bytes(60),
    "photo (in boxes).jxl": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(60),
    "drawing.svg": b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "layers.psd": b"8BPS\0\1" + bytes(60),
    "page.pdf": b"%PDF-1.7\n" + bytes(60),
    "page.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n" + bytes(60),
    "canon.cr2": tiff_of({0x100: 6000}, b"II*\0")[:8] + b"CR\2\0" + bytes(60),
    "canon.cr3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(60),
    "nikon.nef": tiff_of({0xFE: 1, 0x14A: 100, 0x103: 1}),
    "sony.arw": tiff_of({0x103: 32767}),
    "phone.dng": tiff_of({0xFE: 0, 0xC612: 0x0401}),
    "fuji.raf": b"FUJIFILMCCD-RAW 0201" + bytes(60),
    "olympus.orf": b"IIRO\x08\0\0\0" + bytes(60),
    "panasonic.rw2": b"IIU\0\x08\0\0\0" + bytes(60),
    "icon.ico": b"\0\0\1\0\1\0" + bytes(60),
    "screen.qoi": b"qoif" + bytes(60),
}
"""Pictures and pages of formats that aren't read, by a usual name."""


def put(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
