"""The gallery on disk: whole or not at all, and one version back."""

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from jetstream.config.galleries import gallery_dir
from jetstream.errors import ModelError, UserError
from jetstream.gallery import train as gallery
from jetstream.gallery.store import read
from jetstream.vision.detection.detector import DetectorIdentity
from jetstream.vision.recognition.quality import Quality
from tests.support.galleries import FOUND_BY
from tests.support.photos import COLLINS, HOPPER


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
    assert (
        "manifest.json: damaged, or made by another version; trained again from the photos" in caplog.text
    ) == is_there
    assert trained.load().classifier.names == (COLLINS, HOPPER)


def test_gallery_of_a_later_format_is_said(trained):
    manifest = trained.stored / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 2', '"format": 3, "new": 0'))

    with pytest.raises(ModelError, match="gallery format 3, expected 2"):
        trained.load()


def test_gallery_from_before_covers_were_measured_keeps_its_photos(trained):
    manifest = trained.stored / "manifest.json"
    stored = json.loads(manifest.read_text())
    for photo in stored["photos"]:
        assert len(photo["quality"]) == len(Quality._fields)
        photo["quality"] = photo["quality"][:5]
    manifest.write_text(json.dumps(stored))

    assert trained.load().classifier.names == trained.train().classifier.names == (COLLINS, HOPPER)
    assert all(photo.quality.occlusion == 1.0 for photo in read(trained.stored).manifest.photos)


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


@pytest.mark.parametrize("other", [DetectorIdentity("retina", 64 * "0"), DetectorIdentity("mtcnn", 64 * "1")])
def test_gallery_of_another_detector_is_trained_again_and_the_log_says_so_once(trained, caplog, other):
    trained.put("Later/1.png", np.full((200, 200, 3), 90, np.uint8))
    trained.train()  # now there is an earlier version, too
    (trained.stored / "manifest.previous.json").write_bytes((trained.stored / "manifest.json").read_bytes())

    assert not trained.is_current(other)
    with pytest.raises(ModelError, match="another detector, embedding network or alignment"):
        trained.load(other)
    made = trained.ensure(other)

    assert made.report.embedded == 2, "no embedding of the other detector's faces is used again"
    assert [record.message for record in caplog.records] == [
        f"{trained.stored}: made with another face detector (mtcnn {12 * '0'}, now {other.name} {other.sha256[:12]}); "
        "trained again from the photos"
    ]
    assert trained.is_current(other)
    assert not trained.is_current()
    with pytest.raises(UserError, match="there is no earlier version to roll back to"):
        trained.roll_back(other)


def without_detector(path: Path) -> None:
    """As manifests were before they named the detector."""
    fields = json.loads(path.read_text())
    assert fields.pop("detector") == "mtcnn"
    assert fields.pop("detector_sha256") == FOUND_BY.sha256
    path.write_text(json.dumps(fields))


def test_gallery_that_names_no_detector_counts_as_made_by_mtcnn(trained, caplog):
    without_detector(trained.stored / "manifest.json")
    before = {path.name: path.read_bytes() for path in trained.stored.iterdir()}

    assert trained.ensure().report.embedded == 0
    assert {path.name: path.read_bytes() for path in trained.stored.iterdir()} == before
    assert not caplog.records
    assert not trained.is_current(DetectorIdentity("retina", FOUND_BY.sha256))


def test_rollback_works_between_versions_that_name_their_detector_and_that_do_not(trained, portraits):
    without_detector(trained.stored / "manifest.json")
    trained.put("Later/1.png", cv2.flip(portraits[HOPPER], 1))
    newer = trained.ensure()
    assert newer.report.embedded == 1, "the embeddings of before are used again"

    assert trained.roll_back().classifier.names == (COLLINS, HOPPER)
    assert trained.ensure().classifier.names == (COLLINS, HOPPER)
    assert trained.roll_back().sha256 == newer.sha256 == trained.ensure().sha256


def test_rollback_goes_back_and_then_forward(trained, portraits):
    trained.put("Later/1.png", cv2.flip(portraits[HOPPER], 1))
    newer = trained.train()

    back = trained.roll_back()
    in_use = trained.load()
    forward = trained.roll_back()

    assert back.classifier.names == in_use.classifier.names == (COLLINS, HOPPER)
    assert forward.classifier.names == (COLLINS, HOPPER, "Later")
    assert forward.sha256 == newer.sha256 == trained.load().sha256 != back.sha256


def test_rolled_back_version_stays_until_photos_change(trained, portraits):
    trained.put("Later/1.png", cv2.flip(portraits[HOPPER], 1))
    trained.train()
    trained.roll_back()

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

    trained.roll_back()

    assert trained.ensure().classifier.names == (COLLINS, HOPPER)


def test_explicit_training_undoes_a_rollback_without_looking_at_photos_again(trained, portraits):
    trained.put("Later/1.png", cv2.flip(portraits[HOPPER], 1))
    trained.train()
    trained.roll_back()

    made = gallery.ensure(
        trained.faces, trained.models, trained.detector, trained.embedder, trained.origin(), stay_rolled_back=False
    )

    assert made.classifier.names == (COLLINS, HOPPER, "Later")
    assert made.report.embedded == 0


def test_training_that_changes_nothing_keeps_the_earlier_version(trained, portraits):
    trained.put("Later/1.png", cv2.flip(portraits[HOPPER], 1))
    trained.train()
    trained.train()

    assert trained.roll_back().classifier.names == (COLLINS, HOPPER)


def test_only_one_earlier_version_is_kept(trained, portraits):
    for name in ("A", "B", "C"):
        trained.put(f"{name}/1.png", cv2.flip(portraits[HOPPER], 1))
        trained.train()

    assert len(list(trained.stored.glob("*.npz"))) == 2
    assert trained.roll_back().classifier.names == ("A", "B", COLLINS, HOPPER)


def test_rollback_with_nothing_to_go_back_to_is_said(trained):
    with pytest.raises(UserError, match="there is no earlier version to roll back to"):
        trained.roll_back()

    gallery.drop_previous(trained.stored)
    assert trained.load().classifier.names == (COLLINS, HOPPER)


def test_damaged_gallery_can_be_left_for_the_earlier_version(trained, portraits):
    trained.put("Later/1.png", cv2.flip(portraits[HOPPER], 1))
    trained.train()
    (trained.stored / "manifest.json").write_text("{")

    assert trained.roll_back().classifier.names == (COLLINS, HOPPER)
    assert trained.load().classifier.names == (COLLINS, HOPPER)


def test_gallery_is_for_its_owner_only(trained):
    assert trained.stored.stat().st_mode & 0o777 == 0o700
    assert trained.stored.parent.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in trained.stored.iterdir()} == {0o600}


def test_two_folders_of_one_name_have_two_galleries(tmp_path):
    first, second = (gallery_dir(tmp_path / place / "my faces", tmp_path, "dlib") for place in ("a", "b"))

    assert first != second
    assert first.name.startswith("my_faces-")
    assert first.parent == tmp_path / "galleries"


def test_files_that_are_not_of_a_gallery_survive_its_sweep(trained, portraits):
    foreign = [trained.stored / name for name in ("notes.txt", "backup.npz", "gallery-mine.npz", ".hidden")]
    for path in foreign:
        path.write_text("own")
    (trained.stored / "gallery-0123456789abcdef.npz").write_text("an older archive")
    (trained.stored / f".manifest.json.{8 * 'a'}").write_text("of an interrupted write")
    (trained.stored / "folder").mkdir()

    trained.put("Later/1.png", cv2.flip(portraits[HOPPER], 1))
    trained.train()

    names = {path.name for path in trained.stored.iterdir()}
    assert {path.name for path in foreign} | {"folder"} <= names
    assert names.isdisjoint({"gallery-0123456789abcdef.npz", f".manifest.json.{8 * 'a'}"})


def test_gallery_folder_that_is_a_link_is_refused(trained):
    elsewhere = trained.stored.rename(trained.stored.with_name("elsewhere"))
    trained.stored.symlink_to(elsewhere)
    before = {path.name: path.read_bytes() for path in elsewhere.iterdir()}

    with pytest.raises(UserError, match="is a link, and nothing is erased through a link"):
        trained.train()

    assert {path.name: path.read_bytes() for path in elsewhere.iterdir()} == before
