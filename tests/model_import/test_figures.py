"""The figures of a space are those of the faces that it was measured on."""

import numpy as np
import pytest

from jetstream.model_import import figures
from jetstream.vision.recognition.embedding_space import SFACE_SPACE

SIZE = 64
USUAL = figures.generic(SIZE, is_cosine=True, other=1.0)


def people(count: int, photos: int, seed: int = 0) -> list[np.ndarray]:
    """Faces of length 0.5, with the spread that SFace's have."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        middle = random.standard_normal(SIZE) + 0.35
        faces = middle + 0.6 * random.standard_normal((photos, SIZE))
        found.append((0.5 * faces / np.linalg.norm(faces, axis=1, keepdims=True)).astype(np.float32))
    return found


def test_few_people_leave_the_usual_figures_and_no_strangers():
    space = figures.measured(people(19, 2), np.empty((0, SIZE), np.float32), USUAL)

    assert (space.card, space.background, space.people) == (USUAL, b"", 19)


def test_interval_holds_the_figure_of_many_people():
    everybody = figures.measured(people(400, 2), np.empty((0, SIZE), np.float32), USUAL).card

    inside = 0
    for seed in range(1, 9):
        some = figures.measured(people(60, 2, seed), np.empty((0, SIZE), np.float32), USUAL).card
        inside += some.false_match_from <= everybody.false_match <= some.false_match_to
        assert some.other == pytest.approx(everybody.other, rel=0.03)
        assert some.same == pytest.approx(everybody.same, rel=0.1)
    assert inside >= 6


def test_unlabelled_faces_of_one_person_count_once():
    several = people(30, 3)

    space = figures.measured([], np.concatenate(several), USUAL)

    assert space.people == 30


def test_forty_people_give_a_distribution(tmp_path):
    space = figures.measured(people(40, 1), np.empty((0, SIZE), np.float32), USUAL)
    (tmp_path / "x.npz").write_bytes(space.background)

    with np.load(tmp_path / "x.npz") as archive:
        assert archive["mean"].shape == (SIZE,)
        assert archive["factor"].shape == (SIZE, SIZE)


def test_usual_figures_are_sfaces_or_dlibs_in_proportion():
    assert (USUAL.same, USUAL.other) == (SFACE_SPACE.same, SFACE_SPACE.other)
    assert figures.generic(128, is_cosine=False, other=8.0).other == pytest.approx(8.0)
