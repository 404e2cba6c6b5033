"""Constants are chosen without the set they are reported on, by what the shipped rule itself would say."""

import numpy as np
import pytest

from benchmarks.names import tables
from benchmarks.names.constants import Compared, compared, cost, counts, grid, is_named, shipped
from benchmarks.names.left_out import LeftOut, choose, difference, left_out
from benchmarks.names.looks import Looks
from benchmarks.names.protocol import gallery, splits
from benchmarks.names.rules import learnt
from jetstream.gallery import strangers
from jetstream.networks import embedders
from jetstream.vision.recognition.embedding_space import SFACE_SPACE

USUAL = shipped(SFACE_SPACE)


def faces(known: float, others: float, people: int = 8) -> Compared:
    """Known faces at distance `known` from their person, and strangers' at `others`. A larger tail reaches farther."""
    is_known = np.arange(2 * people) < people
    every = {(one.tail, one.likeness) for one in grid(SFACE_SPACE)["all three"]}
    return Compared(
        people=np.array([f"{row}" for row in range(2 * people)]),
        is_known=is_known,
        is_right=is_known,
        distance=np.where(is_known, known, others),
        margin=np.full(2 * people, 1.0),
        agreed=np.full(2 * people, True),
        sure=np.full(2 * people, 0.9),
        bars={(tail, likeness): tail for tail, likeness in every},
    )


# Where the bar is the tail: of the first, a larger one names more known people; of the second, it names strangers.
LOOSE_IS_BETTER = faces(known=USUAL.tail + 0.04, others=9.0)
TIGHT_IS_BETTER = faces(known=0.1, others=USUAL.tail - 0.01)


def row(rows: list[LeftOut], name: str, which: str = "tail") -> LeftOut:
    return next(one for one in rows if (one.name, one.which) == (name, which))


def test_a_set_has_no_say_in_what_it_is_reported_with() -> None:
    rows = left_out({"loose": [LOOSE_IS_BETTER], "tight": [TIGHT_IS_BETTER]}, SFACE_SPACE)
    assert row(rows, "loose").chosen.tail < USUAL.tail < row(rows, "tight").chosen.tail
    assert row(rows, "loose").cost == row(rows, "loose").shipped_cost == 1.0
    assert row(rows, "tight").outcome.strangers[0] == 1.0


def test_sets_of_the_same_people_do_not_choose_for_each_other() -> None:
    parts = {"bbt_train": [TIGHT_IS_BETTER], "bbt_faceapi": [TIGHT_IS_BETTER], "loose": [LOOSE_IS_BETTER]}
    rows = left_out(parts, SFACE_SPACE)
    assert row(rows, "bbt_train").chosen.tail > USUAL.tail
    assert row(rows, "loose").chosen.tail < USUAL.tail


def test_a_set_without_others_has_no_row() -> None:
    assert left_out({"bbt_train": [LOOSE_IS_BETTER], "bbt_faceapi": [LOOSE_IS_BETTER]}, SFACE_SPACE) == []


def test_where_nothing_tells_the_shipped_constants_stay() -> None:
    easy = faces(known=0.1, others=9.0)
    rows = left_out({"one": [easy], "other": [easy]}, SFACE_SPACE)
    assert {one.chosen for one in rows} == {USUAL}
    assert "no constant" in tables.verdict(rows)


def test_a_constant_that_is_worse_on_every_set_is_named() -> None:
    rows = left_out({"one": [LOOSE_IS_BETTER], "other": [LOOSE_IS_BETTER]}, SFACE_SPACE)
    assert row(rows, "one").worse == (1.0, 1.0)
    assert "tail: shipped worse on one, other" in tables.verdict(rows)
    assert "margin" not in tables.verdict(rows)
    assert any("+100.0 (+100.0 to +100.0)" in line for line in tables.saved(rows, "drawn"))


def test_a_name_needs_the_distance_the_margin_and_the_svm() -> None:
    near = faces(known=0.1, others=9.0, people=4)
    margin = np.where(np.arange(8) == 0, USUAL.margin - 0.001, 1.0)
    said = near._replace(margin=margin, agreed=np.arange(8) != 1)
    assert is_named(said, USUAL).tolist() == [False, False, True, True] + [False] * 4
    assert is_named(said, USUAL._replace(margin=0.0)).tolist() == [True, False, True, True] + [False] * 4


def test_the_least_mean_cost_is_chosen_and_of_equals_the_first() -> None:
    one, other = USUAL, USUAL._replace(margin=0.0)
    assert choose([one, other], [{one: 0.2, other: 0.1}, {one: 0.1, other: 0.3}]) == one
    assert choose([one, other], [{one: 0.2, other: 0.1}, {one: 0.1, other: 0.2}]) == one
    assert choose([one, other], [{one: 0.2, other: 0.1}, {one: 0.1, other: 0.1}]) == other


def test_a_wrong_name_costs_twenty_missing_ones() -> None:
    # right, wrong, known, strangers named, strangers
    assert cost(np.array([90.0, 0, 100, 0, 100])) == pytest.approx(0.1)
    assert cost(np.array([100.0, 0, 100, 1, 100])) == pytest.approx(0.2)
    assert cost(np.array([98.0, 2, 100, 0, 100])) == pytest.approx(0.02 + 0.4)


def test_the_difference_of_equal_outcomes_is_nothing_and_few_people_say_little() -> None:
    by_person = counts([LOOSE_IS_BETTER], USUAL)
    assert difference(by_person, by_person) == (0.0, 0.0)
    better = dict(by_person) | {"0": np.array([1.0, 0, 1, 0, 0])}
    low, high = difference(by_person, better)
    assert low == 0.0 < high


@pytest.mark.parametrize("photos", [1, 3])
def test_the_shipped_constants_name_whom_the_classifier_names(photos: int) -> None:
    """People lie among the drawn strangers, some of their looks near the threshold."""
    random = np.random.default_rng(1)
    spec = embedders.SPECS["sface"]
    centres = np.repeat(strangers.faces("sface")[40:48], 6, axis=0)
    noise = random.normal(0, 1, centres.shape) * random.uniform(0.02, 0.09, (len(centres), 1))
    looks = Looks(
        (centres + noise).astype(np.float32),
        np.repeat([f"person {row}" for row in range(8)], 6),
        np.arange(48),
        np.where(np.arange(48) % 11 == 5, 0.0, 1.0).astype(np.float32),
        0,
    )
    split = next(iter(splits(looks, photos, 1)))
    known = learnt(gallery(looks, split, spec))  # at the rate of the default
    said = compared(looks, [looks, looks], split, known, spec).first(len(split.known) + len(split.strangers))
    rows = np.concatenate([split.known, split.strangers])
    answers = known.ask(looks.embeddings[rows])
    expected = [one.name is not None and looks.qualities[at] > 0 for at, one in zip(rows, answers, strict=True)]
    assert is_named(said, shipped(spec.space)).tolist() == expected
    assert 0 < sum(expected) < len(split.known)  # some are refused
    tail = spec.space.tail
    assert said.bars[tail, 1.4] < said.bars[tail, USUAL.likeness] < said.bars[tail, 0.0]
