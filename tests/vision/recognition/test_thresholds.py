"""Thresholds for a share of strangers: of invented people whose likeness to each other is known."""

import numpy as np
import pytest

from jetstream.vision.recognition import thresholds
from jetstream.vision.recognition.embedding_space import DLIB_SPACE, EmbeddingSpace
from jetstream.vision.recognition.sphere import Sphere

SIZE = 128
SPACE = EmbeddingSpace(SIZE, 0.42, 0.56, 0.80)  # of a network of which nothing else is known
RANDOM = np.random.default_rng(0)
STRANGERS = RANDOM.normal(0, 0.05, (6000, SIZE)).astype(np.float32)
SPHERE = Sphere.around(STRANGERS, SIZE)


def group(count: int, likeness: float, seed: int) -> np.ndarray:
    """(count, 128) points of the sphere whose pairs have the cosine `likeness` on average."""
    random = np.random.default_rng(seed)
    shared = np.sqrt(likeness) * np.random.default_rng(77).normal(0, 0.05, SIZE)
    return SPHERE.project(shared + np.sqrt(1 - likeness) * random.normal(0, 0.05, (count, SIZE)))


def bars(people: np.ndarray) -> np.ndarray:
    return thresholds.calibrate(people, SPHERE.project(STRANGERS), SPHERE, SPACE)


def named(people: np.ndarray, strangers: np.ndarray, rate: float) -> float:
    """The share of strangers within the threshold."""
    nearest = thresholds.distances(strangers, thresholds.against(people)).min(axis=1)
    return float((nearest <= thresholds.bar_at(bars(people), rate)).mean())


@pytest.mark.parametrize("likeness", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("people", [8, 40])
def test_strangers_as_much_alike_as_the_people_known_get_a_name_as_was_asked_for(people, likeness):
    shares = [named(group(people, likeness, seed), group(20_000, likeness, seed + 100), rate=0.01) for seed in range(4)]

    assert np.mean(shares) < 3 * 0.01


def test_threshold_is_stricter_where_the_people_known_are_alike():
    strict, usual = (thresholds.bar_at(bars(group(20, likeness, 1)), 0.003) for likeness in (0.4, 0.0))

    assert strict < usual - 0.05


def test_one_person_under_two_names_hardly_moves_the_threshold():
    people = group(6, 0.0, 1)
    twice = people.copy()
    twice[1] = SPHERE.project((people[0] + 0.2 * people[1])[None])[0]

    changed = thresholds.bar_at(bars(twice), 0.003) - thresholds.bar_at(bars(people), 0.003)

    assert abs(changed) < 0.02


@pytest.mark.parametrize("people", [1, 2, 3, 700])
def test_every_number_of_people_has_thresholds_that_grow_with_the_rate(people):
    found = bars(group(people, 0.05, 3))

    assert np.isfinite(found).all()
    assert (np.diff(found) > 0).all()


def test_more_people_make_the_threshold_smaller():
    few, many = (thresholds.bar_at(bars(group(count, 0.0, 4)), 0.003) for count in (5, 200))

    assert many < few


def test_odds_change_over_a_smaller_distance_where_strangers_are_told_apart_better():
    spread = np.linspace(0.2, 0.6, len(thresholds.RATES), dtype=np.float32)

    assert thresholds.odds_step(spread * 0.5, DLIB_SPACE) == pytest.approx(
        0.5 * thresholds.odds_step(spread, DLIB_SPACE)
    )
    assert thresholds.odds_step(np.zeros_like(spread), DLIB_SPACE) > 0
