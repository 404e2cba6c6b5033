"""Names of folders that are meant for strangers' faces, though only one name is read as that.

Knows no folder.
"""

import re
import unicodedata
from typing import Final

_WORDS: Final = frozenset(
    {"unknown", "stranger", "unidentified", "unrecognized", "unrecognised", "unnamed", "nameless", "noname", "notknown"}
    | {"anonymous"}
)
_KINDS: Final = ("person", "persons", "people", "face", "faces", "photo", "photos", "guy", "guys", "visitor")
_MISSPELT: Final = frozenset({"unkown", "unknow", "uknown", "unknwon", "unknonw", "unkonwn", "unnknown", "unknnown"})


def means_strangers(name: str) -> bool:
    """Whether a folder's name is a word for people without a name, alone or with a number: `Unknown`, `_unknowns`,
    `strangers 2`, `unknown_person`, `unkown`. False for names that only contain one, such as `Simon Stranger`."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    words = re.findall(r"[^\W\d_]+", folded)
    if not words:
        return False
    while len(words) > 1 and words[-1] in _KINDS:
        words.pop()
    joined = "".join(words)
    return any(word in _WORDS or word in _MISSPELT for word in (joined, joined.removesuffix("s")))
