"""Counter-examples take one person's name from the looks near them, and change nothing else."""

import io

import numpy as np
import pytest

from jetstream.errors import ModelError
from jetstream.gallery import strangers
from jetstream.vision.recognition.classifier import Answer, Classifier
from jetstream.vision.recognition.counter_examples import CounterLooks
from jetstream.vision.recognition.embedding_space import DLIB_SPACE, SFACE_SPACE, EmbeddingSpace
from tests.support import defaults

ADDED = EmbeddingSpace(128, 8.4, 11.2, 16.0)
"""An added network whose distances are twenty times dlib's."""
SCALES = {"dlib": (DLIB_SPACE, 1.0), "sface": (SFACE_SPACE, 0.93), "added": (ADDED, 20.0)}


class Street:
    """Ann, Bob and Cid with some photos each, a stranger like Ann, and what a network sees of their faces."""

    def __init__(self, space: EmbeddingSpace, scale: float, photos: int) -> None:
        self.space, self.photos = space, photos
        self._random, self._scale = np.random.default_rng(3), scale
        everybody = strangers.faces("dlib", 4000, seed=5)
        self._mean = everybody.mean(axis=0)
        drawn = self._mean + 0.86 * (everybody[:4] - self._mean)  # what a photo adds is in the looks
        self.middles = drawn[:3]
        self.lookalike = drawn[0] + 0.58 * (drawn[3] - drawn[0])
        self.known = np.concatenate([self.looks(middle, photos) for middle in self.middles])
        self.background = everybody * np.float32(scale)

    def looks(self, middle: np.ndarray, count: int, noise: float = 0.026) -> np.ndarray:
        return np.asarray(self._scale * (middle + self._random.normal(0, noise, (count, 128))), np.float32)

    def opposite(self, count: int) -> np.ndarray:
        """Looks of Ann in which she is less like the stranger than usual."""
        return self.looks(self.middles[0] - 0.8 * (self.lookalike - self.middles[0]), count)

    def learnt(self, *, of: str = "Ann", examples: np.ndarray | None = None) -> Classifier:
        counter = None if examples is None else CounterLooks(examples, [of] * len(examples))
        names = [name for name in ("Ann", "Bob", "Cid") for _ in range(self.photos)]
        lenient = {"background": self.background, "false_accept_rate": 0.2, "counter_examples": counter}
        return defaults.fit(self.known, names, self.space, **lenient)


@pytest.fixture(params=[(name, photos) for name in SCALES for photos in (1, 3, 20)], ids=str)
def street(request: pytest.FixtureRequest) -> Street:
    name, photos = request.param
    return Street(*SCALES[name], photos)


def names(classifier: Classifier, looks: np.ndarray) -> set[str | None]:
    return {answer.name for answer in classifier.ask(looks)}


def named(classifier: Classifier, looks: np.ndarray) -> float:
    """Share of the looks that Ann's name is given to; nobody else's is."""
    answers = classifier.ask(looks)
    assert {answer.name for answer in answers} <= {"Ann", None}
    return float(np.mean([answer.name == "Ann" for answer in answers]))


def test_look_like_a_counter_example_has_the_name_no_more_and_the_person_keeps_it(street: Street) -> None:
    again, own = street.looks(street.lookalike, 100), street.looks(street.middles[0], 100)
    before, after = street.learnt(), street.learnt(examples=street.looks(street.lookalike, 1))

    assert named(before, again) > 0.3
    assert named(after, again) <= 0.02
    assert {answer.nearest for answer in after.ask(again)} == {"Ann"}
    assert named(before, own) == named(after, own) == 1


def test_answers_far_from_the_counter_example_and_those_of_others_stay_to_the_last_bit(street: Street) -> None:
    stranger = street.looks(street.lookalike, 1)
    before, after = (street.learnt(examples=examples).with_rate(0.01) for examples in (None, stranger))
    far = street.opposite(30)
    others = np.concatenate([street.looks(middle, 30) for middle in street.middles[1:]])

    assert "Ann" in names(before, far)
    for looks in (far, others):
        assert after.ask(looks) == before.ask(looks)


def test_counter_example_of_one_is_none_of_another(street: Street) -> None:
    again = street.looks(street.lookalike, 30)
    other = street.learnt(of="Bob", examples=street.looks(street.lookalike, 1))

    assert other.ask(again) == street.learnt().ask(again)


def test_counter_example_itself_is_refused_at_any_threshold(street: Street) -> None:
    example = street.looks(street.lookalike, 1)
    classifier = street.learnt(examples=example)

    for threshold in (0.5, 1.0, 4.0):
        (answer,) = classifier.with_max_distance(threshold * street.space.other).ask(example)
        assert (answer.name, answer.counter_example) == (None, 0)
        assert answer.distance > answer.threshold
        assert answer.confidence < 0.5


def test_answer_tells_the_counter_example_that_lowers_its_threshold() -> None:
    street = Street(*SCALES["dlib"], 3)
    classifier = street.learnt(examples=np.concatenate([street.opposite(1), street.looks(street.lookalike, 1)]))

    (answer,) = classifier.ask(street.looks(street.lookalike, 1))

    assert answer.counter_example == 1
    assert answer.threshold < street.learnt().ask(street.known)[0].threshold


def test_whoever_is_refused_as_ann_gets_no_other_name() -> None:
    """Bob is within the threshold, too, and the SVM would take him next."""
    street = Street(*SCALES["dlib"], 3)
    between = 0.6 * street.middles[0] + 0.4 * street.middles[1]
    example = street.looks(between, 1, noise=0.01)
    before, after = (street.learnt(examples=examples) for examples in (None, example))
    looks = street.looks(between, 30, noise=0.01)
    without_ann = defaults.fit(street.known[3:], ["Bob"] * 3 + ["Cid"] * 3, background=street.background)

    assert names(before, looks) == {"Ann"}
    assert names(without_ann.with_max_distance(street.space.other), looks) == {"Bob"}
    assert names(after, looks) == {None}


def test_counter_example_of_nobody_known_is_left_out() -> None:
    street = Street(*SCALES["dlib"], 1)
    examples = street.looks(street.lookalike, 2)

    assert street.learnt(of="Eve", examples=examples).to_arrays().keys() == street.learnt().to_arrays().keys()


def test_stored_classifier_keeps_counter_examples_and_has_no_place_for_none() -> None:
    street = Street(*SCALES["dlib"], 3)
    plain, classifier = street.learnt(), street.learnt(examples=street.looks(street.lookalike, 2))
    looks = street.looks(street.lookalike, 9)

    assert set(classifier.to_arrays()) - set(plain.to_arrays()) == {"counter_examples", "counter_owners"}
    assert [read_again(made).ask(looks) for made in (plain, classifier)] == [plain.ask(looks), classifier.ask(looks)]


def read_again(classifier: Classifier) -> Classifier:
    file = io.BytesIO()
    np.savez(file, **classifier.to_arrays())
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        return defaults.classifier_of(stored).with_rate(0.2)


def test_answer_without_counter_examples_says_none() -> None:
    street = Street(*SCALES["dlib"], 3)

    answers: list[Answer] = street.learnt().ask(street.looks(street.middles[0], 3))

    assert {answer.counter_example for answer in answers} == {None}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("counter_owners", None),
        ("counter_owners", np.zeros(3, np.int32)),
        ("counter_owners", np.zeros(2, np.int64)),
        ("counter_owners", np.array([0, 3], np.int32)),
        ("counter_owners", np.array([-1, 0], np.int32)),
        ("counter_examples", np.zeros((2, 127), np.float32)),
        ("counter_examples", np.zeros((2, 128), np.float64)),
        ("counter_examples", np.full((2, 128), np.inf, np.float32)),
    ],
)
def test_counter_examples_of_another_kind_are_refused_with_the_remedy(key: str, value: np.ndarray | None) -> None:
    street = Street(*SCALES["dlib"], 1)
    arrays = street.learnt(examples=street.looks(street.lookalike, 2)).to_arrays()
    del arrays[key]
    if value is not None:
        arrays[key] = value

    with pytest.raises(ModelError, match="jetstream train"):
        defaults.classifier_of(arrays)
