"""How often somebody may try to log in, and how many may wait for one thing.

Knows no clock: times are arguments, of time.monotonic().
"""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from jetstream.errors import BusyError

FREE: Final = 5
"""failures in a row before the next attempt has to wait"""
FIRST_WAIT_S: Final = 2.0
LONGEST_WAIT_S: Final = 900.0
"""the wait doubles with each failure, up to this"""
FORGOTTEN_S: Final = 3600.0
MOST: Final = 10_000
"""names and addresses that are remembered; of more, the one that failed longest ago is forgotten"""


class FailedLogins:
    """Failures by name and by address. Shared by threads."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, name: str, address: str, now_s: float) -> float:
        """How long to wait before the next attempt of this name, or from this address, is looked at."""
        with self._lock:
            return max(self._wait_s(key, now_s) for key in (f"name {name}", f"address {address}"))

    def failed(self, name: str, address: str, now_s: float) -> None:
        with self._lock:
            for key in (f"name {name}", f"address {address}"):
                count, since_s = self._failed.pop(key, (0, now_s))
                self._failed[key] = (1 if now_s - since_s > FORGOTTEN_S else count + 1, now_s)
                while len(self._failed) > MOST:
                    self._failed.popitem(last=False)

    def succeeded(self, name: str, address: str) -> None:
        with self._lock:
            for key in (f"name {name}", f"address {address}"):
                self._failed.pop(key, None)

    def _wait_s(self, key: str, now_s: float) -> float:
        count, since_s = self._failed.get(key, (0, now_s))
        if count < FREE:
            return 0.0
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(count - FREE, 20))
        return max(0.0, since_s + wait_s - now_s)


class Turns:
    """A lock. Few wait for it, so that threads are left for everything else."""

    def __init__(self, most: int, busy: str) -> None:
        """`most` wait or have it; `busy` is told the others."""
        self._places, self._lock, self._busy = threading.BoundedSemaphore(most), threading.Lock(), busy

    @contextlib.contextmanager
    def one(self, wait_s: float) -> Iterator[None]:
        """Raises BusyError: too many wait, or it takes too long."""
        if not self._places.acquire(blocking=False):
            raise BusyError(self._busy)
        try:
            if not self._lock.acquire(timeout=wait_s):
                raise BusyError(self._busy)
            try:
                yield
            finally:
                self._lock.release()
        finally:
            self._places.release()
