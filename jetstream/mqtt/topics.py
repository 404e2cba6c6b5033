"""The names of topics. A person's part of a topic, the slug, is of the name alone, so that it stays over restarts."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

_PLAIN: Final = re.compile(r"[a-z0-9]+(?: [a-z0-9]+)*")
_LIKE_A_DIGEST: Final = re.compile(r"(?:.*_)?[0-9a-f]{8}")


class Topics(NamedTuple):
    """The topics below a prefix."""

    prefix: str

    @property
    def status(self) -> str:
        return f"{self.prefix}/status"

    @property
    def ready(self) -> str:
        return f"{self.prefix}/ready"

    @property
    def strangers(self) -> str:
        return f"{self.prefix}/strangers"

    @property
    def sighting(self) -> str:
        return f"{self.prefix}/sighting"

    def person(self, slug: str) -> str:
        return f"{self.prefix}/person/{slug}"

    def area(self, slug: str) -> str:
        return f"{self.prefix}/person/{slug}/area"

    def camera(self, name: str, what: str) -> str:
        return f"{self.prefix}/camera/{name}/{what}"

    @property
    def node(self) -> str:
        """The prefix as one word of letters, digits, _ and -."""
        return self.prefix.replace("/", "_")


def slugs(names: Iterable[str]) -> Mapping[str, str]:
    """Each name in small letters with `_` between its words, such as `ada_lovelace`. Names with other characters than
    letters from a to z and digits, and names that differ in capitals only, have a part of their SHA-256 at the end."""
    known = sorted(set(names))
    alike = Counter(name.lower() for name in known)
    return {name: _slug(name, is_alone=alike[name.lower()] == 1) for name in known}


def possible_slugs(name: str) -> frozenset[str]:
    """What a name's slug may have been, whoever else was known."""
    return frozenset(_slug(name, is_alone=is_alone) for is_alone in (True, False))


def _slug(name: str, *, is_alone: bool) -> str:
    small = name.lower()
    bare = unicodedata.normalize("NFKD", small).encode("ascii", "ignore").decode()
    word = re.sub(r"[^a-z0-9]+", "_", bare).strip("_")
    if is_alone and _PLAIN.fullmatch(small) and not _LIKE_A_DIGEST.fullmatch(word):
        return word
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{word}_{digest}" if word else digest
