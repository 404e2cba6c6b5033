"""Directions from the mean face: what they keep of an embedding, and what they drop."""

import numpy as np
import pytest

from jetstream.vision.recognition.sphere import Sphere


def faces(count: int, seed: int = 0) -> np.ndarray:
    return (1.0 + np.random.default_rng(seed).normal(0, 0.05, (count, 128))).astype(np.float32)


def test_every_face_lies_as_far_from_the_mean_face_as_faces_usually_do():
    background = faces(500)
    sphere = Sphere.around(background, 128)

    lengths = np.linalg.norm(sphere.project(faces(20, seed=1)), axis=1)

    assert sphere.radius == pytest.approx(np.linalg.norm(background - background.mean(axis=0), axis=1).mean(), rel=0.01)
    assert lengths == pytest.approx(sphere.radius, rel=1e-5)


def test_face_that_a_blur_moved_towards_the_mean_face_stays_where_it_was():
    sphere, sharp = Sphere.around(faces(500), 128), faces(10, seed=2)
    blurred = sphere.centre + 0.4 * (sharp - sphere.centre)

    assert sphere.project(blurred) == pytest.approx(sphere.project(sharp), abs=1e-5)


def test_distances_of_sharp_faces_hardly_change():
    sphere, some = Sphere.around(faces(500), 128), faces(40, seed=3)

    before = np.linalg.norm(some[:20] - some[20:], axis=1)
    after = np.linalg.norm(sphere.project(some[:20]) - sphere.project(some[20:]), axis=1)

    assert after == pytest.approx(before, rel=0.25)


def test_without_strangers_faces_are_taken_as_they_are():
    sphere = Sphere.around(None, 128)

    assert sphere.project(faces(3)) == pytest.approx(faces(3))


def test_face_in_the_middle_of_all_and_no_face_at_all_are_finite():
    sphere = Sphere.around(faces(500), 128)

    assert np.isfinite(sphere.project(sphere.centre[None])).all()
    assert sphere.project(np.empty((0, 128), np.float32)).shape == (0, 128)
