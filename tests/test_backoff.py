"""Waits between attempts: they grow, vary, and have a limit."""

import random

from jetstream.backoff import Backoff


def test_backoff_doubles_up_to_the_longest() -> None:
    backoff = Backoff(jitter=0)
    assert [backoff.next_s() for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    backoff.reset()
    assert backoff.next_s() == 0.5


def test_backoff_varies_within_its_jitter() -> None:
    waits = [Backoff(first_s=10, jitter=0.2, rng=random.Random(seed)).next_s() for seed in range(50)]
    assert 8 <= min(waits) < 9
    assert 11 < max(waits) <= 12


def test_backoff_repeats_with_the_same_dice() -> None:
    one, other = (Backoff(rng=random.Random(3)) for _ in range(2))
    assert [one.next_s() for _ in range(5)] == [other.next_s() for _ in range(5)]
