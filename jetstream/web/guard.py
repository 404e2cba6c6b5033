"""Refuses what comes from another site, and says in each answer's headers what the page may do. Knows no user.

A browser sends Origin and Sec-Fetch-Site, which no script can forge. A program sends neither, and has no cookie.
"""

from collections.abc import Mapping
from typing import Final

from jetstream.config.load import is_loopback

SAFE: Final = ("GET", "HEAD", "OPTIONS")
POLICY: Final = "Content-Security-Policy"
FORWARDED: Final = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
HEADERS: Final = {
    POLICY: (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(), geolocation=()",
}


def refusal(method: str, headers: Mapping[str, str], *, is_socket: bool = False) -> str:
    """Why a request comes from another site, as a sentence; empty: it doesn't, or can do no harm."""
    if method in SAFE and not is_socket:
        return ""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return "refused: another site asks for this; open the page itself"
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != headers.get("host", ""):
        return "refused: another site asks for this (Origin and Host differ); behind a proxy, have it pass Host on"
    return ""


def is_for_this_machine(headers: Mapping[str, str]) -> bool:
    """Whether the browser's address names this machine itself. A site that gives its own name this machine's address
    (DNS rebinding) has another one, and a proxy says for whom it asks."""
    if any(name in headers for name in FORWARDED):
        return False
    host = headers.get("host", "")
    name, colon, port = host.rpartition(":")
    return is_loopback(name if colon and port.isdecimal() else host)
