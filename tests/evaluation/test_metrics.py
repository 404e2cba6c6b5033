"""Every figure against a computation of the test's own."""

import msgspec
import numpy as np
import pytest

from jetstream.evaluation import metrics
from jetstream.vision.recognition.classifier import Answer
from tests.support.evaluation import asked, some_asked


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),  # R: binom::binom.wilson
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (1, 1000, 0.000177, 0.00564)],
)
def test_interval_is_wilsons(count: int, of: int, low: float, high: float) -> None:
    share = metrics.share(count, of)

    assert (share.low, share.high) == pytest.approx((low, high), abs=1e-4)


def test_ends_of_an_interval_are_round_in_json() -> None:
    assert b'"low":0.0,' in msgspec.json.encode(metrics.share(0, 12))
    for of in range(1, 200):
        assert metrics.share(of, of).high == 1.0


def test_share_of_nobody_is_none() -> None:
    assert metrics.share(0, 0).share is None


def test_score_is_not_negative_exactly_where_a_name_is_given() -> None:
    for confidence in (0.0, 1e-9, 0.499999, 0.5, 0.7, 1.0 - 1e-12, 1.0):
        answer = Answer("Ada" if confidence >= 0.5 else None, confidence, 0.4, "Ada")
        assert (metrics.score(answer) >= 0) == (answer.name is not None)


def test_score_rises_with_confidence_where_confidence_looks_like_one() -> None:
    scores = [metrics.score(Answer("Ada", confidence, 0.4, "Ada")) for confidence in (0.9, 0.999, 1 - 1e-9, 1.0)]

    assert scores == sorted(set(scores))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rate", [0.1, 0.01, 0.004])
def test_identification_rate_is_the_best_that_any_threshold_gives(seed: int, rate: float) -> None:
    sample = some_asked(seed)
    strangers = [one.score for one in sample if not one.known]
    best = max(
        sum(one.known and one.nearest == one.person and one.score > threshold for one in sample)
        for threshold in [one.score for one in sample]
        if sum(score > threshold for score in strangers) <= rate * len(strangers)
    )

    found = metrics.at_rate(sample, rate)

    assert found.right is not None
    assert found.right.count == best
    assert found.right.of == 80
    assert found.strangers_named <= rate * 250


def test_rate_finer_than_the_strangers_is_not_told() -> None:
    assert metrics.at_rate(some_asked(1), 0.001).right is None
    assert metrics.at_rate(some_asked(1, strangers=999), 0.001).right is None
    assert metrics.at_rate(some_asked(1, strangers=1000), 0.001).right is not None
    assert metrics.at_rate(some_asked(1, strangers=0), 0.0).right is None


def test_curve_agrees_with_the_rates() -> None:
    sample = some_asked(3)
    accepted, right = metrics.curve(sample)

    assert (accepted[0], accepted[-1]) == (0.0, 1.0)
    assert (np.diff(accepted) > 0).all()
    assert (np.diff(right) >= 0).all()
    for rate in (0.0, 0.01, 0.1):
        told = metrics.at_rate(sample, rate).right
        assert told is not None
        assert right[accepted <= rate].max() == told.share


def test_figures_count_every_face_once() -> None:
    sample = [
        asked("Ada", True, "Ada", 3.0),
        asked("Ada", True, "Bob", 1.0),
        asked("Bob", True, None, -1.0),
        asked("Bob", False, "Ada", 0.5),
        asked("Eve", False, None, -2.0),
    ]
    figures = metrics.figures(sample)

    shares = (figures.right, figures.wrong, figures.unknown, figures.strangers_named)
    assert [(share.count, share.of) for share in shares] == [(1, 3), (1, 3), (1, 3), (1, 2)]
    assert {(one.person, one.name): one.count for one in figures.confusion} == {
        ("Ada", "Ada"): 1,
        ("Ada", "Bob"): 1,
        ("Bob", None): 1,
        (None, "Ada"): 1,
        (None, None): 1,
    }
    ada, bob, eve = figures.people
    assert (ada.name, ada.right, ada.wrong, ada.unknown, ada.as_stranger, ada.drawn) == ("Ada", 1, 1, 0, 0, 1)
    assert (bob.name, bob.unknown, bob.named_as_stranger, bob.as_stranger, bob.drawn) == ("Bob", 1, 1, 1, 1)
    assert (eve.asked, eve.named_as_stranger, eve.as_stranger) == (0, 0, 1)
