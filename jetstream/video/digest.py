"""The Authorization header of a request: Basic (RFC 7617) or Digest (RFC 7616), as a server's challenge asks.

Opens nothing and logs nothing.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Sequence
from typing import NamedTuple

ALGORITHMS: dict[str, Callable[[bytes], "hashlib._Hash"]] = {
    "SHA-256": hashlib.sha256,
    "SHA-512-256": lambda data: hashlib.new("sha512_256", data),
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False),
}
"""best first"""


class Login(NamedTuple):
    user: str
    password: str


class Challenge(NamedTuple):
    scheme: str  # in small letters
    values: dict[str, str]

    @property
    def algorithm(self) -> str:
        return self.values.get("algorithm", "MD5").upper().removesuffix("-SESS")

    @property
    def rank(self) -> int:
        """The lower, the better; -1 if it can't be answered."""
        if self.scheme == "basic":
            return len(ALGORITHMS)
        return list(ALGORITHMS).index(self.algorithm) if self.algorithm in ALGORITHMS else -1


def challenge_of(headers: Sequence[str]) -> Challenge | None:
    """The best challenge of the WWW-Authenticate headers; None if there is none that can be answered."""
    found = []
    for part in re.split(r",?\s*(?=\b(?:Basic|Digest)\b\s)", ", ".join(headers) + " ", flags=re.IGNORECASE):
        scheme, _, rest = part.strip().partition(" ")
        if scheme.lower() in ("basic", "digest"):
            pairs = re.findall(r'([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]*))', rest)
            found.append(Challenge(scheme.lower(), {key.lower(): quoted or plain for key, quoted, plain in pairs}))
    usable = [challenge for challenge in found if challenge.rank >= 0]
    return min(usable, key=lambda challenge: challenge.rank) if usable else None


def authorization(challenge: Challenge, login: Login, target: str, count: int, nonce: str | None = None) -> str:
    """The header's value for a GET of `target`. `count`: the how manieth answer to this challenge; `nonce` the
    client's, random if None."""
    if challenge.scheme == "basic":
        return "Basic " + base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
    values, cnonce = challenge.values, nonce or secrets.token_hex(8)
    realm, server_nonce = values.get("realm", ""), values.get("nonce", "")

    def digest(text: str) -> str:
        return ALGORITHMS[challenge.algorithm](text.encode()).hexdigest()

    first = digest(f"{login.user}:{realm}:{login.password}")
    if values.get("algorithm", "").upper().endswith("-SESS"):
        first = digest(f"{first}:{server_nonce}:{cnonce}")
    second, counted = digest(f"GET:{target}"), f"{count:08x}"
    qop = "auth" if "auth" in re.split(r"[\s,]+", values.get("qop", "").lower()) else ""
    middle = f"{server_nonce}:{counted}:{cnonce}:auth" if qop else server_nonce
    fields = {"username": login.user, "realm": realm, "nonce": server_nonce, "uri": target}
    fields["response"] = digest(f"{first}:{middle}:{second}")
    text = ", ".join(f'{key}="{_escaped(value)}"' for key, value in fields.items())
    text += f", algorithm={values['algorithm']}" if "algorithm" in values else ""
    text += f', opaque="{values["opaque"]}"' if "opaque" in values else ""
    return f"Digest {text}" + (f', qop=auth, nc={counted}, cnonce="{cnonce}"' if qop else "")


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
