"""How rarely whole pictures are searched under a load that is made up, second by second."""

from collections.abc import Callable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from jetstream.vision.detection.search_interval import CALM_S, MOST_CALM_S, SearchInterval

FPS = 20


def second(effort: SearchInterval, at_s: int, *, fell: int = 0, emptied: bool = True) -> int:
    """`every` after a second in which so many frames were dropped."""
    for place in range(FPS):
        effort.took(at_s + place / FPS, dropped=fell if place == FPS // 2 else 0)
        if emptied:
            effort.emptied()
        effort.changed()
    return effort.every


def under(load: Callable[[int, int], int], seconds: int, *, least: int = 4, most: int = 24) -> list[int]:
    """`every` at the end of each second; `load` says how many frames fall at a second with the `every` then."""
    effort = SearchInterval(least, most)
    return [second(effort, at_s, fell=load(at_s, effort.every)) for at_s in range(seconds)]


def test_while_nothing_falls_it_stays() -> None:
    assert set(under(lambda at_s, every: 0, 100)) == {4}


def test_it_is_told_after_a_second_and_then_when_it_is_another() -> None:
    effort, told = SearchInterval(4, 24), []
    for tenth in range(80):
        effort.took(tenth / 10, dropped=int(tenth == 45))
        if effort.changed():
            told.append((tenth, effort.every))

    assert told == [(10, 4), (50, 6)]


def test_hiccup_of_the_machine_is_no_load() -> None:
    effort = SearchInterval(4, 24)
    for at_s in range(50):
        for place in range(100):
            effort.took(at_s + place / 100, dropped=int(place == 50))
            effort.changed()
    assert effort.every == 4


def test_it_rises_each_second_under_load_up_to_the_most_and_no_further() -> None:
    seen = under(lambda at_s, every: 10, 12)

    assert seen[:6] == [4, 6, 9, 14, 21, 24]
    assert set(seen[6:]) == {24}


def test_it_comes_back_a_step_at_a_time_when_the_load_is_gone() -> None:
    seen = under(lambda at_s, every: 10 if at_s < 8 else 0, 60)

    steps = [every for before, every in pairwise(seen[8:]) if every != before]
    assert steps == [16, 11, 7, 5, 4]
    assert seen[8 + 5 * int(CALM_S) + 3] == 4
    assert set(seen[-20:]) == {4}


def test_steady_load_that_one_rate_carries_makes_it_swing_ever_less() -> None:
    """What is searched one time in nine is all that the machine can do."""
    seen = under(lambda at_s, every: 0 if every >= 9 else 5, 600)

    changes = [at_s for at_s in range(1, 600) if seen[at_s] != seen[at_s - 1]]
    backs = [at_s for at_s in changes if seen[at_s] < 9 <= seen[at_s - 1]]
    waits = [later - earlier for earlier, later in pairwise(backs)]
    assert waits == sorted(waits)
    assert waits[-1] >= MOST_CALM_S
    assert max(seen[20:]) <= 14, "a step more than needed at most"
    assert sum(every >= 9 for every in seen[300:]) > 0.9 * 300


def test_after_a_failed_step_back_it_waits_as_before_once_one_has_held() -> None:
    seen = under(lambda at_s, every: 0 if every >= 9 or at_s > 100 else 5, 300)

    assert seen[-1] == 4
    last = [at_s for at_s in range(1, 300) if seen[at_s] < seen[at_s - 1]]
    assert last[-1] - last[-2] <= CALM_S + 1


def test_queue_that_is_never_empty_is_no_reason_to_come_back() -> None:
    effort = SearchInterval(4, 24)
    for at_s in range(4):
        second(effort, at_s, fell=10)
    risen = second(effort, 4, emptied=False)
    for at_s in range(5, 60):
        second(effort, at_s, emptied=False)

    assert risen > 4
    assert effort.every == risen


def test_most_below_the_least_switches_it_off() -> None:
    assert set(under(lambda at_s, every: 15, 20, least=30, most=24)) == {30}


def test_other_reasons_to_search_become_as_much_rarer() -> None:
    effort = SearchInterval(4, 24)
    assert effort.share == 1
    for at_s in range(10):
        second(effort, at_s, fell=10)
    assert effort.share == 6


@given(
    st.lists(st.tuples(st.floats(0, 100), st.integers(0, 50), st.booleans()), max_size=200),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_it_is_bounded_and_changes_at_most_once_a_second(
    frames: list[tuple[float, int, bool]], least: int, most: int
) -> None:
    effort = SearchInterval(least, most)
    changed_s: list[float] = []
    newest_s = frames[0][0] if frames else 0.0
    for time_s, fell, emptied in frames:
        newest_s = max(newest_s, time_s)
        effort.took(time_s, dropped=fell)
        if emptied:
            effort.emptied()
        before = effort.every
        effort.changed()
        if effort.every != before:
            changed_s.append(newest_s)
        assert least <= effort.every <= max(least, most)
    assert all(later - earlier >= 1.0 for earlier, later in pairwise(changed_s))


def test_slow_camera_is_searched_in_every_frame_but_not_under_load() -> None:
    interval = SearchInterval(4, 24)
    assert [interval.at(slowness) for slowness in (1.0, 2.0, 3.0, 4.0, 240.0)] == [4, 2, 2, 1, 1]
    interval.every = 9
    assert interval.at(240.0) == 9
