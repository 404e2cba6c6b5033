"""Exponential back-off with jitter between attempts. Knows no clock and no source."""

import random


class Backoff:
    """Exponential back-off with jitter between attempts to open what was lost.

    The first wait is `first_s`; each further one is `growth` times the one before, up to `longest_s`.
    """

    def __init__(
        self,
        first_s: float = 0.5,
        growth: float = 2.0,
        longest_s: float = 30.0,
        jitter: float = 0.2,
        rng: random.Random | None = None,
    ) -> None:
        self._first_s, self._growth, self._longest_s, self._jitter = first_s, growth, longest_s, jitter
        self._rng = rng or random.Random()
        self._wait_s = first_s

    def next_s(self) -> float:
        """Seconds to wait before the next attempt, varied at random by up to the share `jitter`."""
        wait_s = self._wait_s
        self._wait_s = min(wait_s * self._growth, self._longest_s)
        return min(wait_s, self._longest_s) * self._rng.uniform(1 - self._jitter, 1 + self._jitter)

    def reset(self) -> None:
        """After a success: the next failure waits `first_s` again."""
        self._wait_s = self._first_s
