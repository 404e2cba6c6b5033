"""What a file is, by its content: a picture, an animated picture, a video, a picture that isn't read, or else.

Decodes nothing and looks at no name. It reads a few hundred bytes, and of animated pictures the headers of their parts.
"""

import os
import re
import stat
import struct
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, TypeAlias

HEAD = 1024
"""bytes at the beginning of a file that are enough to recognise it"""

Family: TypeAlias = Literal["picture", "animation", "video", "foreign", "other"]
"""animation: a picture file with several frames, which have times; foreign: a picture or page that isn't read here"""


class FileKind(NamedTuple):
    """What a file is. `name` is Pillow's name of a picture's format, or words for messages; "" for an unknown file."""

    family: Family
    name: str = ""

    @property
    def is_picture(self) -> bool:
        """Whether `images.read_image` reads it: of an animation the first frame."""
        return self.family in ("picture", "animation")


EMPTY = FileKind("other", "an empty file")
UNKNOWN = FileKind("other")
HEIF_SEQUENCE = FileKind("animation", "HEIF")

PICTURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    *((mark, "TIFF") for mark in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
)
RAW = "a camera's raw format"
FOREIGN = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"II\xbc\x01", "JPEG XR"),
    (b"8BPS", "Photoshop"),
    (b"%PDF-", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"gimp xcf", "GIMP"),
    (b"qoif", "QOI"),
    (b"BPG\xfb", "BPG"),
    (b"FLIF", "FLIF"),
    (b"DDS ", "DDS"),
    (b"icns", "an icon"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"AT&TFORM", "DjVu"),
    (b"\xd7\xcd\xc6\x9a", "WMF"),
    # cameras' raw formats that aren't TIFF
    *((mark, RAW) for mark in (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILMCCD-RAW", b"FOVb")),
    *((mark, RAW) for mark in (b"\0MRM", b"II\x1a\0\0\0HEAPCCDR")),
)
VIDEOS = (
    b"\x1a\x45\xdf\xa3",  # Matroska and WebM
    b"\x00\x00\x01\xba",  # MPEG-PS
    b"\x00\x00\x01\xb3",  # MPEG-1 and 2
    b"\x00\x00\x00\x01\x67",  # H.264 without a container
    b"\x00\x00\x00\x01\x27",
    b"\x00\x00\x00\x01\x40\x01",  # H.265
    b"FLV\x01",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF: WMV
    b"OggS",
    b"DKIF",  # IVF
    b"YUV4MPEG2",
    b".RMF",
    b"\x06\x0e\x2b\x34\x02\x05",  # MXF
)
OTHERS = (
    (b"\x00\x05\x16\x07", "macOS's notes on a file (a name that begins with ._)"),
    (b"\x00\x05\x16\x00", "macOS's notes on a file (a name that begins with ._)"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\x1f\x8b", "a compressed file"),
    (b"version https://git-lfs", "a placeholder of Git LFS"),
)
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"}
SEQUENCE_BRANDS = {b"hevc", b"hevx", b"hevm", b"hevs", b"msf1"}
QUICKTIME_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
RAW_COMPRESSIONS = {32767, 32769, 32770, 34713, 34892, 65000, 65535}  # Sony, packed, Samsung, Nikon, DNG, Kodak, Pentax
RAW_COLOURS = {32803, 34892}  # a colour filter array; linear raw
BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}
PNM = re.compile(rb"P[1-6]\s(?:\s|#[^\n]*\n)*[0-9]+(?:\s|#[^\n]*\n)+[0-9]+\s")


def kind_at(path: Path) -> FileKind:
    """What the file at `path` is; UNKNOWN for what is no file, such as a pipe, which isn't opened. Raises OSError."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        return UNKNOWN
    return _kind_of_version(os.fspath(path), status.st_size, status.st_ctime_ns)


@lru_cache(maxsize=1 << 14)
def _kind_of_version(path: str, size: int, changed_ns: int) -> FileKind:
    """A folder is looked through every few seconds: a file is opened again only if its size or change time is new."""
    with open(path, "rb") as file:
        return kind_in(file)


def kind_in(file: BinaryIO) -> FileKind:
    """What an open file is. Raises OSError."""
    head = file.read(HEAD)
    if not head:
        return EMPTY
    return _picture(file, head) or _boxed(head) or _other(head)


def is_cut_off(data: bytes) -> bool:
    """Whether the pictures of a HEIF or AVIF end beyond its end. libheif would fill what is missing with one colour."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size == 1 and at + 16 <= len(data):
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if kind not in (b"ftyp", b"meta", b"mdat", b"moov", b"free", b"skip"):  # other programs' data may follow
            return False
        if size < 8:  # 0: up to the end of the file
            return False
        at += size
    return at > len(data)


def _picture(file: BinaryIO, head: bytes) -> FileKind | None:
    name = next((name for mark, name in PICTURES if head.startswith(mark)), "")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        name = "WEBP"
    elif head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BMP_HEADERS:
        name = "BMP"
    elif PNM.match(head):
        name = "PPM"
    if name == "JPEG2000" and head[20:24] == b"mjp2":
        return FileKind("video")
    try:
        if name == "TIFF" and _is_raw(file, head):
            return FileKind("foreign", RAW)
        if name in ANIMATED and ANIMATED[name](file) > 1:
            return FileKind("animation", name)
    except (struct.error, IndexError):  # damaged after its first bytes: whoever decodes it says so
        pass
    return FileKind("picture", name) if name else None


def _boxed(head: bytes) -> FileKind | None:
    """Files of boxes (ISO/IEC 14496-12): HEIF and AVIF, whose brands tell still pictures from sequences, and MP4."""
    if head[4:8] in QUICKTIME_BOXES:  # QuickTime before it had a brand
        return FileKind("video")
    if head[4:8] != b"ftyp":
        return None
    size, major = int.from_bytes(head[:4], "big"), head[8:12]
    brands = {major, *(head[at : at + 4] for at in range(16, min(size, len(head)), 4))}
    if major == b"crx ":
        return FileKind("foreign", RAW)
    if major in (b"avif", b"avis") or (major in HEIF_BRANDS and b"avif" in brands):
        return FileKind("animation" if major == b"avis" else "picture", "AVIF")
    if major in HEIF_BRANDS:
        return FileKind("animation" if major in SEQUENCE_BRANDS else "picture", "HEIF")
    return FileKind("video")


def _other(head: bytes) -> FileKind:
    for mark, name in FOREIGN:
        if head.startswith(mark):
            return FileKind("foreign", name)
    if head[:4] == b"\0\0\1\0" and 0 < int.from_bytes(head[4:6], "little") < 256:
        return FileKind("foreign", "an icon")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if re.match(rb"<(!doctype html|html|head|body)", text, re.IGNORECASE):
        return FileKind("other", "a web page")
    if text[:1] == b"<" and re.search(rb"<svg[\s>]", head):
        return FileKind("foreign", "SVG")
    if head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b"CDXA"):
        return FileKind("video")
    if head.startswith(VIDEOS) or _is_mpeg_ts(head):
        return FileKind("video")
    return next((FileKind("other", name) for mark, name in OTHERS if head.startswith(mark)), UNKNOWN)


def _is_mpeg_ts(head: bytes) -> bool:
    """Whether packets of MPEG-TS follow each other, with or without a time of 4 bytes before each (AVCHD, Blu-ray)."""
    return head[: 3 * 188 : 188] == b"GGG" or head[4 : 4 + 3 * 192 : 192] == b"GGG"


def _is_raw(file: BinaryIO, head: bytes) -> bool:
    """Whether a TIFF is a camera's raw picture, of which other readers see only a small preview."""
    if head[8:10] == b"CR":
        return True
    order = "<" if head[:2] == b"II" else ">"
    if head[2:4] not in (b"*\0", b"\0*"):  # BigTIFF
        return False
    file.seek(struct.unpack(f"{order}I", head[4:8])[0])
    (count,) = struct.unpack(f"{order}H", file.read(2))
    tags: dict[int, int] = {}
    for _ in range(min(count, 512)):
        tag, kind, _, value = struct.unpack(f"{order}HHI4s", file.read(12))
        tags[tag] = struct.unpack(f"{order}H", value[:2])[0] if kind == 3 else struct.unpack(f"{order}I", value)[0]
    is_preview = bool(tags.get(0xFE, 0) & 1) and 0x14A in tags  # a reduced picture, with the others below it
    is_dng = 0xC612 in tags
    return is_dng or is_preview or tags.get(0x103) in RAW_COMPRESSIONS or tags.get(0x106) in RAW_COLOURS


def _png_frames(file: BinaryIO) -> int:
    file.seek(8)
    while len(header := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", header)
        if kind == b"acTL":
            return int.from_bytes(file.read(4), "big")
        if kind == b"IDAT":
            break
        file.seek(size + 4, os.SEEK_CUR)
    return 1


def _webp_frames(file: BinaryIO) -> int:
    """1 or 2: frames after the second aren't counted."""
    file.seek(12)
    frames = 0
    while frames < 2 and len(header := file.read(8)) == 8:
        kind, size = struct.unpack("<4sI", header)
        frames += kind == b"ANMF"
        file.seek(size + size % 2, os.SEEK_CUR)
    return max(1, frames)


def _gif_frames(file: BinaryIO) -> int:
    """1 or 2: frames after the second aren't counted."""
    file.seek(10)
    flags = file.read(3)[0]
    file.seek(_colours(flags), os.SEEK_CUR)
    frames = 0
    while frames < 2:
        mark = file.read(1)
        if mark == b",":
            frames += 1
            flags = file.read(9)[8]
            file.seek(_colours(flags) + 1, os.SEEK_CUR)
        elif mark == b"!":
            file.seek(1, os.SEEK_CUR)
        else:
            break
        while size := file.read(1)[0]:
            file.seek(size, os.SEEK_CUR)
    return max(1, frames)


def _colours(flags: int) -> int:
    """Bytes of a GIF's colour table."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


ANIMATED = {"PNG": _png_frames, "WEBP": _webp_frames, "GIF": _gif_frames}
"""How many frames a picture of a format has."""
