"""Texts of the config in which secrets of the environment, and what an alert tells, are inserted. Once: what is
inserted is never looked into."""

import os
import re
import urllib.parse
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from jetstream.errors import UserError
from jetstream.known_secrets import KNOWN

_PART: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\{([a-z]+)\}")
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


def filled(text: str, environment: Mapping[str, str] = os.environ, values: Mapping[str, str] = NOTHING) -> str:
    """`text` with each `${NAME}` replaced by the environment variable, and each `{name}` by its value, if it has one.

    The variables are secrets from then on. Raises UserError: one isn't set.
    """

    def value(found: re.Match[str]) -> str:
        if found[1] is None:
            return values.get(found[2], found[0])
        if not environment.get(found[1]):
            raise UserError(f"${{{found[1]}}} isn't set in the environment; set it where jetstream is started")
        KNOWN.add(environment[found[1]])
        return environment[found[1]]

    return _PART.sub(value, text)


def filled_address(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """The same of an address, in which the variables are percent-encoded but for what paths may hold."""

    def value(found: re.Match[str]) -> str:
        return urllib.parse.quote(filled(found[0], environment), safe="/:@!$&'()*+,;=-._~") if found[1] else found[0]

    return _PART.sub(value, text)
