"""Waiting for what must happen: it ends as soon as that did, and its limit only tells a hang."""

import time
from collections.abc import Callable

PATIENCE_S = 120.0
"""for anything that takes seconds at most: other work may hold the machine's processors"""


def wait_until(is_so: Callable[[], object], timeout_s: float = PATIENCE_S, why: Callable[[], str] = str) -> float:
    """How long it took, in seconds. Raises AssertionError with `why()` after `timeout_s`."""
    begun_s = time.monotonic()
    while not is_so():
        assert time.monotonic() - begun_s < timeout_s, f"waited {timeout_s:.0f} s in vain: {why()}"
        time.sleep(0.02)
    return time.monotonic() - begun_s
