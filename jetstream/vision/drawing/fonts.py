"""Which font on this machine has a letter. Reads fonts' tables from disk when a letter first asks for one.

Starts no program: fontconfig's folders are searched, not fontconfig. Draws nothing.
"""

import importlib.util
import os
import struct
import unicodedata
from bisect import bisect_right
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from jetstream.vision.drawing.graphemes import is_emoji, is_tag

SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
MOST_FONTS = 5000
PENALTIES = (
    *(("italic", 16), ("oblique", 16), ("serif", 4), ("mono", 6), ("thin", 4), ("light", 2), ("black", 4), ("bold", 2)),
    *(("condensed", 4), ("narrow", 4), ("display", 2), ("looped", 2), ("kufi", 4), ("nastaliq", 8), ("rashi", 8)),
    *(("semi", 1), ("extra", 2), ("symbol", 8), ("math", 8), ("ui", 1), ("medium", -1)),
)
"""of words in a file's name; a plain sans serif of regular weight has none"""
NO_GLYPH_NEEDED = frozenset("\u200c\u200d\ufe0e\ufe0f")
PACKAGES = {"emoji": "fonts-noto-color-emoji", "cjk": "fonts-noto-cjk"}
"""of Debian and Ubuntu; every other script is in OTHER_PACKAGE"""
OTHER_PACKAGE = "fonts-noto-core"
CMAP_FORMATS = {4: 1, 12: 2}
"""formats that are read, the better one higher"""


class Coverage(NamedTuple):
    """Ranges of code points, in order, that a font has."""

    starts: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()

    def has(self, letter: str) -> bool:
        at = bisect_right(self.starts, ord(letter)) - 1
        return at >= 0 and ord(letter) <= self.ends[at]


def script_of(cluster: str) -> str:
    """A word for the script of a cluster, as fonts have it in their names: "thai", "devanagari", "emoji"."""
    if is_emoji(cluster):
        return "emoji"
    first = unicodedata.name(cluster[0], "unknown").split()[0].split("-")[0].lower()
    return "cjk" if first in ("cjk", "hangul", "hiragana", "katakana", "bopomofo") else first


def package_of(script: str) -> str:
    return PACKAGES.get(script, OTHER_PACKAGE)


@lru_cache(maxsize=4096)
def font_of(cluster: str) -> Path | None:
    """The font that has every letter of a cluster, the plainest first; None if no font has."""
    letters = [letter for letter in cluster if letter not in NO_GLYPH_NEEDED and not is_tag(letter)]
    script = script_of(cluster)
    for path in _ranked(script):
        ranges = coverage(path)
        if all(ranges.has(letter) for letter in letters):
            return path
    return None


@cache
def _ranked(script: str) -> tuple[Path, ...]:
    """All fonts, those named after the script first."""

    def rank(path: Path) -> tuple[bool, bool, int, str]:
        name = path.stem.lower()
        penalty = sum(cost for word, cost in PENALTIES if word in name.replace("sans", "")) + ("noto" not in name)
        return ("emoji" in name) != (script == "emoji"), script not in name, penalty, str(path)

    return tuple(sorted(files(), key=rank))


@cache
def files() -> tuple[Path, ...]:
    """The fonts in this machine's folders, and those of matplotlib, which always has DejaVu."""
    found = {
        path
        for folder in folders()
        for root, _, names in os.walk(folder)
        for name in names
        if (path := Path(root, name)).suffix.lower() in SUFFIXES
    }
    return tuple(sorted(found)[:MOST_FONTS])


def folders() -> list[Path]:
    home = Path(os.environ.get("HOME") or "/nonexistent")
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share")
    shared = (os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":")
    found = [data / "fonts", home / ".fonts", *(Path(folder, "fonts") for folder in shared if folder)]
    spec = importlib.util.find_spec("matplotlib")
    found += [Path(root, "mpl-data/fonts/ttf") for root in (spec.submodule_search_locations or ())] if spec else []
    return found


@lru_cache(maxsize=1024)
def coverage(path: Path) -> Coverage:
    """What a font, or the first one of a collection, has. Nothing if the file is damaged or unreadable."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
            start = struct.unpack_from(">I", head, 12)[0] if head[:4] == b"ttcf" else 0
            file.seek(start + 4)
            count = struct.unpack(">H", file.read(2))[0]
            file.seek(start + 12)
            for tag, _, offset, length in struct.iter_unpack(">4s3I", file.read(16 * count)):
                if tag == b"cmap":
                    file.seek(offset)
                    return _cmap(file.read(length))
    except (OSError, struct.error, IndexError, ValueError):
        pass
    return Coverage()


def _cmap(table: bytes) -> Coverage:
    """The best subtable of OpenType's `cmap` that is read here."""
    best, at = 0, 0
    for index in range(struct.unpack_from(">H", table, 2)[0]):
        platform, _, offset = struct.unpack_from(">2HI", table, 4 + 8 * index)
        worth = CMAP_FORMATS.get(struct.unpack_from(">H", table, offset)[0], 0) if platform in (0, 3) else 0
        if worth > best:
            best, at = worth, offset
    if best == CMAP_FORMATS[12]:
        count = struct.unpack_from(">I", table, at + 12)[0]
        groups = list(struct.iter_unpack(">3I", table[at + 16 : at + 16 + 12 * count]))
        return Coverage(tuple(group[0] for group in groups), tuple(group[1] for group in groups))
    if best == CMAP_FORMATS[4]:
        doubled = struct.unpack_from(">H", table, at + 6)[0]
        half = f">{doubled // 2}H"
        ends = struct.unpack_from(half, table, at + 14)
        return Coverage(struct.unpack_from(half, table, at + 16 + doubled), ends)
    return Coverage()
