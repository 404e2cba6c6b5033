"""The face that is taken from a photo."""

import cv2
import numpy as np

from jetstream.gallery.report import RefusedPhoto
from jetstream.vision.detection.detector import faces_in
from tests.support.galleries import only
from tests.support.photos import COLLINS, HOPPER


def test_refused_photos_are_named_with_their_reason(place, portraits):
    face = portraits[COLLINS][40:200, 150:300]
    place.put("Ann/1.png", portraits[COLLINS])
    place.put("Ann/empty.png", np.full((200, 200, 3), 90, np.uint8))
    (place.faces / "Ann" / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    (place.faces / "Ann" / "phone.heic").write_bytes(b"")
    place.put("Ann/small.png", cv2.resize(face, None, fx=0.36, fy=0.36, interpolation=cv2.INTER_AREA))

    (ann,) = place.train().report.people

    assert ann.used == 1
    assert set(ann.refused) == {
        RefusedPhoto("unreadable", "Ann/broken.jpg"),
        RefusedPhoto("no_face", "Ann/empty.png"),
        RefusedPhoto("unreadable", "Ann/phone.heic"),
        RefusedPhoto("too_small", "Ann/small.png"),
    }


def test_person_without_a_usable_face_is_reported_and_skipped(trained):
    trained.put("Nobody/1.png", np.zeros((100, 100, 3), np.uint8))
    (trained.faces / "Empty").mkdir()

    made = trained.train()

    assert {person.name: person.used for person in made.report.people} == {
        COLLINS: 1,
        "Empty": 0,
        HOPPER: 1,
        "Nobody": 0,
    }
    assert made.classifier.names == (COLLINS, HOPPER)
    assert trained.is_current()


def test_largest_of_several_faces_is_taken_and_said(place, portraits):
    large = portraits[COLLINS]
    small = cv2.resize(portraits[HOPPER], None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA)
    both = np.zeros((512, 512 + small.shape[1], 3), np.uint8)
    both[:, : -small.shape[1]], both[: len(small), 512:] = large, small
    place.put("Ann/both.png", both)

    made = place.train()

    assert made.report.people[0].several == ("Ann/both.png",)
    assert only(made.classifier, place.embed(large)) == "Ann"


def test_photo_cut_tight_around_the_face_is_used(place, portraits):
    tight = portraits[COLLINS][75:165, 190:255]
    assert not len(faces_in(place.detector, tight).boxes)
    place.put("Ann/tight.png", tight)

    made = place.train()

    assert made.report.people[0].used == 1
    assert only(made.classifier, place.embed(portraits[COLLINS])) == "Ann"


def test_photo_of_two_people_side_by_side_is_refused(place, portraits):
    half = cv2.resize(portraits[HOPPER], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    place.put("Ann/both.png", np.hstack([portraits[COLLINS][: len(half)], half]))
    place.put("Ann/1.png", portraits[COLLINS])

    (ann,) = place.train().report.people

    assert ann.used == 1
    assert ann.refused == (RefusedPhoto("many_faces", "Ann/both.png"),)
