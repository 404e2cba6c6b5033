"""Counts as one flat map, and the histograms in it."""

from collections import Counter

from jetstream.runtime.counters import BOUNDS_S, Counts, counted, drops_by_reason, histogram


def test_counts_are_found_by_their_first_word() -> None:
    counts = Counts()
    counts.add("faces", "door", by=2)
    counts.add("faces", "door")
    counts.add("faces", "yard", by=0)
    counts.set_total(5, "drops", "full", "tracked.render")

    assert list(counted(counts.as_dict(), "faces")) == [(("door",), 3)]
    assert list(counted(counts.as_dict(), "drops")) == [(("full", "tracked.render"), 5)]


def test_drops_are_summed_by_reason() -> None:
    counts = {"drops late captured.detect": 3, "drops late tracked.render": 4, "drops full wanted": 1, "faces late": 9}

    assert drops_by_reason(counts) == {"late": 7, "full": 1}


def test_histogram_counts_values_up_to_and_with_each_bound() -> None:
    counts = Counts()
    for value_s in (0.0, 0.002, 0.0021, 10.0, 10.1, -1e-9):
        counts.observe("latency", value_s)

    found = histogram(counts.as_dict(), "latency")

    assert len(found.at_most) == len(BOUNDS_S) + 1
    assert found.at_most[:2] == (3, 4)
    assert found.at_most[-2:] == (5, 6)
    assert abs(found.sum_s - 20.1041) < 1e-6


def test_two_lives_add_up() -> None:
    first, second = Counts(), Counts()
    first.observe("work", 0.001)
    second.observe("work", 3.0)

    both = Counter(first.as_dict()) + Counter(second.as_dict())

    assert histogram(both, "work").at_most[-1] == 2
    assert histogram(both, "work").at_most[0] == 1
