"""Which photos a gallery is made of, and what is said of the others."""

import shutil
from collections import Counter
from dataclasses import replace

import cv2
import pytest

from jetstream.gallery import train as gallery
from jetstream.gallery.report import RefusedPhoto
from jetstream.gallery.store import PhotoWarning
from jetstream.vision.detection.detector import faces_in
from tests.support.photos import COLLINS, HOPPER, looks


def test_same_photo_again_is_a_duplicate_as_bytes_and_saved_anew(place, portraits):
    smaller = cv2.resize(portraits[COLLINS], None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    for file, image in (("1.png", portraits[COLLINS]), ("2.png", portraits[COLLINS]), ("3.jpg", smaller)):
        place.put(f"Ann/{file}", image)
    place.put("Ann/4.png", looks(portraits[COLLINS])[1])

    made = place.train()

    (ann,) = made.report.people
    assert ann.used == 2
    assert ann.refused == (RefusedPhoto("duplicate", "Ann/2.png"), RefusedPhoto("duplicate", "Ann/3.jpg"))
    assert made.report.embedded == 3, "the same content is looked at once"
    assert place.train().report == replace(made.report, embedded=0)
    assert place.load().files == ("Ann/1.png", "Ann/4.png")


def test_two_photos_swapped_between_two_people_are_named_and_nothing_else(place, portraits):
    for name, image in portraits.items():
        for number, look in enumerate(looks(image), 1):
            place.put(f"{name}/{number}.png", look)
    first, second = (place.faces / name / "3.png" for name in (COLLINS, HOPPER))
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)

    made = place.train()

    collins, hopper = made.report.people
    assert collins.refused == (RefusedPhoto(f"looks_like:{HOPPER}", f"{COLLINS}/3.png"),)
    assert hopper.refused == (RefusedPhoto(f"looks_like:{COLLINS}", f"{HOPPER}/3.png"),)
    assert collins.warnings == hopper.warnings == ()
    assert f"{COLLINS}/3.png" not in made.files

    first.rename(place.faces / HOPPER / "back.png")
    second.rename(place.faces / COLLINS / "back.png")
    mended = place.train()

    assert mended.report.embedded == 0, "what was refused is remembered"
    assert [(person.used, person.refused) for person in mended.report.people] == [(4, ()), (4, ())]


def test_swapped_and_planted_photos_of_politicians_are_named_and_nothing_else(place, data_dir):
    people = sorted(person.name for person in (data_dir / "lfw10x10").iterdir())
    for name in people:
        (place.faces / name).mkdir()
        for photo in sorted((data_dir / "lfw10x10" / name).iterdir())[:4]:
            shutil.copy(photo, place.faces / name)
    first, second, third = (sorted((place.faces / name).iterdir())[2] for name in people[:3])
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)
    shutil.copy(third, third.with_name("z-bytes.jpg"))
    half = cv2.resize(cv2.imread(str(third)), None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    place.put(f"{people[2]}/z-smaller.jpg", half)

    report = place.train().report

    assert {refused for person in report.people for refused in person.refused} == {
        RefusedPhoto(f"looks_like:{people[1]}", f"{people[0]}/{first.name}"),
        RefusedPhoto(f"looks_like:{people[0]}", f"{people[1]}/{second.name}"),
        RefusedPhoto("duplicate", f"{people[2]}/z-bytes.jpg"),
        RefusedPhoto("duplicate", f"{people[2]}/z-smaller.jpg"),
    }
    assert [warned for person in report.people for warned in person.warnings] == []


@pytest.mark.parametrize(
    ("folder", "refused"),
    [
        ("lfw10x10", {}),
        ("bbt_train", {}),
        ("face_recognition_knn/train", {}),
        ("friends_refs", {}),
        ("hamilton_refs", {}),
        ("dlib_johns", {"duplicate": 4}),
        ("glint24_dev", {"duplicate": 2, "extreme_pose": 12}),
    ],
)
def test_good_photos_of_real_people_are_learnt_from(place, data_dir, folder, refused):
    """Looked at one by one: the duplicates are duplicates, and the poses are profiles."""
    report = gallery.train(data_dir / folder, place.models, place.detector, place.embedder, place.origin()).report

    counts = Counter(refused.code for person in report.people for refused in person.refused)
    assert all(person.used for person in report.people)
    assert all(counts[code] <= refused.get(code, 0) for code in counts)


def test_blurred_photo_is_refused_beside_a_sharp_one_and_kept_alone(place, portraits):
    blurred = cv2.GaussianBlur(portraits[COLLINS], (0, 0), 7)
    assert len(faces_in(place.detector, blurred).boxes) == 1
    place.put("Ann/blurred.png", blurred)
    alone = place.train().report.people[0]
    place.put("Ann/sharp.png", portraits[COLLINS])
    beside = place.train().report.people[0]

    assert (alone.used, alone.refused) == (1, ())
    assert PhotoWarning("blurred", "Ann/blurred.png") in alone.warnings
    assert (beside.used, beside.refused) == (1, (RefusedPhoto("blurred", "Ann/blurred.png"),))


def test_one_picture_in_two_folders_is_told_of_both(trained, portraits):
    trained.put("Cam/9.png", portraits[HOPPER])

    people = {person.name: person for person in trained.train().report.people}

    assert PhotoWarning(f"same_picture:{HOPPER}/1.png", "Cam/9.png") in people["Cam"].warnings
    assert PhotoWarning("same_picture:Cam/9.png", f"{HOPPER}/1.png") in people[HOPPER].warnings
    assert PhotoWarning("close:Cam") in people[HOPPER].warnings
    assert people[HOPPER].used == people["Cam"].used == 1


def test_each_person_is_told_apart_in_numbers(place, portraits):
    for number, look in enumerate(looks(portraits[COLLINS]), 1):
        place.put(f"{COLLINS}/{number}.png", look)
    place.put(f"{HOPPER}/1.png", portraits[HOPPER])

    made = place.train()

    collins, hopper = made.report.people
    assert collins.spread is not None
    assert 0.1 < collins.spread < 0.35
    assert collins.nearest == HOPPER
    assert collins.distance == hopper.distance
    assert collins.distance is not None
    assert collins.distance > 0.5
    assert hopper.spread is None
    assert hopper.warnings == (PhotoWarning("one_photo"),)
    assert place.load().report == replace(made.report, embedded=0)


def test_two_people_in_one_folder_are_warned_of(place, data_dir):
    for folder, names in (("Both", ("Colin_Powell", "Vladimir_Putin")), ("One", ("Tony_Blair",))):
        (place.faces / folder).mkdir()
        for name in names:
            for photo in sorted((data_dir / "lfw10x10" / name).iterdir())[:4]:
                shutil.copy(photo, place.faces / folder)

    both, one = place.train().report.people

    assert (both.warnings, one.warnings) == ((PhotoWarning("wide"),), ())
