"""Why `identify` gave a name or refused it, in words, from answers made in sight."""

import math

import numpy as np
import pytest

from jetstream.gallery.identify import IdentifiedFace, PictureResult, explanation, line, verdict
from jetstream.vision.recognition.classifier import MARGIN, Answer
from jetstream.vision.recognition.quality import COMPLAINTS, Quality
from tests.support import defaults


def person(place: int) -> np.ndarray:
    """(128,): people at right angles, 0.9 from one another."""
    row = np.zeros(128, np.float32)
    row[place] = 0.64
    return row


def asked(people: int, face: np.ndarray, negatives: np.ndarray | None = None, max_distance: float = 0.45) -> str:
    """What is said of `face` where so many people are known."""
    photos = np.stack([person(place) for place in range(people)])
    names = [f"P{place}" for place in range(people)]
    classifier = defaults.fit(photos, names, negatives=negatives).with_max_distance(max_distance)
    (answer,) = classifier.ask(face[None])
    return verdict(answer, people)


def test_one_person_alone_is_named_by_distance_alone() -> None:
    assert asked(1, person(0)) == "named: near enough, and nobody else is known"


def test_two_people_are_told_apart_by_numbers_and_the_svm() -> None:
    said = asked(2, person(0))

    assert said.startswith("named: near enough, the next person farther by 0.9")
    assert said.endswith(f"of at least {MARGIN:.2f}, and the SVM agrees")


def test_barely_farther_is_said_with_how_much() -> None:
    answer = Answer("Ada", 0.6, 0.4, "Ada", 0, 0.05, 0.45)

    assert "farther by 0.05, of at least 0.03" in verdict(answer, 2)


def test_face_like_a_counter_example_is_said_to_be_so() -> None:
    answer = Answer(None, 0.2, 0.4, "Ada", 0, 0.05, 0.3, counter_example=1)

    assert verdict(answer, 2) == "refused: more like a counter-example in Ada/_not/ than like Ada"
    assert "too far from everybody known" in verdict(answer._replace(counter_example=None), 2)


@pytest.mark.parametrize("people", [1, 2])
def test_face_of_a_known_stranger_is_said_to_be_one(people: int) -> None:
    stranger = person(0) + np.float32(0.01)

    said = asked(people, stranger, negatives=stranger[None])

    assert said.startswith("refused: like a picture in _unknown/, which is nearer by 0.1")


def test_one_person_beside_known_strangers_has_no_next_person_and_no_svm() -> None:
    said = asked(1, person(0), negatives=person(1)[None])

    assert said.startswith("named: near enough, and the nearest picture in _unknown/ farther by ")
    assert "SVM" not in said
    near = verdict(Answer(None, 0.4, 0.3, "Ada", 0, 0.02, 0.45), 1)
    assert near == "refused: a picture in _unknown/ is nearly as near: farther by 0.02, of at least 0.03"


def test_each_judge_who_objects_is_heard() -> None:
    said = verdict(Answer(None, 0.1, 0.6, "Ada", 0, 0.01, 0.45, agreed=False), 3)

    assert said == (
        "refused: too far from everybody known; somebody else is nearly as near: farther by 0.01, of at least 0.03; "
        "the SVM prefers somebody else"
    )
    assert verdict(Answer(None, 0.0, math.inf, None), 0) == "refused: there is nobody to compare with"


@pytest.mark.parametrize("component", Quality._fields)
def test_face_too_poor_to_compare_is_told_with_the_component_to_blame(component: str) -> None:
    face = IdentifiedFace(
        (10.0, 20.0, 60.0, 80.0), 0.99, (), None, 0.0, math.inf, None, None, math.inf, None, 0.01, component, "why"
    )
    seen = PictureResult("a.jpg", (face,))

    assert line(seen) == f"a.jpg: not recognisable, {COMPLAINTS[component]} (50x60 at 10,20)"
    assert list(explanation(seen)) == ["  1. not recognisable: quality 0.01; why"]
