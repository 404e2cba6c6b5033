"""Photos become a gallery, which is made anew when they change."""

import os
import shutil

import cv2
import msgspec
import numpy as np
import pytest
from PIL import Image

from jetstream.config.schema import Config, ModelsConfig, RecognizeConfig
from jetstream.errors import ModelError
from jetstream.gallery import photos, store
from jetstream.gallery import train as gallery
from jetstream.gallery.photo_faces import find_faces
from jetstream.gallery.photos import list_photos
from jetstream.networks.open import photo_detector_identity
from jetstream.vision.recognition import align
from tests.support.galleries import Place, only
from tests.support.photos import COLLINS, HOPPER, looks
from tests.support.picture_files import NOT_READ, STILL, encoded, put


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


def test_photo_of_any_kind_and_name_is_learnt(place, portraits):
    for name, image in portraits.items():
        colours = Image.fromarray(image[:, :, ::-1])
        for kind in ("HEIF", "AVIF", "JPEG2000"):
            put(place.faces, f"{name} {kind}/IMG_0001", encoded(kind, colours, quality=90))

    made = place.train()

    # of each person three pictures that show the same
    assert {person.used for person in made.report.people} == {1}
    assert len(made.report.people) == 6


def test_gallery_of_before_is_made_again_only_where_a_photo_could_not_be_read(trained):
    old_readers(trained)
    assert trained.is_current()

    put(trained.faces, f"{COLLINS}/broken.jpg", b"\xff\xd8\xff no more")
    trained.train()
    assert trained.is_current()

    old_readers(trained)
    assert not trained.is_current()
    trained.ensure()
    assert trained.is_current()


def test_version_of_before_that_was_rolled_back_to_stays(trained, portraits):
    put(trained.faces, f"{COLLINS}/broken.jpg", b"\xff\xd8\xff no more")
    trained.train()
    old_readers(trained)
    trained.put(f"{COLLINS}/2.png", looks(portraits[COLLINS])[1])
    trained.train()
    (trained.faces / COLLINS / "2.png").unlink()

    trained.roll_back()

    assert trained.is_current()


def old_readers(place: Place) -> None:
    """The gallery in use, as an earlier version wrote it, which read fewer formats."""
    manifest = store.read_manifest(place.stored)
    text = msgspec.json.decode(msgspec.json.encode(manifest))
    del text["readers"]
    (place.stored / store.MANIFEST).write_bytes(msgspec.json.encode(text))


def test_note_beside_photos_trains_nothing(trained):
    put(trained.faces, f"{COLLINS}/notes.txt", b"from her wedding")
    put(trained.faces, f"{COLLINS}/raw.dng", NOT_READ["phone.dng"])
    assert trained.is_current()

    put(trained.faces, f"{COLLINS}/DSC0001", STILL["PNG"]())
    assert not trained.is_current()


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
    gallery.drop_previous(trained.stored)

    assert made.classifier.names == (COLLINS,)
    content = b"".join(path.read_bytes() for path in trained.stored.iterdir())
    assert COLLINS.encode() in content
    assert HOPPER.encode() not in content
    (archive,) = trained.stored.glob("*.npz")
    with np.load(archive, allow_pickle=False) as arrays:
        assert arrays["embeddings"].shape == (1, 128)


def test_folder_that_cannot_be_a_name_is_reported(trained, portraits):
    trained.put("An\x1bn/1.png", portraits[HOPPER])

    made = trained.train()

    assert made.report.bad_names == (r"An\x1bn",)
    assert made.classifier.names == (COLLINS, HOPPER)


def test_gallery_of_another_network_is_not_used(trained):
    with (trained.models / "embedder.onnx").open("ab") as model:
        model.write(b"another")

    with pytest.raises(ModelError, match="another detector, embedding network or alignment; run `jetstream train`"):
        trained.load()
    assert trained.ensure().report.embedded == 2


def test_gallery_of_another_alignment_is_not_used(trained, monkeypatch):
    monkeypatch.setattr(align, "ALIGNMENT_VERSION", align.ALIGNMENT_VERSION + 1)

    with pytest.raises(ModelError, match="another detector, embedding network or alignment; run `jetstream train`"):
        trained.load()
    assert trained.ensure().report.embedded == 2


def test_gallery_never_trained_is_said(place):
    with pytest.raises(ModelError, match=r"no gallery .*; run `jetstream train`"):
        place.load()


def test_missing_embedder_is_said(place):
    (place.models / "embedder.onnx").unlink()

    with pytest.raises(ModelError, match=r"embedder\.onnx: can't be read"):
        place.ensure()


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
    trained.roll_back()
    assert photos.state(trained.faces) == gallery.learnt_from(config)


def test_progress_tells_each_photo_and_the_end(trained, portraits):
    heard = []
    trained.put("Later/1.png", portraits[HOPPER][:, ::-1])

    gallery.train(
        trained.faces,
        trained.models,
        trained.detector,
        trained.embedder,
        trained.origin(),
        lambda *told: heard.append(told),
    )

    assert heard == [("Later/1.png", 0.0), ("gallery", 1.0)]


@pytest.mark.parametrize(("max_distance", "name"), [(None, COLLINS), (0.01, None)])
def test_config_names_the_folder_and_may_set_the_gate(trained, portraits, max_distance, name):
    config = Config(
        recognize=RecognizeConfig(faces=str(trained.faces), max_distance=max_distance),
        models=ModelsConfig(dir=str(trained.models)),
    )
    smaller = cv2.resize(portraits[COLLINS], None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    trained.train(photo_detector_identity(config))

    assert only(gallery.open_gallery(config).classifier, trained.embed(smaller)) == name


def test_politicians_are_told_apart_and_from_strangers(place, data_dir):
    known = sorted(person.name for person in (data_dir / "lfw10x10").iterdir())[:5]
    for name in known:
        (place.faces / name).mkdir()
        for photo in sorted((data_dir / "lfw10x10" / name).iterdir())[:5]:
            shutil.copy(photo, place.faces / name)
    classifier = place.train().classifier

    photos = {photo.file: photo for photo in list_photos(data_dir / "lfw10x10").photos}
    looks = find_faces(photos, place.detector, place.embedder)
    named = {file: only(classifier, look.embedding[None]) for file, look in looks.items()}

    assert [file for file, name in named.items() if name not in (None, photos[file].person)] == []
    assert sum(name is not None for name in named.values()) >= 49
