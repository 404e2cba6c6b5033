"""Text as it looks: without the marks that nobody sees, such as zero-width spaces, which make two names of one.

What scripts and emoji need stays: joiners between letters of such scripts, and the parts of a composed emoji.
"""

import re
import unicodedata
from typing import Any, Final

from jetstream.errors import UserError

ZWNJ, ZWJ, EMOJI_STYLE, KEYCAP = "\u200c", "\u200d", "\ufe0f", "\u20e3"
SEEN: Final = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
"""Format characters (category Cf) that are drawn."""
TURNING: Final = frozenset("\u202d\u202e\u2028\u2029")
"""Marks that change how the text around them looks: they stay inside of a text, and a name with one is refused."""
UNSEEN: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2028\u2029")
"""Other characters that aren't drawn."""
JOINING: Final = frozenset(
    (
        *("ARABIC", "SYRIAC", "MONGOLIAN", "NKO", "MANDAIC", "ADLAM", "PHAGS-PA", "DEVANAGARI", "BENGALI", "GURMUKHI"),
        *("GUJARATI", "ORIYA", "TAMIL", "TELUGU", "KANNADA", "MALAYALAM", "SINHALA", "MYANMAR", "KHMER", "TIBETAN"),
        *("BALINESE", "JAVANESE", "SUNDANESE", "CHAKMA", "GRANTHA", "TAKRI", "NEWA", "TIRHUTA", "MODI"),
    )
)
"""First words of the names of letters that joiners change."""


def visible(text: str) -> str:
    """`text` without invisible marks; blanks that don't break a line become plain ones."""
    if text.isascii():
        return text
    return "".join(_seen(text, at) for at in range(len(text)))


def trimmed(text: str) -> str:
    """`text` without invisible marks and unbreakable blanks at its ends; what is inside stays."""
    if text.isascii():
        return text
    first, last = 0, len(text)
    while first < last and _is_mark(text[first]):
        first += 1
    while last > first and _is_mark(text[last - 1]):
        last -= 1
    return text[first:last]


def visible_tree(tree: Any, key: str = "") -> Any:
    """A config's maps: keys and cameras' names without invisible marks, other texts without them at their ends."""
    if isinstance(tree, dict):
        return {visible(name).strip(): visible_tree(value, name) for name, value in tree.items()}
    if isinstance(tree, list):
        return [visible_tree(item, key) for item in tree]
    if not isinstance(tree, str):
        return tree
    return visible(tree).strip() if key in ("name", "camera") else trimmed(tree)


def between_quotes_kept(toml: str) -> str:
    """TOML without invisible marks, but for those in its texts."""
    parts = re.split(r"""("[^"\n]*"|'[^'\n]*')""", toml)
    return "".join(part if at % 2 else visible(part) for at, part in enumerate(parts))


def decoded(content: bytes, where: str) -> str:
    """A text file's content without its byte order mark. Raises UserError: it isn't UTF-8."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content[:200]:
        raise UserError(f"{where}: is UTF-16 or no text; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{where}: isn't UTF-8; save it as UTF-8") from None


def _seen(text: str, at: int) -> str:
    mark, before, after = text[at], text[at - 1 : at], text[at + 1 : at + 2]
    if mark.isascii() or not _is_mark(mark):
        return mark
    if mark in TURNING:
        return mark if before and after else ""
    if unicodedata.category(mark) == "Zs":
        return " "
    return mark if _is_needed(mark, before, after) else ""


def _is_mark(letter: str) -> bool:
    if letter.isascii() or letter == "\u3000":  # the blank of Chinese and Japanese is as wide as a letter
        return False
    kind = unicodedata.category(letter)
    return (kind == "Cf" and letter not in SEEN) or kind == "Zs" or letter in UNSEEN or _is_selector(letter)


def _is_selector(letter: str) -> bool:
    return "\ufe00" <= letter <= "\ufe0f" or "\u180b" <= letter <= "\u180f" or "\U000e0100" <= letter <= "\U000e01ef"


def _is_needed(mark: str, before: str, after: str) -> bool:
    if not before:
        return False
    if mark in (ZWJ, ZWNJ):
        return bool(after) and (_script(before) in JOINING or (mark == ZWJ and _is_emoji(before) and _is_emoji(after)))
    if mark == EMOJI_STYLE:
        return after in (ZWJ, KEYCAP)
    if "\U000e0020" <= mark <= "\U000e007f":  # of a flag
        return _is_emoji(before) or "\U000e0020" <= before <= "\U000e007f"
    if "\u180b" <= mark <= "\u180f":
        return _script(before) == "MONGOLIAN"
    return "\U000e0100" <= mark <= "\U000e01ef" and _script(before) == "CJK"


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]


def _is_emoji(letter: str) -> bool:
    return letter == EMOJI_STYLE or unicodedata.category(letter) in ("So", "Sk") or letter in "\u2640\u2642"
