"""What holds for any answers: promises of `Votes`, `unique` and their docstrings."""

import math
from itertools import permutations

from hypothesis import assume, given
from hypothesis import strategies as st

from jetstream.vision.tracking.votes import Candidate, Votes, unique
from tests.support import defaults

WINDOW = 12
names = st.sampled_from(["Ada", "Grace", "Emmy", None])
photos = st.sampled_from(["Ada/1.jpg", "Ada/2.jpg", None])
confidences = st.floats(0.0, 1.0)
anything = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, 0.5, 0.9, 1.0, 2.0])
# name, confidence, weight, photo, distance
looks = st.tuples(names, confidences, confidences, photos, st.floats(0.0, 1.5) | st.just(math.inf))
pasts = st.lists(st.tuples(looks, st.floats(0.0, 2.0)), max_size=30)
Look = tuple[str | None, float, float, str | None, float]


def add(votes: Votes, look: Look, time_s: float) -> None:
    name, confidence, weight, photo, distance = look
    votes.add(name, confidence, time_s, weight, photo=photo, distance=distance)


def after(past: list[tuple[Look, float]]) -> tuple[Votes, float]:
    """Votes that got these answers, each so long after the one before, and were looked at after each."""
    votes, time_s = defaults.votes(answers=WINDOW), 0.0
    for look, later_s in past:
        time_s += later_s
        add(votes, look, time_s)
        votes.name(time_s)
    return votes, time_s


@given(pasts, st.lists(looks, max_size=5))
def test_order_of_answers_of_one_time_does_not_matter(past: list[tuple[Look, float]], at_once: list[Look]) -> None:
    outcomes: set[tuple[object, ...]] = set()
    for order in permutations(at_once):
        votes, time_s = after(past)
        for look in order:
            add(votes, look, time_s + 0.5)
        outcomes.add((votes.name(time_s + 0.5), votes.settled, votes.candidates()))
    assert len(outcomes) == 1


@given(st.floats(0.5, 8.0))
def test_one_answer_that_pushes_out_a_strong_one_never_flips_a_settled_name(lead: float) -> None:
    """The worst case: a full window, its oldest answer as strong as any, and the bad one too."""
    five_for_grace = 5 * math.log(9)
    each = (lead + five_for_grace - 3.0) / 6
    confidence = 1 / (1 + math.exp(-each))
    answers = [("Ada", 0.999), *[("Grace", 0.9)] * 5, *[("Ada", confidence)] * 6]
    votes, time_s = after([((name, sure, 1.0, None, math.inf), 1e-6) for name, sure in answers])
    assume(votes.settled)
    votes.add("Grace", 0.999, time_s)
    assert votes.name(time_s)[0] == "Ada"


@given(pasts, names, st.integers(2, 20), looks)
def test_one_bad_answer_never_flips_a_settled_name(
    past: list[tuple[Look, float]], settler: str | None, times: int, bad: Look
) -> None:
    votes, time_s = after([*past, *[((settler, 0.99, 1.0, None, math.inf), 0.1)] * times])
    assume(votes.settled)
    shown = votes.name(time_s)[0]
    add(votes, bad, time_s)
    assert votes.name(time_s)[0] == shown


@given(st.floats(0.75, 1.0), st.integers(1, 60), st.floats(0.0, 10.0), st.sampled_from(["Grace", "Emmy"]))
def test_wrong_name_goes_after_half_a_window_and_one_of_equal_answers(
    confidence: float, times: int, later_s: float, right: str
) -> None:
    votes, time_s = after([(("Ada", confidence, 1.0, None, math.inf), 0.2)] * times)
    for step in range(WINDOW // 2 + 1):
        votes.add(right, confidence, time_s + later_s + 0.15 * step)
        shown = votes.name(time_s + later_s + 0.15 * step)[0]
    assert shown == right


@given(pasts, names, st.floats(0.75, 1.0))
def test_whatever_was_settled_a_full_window_overrules(
    past: list[tuple[Look, float]], right: str | None, confidence: float
) -> None:
    votes, time_s = after(past)
    for step in range(1, WINDOW + 1):
        votes.add(right, confidence, time_s + 0.01 * step)
        shown = votes.name(time_s + 0.01 * step)[0]
    assert shown == right


@given(pasts, st.lists(looks, max_size=3))
def test_after_a_restart_only_new_answers_count(past: list[tuple[Look, float]], new: list[Look]) -> None:
    votes, time_s = after(past)
    votes.restart()
    fresh = defaults.votes(answers=WINDOW)
    for each in (votes, fresh):
        for look in new:
            add(each, look, time_s + 1.0)
    assert votes.name(time_s + 1.0) == fresh.name(time_s + 1.0)
    assert votes.candidates() == fresh.candidates()


@given(pasts)
def test_candidates_are_the_answers_that_count_best_first(past: list[tuple[Look, float]]) -> None:
    votes, time_s = after(past)
    found = votes.candidates()
    assert sum(candidate.answers for candidate in found) == len(votes._answers) <= WINDOW
    assert len({candidate.name for candidate in found}) == len(found)
    assert [c.log_odds for c in found] == sorted((c.log_odds for c in found), reverse=True)
    shown = votes.name(time_s)[0]
    if found and found[0].log_odds - sum(c.log_odds for c in found[1:]) >= 4.0:
        assert shown == found[0].name


@given(st.lists(st.tuples(names, anything, anything, anything, anything), max_size=40), st.floats(1e-3, 1e6))
def test_no_number_raises_and_all_stays_bounded(
    told: list[tuple[str | None, float, float, float, float]], half_life_s: float
) -> None:
    votes = defaults.votes(half_life_s=half_life_s, answers=WINDOW)
    for name, confidence, time_s, weight, distance in told:
        votes.add(name, confidence, time_s, weight, photo="Ada/1.jpg", distance=distance)
        shown, certainty = votes.name(time_s)
        assert shown in ("Ada", "Grace", "Emmy", None)
        assert 0.0 <= certainty <= 1.0
        assert votes.settled in (True, False)
        assert sum(candidate.answers for candidate in votes.candidates()) <= WINDOW
        for candidate in votes.candidates():
            assert isinstance(candidate, Candidate)
            assert 0.0 <= candidate.log_odds <= 3.0 * WINDOW
            assert candidate.distance >= 0.0


@given(st.lists(st.tuples(names, anything), max_size=10), st.sets(st.integers(0, 9)))
def test_each_name_stands_at_one_track_whatever_the_confidences(
    told: list[tuple[str | None, float]], lost: set[int]
) -> None:
    before = [(track_id, name, confidence) for track_id, (name, confidence) in enumerate(told)]
    shown = [name for _, name, _ in unique(before, held={"Ada": 0, "Grace": 9}, lost=lost) if name is not None]
    assert sorted(shown) == sorted({name for _, name, _ in before if name is not None})
