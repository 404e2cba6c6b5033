"""The passwords and tokens that this process has read, to be hidden in whatever it prints: as they are and encoded.

Knows no address. One set a process, since one log line may be about any camera.
"""

import base64
import json
import re
import urllib.parse
from collections.abc import Iterator

SHORTEST = 2
"""characters of a secret; shorter ones can't be told from other text"""
ANYWHERE = 4
"""characters from which a secret is hidden inside of words, too"""


class KnownSecrets:
    """A set that only grows."""

    def __init__(self) -> None:
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, secret: str, user: str = "") -> None:
        """Hide `secret` from now on. With `user`, also as a web server is told it."""
        if len(secret) < SHORTEST or not secret.strip("*"):
            return
        forms = {form for form in _forms_of(secret, user) if len(form) >= SHORTEST}
        if not forms <= self._forms:
            self._forms |= forms
            self._pattern = None

    def hidden(self, text: str, instead: str) -> str:
        """`text` with `instead` for each secret."""
        if not self._forms:
            return text
        if self._pattern is None:
            longest_first = sorted(self._forms, key=lambda form: (-len(form), form))
            self._pattern = re.compile("|".join(map(_found_by, longest_first)))
        return self._pattern.sub(lambda found: instead, text)


KNOWN = KnownSecrets()
"""those of this process"""


def _forms_of(secret: str, user: str) -> Iterator[str]:
    for text in {secret, urllib.parse.unquote(secret), urllib.parse.unquote_plus(secret)}:
        yield text
        yield repr(text)[1:-1]
        yield json.dumps(text)[1:-1]
        for quoted in (urllib.parse.quote(text, safe=safe) for safe in ("", "/", "/:@!$&'()*+,;=")):
            yield quoted
            yield re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), quoted)
        yield urllib.parse.quote_plus(text)
        if user:
            yield base64.b64encode(f"{user}:{text}".encode()).decode()


def _found_by(form: str) -> str:
    pattern = re.escape(form)
    return pattern if len(form) >= ANYWHERE else rf"(?<![A-Za-z0-9]){pattern}(?![A-Za-z0-9])"
