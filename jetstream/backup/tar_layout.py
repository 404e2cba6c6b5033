"""The bytes of a tar archive of regular files, as `tar` reads it: headers, padding, end. Opens nothing.

A header is a function of name, size, mode and time alone. So a reader compares headers instead of believing them, and
what isn't a regular file can't be in an archive that it accepts.
"""

from typing import Final

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
_NAME_BYTES: Final = 100
_LARGEST_OCTAL: Final = 8**11 - 1
"""largest size in octal digits; a larger one is written in binary, as GNU tar does"""
_SIZE: Final = slice(124, 136)
_SUM: Final = slice(148, 156)


def header(name: str, size: int, *, mode: int = 0o600, changed_s: int = 0) -> bytes:
    """The blocks before a file's content. Their number depends on the name alone."""
    encoded = name.encode()
    if len(encoded) <= _NAME_BYTES:
        return _block(encoded, size, mode, changed_s, b"0")
    text = encoded + b"\0"
    return (
        _block(b"././@LongLink", len(text), 0o644, 0, b"L")
        + text
        + padding(len(text))
        + _block(encoded[:_NAME_BYTES], size, mode, changed_s, b"0")
    )


def padding(size: int) -> bytes:
    """The zeros behind a content of `size` bytes."""
    return bytes(-size % BLOCK)


def size_in(block: bytes) -> int | None:
    """The size that a header of `header` with a short name states; None for bytes that aren't one."""
    try:
        size = int(block[_SIZE].rstrip(b"\0"), 8)
    except ValueError:
        return None
    return size if size >= 0 else None


def _block(name: bytes, size: int, mode: int, changed_s: int, kind: bytes) -> bytes:
    changed_s = min(max(changed_s, 0), _LARGEST_OCTAL)
    fields = (
        name.ljust(_NAME_BYTES, b"\0"),
        b"%07o\0" % mode,
        b"%07o\0%07o\0" % (0, 0),  # user and group
        b"%011o\0" % size if size <= _LARGEST_OCTAL else b"\x80" + size.to_bytes(11, "big"),
        b"%011o\0" % changed_s,
        b" " * 8,  # in place of the checksum while it is computed
        kind.ljust(_NAME_BYTES + 1, b"\0"),
        b"ustar  \0",
    )
    block = bytearray(b"".join(fields).ljust(BLOCK, b"\0"))
    block[_SUM] = b"%06o\0 " % sum(block)
    return bytes(block)
