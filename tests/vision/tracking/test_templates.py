"""Looks of a track fused to one: what counts, what is left out, and when it begins anew."""

import math

import numpy as np
import pytest

from jetstream.vision.recognition.embedding_space import DLIB_SPACE
from jetstream.vision.tracking.id_switches import FAR_UNNAMED
from jetstream.vision.tracking.templates import MOST_LOOKS, FusedLook, TrackTemplates


def face(x: float = 0.0, y: float = 0.0) -> np.ndarray:
    """An embedding; two of them lie as far apart as their (x, y)."""
    return np.array([x, y, *[0.1] * 126], np.float32)


ADA, GRACE = face(), face(FAR_UNNAMED + 0.1)


def told(*looks: tuple[np.ndarray, float], templates: TrackTemplates | None = None) -> list[FusedLook]:
    """Of one track, a look every 0.15 s."""
    kept = templates or TrackTemplates(DLIB_SPACE)
    return [
        kept.add(1, embedding, quality, step * 0.15, named=False) for step, (embedding, quality) in enumerate(looks)
    ]


def test_first_look_is_all_there_is() -> None:
    (only,) = told((ADA, 0.7))

    assert only.embedding == pytest.approx(ADA)
    assert only.looks == pytest.approx(0.7)
    assert not only.moved
    assert not only.is_odd
    assert only.drift is None


def test_mean_of_many_looks_is_nearer_to_the_person_than_each() -> None:
    random = np.random.default_rng(0)
    looks = [(ADA + random.normal(0, 0.02, 128).astype(np.float32), 1.0) for _ in range(6)]

    fused = told(*looks)[-1]

    alone = min(float(np.linalg.norm(embedding - ADA)) for embedding, _ in looks)
    assert np.linalg.norm(fused.embedding - ADA) < 0.6 * alone
    assert fused.looks == pytest.approx(6.0)


def test_poor_look_counts_as_much_as_its_quality() -> None:
    fused = told((face(0.0), 1.0), (face(0.2), 0.25))[-1]

    assert fused.embedding[0] == pytest.approx(0.2 * 0.25 / 1.25)


def test_odd_look_stays_out_and_is_answered_alone() -> None:
    odd, after = told((ADA, 1.0), (ADA, 1.0), (GRACE, 1.0), (ADA, 1.0))[2:]

    assert odd.is_odd
    assert odd.embedding == pytest.approx(GRACE)
    assert after.embedding == pytest.approx(ADA)
    assert after.looks == pytest.approx(3.0)


def test_template_begins_anew_with_both_looks_at_another_face() -> None:
    moved = told((ADA, 1.0), (ADA, 1.0), (GRACE, 1.0), (GRACE, 0.5))[-1]

    assert moved.moved
    assert not moved.is_odd
    assert moved.embedding == pytest.approx(GRACE)
    assert moved.looks == pytest.approx(1.5)


def test_old_looks_fade_so_that_the_mean_follows() -> None:
    fused = told(*[(face(0.0), 1.0)] * 50, *[(face(0.3), 1.0)] * 24)[-1]

    assert fused.looks == pytest.approx(MOST_LOOKS)
    assert fused.embedding[0] > 0.25


def test_tracks_are_kept_apart_and_forgotten() -> None:
    templates = TrackTemplates(DLIB_SPACE, forget_s=2.0)
    templates.add(1, ADA, 1.0, 0.0, named=False)
    grace = templates.add(2, GRACE, 1.0, 1.0, named=False)

    assert grace.embedding == pytest.approx(GRACE)
    assert len(templates) == 2
    assert templates.add(2, GRACE, 1.0, 2.5, named=False).looks == pytest.approx(2.0)
    assert len(templates) == 1


def test_number_of_templates_has_a_limit() -> None:
    templates = TrackTemplates(DLIB_SPACE, most=3)
    for track in range(9):
        templates.add(track, ADA, 1.0, 0.1 * track, named=False)

    assert len(templates) == 3


def test_repeated_frame_counts_once() -> None:
    templates = TrackTemplates(DLIB_SPACE)
    for _ in range(5):
        again = templates.add(1, ADA, 1.0, 7.0, named=False)

    assert again.looks == pytest.approx(1.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_look_that_is_not_finite_changes_nothing(bad: float) -> None:
    templates = TrackTemplates(DLIB_SPACE)
    templates.add(1, ADA, 1.0, 0.0, named=False)
    broken = templates.add(1, np.full(128, bad, np.float32), 1.0, 0.1, named=False)

    assert broken.looks == 0.0
    assert templates.add(1, ADA, 1.0, 0.2, named=False).looks == pytest.approx(2.0)


def test_clock_that_was_reset_begins_anew() -> None:
    templates = TrackTemplates(DLIB_SPACE)
    templates.add(1, GRACE, 1.0, 100.0, named=False)

    fresh = templates.add(1, ADA, 1.0, 3.0, named=False)

    assert fresh.embedding == pytest.approx(ADA)
    assert fresh.looks == pytest.approx(1.0)


def test_same_looks_give_the_same_bytes() -> None:
    random = np.random.default_rng(1)
    looks = [(random.normal(0, 0.05, 128).astype(np.float32), float(random.uniform())) for _ in range(30)]

    first, second = (np.stack([fused.embedding for fused in told(*looks)]) for _ in range(2))

    assert first.tobytes() == second.tobytes()
