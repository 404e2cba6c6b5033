"""Face samples to people and to the few that are kept, with embeddings made in sight."""

import itertools

import numpy as np
import pytest

from jetstream.vision.recognition.embedding_space import DLIB_SPACE
from jetstream.vision.recognition.sample_selection import (
    DUPLICATED,
    ENOUGH,
    OTHER_PERSON,
    POOR,
    FaceSample,
    at,
    choose,
    limit,
    people_in,
)
from jetstream.vision.recognition.thresholds import SAME_PERSON

FRONTAL = np.array([[30, 35], [70, 35], [50, 58], [34, 78], [66, 78]], np.float32)
NOBODY = np.empty((0, 128), np.float32)


def embedding(**axes: float) -> np.ndarray:
    """(128,): `embedding(a=0.3)` lies 0.3 from the origin; different letters are at right angles."""
    row = np.zeros(128, np.float32)
    for letter, value in axes.items():
        row[ord(letter) - ord("a")] = value
    return row


def sample(
    frame: int,
    track: int = 1,
    *,
    x: float = 0.0,
    side_px: float = 100.0,
    quality: float = 1.0,
    face: np.ndarray | None = None,
    turned: float = 0.0,
) -> FaceSample:
    landmarks = FRONTAL + np.float32([x, 0])
    landmarks[2, 0] += turned * 40
    box = np.array([x, 0, x + side_px, side_px], np.float32)
    return FaceSample(frame, track, frame * 0.2, box, landmarks, quality, embedding() if face is None else face)


def poor(frame: int, track: int = 1) -> FaceSample:
    return FaceSample(frame, track, frame * 0.2, np.float32([0, 0, 100, 100]), FRONTAL, 0.0, None)


def test_tracks_of_near_faces_are_one_person() -> None:
    samples = [sample(0, 1), sample(1, 1), sample(5, 2, face=embedding(a=0.3)), sample(6, 3, face=embedding(b=0.9))]

    people = people_in(samples, DLIB_SPACE)

    assert [person.samples for person in people] == [(0, 1, 2), (3,)]


def test_faces_seen_at_once_are_two_people_however_alike() -> None:
    samples = [sample(0, 1), sample(0, 2, x=300)]

    assert sorted(person.samples for person in people_in(samples, DLIB_SPACE)) == [(0,), (1,)]


def test_face_alike_both_of_two_seen_at_once_joins_the_nearer_alone() -> None:
    samples = [sample(0, 1), sample(0, 2, face=embedding(a=0.4)), sample(1, 3, face=embedding(a=0.1))]

    assert sorted(person.samples for person in people_in(samples, DLIB_SPACE)) == [(0, 2), (1,)]


def test_track_that_slips_to_another_face_is_two_people() -> None:
    samples = [sample(0), sample(1), sample(2, face=embedding(a=0.9)), sample(3, face=embedding(a=0.9))]

    assert sorted(person.samples for person in people_in(samples, DLIB_SPACE)) == [(0, 1), (2, 3)]


def test_who_is_seen_larger_comes_first() -> None:
    samples = [sample(0, 1, side_px=50), sample(0, 2, side_px=120, face=embedding(a=0.9))]

    assert [person.samples for person in people_in(samples, DLIB_SPACE)] == [(1,), (0,)]


def test_poor_samples_count_for_their_person_but_are_nobody_alone() -> None:
    samples = [poor(0), sample(1), poor(2), poor(0, track=9)]

    (person,) = people_in(samples, DLIB_SPACE)

    assert person.samples == (0, 1, 2)
    assert person.weight == pytest.approx(300)
    assert people_in([poor(0)], DLIB_SPACE) == []
    assert people_in([], DLIB_SPACE) == []


def test_two_single_pictures_may_lie_farther_apart_than_two_long_tracks() -> None:
    assert limit(0.42, 1, 1, DLIB_SPACE) > limit(0.42, 50, 50, DLIB_SPACE) > 0.42


def test_samples_taken_differ_from_each_other_and_near_duplicates_are_not() -> None:
    faces = [embedding(a=0.2 * (i % 3)) for i in range(9)]  # three samples, three times each
    samples = [sample(i, face=face) for i, face in enumerate(faces)]
    (person,) = people_in(samples, DLIB_SPACE)

    choice = choose(samples, person, 6, NOBODY, DLIB_SPACE)

    assert sorted(i % 3 for i in choice.taken) == [0, 1, 2]
    assert set(choice.refused.values()) == {DUPLICATED}
    assert len(choice.refused) == 6


def test_most_is_kept_to_and_the_farthest_are_taken() -> None:
    samples = [sample(i, face=embedding(a=0.19 * i)) for i in range(5)]
    (person,) = people_in(samples, DLIB_SPACE)

    choice = choose(samples, person, 3, NOBODY, DLIB_SPACE)

    assert choice.taken == (2, 0, 4)  # the most typical, then both ends
    assert choice.refused == {1: ENOUGH, 3: ENOUGH}


def test_turned_head_is_taken_before_a_frontal_one_as_far_away() -> None:
    samples = [sample(0), sample(10, face=embedding(a=0.25)), sample(20, face=embedding(b=0.25), turned=0.4)]
    (person,) = people_in(samples, DLIB_SPACE)

    assert choose(samples, person, 2, NOBODY, DLIB_SPACE).taken == (0, 2)


def test_blurred_sample_is_not_taken_for_being_unlike_the_others() -> None:
    samples = [sample(0), sample(1, face=embedding(a=0.2)), sample(2, face=embedding(b=0.45), quality=0.3), poor(3)]
    (person,) = people_in(samples, DLIB_SPACE)

    choice = choose(samples, person, 3, NOBODY, DLIB_SPACE)

    assert sorted(choice.taken) == [0, 1]
    assert choice.refused == {2: POOR, 3: POOR}


def test_sample_far_from_the_person_is_never_taken() -> None:
    samples = [*(sample(i, face=embedding(a=0.05 * i)) for i in range(4)), sample(4, face=embedding(b=0.6))]
    (person,) = people_in(samples, DLIB_SPACE)  # the track goes on, by less than a jump

    choice = choose(samples, person, 6, NOBODY, DLIB_SPACE)

    assert 4 not in choice.taken
    assert choice.refused[4] == OTHER_PERSON


def test_sample_like_a_photo_there_already_is_not_taken() -> None:
    samples = [sample(0), sample(1, face=embedding(a=0.3))]
    (person,) = people_in(samples, DLIB_SPACE)

    choice = choose(samples, person, 6, embedding(a=0.35)[None], DLIB_SPACE)

    assert choice.taken == (0,)
    assert choice.refused == {1: DUPLICATED}


def test_pixel_means_the_face_that_holds_it_first() -> None:
    samples = [sample(0, 1), sample(0, 2, x=300), sample(1, 1, x=300), sample(1, 2)]

    assert at(samples, 350, 50) == 1
    assert at(samples, 350, 50, 0.2) == 2
    assert at(samples, 450, 50) == 1  # half a face beside it
    assert at(samples, 900, 50) is None
    assert at(samples, 350, 50, 7.0) is None  # nobody was seen then


def test_many_tracks_are_joined_as_a_plain_loop_joins_them() -> None:
    """The nearest two that may be one, again and again, with every mean taken anew."""
    random = np.random.default_rng(5)
    middles = random.normal(0, 0.9 / 16, (6, 128))
    samples = [
        sample(int(first) + index, track, face=(middles[track % 6] + random.normal(0, 0.03, 128)).astype(np.float32))
        for track, first in enumerate(random.integers(0, 60, 40))
        for index in range(1 + track % 4)
    ]
    groups = [[i for i, one in enumerate(samples) if one.track == track] for track in range(40)]
    while True:
        ways = []
        for i, j in itertools.combinations(range(len(groups)), 2):
            a, b = (np.array([samples[k].embedding for k in group], np.float64) for group in (groups[i], groups[j]))
            if not {samples[k].frame for k in groups[i]} & {samples[k].frame for k in groups[j]}:
                far = np.linalg.norm(a.mean(axis=0) - b.mean(axis=0))
                ways.append((far - limit(SAME_PERSON, len(a), len(b), DLIB_SPACE), i, j))
        if not ways or min(ways)[0] > 0:
            break
        _, i, j = min(ways)
        groups[i] += groups.pop(j)

    assert sorted(person.samples for person in people_in(samples, DLIB_SPACE)) == sorted(
        tuple(sorted(group)) for group in groups
    )
    assert 6 <= len(groups) < 40
