import io
import math
import subprocess
import sys

import numpy as np
import pytest

from jetstream.errors import ModelError
from jetstream.gallery import strangers as background
from jetstream.vision.recognition import thresholds
from jetstream.vision.recognition.classifier import NOBODY, Classifier
from jetstream.vision.recognition.svm import OneVsRestSvm
from tests.support import defaults

BETWEEN, WITHIN = 0.055, 0.03  # per dimension, about what dlib's network gives: people 0.88 apart, photos 0.48


def faces(people: int, photos: int, seed: int = 0) -> np.ndarray:
    """(people, photos, 128) float32 invented embeddings; the same seed gives the same people."""
    middles = np.random.default_rng(seed).normal(0, BETWEEN, (people, 1, 128))
    return (middles + np.random.default_rng(seed + 1).normal(0, WITHIN, (people, photos, 128))).astype(np.float32)


def fitted(embeddings: np.ndarray, **options) -> Classifier:
    """People named p000, p001, ..."""
    people, photos, _ = embeddings.shape
    owners = [f"p{row:03}" for row in range(people) for _ in range(photos)]
    return defaults.fit(embeddings.reshape(-1, 128), owners, **options)


def names(classifier: Classifier, embeddings: np.ndarray) -> list[str | None]:
    return [answer.name for answer in classifier.ask(embeddings)]


def made(svm_weights: np.ndarray, threshold: float = 0.5, **options) -> Classifier:
    """Ann at the origin, Bob one away from her along the first axis, a photo each."""
    photos = np.zeros((2, 128), np.float32)
    photos[1, 0] = 1
    machine = OneVsRestSvm(svm_weights, np.zeros(2, np.float32))
    owners, bars = np.arange(2, dtype=np.int32), np.zeros(len(thresholds.RATES), np.float32)
    return defaults.classifier(["Ann", "Bob"], photos, owners, machine, bars, **options).with_max_distance(threshold)


def along(*firsts: float) -> np.ndarray:
    """Embeddings on the line from Ann to Bob."""
    embeddings = np.zeros((len(firsts), 128), np.float32)
    embeddings[:, 0] = firsts
    return embeddings


BOTH_AGREE = along(-1, 1)  # as weights: Bob from the origin on


def test_nobody_enrolled_knows_nobody():
    classifier = defaults.fit(np.empty((0, 128)), [])

    (answer,) = classifier.ask(faces(1, 1)[0])

    assert answer == NOBODY


@pytest.mark.parametrize("photos", [1, 2, 30])
@pytest.mark.parametrize("people", [1, 2, 3, 8])
def test_known_people_are_named_and_strangers_are_not(people, photos):
    everybody = faces(people + 20, photos + 10)
    known, strangers = everybody[:people], everybody[people:].reshape(-1, 128)
    classifier = fitted(known[:, :photos])

    for row, own in enumerate(known[:, photos:]):
        assert names(classifier, own).count(f"p{row:03}") >= 9
    assert set(names(classifier, strangers)) == {None}


def test_five_hundred_people_with_one_photo_each():
    everybody = faces(600, 2)
    classifier = fitted(everybody[:500, :1])

    known = names(classifier, everybody[:500, 1])

    assert all(name in (None, f"p{row:03}") for row, name in enumerate(known))
    assert 500 - known.count(None) > 200
    assert set(names(classifier, everybody[500:].reshape(-1, 128))) == {None}


def test_person_with_a_hundred_photos_does_not_swallow_one_with_a_single_photo():
    ann, bob = faces(2, 130)
    classifier = defaults.fit(np.concatenate([ann[:100], bob[:1]]), ["Ann"] * 100 + ["Bob"])

    assert names(classifier, ann[100:]).count("Ann") == 30
    assert "Ann" not in names(classifier, bob[1:])
    assert names(classifier, bob[1:]).count("Bob") > 110


def test_no_name_is_given_where_the_two_judges_disagree():
    says_bob_everywhere = made(np.zeros((2, 128), np.float32) + along(0, 1) - along(0.5, 0.5))

    (answer,) = says_bob_everywhere.ask(along(0.1))

    assert answer.name is None
    assert answer.nearest == "Ann"
    assert answer.confidence < 0.5


def test_refused_face_still_tells_who_is_nearest_and_how_far():
    (answer,) = made(BOTH_AGREE, threshold=0.1).ask(along(0.75))

    assert answer.name is None
    assert answer.nearest == "Bob"
    assert answer.distance == pytest.approx(0.25)


def test_confidence_falls_with_distance_and_is_a_half_at_the_threshold():
    answers = made(BOTH_AGREE).ask(along(0.0, -0.3, -0.45, -0.5, -0.51, -0.6, -3.0))
    confidences = [answer.confidence for answer in answers]

    assert confidences == sorted(confidences, reverse=True)
    assert confidences[3] == 0.5
    assert all(0 <= confidence <= 1 for confidence in confidences)
    assert [answer.name for answer in answers] == ["Ann"] * 4 + [None] * 3


def test_name_is_given_exactly_from_half_confidence_on():
    classifier = fitted(faces(6, 4))

    answers = classifier.ask(faces(12, 40).reshape(-1, 128))

    assert {answer.name is None for answer in answers} == {True, False}
    assert all((answer.name is not None) == (answer.confidence >= 0.5) for answer in answers)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_embedding_that_is_not_finite_is_nobody(bad):
    embeddings = along(0.0, 0.0)
    embeddings[1, 77] = bad

    good, broken = made(BOTH_AGREE).ask(embeddings)

    assert good.name == "Ann"
    assert broken == NOBODY


def test_answer_does_not_depend_on_the_others_asked_with_it():
    classifier = fitted(faces(20, 3))
    asked = faces(30, 2).reshape(-1, 128)

    assert classifier.ask(asked) == [classifier.ask(one[None])[0] for one in asked]
    assert classifier.ask(np.empty((0, 128), np.float32)) == []


def test_same_photos_in_another_order_know_the_same_people():
    embeddings = faces(4, 5)
    order = np.random.default_rng(0).permutation(20)
    people = np.repeat(["Dan", "Ann", "Zoe", "Bob"], 5)
    straight = defaults.fit(embeddings.reshape(-1, 128), list(people))
    shuffled = defaults.fit(embeddings.reshape(-1, 128)[order], list(people[order]))
    asked = faces(8, 10).reshape(-1, 128)

    assert straight.names == shuffled.names == ("Ann", "Bob", "Dan", "Zoe")
    assert names(straight, asked) == names(shuffled, asked)


def test_two_people_who_are_equally_near_give_no_name():
    answers = made(np.zeros((2, 128), np.float32), threshold=2.0).ask(along(0.2, 0.49, 0.51, 0.8))

    assert [answer.name for answer in answers] == ["Ann", None, None, "Bob"]
    assert answers[1].margin == pytest.approx(0.02, abs=1e-5)
    assert answers[0].margin == pytest.approx(0.6, abs=1e-5)
    assert answers[1].nearest == "Ann"


def test_answer_tells_the_nearest_photo_of_the_nearest_person():
    everybody = faces(3, 4)
    classifier = fitted(everybody)

    answers = classifier.ask(everybody.reshape(-1, 128) + 0.001)

    assert [answer.photo for answer in answers] == list(range(12))


def test_photo_of_nobody_takes_the_name_from_those_like_it():
    ann, lookalike = faces(1, 5)[0], faces(1, 5, seed=7)[0]
    lookalike = ann.mean(axis=0) + 0.45 * (lookalike - ann.mean(axis=0))
    before = defaults.fit(ann, ["Ann"] * 5)
    after = defaults.fit(ann, ["Ann"] * 5, negatives=lookalike[:1])

    assert set(names(before, lookalike)) == {"Ann"}
    assert set(names(after, lookalike)) == {None}
    assert set(names(after, ann)) == {"Ann"}
    assert {answer.nearest for answer in after.ask(lookalike)} == {"Ann"}


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.1])
@pytest.mark.parametrize(("people", "photos"), [(1, 1), (6, 1), (6, 5), (300, 2)])
def test_strangers_get_a_name_about_as_often_as_was_asked_for(people, photos, rate):
    """On strangers of the same kind as the background, but others; the promise is a factor of three."""
    middles = background.faces("dlib", people, seed=1)[:, None]
    own = (middles + np.random.default_rng(2).normal(0, WITHIN / 2, (people, photos, 128))).astype(np.float32)
    classifier = fitted(own, background=background.faces("dlib", 5000, seed=3), false_accept_rate=rate)

    strangers = background.faces("dlib", 20_000, seed=4)
    named = np.mean([answer.name is not None for answer in classifier.ask(strangers)])

    assert named < 3 * rate


def test_photo_of_nobody_keeps_its_say_whatever_the_threshold():
    ann, stranger = faces(2, 5)
    classifier = defaults.fit(ann, ["Ann"] * 5, negatives=stranger[:1])

    for threshold in (0.3, 0.5, 0.9, 2.0):
        assert set(names(classifier.with_max_distance(threshold), stranger)) == {None}
    assert set(names(classifier.with_max_distance(0.9), ann)) == {"Ann"}


def test_one_person_in_two_folders_does_not_lower_the_others_thresholds():
    """Invented people as far from strangers' middle as strangers are from each other."""
    middles = background.faces("dlib", 10, seed=1)[:, None]
    own = (middles + np.random.default_rng(2).normal(0, WITHIN / 2, (10, 6, 128))).astype(np.float32)
    strangers = background.faces("dlib", 5000, seed=3)
    split = [f"p{row}" if row > 1 or photo < 3 else f"p{row} again" for row in range(10) for photo in range(6)]

    whole = fitted(own, background=strangers).ask(own[5])[0].threshold
    with_two = defaults.fit(own.reshape(-1, 128), split, background=strangers).ask(own[5])[0].threshold

    assert with_two == pytest.approx(whole, abs=0.01)


def test_rate_can_be_changed_after_learning():
    classifier = fitted(faces(4, 3), background=faces(200, 5, seed=9).reshape(-1, 128))

    found = [classifier.with_rate(rate).ask(faces(4, 1)[0])[0].threshold for rate in (0.0001, 0.001, 0.01)]

    assert found == sorted(found)
    assert len(set(found)) == 3


def test_more_photos_bring_a_person_nearer_and_leave_strangers_where_they_were():
    background, own = faces(2000, 1, seed=5).reshape(-1, 128), faces(8, 21, seed=9)
    one, twenty = (fitted(own[:, 1 : 1 + count], background=background) for count in (1, 20))
    strangers = faces(300, 1, seed=13).reshape(-1, 128)

    assert all(
        many.distance < few.distance - 0.05 for few, many in zip(one.ask(own[:, 0]), twenty.ask(own[:, 0]), strict=True)
    )
    few, many = (np.median([answer.distance for answer in known.ask(strangers)]) for known in (one, twenty))
    assert many == pytest.approx(few, abs=0.03)


def test_one_threshold_for_all_replaces_the_measured_ones():
    classifier = made(BOTH_AGREE).with_max_distance(0.2)

    assert names(classifier, along(-0.19, -0.21)) == ["Ann", None]


@pytest.mark.parametrize("people", [0, 1, 2, 7])
def test_stored_classifier_answers_the_same(people):
    classifier = fitted(faces(people, 3)) if people else defaults.fit(np.empty((0, 128)), [])
    file = io.BytesIO()
    np.savez(file, **classifier.to_arrays())
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        read = defaults.classifier_of(stored)
    asked = faces(9, 2).reshape(-1, 128)

    assert read.names == classifier.names
    assert read.ask(asked) == classifier.ask(asked)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("names", None),
        ("names", np.array([1, 2, 3])),
        ("names", np.array(["Ann", "Ann", "Bob"])),
        ("names", np.array(["Ann", "", "Bob"])),
        ("names", np.array(["Ann", "Bob"])),
        ("embeddings", None),
        ("embeddings", np.zeros((6, 127), np.float32)),
        ("embeddings", np.zeros((6, 128), np.float64)),
        ("embeddings", np.full((6, 128), np.nan, np.float32)),
        ("owners", np.zeros(6, np.int32)),
        ("owners", np.arange(6, dtype=np.int32)),
        ("owners", np.zeros(5, np.int32)),
        ("bars", np.zeros(4, np.float32)),
        ("centre", None),
        ("centre", np.zeros(127, np.float32)),
        ("radius", np.array(np.nan)),
        ("radius", np.array(-1.0)),
        ("negatives", np.zeros((1, 127), np.float32)),
        ("svm_gamma", np.zeros(3)),
        ("svm_weights", np.zeros((2, 128), np.float32)),
        ("svm_biases", np.zeros((3, 1), np.float32)),
    ],
)
def test_arrays_of_another_kind_are_refused_with_the_remedy(key, value):
    arrays = fitted(faces(3, 2)).to_arrays()
    del arrays[key]
    if value is not None:
        arrays[key] = value

    with pytest.raises(ModelError, match="jetstream train"):
        defaults.classifier_of(arrays)


def test_photo_without_a_finite_embedding_cannot_be_learnt():
    with pytest.raises(ValueError, match="finite"):
        defaults.fit(np.full((1, 128), np.nan), ["Ann"])


def test_asking_does_not_load_scikit_learn():
    program = (
        "import sys, numpy as np\n"
        "from jetstream.vision.recognition.classifier import Classifier, OneVsRestSvm, thresholds\n"
        "from jetstream.vision.recognition.embedding_space import DLIB_SPACE\n"
        "ones, bars = np.ones((1, 128), np.float32), np.ones(len(thresholds.RATES), np.float32)\n"
        "machine = OneVsRestSvm(ones, np.ones(1, np.float32))\n"
        "people = Classifier(['Ann'], ones, np.zeros(1, np.int32), machine, bars, DLIB_SPACE, "
        "false_accept_rate=0.001, max_distance=None)\n"
        "people.ask(ones)\n"
        "sys.exit('sklearn' in sys.modules)\n"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
