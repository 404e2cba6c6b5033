"""Text as its readers see it: letters with their marks (grapheme clusters), and runs in the order they are drawn.

After Unicode's UAX 29 (clusters) and UAX 9 (direction), as far as names need them. Knows no font and no picture.
"""

import unicodedata
from collections.abc import Iterator, Sequence

JOINER, NON_JOINER = "\u200d", "\u200c"
TEXT_STYLE, EMOJI_STYLE = "\ufe0e", "\ufe0f"
KEPT_FORMATS = frozenset((JOINER, NON_JOINER))
RIGHT_TO_LEFT = frozenset(("R", "AL"))
DIGITS = frozenset(("EN", "AN"))


def one_line(text: str) -> str:
    """`text` composed (NFC), with spaces for line ends and other controls, and without marks of direction."""
    kept = []
    for letter in unicodedata.normalize("NFC", text):
        category = unicodedata.category(letter)
        if category in ("Cc", "Zl", "Zp", "Cs"):
            kept.append(" ")
        elif category != "Cf" or letter in KEPT_FORMATS or is_tag(letter):
            kept.append(letter)
    return " ".join("".join(kept).split())


def clusters(text: str) -> list[str]:
    """The grapheme clusters of `text`."""
    found: list[str] = []
    for letter in text:
        if found and belongs(found[-1], letter):
            found[-1] += letter
        else:
            found.append(letter)
    return found


def belongs(cluster: str, letter: str) -> bool:
    """Whether `letter` continues the cluster before it."""
    last = cluster[-1]
    if unicodedata.category(letter) in ("Mn", "Mc", "Me") or letter in KEPT_FORMATS or is_tag(letter):
        return True
    if is_skin_tone(letter) or letter in "\u0e33\u0eb3":  # Thai and Lao AM, whose first half is a mark
        return True
    if last == JOINER and is_pictograph(letter):
        return True
    if is_flag_half(letter):
        return is_flag_half(last) and len(cluster) % 2 == 1
    if is_virama(last) or (last == JOINER and len(cluster) > 1 and is_virama(cluster[-2])):
        return unicodedata.category(letter) == "Lo"
    return continues_hangul(last, letter)


def is_virama(letter: str) -> bool:
    """A mark that joins the consonant after it to the one before, in the scripts of India and its neighbours."""
    return unicodedata.combining(letter) == 9 and letter not in "\u0e3a\u0eba"


def is_tag(letter: str) -> bool:
    return "\U000e0020" <= letter <= "\U000e007f"


def is_skin_tone(letter: str) -> bool:
    return "\U0001f3fb" <= letter <= "\U0001f3ff"


def is_flag_half(letter: str) -> bool:
    return "\U0001f1e6" <= letter <= "\U0001f1ff"


def is_pictograph(letter: str) -> bool:
    return letter >= "\U0001f000" or "\u2190" <= letter <= "\u2bff"


def is_emoji(cluster: str) -> bool:
    """Whether a cluster is drawn in colour: by itself, or because it says so."""
    if TEXT_STYLE in cluster:
        return False
    return EMOJI_STYLE in cluster or "\U0001f000" <= cluster[0] <= "\U0001faff"


def continues_hangul(before: str, letter: str) -> bool:
    """Letters of Korean syllables that aren't composed."""
    if "\u1100" <= before <= "\u115f":
        return "\u1100" <= letter <= "\u11a7" or "\uac00" <= letter <= "\ud7a3"
    return ("\u1160" <= before <= "\u11ff" or "\uac00" <= before <= "\ud7a3") and "\u1160" <= letter <= "\u11ff"


def levels(parts: Sequence[str]) -> list[int]:
    """The embedding level of each cluster: odd ones are read from right to left. The first letter decides the base."""
    kinds = [unicodedata.bidirectional(part[0]) for part in parts]
    base = next(("R" if kind in RIGHT_TO_LEFT else "L" for kind in kinds if kind in (*RIGHT_TO_LEFT, "L")), "L")
    sides: list[str | None] = []  # "L", "R", "N" for digits among right-to-left letters, None for spaces and signs
    last = base
    for kind in kinds:
        if kind == "L" or kind in RIGHT_TO_LEFT:
            last = "L" if kind == "L" else "R"
            sides.append(last)
        else:
            sides.append(("L" if last == "L" else "N") if kind in DIGITS else None)
    of_side = {"L": 0, "R": 1, "N": 2} if base == "L" else {"L": 2, "R": 1, "N": 2}
    return [of_side[side or _between(sides, at, base)] for at, side in enumerate(sides)]


def _between(sides: Sequence[str | None], at: int, base: str) -> str:
    """The side of a space or sign: that of both neighbours if they agree, else the base. Digits count as right."""
    before = next((side for side in reversed(sides[:at]) if side), base).replace("N", "R")
    after = next((side for side in sides[at:] if side), base).replace("N", "R")
    return before if before == after else base


def in_order(runs: Sequence[int]) -> Iterator[int]:
    """Indices of runs from left to right, by their levels (UAX 9, L2)."""
    order = list(range(len(runs)))
    for level in range(max(runs, default=0), 0, -1):
        at = 0
        while at < len(order):
            end = at
            while end < len(order) and runs[order[end]] >= level:
                end += 1
            order[at:end] = reversed(order[at:end])
            at = end + 1
    return iter(order)
