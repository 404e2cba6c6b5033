"""The nearest looks to a face, and how likely each is the same person."""

import numpy as np
import pytest

from jetstream.vision.recognition.face_search import SUREST, FaceSearch, probability
from tests.support.drawn_people import DrawnPeople, likeness

PEOPLE = DrawnPeople(seed=3)
LIKENESS = likeness()
LOOKS = np.concatenate([PEOPLE.looks(person, 4) for person in range(200)])


def test_looks_come_nearest_first_and_the_person_before_all_others():
    found = FaceSearch(LOOKS, LIKENESS).nearest(PEOPLE.looks(17, 1, 5)[0], 10)

    assert sorted(found.rows[:4].tolist()) == [68, 69, 70, 71]
    assert (np.diff(found.distances) >= 0).all()
    assert found.probabilities[3] > 0.9 > 0.1 > found.probabilities[4]


@pytest.mark.parametrize("most", [1, 7, 800, 1000])
def test_search_is_exact(most):
    face = PEOPLE.looks(3, 1, 9)[0]
    points, point = LIKENESS.place(LOOKS).astype(np.float64), LIKENESS.place(face[None])[0]
    every = np.sqrt(np.square(points - point).sum(axis=1))

    found = FaceSearch(LOOKS, LIKENESS).nearest(face, most)

    assert len(found.rows) == min(most, 800)
    np.testing.assert_allclose(found.distances, np.sort(every)[:most], atol=1e-6)
    np.testing.assert_allclose(found.distances, every[found.rows], atol=1e-6)


def test_equal_looks_come_in_the_order_of_their_rows():
    found = FaceSearch(np.repeat(LOOKS[:2], 3, axis=0), LIKENESS).nearest(LOOKS[1], 6)

    assert found.rows.tolist() == [3, 4, 5, 0, 1, 2]
    assert found.distances[0] == 0.0
    assert found.probabilities[0] == SUREST


def test_looks_that_are_not_finite_are_never_found():
    looks = LOOKS[:8].copy()
    looks[2, 5] = np.nan

    assert 2 not in FaceSearch(looks, LIKENESS).nearest(LOOKS[2], 8).rows


def test_nothing_to_search_in_finds_nothing():
    assert len(FaceSearch(np.empty((0, 128)), LIKENESS).nearest(LOOKS[0], 5).rows) == 0
    assert len(FaceSearch(LOOKS, LIKENESS).nearest(LOOKS[0], 0).rows) == 0


def test_a_rarer_person_is_less_likely_at_the_same_distance():
    search, face = FaceSearch(LOOKS, LIKENESS), PEOPLE.looks(5, 1, 2)[0]
    often, rarely = (search.nearest(face, 5, expected=expected).probabilities for expected in (40.0, 0.1))

    assert (often >= rarely).all()
    assert often[4] > rarely[4]


def test_probability_falls_with_the_distance():
    shares = probability(LIKENESS, np.linspace(0.0, 1.0, 101), 0.01)

    assert (np.diff(shares) <= 0).all()
    assert shares[0] == SUREST
    assert shares[-1] < 1e-6


@pytest.mark.parametrize("face", [np.zeros(64), np.full(128, np.nan), np.zeros((1, 128))])
def test_other_faces_are_refused(face):
    with pytest.raises(ValueError, match="face: expected"):
        FaceSearch(LOOKS, LIKENESS).nearest(face, 1)


def test_other_looks_and_priors_are_refused():
    with pytest.raises(ValueError, match="looks: expected"):
        FaceSearch(np.zeros((3, 64)), LIKENESS)
    with pytest.raises(ValueError, match="prior must be"):
        FaceSearch(LOOKS, LIKENESS).nearest(LOOKS[0], 1, expected=0.0)
