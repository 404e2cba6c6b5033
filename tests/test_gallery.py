import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from jetstream import gallery
from jetstream.config import Config, Models, Recognize
from jetstream.enrol import look_at
from jetstream.errors import ModelError, UserError
from jetstream.gallery import Refused
from jetstream.photos import list_photos
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.vision import align
from jetstream.vision.classifier import Classifier
from jetstream.vision.embedder import Embedder
from jetstream.vision.mtcnn import Mtcnn

COLLINS, HOPPER = "Eileen Collins", "Grace Hopper"


@pytest.fixture(scope="module")
def detector(models_dir):
    with (
        OnnxRunner(models_dir / "pnet.onnx") as pnet,
        OnnxRunner(models_dir / "rnet.onnx") as rnet,
        OnnxRunner(models_dir / "onet.onnx") as onet,
    ):
        yield Mtcnn(pnet, rnet, onet, min_face_px=30, thresholds=(0.6, 0.7, 0.7), factor=0.709)


@pytest.fixture(scope="module")
def embedder(models_dir):
    with OnnxRunner(models_dir / "embedder.onnx") as runner:
        yield Embedder(runner)


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
        return self.embedder.embed(align.chips(image, landmarks[None]))


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

    trained.put(f"{COLLINS}/1.png", cv2.flip(portraits[COLLINS], 1))
    trained.put(f"{HOPPER}/1.png", cv2.flip(portraits[HOPPER], 1))
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


def test_deleted_person_is_gone_from_the_disk(trained):
    shutil.rmtree(trained.faces / HOPPER)

    made = trained.ensure()

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
        Refused("unreadable", "Ann/broken.jpg"),
        Refused("no_face", "Ann/empty.png"),
        Refused("unreadable", "Ann/phone.heic"),
        Refused("too_small", "Ann/small.png"),
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


def test_same_photo_twice_is_two_rows_and_one_look(place, portraits):
    for file in ("Ann/1.png", "Ann/2.png"):
        place.put(file, portraits[COLLINS])

    made = place.train()

    assert made.report.people[0].used == 2
    assert made.report.embedded == 2 - 1


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
def test_damaged_gallery_is_said_and_made_again(trained, pattern, damage):
    (path,) = trained.stored.glob(pattern)
    damage(path)

    with pytest.raises(ModelError, match="run `jetstream train`"):
        trained.load()
    assert trained.ensure().classifier.names == (COLLINS, HOPPER)
    assert trained.load().classifier.names == (COLLINS, HOPPER)


def test_gallery_of_a_later_format_is_said(trained):
    manifest = trained.stored / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2, "new": 0'))

    with pytest.raises(ModelError, match="gallery format 2, expected 1"):
        trained.load()


@pytest.mark.parametrize("step", [0, 1])
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
    assert len(list(trained.stored.iterdir())) == 3


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
        recognize=Recognize(faces=str(trained.faces), max_distance=max_distance), models=Models(dir=str(trained.models))
    )
    smaller = cv2.resize(portraits[COLLINS], None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)

    assert only(gallery.open_classifier(config), trained.embed(smaller)) == name


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
