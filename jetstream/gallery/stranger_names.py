"""Names of folders that are meant for strangers' faces, though only one name is read as that.

Knows no folder.
"""

import difflib
import functools
import re
import unicodedata
from typing import Final

_WORDS: Final = frozenset(
    {"unknown", "stranger", "unidentified", "unrecognized", "unrecognised", "unnamed", "nameless", "noname", "notknown"}
    | {"anonymous"}
)
_KINDS: Final = ("person", "persons", "people", "face", "faces", "photo", "photos", "guy", "guys", "visitor")
_LIKE_UNKNOWN: Final = 0.85
"""least similarity of a misspelt `unknown`: one letter missing, doubled or swapped; `known` has 0.83"""


@functools.lru_cache(maxsize=1 << 14)  # a running pipeline asks every two seconds, for each person
def means_strangers(name: str) -> bool:
    """Whether a folder's name is a word for people without a name, alone or with a number: `Unknown`, `_unknowns`,
    `strangers 2`, `unknown_person`, also misspelt. False for names that only contain one, such as `Simon Stranger`."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    words = re.findall(r"[^\W\d_]+", folded)
    if not words:
        return False
    while len(words) > 1 and words[-1] in _KINDS:
        words.pop()
    joined = "".join(words)
    return any(word in _WORDS or _is_unknown(word) for word in (joined, joined.removesuffix("s")))


def _is_unknown(word: str) -> bool:
    return 6 <= len(word) <= 8 and difflib.SequenceMatcher(None, word, "unknown").ratio() >= _LIKE_UNKNOWN
