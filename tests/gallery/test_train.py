import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from jetstream.config.schema import Config, ModelsConfig, RecognizeConfig
from jetstream.errors import ModelError, UserError
from jetstream.gallery import photos
from jetstream.gallery import train as gallery
from jetstream.gallery.photo_faces import look_at
from jetstream.gallery.photos import list_photos
from jetstream.gallery.report import RefusedPhoto
from jetstream.gallery.store import PhotoWarning
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.vision.detection.mtcnn import Mtcnn
from jetstream.vision.recognition import align
from jetstream.vision.recognition.classifier import Classifier
from jetstream.vision.recognition.embedder import Embedder
from tests.support import defaults
from tests.support.photos import COLLINS, HOPPER, looks


@pytest.fixture(scope="module")
def detector(models_dir):
    with (
        OnnxRunner(models_dir / "pnet.onnx") as pnet,
        OnnxRunner(models_dir / "rnet.onnx") as rnet,
        OnnxRunner(models_dir / "onet.onnx") as onet,
    ):
        yield defaults.mtcnn(pnet, rnet, onet, min_face_px=30, thresholds=(0.6, 0.7, 0.7), factor=0.709)


@pytest.fixture(scope="module")
def embedder(models_dir):
    with OnnxRunner(models_dir / "embedder.onnx") as runner:
        yield defaults.embedder(runner)


class Place:
    """A faces folder and a models folder of a test's own, and the networks."""

    def __init__(self, folder: Path, models_dir: Path, detector: Mtcnn, embedder: Embedder) -> None:
        self.faces, self.models = folder / "faces", folder / "models"
        self.faces.mkdir()
        self.models.mkdir()
        shutil.copy(models_dir / "embedder.onnx", self.models)
        self.detector, self.embedder = detector, embedder

    def put(self, file: str, image: np.ndarray) -> Path:
        path = self.faces / file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
        return path

    def train(self) -> gallery.Gallery:
        return gallery.train(self.faces, self.models, self.detector, self.embedder)

    def ensure(self) -> gallery.Gallery:
        return gallery.ensure(self.faces, self.models, self.detector, self.embedder)

    def load(self) -> gallery.Gallery:
        return gallery.load(self.faces, self.models)

    def is_current(self) -> bool:
        return gallery.is_current(self.faces, self.models, gallery.embedder_sha256(self.models))

    @property
    def stored(self) -> Path:
        return gallery.gallery_dir(self.faces, self.models)

    def embed(self, image: np.ndarray) -> np.ndarray:
        """(1, 128): the live path, from a frame with one face."""
        (landmarks,) = self.detector.detect([image])[0].landmarks
        return self.embedder.embed(align.chips(image, landmarks[None]), mirror=True)


@pytest.fixture
def place(tmp_path, models_dir, detector, embedder):
    return Place(tmp_path, models_dir, detector, embedder)


@pytest.fixture
def trained(place, portraits):
    """Two people with a photo each, enrolled."""
    for name, image in portraits.items():
        place.put(f"{name}/1.png", image)
    place.train()
    return place


def only(classifier: Classifier, embedding: np.ndarray) -> str | None:
    (answer,) = classifier.ask(embedding)
    return answer.name


def test_enrolled_people_are_known_from_another_picture(trained, portraits):
    classifier = trained.load().classifier

    for name, image in portraits.items():
        smaller = cv2.resize(cv2.flip(image, 1), None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
        assert only(classifier, trained.embed(smaller)) == name


def test_enrolment_and_live_use_make_the_same_embedding(trained, portraits):
    (row,) = trained.load().classifier.ask(trained.embed(portraits[HOPPER]))

    assert row.distance < 1e-5


def test_missing_folder_makes_an_empty_gallery(place, portraits):
    place.faces.rmdir()

    made = place.ensure()

    assert made.report.people == ()
    assert only(place.load().classifier, place.embed(portraits[COLLINS])) is None


def test_only_new_content_is_embedded(trained, portraits):
    assert trained.train().report.embedded == 0

    (trained.faces / COLLINS / "1.png").rename(trained.faces / COLLINS / "moved.png")
    assert trained.train().report.embedded == 0

    trained.put(f"{COLLINS}/1.png", looks(portraits[COLLINS])[1])
    trained.put(f"{HOPPER}/1.png", looks(portraits[HOPPER])[1])
    made = trained.train()

    assert made.report.embedded == 2
    assert [person.used for person in made.report.people] == [2, 1]


def test_gallery_stays_current_until_a_photo_changes(trained, portraits):
    assert trained.is_current()

    os.utime(trained.faces / HOPPER / "1.png")
    assert trained.is_current()

    trained.put(f"{HOPPER}/2.png", cv2.flip(portraits[HOPPER], 1))
    assert not trained.is_current()

    assert trained.ensure().report.embedded == 1
    assert trained.is_current()


def test_photo_that_goes_to_another_person_makes_the_gallery_old(trained):
    (trained.faces / HOPPER / "1.png").rename(trained.faces / COLLINS / "2.png")

    assert not trained.is_current()


def test_deleted_person_is_gone_from_the_disk_with_the_earlier_version(trained):
    shutil.rmtree(trained.faces / HOPPER)

    made = trained.ensure()
    gallery.drop_previous(trained.faces, trained.models)

    assert made.classifier.names == (COLLINS,)
    content = b"".join(path.read_bytes() for path in trained.stored.iterdir())
    assert COLLINS.encode() in content
    assert HOPPER.encode() not in content
    (archive,) = trained.stored.glob("*.npz")
    with np.load(archive, allow_pickle=False) as arrays:
        assert arrays["embeddings"].shape == (1, 128)


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
    assert not len(place.detector.detect([tight])[0].boxes)
    place.put("Ann/tight.png", tight)

    made = place.train()

    assert made.report.people[0].used == 1
    assert only(made.classifier, place.embed(portraits[COLLINS])) == "Ann"


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
    report = gallery.train(data_dir / folder, place.models, place.detector, place.embedder).report

    counts = Counter(refused.code for person in report.people for refused in person.refused)
    assert all(person.used for person in report.people)
    assert all(counts[code] <= refused.get(code, 0) for code in counts)


def test_blurred_photo_is_refused_beside_a_sharp_one_and_kept_alone(place, portraits):
    blurred = cv2.GaussianBlur(portraits[COLLINS], (0, 0), 7)
    assert len(place.detector.detect([blurred])[0].boxes) == 1
    place.put("Ann/blurred.png", blurred)
    alone = place.train().report.people[0]
    place.put("Ann/sharp.png", portraits[COLLINS])
    beside = place.train().report.people[0]

    assert (alone.used, alone.refused) == (1, ())
    assert PhotoWarning("blurred", "Ann/blurred.png") in alone.warnings
    assert (beside.used, beside.refused) == (1, (RefusedPhoto("blurred", "Ann/blurred.png"),))


def test_photo_of_two_people_side_by_side_is_refused(place, portraits):
    half = cv2.resize(portraits[HOPPER], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    place.put("Ann/both.png", np.hstack([portraits[COLLINS][: len(half)], half]))
    place.put("Ann/1.png", portraits[COLLINS])

    (ann,) = place.train().report.people

    assert ann.used == 1
    assert ann.refused == (RefusedPhoto("many_faces", "Ann/both.png"),)


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


def test_stranger_who_was_put_aside_is_named_no_more(place, portraits):
    """A face that Hopper's photos reach: her own, whom another camera shows, and who shall be nobody."""
    place.put("Ann/1.png", portraits[HOPPER])
    stranger = looks(portraits[HOPPER])[2]
    before = place.train()
    place.put("_unknown/1.png", stranger)

    assert not place.is_current()
    after = place.ensure()

    assert only(before.classifier, place.embed(stranger)) == "Ann"
    assert only(after.classifier, place.embed(stranger)) is None
    assert only(after.classifier, place.embed(portraits[HOPPER])) == "Ann"
    assert [person.name for person in after.report.people] == ["Ann"]
    assert after.report.unknown is not None
    assert after.report.unknown.used == 1
    assert after.files == ("Ann/1.png",)
    assert place.is_current()
    assert place.train().report.embedded == 0
    assert place.load().report.unknown == after.report.unknown


def test_empty_folder_for_strangers_is_noticed_as_the_watcher_notices_it(trained):
    config = Config(recognize=RecognizeConfig(faces=str(trained.faces)), models=ModelsConfig(dir=str(trained.models)))
    (trained.faces / "_unknown").mkdir()

    assert not trained.is_current()
    made = trained.ensure()

    assert made.report.unknown is not None
    assert made.report.unknown.used == 0
    assert trained.is_current()
    assert photos.state(trained.faces) == gallery.learnt_from(config)


def test_picture_of_a_known_person_among_the_strangers_is_refused(trained, portraits):
    trained.put("_unknown/1.png", portraits[HOPPER])

    made = trained.train()

    assert made.report.unknown is not None
    assert made.report.unknown.refused == (RefusedPhoto(f"looks_like:{HOPPER}", "_unknown/1.png"),)
    assert only(made.classifier, trained.embed(portraits[HOPPER])) == HOPPER


def test_folder_that_cannot_be_a_name_is_reported(trained, portraits):
    trained.put("An\x1bn/1.png", portraits[HOPPER])

    made = trained.train()

    assert made.report.bad_names == (r"An\x1bn",)
    assert made.classifier.names == (COLLINS, HOPPER)


def test_gallery_of_another_network_is_not_used(trained):
    with (trained.models / "embedder.onnx").open("ab") as model:
        model.write(b"another")

    with pytest.raises(ModelError, match="another network or alignment; run `jetstream train`"):
        trained.load()
    assert trained.ensure().report.embedded == 2


def test_gallery_of_another_alignment_is_not_used(trained, monkeypatch):
    monkeypatch.setattr(align, "ALIGNMENT_VERSION", align.ALIGNMENT_VERSION + 1)

    with pytest.raises(ModelError, match="another network or alignment; run `jetstream train`"):
        trained.load()
    assert trained.ensure().report.embedded == 2


def test_gallery_never_trained_is_said(place):
    with pytest.raises(ModelError, match=r"no gallery .*; run `jetstream train`"):
        place.load()


def test_missing_embedder_is_said(place):
    (place.models / "embedder.onnx").unlink()

    with pytest.raises(ModelError, match=r"embedder\.onnx: can't be read"):
        place.ensure()


def damage_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("pattern", ["manifest.json", "*.npz"])
@pytest.mark.parametrize(
    "damage",
    [
        damage_middle,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-20]),
        lambda path: path.unlink(),
    ],
    ids=["a byte turned", "emptied", "cut short", "gone"],
)
def test_damaged_gallery_is_said_and_made_again(trained, pattern, damage, caplog):
    (path,) = trained.stored.glob(pattern)
    damage(path)
    is_there = (trained.stored / "manifest.json").exists()

    with pytest.raises(ModelError, match="run `jetstream train`"):
        trained.load()
    assert trained.ensure().classifier.names == (COLLINS, HOPPER)
    assert ("manifest.json: damaged, or made by another version; made again from the photos" in caplog.text) == is_there
    assert trained.load().classifier.names == (COLLINS, HOPPER)


def test_gallery_of_a_later_format_is_said(trained):
    manifest = trained.stored / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 2', '"format": 3, "new": 0'))

    with pytest.raises(ModelError, match="gallery format 3, expected 2"):
        trained.load()


@pytest.mark.parametrize("step", [0, 1, 2])
def test_interrupted_write_leaves_the_old_gallery(trained, portraits, monkeypatch, step):
    trained.put("Later/1.png", cv2.flip(portraits[HOPPER], 1))
    steps = iter([os.replace] * step)

    def replace_or_fail(source, target):
        next(steps, fail)(source, target)

    def fail(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", replace_or_fail)
    with pytest.raises(UserError, match="No space left on device"):
        trained.train()
    assert trained.load().classifier.names == (COLLINS, HOPPER)

    monkeypatch.undo()
    assert trained.train().classifier.names == (COLLINS, HOPPER, "Later")
    assert len(list(trained.stored.iterdir())) == 5, "a lock, and two versions of two files"


def test_rollback_goes_back_and_then_forward(trained, portraits):
    trained.put("Later/1.png", cv2.flip(portraits[HOPPER], 1))
    newer = trained.train()

    back = gallery.roll_back(trained.faces, trained.models)
    in_use = trained.load()
    forward = gallery.roll_back(trained.faces, trained.models)

    assert back.classifier.names == in_use.classifier.names == (COLLINS, HOPPER)
    assert forward.classifier.names == (COLLINS, HOPPER, "Later")
    assert forward.sha256 == newer.sha256 == trained.load().sha256 != back.sha256


def test_rolled_back_version_stays_until_photos_change(trained, portraits):
    trained.put("Later/1.png", cv2.flip(portraits[HOPPER], 1))
    trained.train()
    gallery.roll_back(trained.faces, trained.models)

    stayed = trained.ensure()
    assert stayed.rolled_back
    assert stayed.classifier.names == (COLLINS, HOPPER)

    trained.put("Latest/1.png", cv2.flip(portraits[COLLINS], 1))
    changed = trained.ensure()
    assert not changed.rolled_back
    assert changed.classifier.names == (COLLINS, HOPPER, "Later", "Latest")


def test_rollback_just_before_photos_are_learnt_leaves_them_unlearnt(trained, portraits):
    trained.put("Later/1.png", cv2.flip(portraits[HOPPER], 1))
    trained.train()
    shutil.rmtree(trained.faces / "Later")  # and nobody learnt that yet
    trained.put("Latest/1.png", portraits[HOPPER])

    gallery.roll_back(trained.faces, trained.models)

    assert trained.ensure().classifier.names == (COLLINS, HOPPER)


def test_explicit_training_undoes_a_rollback_without_looking_at_photos_again(trained, portraits):
    trained.put("Later/1.png", cv2.flip(portraits[HOPPER], 1))
    trained.train()
    gallery.roll_back(trained.faces, trained.models)

    made = gallery.ensure(trained.faces, trained.models, trained.detector, trained.embedder, stay_rolled_back=False)

    assert made.classifier.names == (COLLINS, HOPPER, "Later")
    assert made.report.embedded == 0


def test_training_that_changes_nothing_keeps_the_earlier_version(trained, portraits):
    trained.put("Later/1.png", cv2.flip(portraits[HOPPER], 1))
    trained.train()
    trained.train()

    assert gallery.roll_back(trained.faces, trained.models).classifier.names == (COLLINS, HOPPER)


def test_only_one_earlier_version_is_kept(trained, portraits):
    for name in ("A", "B", "C"):
        trained.put(f"{name}/1.png", cv2.flip(portraits[HOPPER], 1))
        trained.train()

    assert len(list(trained.stored.glob("*.npz"))) == 2
    assert gallery.roll_back(trained.faces, trained.models).classifier.names == ("A", "B", COLLINS, HOPPER)


def test_rollback_with_nothing_to_go_back_to_is_said(trained):
    with pytest.raises(UserError, match="no earlier version is kept"):
        gallery.roll_back(trained.faces, trained.models)

    gallery.drop_previous(trained.faces, trained.models)
    assert trained.load().classifier.names == (COLLINS, HOPPER)


def test_damaged_gallery_can_be_left_for_the_earlier_version(trained, portraits):
    trained.put("Later/1.png", cv2.flip(portraits[HOPPER], 1))
    trained.train()
    (trained.stored / "manifest.json").write_text("{")

    assert gallery.roll_back(trained.faces, trained.models).classifier.names == (COLLINS, HOPPER)
    assert trained.load().classifier.names == (COLLINS, HOPPER)


def test_photos_look_unchanged_to_the_watcher_right_after_training(trained, portraits):
    config = Config(recognize=RecognizeConfig(faces=str(trained.faces)), models=ModelsConfig(dir=str(trained.models)))
    trained.put("stray.png", portraits[HOPPER])
    (trained.faces / "Empty").mkdir()
    (trained.faces / HOPPER / "notes.txt").write_text("no picture")
    trained.train()

    assert photos.state(trained.faces) == gallery.learnt_from(config)

    trained.put("Later/1.png", cv2.flip(portraits[HOPPER], 1))
    assert photos.state(trained.faces) != gallery.learnt_from(config)

    trained.train()
    gallery.roll_back(trained.faces, trained.models)
    assert photos.state(trained.faces) == gallery.learnt_from(config)


def test_gallery_is_for_its_owner_only(trained):
    assert trained.stored.stat().st_mode & 0o777 == 0o700
    assert trained.stored.parent.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in trained.stored.iterdir()} == {0o600}


def test_two_folders_of_one_name_have_two_galleries(tmp_path):
    first, second = (gallery.gallery_dir(tmp_path / place / "my faces", tmp_path) for place in ("a", "b"))

    assert first != second
    assert first.name.startswith("my_faces-")
    assert first.parent == tmp_path / "galleries"


def test_progress_tells_each_photo_and_the_end(trained, portraits):
    heard = []
    trained.put("Later/1.png", portraits[HOPPER][:, ::-1])

    gallery.train(trained.faces, trained.models, trained.detector, trained.embedder, lambda *told: heard.append(told))

    assert heard == [("Later/1.png", 0.0), ("gallery", 1.0)]


@pytest.mark.parametrize(("max_distance", "name"), [(None, COLLINS), (0.01, None)])
def test_config_names_the_folder_and_may_set_the_gate(trained, portraits, max_distance, name):
    config = Config(
        recognize=RecognizeConfig(faces=str(trained.faces), max_distance=max_distance),
        models=ModelsConfig(dir=str(trained.models)),
    )
    smaller = cv2.resize(portraits[COLLINS], None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)

    assert only(gallery.open_gallery(config).classifier, trained.embed(smaller)) == name


def test_politicians_are_told_apart_and_from_strangers(place, data_dir):
    known = sorted(person.name for person in (data_dir / "lfw10x10").iterdir())[:5]
    for name in known:
        (place.faces / name).mkdir()
        for photo in sorted((data_dir / "lfw10x10" / name).iterdir())[:5]:
            shutil.copy(photo, place.faces / name)
    classifier = place.train().classifier

    photos = {photo.file: photo for photo in list_photos(data_dir / "lfw10x10").photos}
    looks = look_at(photos, place.detector, place.embedder)
    named = {file: only(classifier, look.embedding[None]) for file, look in looks.items()}

    assert [file for file, name in named.items() if name not in (None, photos[file].person)] == []
    assert sum(name is not None for name in named.values()) >= 49
