"""Shares that are right by confidence, a correction that keeps the order, and intervals of whole people."""

import numpy as np
import pytest

from benchmarks.names import intervals, reliability, tables, tracks
from benchmarks.names.looks import Looks
from benchmarks.names.reliability import Correction, Shown
from benchmarks.names.tracks import Sighting


def drawn(slope: float, shift: float, count: int = 20_000) -> Shown:
    """Names that are right as often as `slope` and `shift` of their log odds say."""
    random = np.random.default_rng(2)
    sure = random.uniform(0.5, 0.999, count)
    is_right = random.uniform(size=count) < Correction(slope, shift)(sure)
    return Shown(np.array([f"{row % 50}" for row in range(count)]), sure, is_right)


def test_each_bin_has_its_share_of_right_names() -> None:
    shown = Shown(
        np.array(["a", "a", "b", "b", "c"]),
        np.array([0.6, 0.7, 0.6, 0.99, 1.0]),
        np.array([True, False, True, True, True]),
    )
    low, high = reliability.bins(shown)
    assert (low.low, low.shown, low.right) == (0.5, 3, pytest.approx(2 / 3))
    assert (high.low, high.shown, high.right, high.interval) == (0.99, 2, 1.0, (0.0, 1.0))


def test_a_correction_is_found_and_foretells_names_that_it_has_not_seen() -> None:
    shown = drawn(0.5, 1.5)
    first, rest = (Shown(*(values[part] for values in shown)) for part in (slice(10_000), slice(10_000, None)))
    found = reliability.fitted(first)
    assert found.slope == pytest.approx(0.5, abs=0.1)
    assert found.shift == pytest.approx(1.5, abs=0.2)
    assert reliability.log_loss(found(rest.sure), rest.is_right) < reliability.log_loss(rest.sure, rest.is_right)


def test_confidences_that_hold_are_hardly_corrected() -> None:
    found = reliability.fitted(drawn(1.0, 0.0))
    assert found.slope == pytest.approx(1.0, abs=0.1)
    assert found.shift == pytest.approx(0.0, abs=0.2)


def test_a_correction_keeps_the_order_even_where_sure_names_are_wrong() -> None:
    shown = drawn(1.0, 0.0, 2000)
    found = reliability.fitted(shown._replace(is_right=~shown.is_right))
    values = found(np.linspace(0.5, 0.99, 20))
    assert (np.diff(values) >= 0).all()


def test_a_correction_stays_finite_where_every_name_is_right() -> None:
    shown = drawn(1.0, 0.0, 500)
    corrected = reliability.fitted(shown._replace(is_right=np.full(500, True)))(np.array([0.5, 0.9999]))
    assert (corrected > 0.95).all()
    assert (corrected < 1).all()


def test_a_track_counts_what_it_showed_after_each_look() -> None:
    seen = [
        Sighting("ada", "ada", (None, "ada", "bob"), (0.0, 0.8, 0.9)),
        Sighting("eve", None, (None, "ada"), (0.7, 0.6)),
    ]
    shown = reliability.of_tracks(seen)
    assert shown.people.tolist() == ["ada", "ada", "eve"]
    assert shown.is_right.tolist() == [True, False, False]
    nothing = reliability.of_tracks([])
    assert not reliability.bins(reliability.together({"set": nothing}))
    assert "better on 0 of 0" in list(tables.how_sure({"set": nothing}, "drawn"))[-1]


def test_a_stranger_counts_as_named_if_a_track_showed_a_name_at_any_time() -> None:
    seen = [
        Sighting("ada", "ada", (None, "ada", "ada", "bob"), (0.0, 0.8, 0.9, 0.9)),
        Sighting("eve", None, ("ada", None), (0.7, 0.6)),
        Sighting("eve", None, (None, None), (0.7, 0.6)),
    ]
    _, _, one, every, _, a_day = tables.in_tracks({"set": seen}, "drawn")
    assert one == "| set | 1 | 50.0% | 0.0% | 25.00% | 2 | 50.00% (50.0% to 50.0%) |"
    assert every == one.replace("| set |", "| all |")
    assert "100.0 get a name" in a_day


def test_whether_a_correction_holds_is_told_by_the_sets_that_did_not_fit_it() -> None:
    cautious, sure = drawn(1.0, 2.0, 3000), drawn(1.0, -2.0, 3000)
    assert list(tables.how_sure({"one": cautious, "other": cautious}, "drawn"))[-1].startswith(
        "the correction is better on 2 of 2 sets"
    )
    assert list(tables.how_sure({"one": cautious, "other": sure}, "drawn"))[-1].startswith(
        "the correction is better on 0 of 2 sets"
    )


def test_people_of_two_sets_stay_apart() -> None:
    one = drawn(1.0, 0.0, 50)
    assert len(np.unique(reliability.together({"first": one, "second": one}).people)) == 100


def test_a_mixed_track_takes_each_look_whole_from_clean_or_worse() -> None:
    photos = np.arange(40)
    clean = Looks(np.zeros((40, 2), np.float32), np.full(40, "ada"), photos, np.ones(40, np.float32), 0)
    worse = Looks(np.ones((20, 2), np.float32), np.full(20, "ada"), photos[::2], np.full(20, 0.3, np.float32), 20)
    mixed = tracks.mixed(clean, [worse], seed=3)
    is_worse = mixed.embeddings[:, 0] == 1
    assert 5 < is_worse.sum() < 20
    assert not is_worse[1::2].any()  # not found there
    assert np.array_equal(mixed.qualities == np.float32(0.3), is_worse)


def test_an_interval_is_of_people_not_of_faces() -> None:
    few, many = np.array([[1, 4], [0, 4], [2, 4], [0, 4]]), np.array([[100, 400], [0, 400], [200, 400], [0, 400]])
    assert intervals.of_share(few) == intervals.of_share(many)
    low, high = intervals.of_share(few)
    assert low <= 3 / 16 <= high


def test_none_and_all_follow_the_rule_of_three_of_people_that_were_asked() -> None:
    assert intervals.of_share(np.array([[0, 9]] * 30 + [[0, 0]] * 30)) == (0.0, 0.1)
    assert intervals.of_share(np.array([[9, 9]] * 30)) == (0.9, 1.0)
    assert intervals.of_share(np.array([[0, 9]])) == (0.0, 1.0)
    assert np.isnan(intervals.of_share(np.empty((0, 2)))).all()
