import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jetstream.vision.tracking.votes import MARGIN, Votes, unique
from tests.support import defaults

names = st.sampled_from(["Ada", "Grace", "Emmy", None])
confidences = st.floats(0.0, 1.0)
# (name, confidence, seconds since the answer before)
answers = st.lists(st.tuples(names, confidences, st.floats(0.0, 2.0)), max_size=30)


def told(*given: tuple[str | None, float], every_s: float = 0.15) -> Votes:
    """Votes that were given these answers and looked at after each."""
    votes = defaults.votes()
    for step, (name, confidence) in enumerate(given):
        votes.add(name, confidence, step * every_s)
        votes.name(step * every_s)
    return votes


def told_all(given: list[tuple[str | None, float, float]]) -> tuple[Votes, float]:
    votes, time_s = defaults.votes(), 0.0
    for name, confidence, later_s in given:
        time_s += later_s
        votes.add(name, confidence, time_s)
        votes.name(time_s)
    return votes, time_s


def test_nobody_asked_is_unknown_without_confidence() -> None:
    assert defaults.votes().name(0.0) == (None, 0.0)


def test_first_sure_answer_names_at_once() -> None:
    votes = defaults.votes()
    votes.add("Ada", 0.95, 0.0)
    name, confidence = votes.name(0.0)
    assert name == "Ada"
    assert 0.9 < confidence < 1.0


def test_first_unsure_answer_names_nobody() -> None:
    assert told(("Ada", 0.7)).name(0.0)[0] is None


def test_two_unsure_answers_name_together() -> None:
    assert told(("Ada", 0.7), ("Ada", 0.7)).name(0.15)[0] == "Ada"


def test_answer_no_better_than_chance_says_nothing() -> None:
    assert told(*[("Ada", 0.5)] * 20).name(3.0) == (None, 0.0)


def test_unknown_is_a_candidate_like_any_other() -> None:
    votes = told(*[(None, 0.99)] * 6)
    assert votes.name(0.75)[0] is None
    assert votes.settled
    votes.add("Ada", 0.99, 0.9)
    assert votes.name(0.9)[0] is None


def test_stranger_with_one_wrong_name_becomes_unknown() -> None:
    votes = told(("Ada", 0.99), *[(None, 0.99)] * 6)
    assert votes.name(0.9)[0] is None


def test_poor_pictures_refuse_less() -> None:
    good, poor = told(("Ada", 0.99)), told(("Ada", 0.99))
    for step in range(1, 7):
        good.add(None, 0.99, step * 0.15)
        poor.add(None, 0.99, step * 0.15, weight=0.2)
    assert good.name(0.9)[0] is None
    assert poor.name(0.9)[0] == "Ada"


def test_refusal_of_a_look_of_no_quality_counts_nothing() -> None:
    votes = defaults.votes()
    votes.add(None, 0.99, 0.0, weight=0.0)
    assert votes.name(0.0) == (None, 0.0)
    assert votes.candidates() == ()


def test_name_counts_however_poor_the_look() -> None:
    votes = defaults.votes()
    votes.add("Ada", 0.99, 0.0, weight=0.0)
    assert votes.name(0.0)[0] == "Ada"


def test_candidates_tell_why_a_name_stands() -> None:
    votes = defaults.votes(half_life_s=4.0)
    votes.add("Ada", 0.99, 0.0, photo="Ada/1.jpg", distance=0.4)
    votes.add("Ada", 0.9, 4.0, photo="Ada/2.jpg", distance=0.3)
    votes.add(None, 0.99, 4.0, weight=0.5, photo="Ada/1.jpg", distance=0.6)
    votes.name(4.0)

    ada, unknown = votes.candidates()
    assert ada == ("Ada", pytest.approx(3.0 / 2 + math.log(9)), 2, "Ada/2.jpg", 0.3)
    assert unknown == (None, 0.5, 1, "Ada/1.jpg", 0.6)


def test_restarted_votes_know_nothing_of_before() -> None:
    votes = told(*[("Ada", 0.99)] * 12)
    votes.restart()
    assert votes.name(2.0) == (None, 0.0)
    votes.add("Grace", 0.99, 2.1)
    assert votes.name(2.1)[0] == "Grace"


def test_name_that_is_a_little_behind_stays() -> None:
    votes = told(("Ada", 0.9), ("Ada", 0.9), ("Grace", 0.92), ("Grace", 0.92))
    name, confidence = votes.name(0.45)
    assert name == "Ada"
    assert confidence < 0.5


def test_wrong_name_is_corrected_by_as_many_answers_and_one() -> None:
    votes = told(*[("Ada", 0.99)] * 50)
    assert votes.settled
    shown = []
    for step in range(7):
        time_s = 8.0 + step * 0.15
        votes.add("Grace", 0.99, time_s)
        shown.append(votes.name(time_s)[0])
    assert shown[0] == "Ada"
    assert shown[-1] == "Grace"


def test_answers_fade() -> None:
    votes = defaults.votes(half_life_s=4.0)
    votes.add("Ada", 0.95, 0.0)
    now = votes.name(0.0)[1]
    votes.add("Grace", 0.8, 8.0)
    assert votes.name(8.0)[0] == "Ada"
    votes.add("Grace", 0.8, 8.1)
    assert votes.name(8.1)[0] == "Grace"
    assert votes.name(20.0)[1] < now


def test_late_answer_counts_as_of_its_time() -> None:
    late, in_order = defaults.votes(), defaults.votes()
    late.name(3.0)
    late.add("Ada", 0.95, 1.0)
    in_order.add("Ada", 0.95, 1.0)
    assert late.name(3.0) == in_order.name(3.0)


def test_look_a_little_back_in_time_strengthens_nothing() -> None:
    votes = told(("Ada", 0.95), ("Ada", 0.95))
    now = votes.name(3.0)
    assert votes.name(1.0) == now


def test_votes_go_on_when_the_clock_begins_anew() -> None:
    votes = defaults.votes()
    for step in range(12):
        votes.add("Ada", 0.99, 1000.0 + step)
    votes.name(1011.0)
    for step in range(12):
        votes.add("Grace", 0.99, 0.5 + step * 0.15)
    assert votes.name(2.3)[0] == "Grace"


def test_settled_votes_are_in_doubt_when_somebody_else_is_named() -> None:
    votes = told(*[("Ada", 0.99)] * 12)
    assert votes.settled
    votes.add("Grace", 0.99, 1.8)
    assert not votes.settled
    votes.add("Ada", 0.99, 1.95)
    assert votes.settled


def test_settled_needs_more_than_one_answer() -> None:
    assert not told(("Ada", 1.0)).settled
    assert told(("Ada", 1.0), ("Ada", 1.0)).settled


@given(answers, st.floats(0.0, 1e6))
def test_time_alone_changes_no_name(given_before: list[tuple[str | None, float, float]], later_s: float) -> None:
    votes, time_s = told_all(given_before)
    assert votes.name(time_s + later_s)[0] == votes.name(time_s)[0]


@given(st.floats(0.0, 1.0))
def test_first_answer_names_from_the_margin_on(confidence: float) -> None:
    votes = told(("Ada", confidence))
    least = 1.0 / (1.0 + math.exp(-MARGIN))
    assume(abs(confidence - least) > 1e-9)
    assert votes.name(0.0)[0] == ("Ada" if confidence > least else None)


def test_thousand_different_names_are_forgotten() -> None:
    votes = told(*[(f"person {number}", 0.99) for number in range(1000)])
    assert len(votes._answers) == 12


def test_name_stands_once_at_the_strongest_track() -> None:
    told_names = [(1, "Ada", 0.9), (2, "Ada", 0.99), (3, "Grace", 0.8), (4, None, 0.7)]
    assert unique(told_names) == [(1, None, 0.0), (2, "Ada", 0.99), (3, "Grace", 0.8), (4, None, 0.7)]


def test_equally_strong_name_stays_with_the_older_track() -> None:
    assert unique([(7, "Ada", 0.9), (5, "Ada", 0.9)]) == [(7, None, 0.0), (5, "Ada", 0.9)]


def test_holder_keeps_the_name_until_another_is_clearly_stronger() -> None:
    assert unique([(1, "Ada", 0.9), (2, "Ada", 0.95)], held={"Ada": 1})[0] == (1, "Ada", 0.9)
    assert unique([(1, "Ada", 0.6), (2, "Ada", 0.99)], held={"Ada": 1})[1] == (2, "Ada", 0.99)


def test_confidence_that_is_no_number_holds_no_name() -> None:
    assert unique([(1, "Ada", math.nan), (2, "Ada", 0.9)]) == [(1, None, 0.0), (2, "Ada", 0.9)]


def test_time_that_is_no_number_is_the_latest_time() -> None:
    votes = told(("Ada", 0.95))
    votes.add("Ada", 0.95, math.nan)
    assert votes.name(math.inf)[0] == "Ada"
    assert votes.candidates()[0].answers == 2


def test_lost_track_yields_its_name_to_one_that_is_seen() -> None:
    both = [(1, "Ada", 0.999), (2, "Ada", 0.9)]
    assert unique(both, held={"Ada": 1}, lost={1}) == [(1, None, 0.0), (2, "Ada", 0.9)]


@given(st.lists(st.tuples(names, confidences), max_size=10))
def test_no_name_stands_twice_and_none_is_lost(told_names: list[tuple[str | None, float]]) -> None:
    before = [(track_id, name, confidence) for track_id, (name, confidence) in enumerate(told_names)]
    after = unique(before)
    shown = [name for _, name, _ in after if name is not None]
    assert len(shown) == len(set(shown))
    assert set(shown) == {name for _, name, _ in before if name is not None}
    assert [track_id for track_id, *_ in after] == [track_id for track_id, *_ in before]


def test_picture_yields_its_name_even_to_a_lost_track() -> None:
    names = [(1, "Ada", 0.99999), (2, "Ada", 0.99)]
    assert unique(names, held={"Ada": 1}, pictures={1}, lost={2}) == [(1, None, 0.0), (2, "Ada", 0.99)]


def test_picture_alone_keeps_its_name() -> None:
    assert unique([(1, "Ada", 0.9)], pictures={1}) == [(1, "Ada", 0.9)]


def test_longer_half_life_keeps_answers_of_a_slow_camera() -> None:
    votes = defaults.votes()
    votes.half_life_s = 240.0
    votes.add("Ada", 0.9, 0.0)
    assert votes.candidates()[0].log_odds == pytest.approx(2.197, abs=0.01)
    votes.name(60.0)
    assert votes.candidates()[0].log_odds == pytest.approx(2.197 * 0.5**0.25, abs=0.01)
