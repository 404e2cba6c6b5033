"""Distances of one network's space in that of another."""

import itertools

import pytest

from jetstream.vision.recognition.embedding_space import DLIB_SPACE, SFACE_SPACE, EmbeddingSpace

WIDE = EmbeddingSpace(512, 0.9, 1.2, 1.4)


@pytest.mark.parametrize("space", [SFACE_SPACE, WIDE])
def test_figures_of_one_space_are_those_of_the_other(space: EmbeddingSpace) -> None:
    assert space.at(0.0) == 0.0
    for name in ("same", "false_match", "other"):
        assert space.at(getattr(DLIB_SPACE, name)) == pytest.approx(getattr(space, name))


@pytest.mark.parametrize("space", [DLIB_SPACE, SFACE_SPACE, WIDE])
@pytest.mark.parametrize("distance", [0.0, 0.1, 0.42, 0.5, 0.56, 0.7, 0.8, 1.1])
def test_common_is_the_inverse_of_at(space: EmbeddingSpace, distance: float) -> None:
    assert space.common(space.at(distance)) == pytest.approx(distance)


def test_dlibs_own_distances_stay_as_they_are_to_the_bit() -> None:
    for distance in (0.03, 0.1, 0.55, 0.68, 0.9):
        assert DLIB_SPACE.at(distance) == distance
        assert DLIB_SPACE.common(distance) == distance
    assert DLIB_SPACE.step == 1.0
    assert DLIB_SPACE.noise(0.075) == 0.075


@pytest.mark.parametrize("space", [SFACE_SPACE, WIDE])
def test_a_larger_distance_stays_larger(space: EmbeddingSpace) -> None:
    found = [space.at(distance / 100) for distance in range(130)]
    assert all(one < other for one, other in itertools.pairwise(found))
