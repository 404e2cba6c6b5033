"""Looks that aren't a person, in that person's folder: learnt, kept with the folder, told, and undone."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from jetstream.config import load
from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.evaluation import evaluate
from jetstream.gallery import counter_examples, erasure, layout, people, photos, prepare, table
from jetstream.gallery import train as gallery
from jetstream.gallery.erasure import SearchedFolders
from jetstream.gallery.other_files import not_taken
from jetstream.gallery.report import RefusedPhoto
from tests.support.galleries import Place, only
from tests.support.inside import Inside
from tests.support.other_user import give_away, without_rights
from tests.support.photos import COLLINS, HOPPER, looks, write_photo


@pytest.fixture
def taken(place: Place, portraits: dict[str, np.ndarray]) -> Place:
    """Ann has Hopper's face; another look of it gets her name, and shall not. Collins is known, too."""
    place.put("Ann/1.png", portraits[HOPPER])
    place.put(f"{COLLINS}/1.png", portraits[COLLINS])
    place.train()
    return place


@pytest.fixture
def corrected(taken: Place, portraits: dict[str, np.ndarray]) -> Place:
    put_inside(taken, "Ann/_not/1.png", other_look(portraits))
    return taken


@pytest.fixture
def judge(taken: Place) -> Iterator[counter_examples.LookJudge]:
    with counter_examples.LookJudge(config_of(taken)) as judge:
        yield judge


def other_look(portraits: dict[str, np.ndarray]) -> np.ndarray:
    return looks(portraits[HOPPER])[2]


def put_inside(place: Place, file: str, image: np.ndarray) -> Path:
    return write_photo(place.faces / file, image)


def config_of(place: Place) -> Config:
    return load.build(
        {"recognize": {"faces": str(place.faces), "model": "dlib"}, "models": {"dir": str(place.models)}}, where="test"
    )


def test_look_that_is_not_ann_has_her_name_no_more_and_she_keeps_it(
    taken: Place, portraits: dict[str, np.ndarray]
) -> None:
    before = taken.load()
    put_inside(taken, "Ann/_not/1.png", other_look(portraits))

    assert not taken.is_current()
    after = taken.ensure()

    look = taken.embed(other_look(portraits))
    assert only(before.classifier, look) == "Ann"
    assert only(after.classifier, look) is None
    assert only(after.classifier, taken.embed(portraits[HOPPER])) == "Ann"
    collins = taken.embed(portraits[COLLINS])
    assert after.classifier.ask(collins) == before.classifier.ask(collins)
    assert after.files == before.files == ("Ann/1.png", f"{COLLINS}/1.png")
    assert after.counter_files == ("Ann/_not/1.png",)
    assert {person.name: (person.used, person.counter_examples) for person in after.report.people} == {
        "Ann": (1, 1),
        COLLINS: (1, 0),
    }
    assert taken.is_current()
    assert taken.load().classifier.ask(look) == after.classifier.ask(look)
    assert taken.train().report.embedded == 0, "it was embedded before"


def test_gallery_without_counter_examples_is_what_it_was(corrected: Place) -> None:
    before = corrected.load()
    arrays = before.classifier.to_arrays()
    corrected.ensure()
    (corrected.faces / "Ann" / "_not" / "1.png").unlink()

    after = corrected.ensure()

    assert after.sha256 == before.sha256
    assert all(np.array_equal(array, arrays[name]) for name, array in after.classifier.to_arrays().items())
    assert corrected.is_current(), "an empty folder teaches nothing"


def test_gallery_from_before_there_were_counter_examples_stays(taken: Place) -> None:
    manifest = taken.stored / "manifest.json"
    content = json.loads(manifest.read_bytes())
    for record in content["photos"]:
        del record["counter_example"]
    manifest.write_text(json.dumps(content))

    assert taken.is_current()
    assert taken.ensure().counter_files == ()


def test_version_before_has_the_counter_examples_of_then(corrected: Place, portraits: dict[str, np.ndarray]) -> None:
    corrected.ensure()

    before = corrected.roll_back()
    again = corrected.roll_back()

    look = corrected.embed(other_look(portraits))
    assert [only(one.classifier, look) for one in (before, again)] == ["Ann", None]
    assert [one.counter_files for one in (before, again)] == [(), ("Ann/_not/1.png",)]


def test_evaluation_trains_with_them(corrected: Place) -> None:
    known = corrected.ensure().classifier.counter_looks
    arrays = corrected.load().classifier.to_arrays()
    fit = evaluate._fit(config_of(corrected), arrays["negatives"], known)

    both = fit(arrays["embeddings"], ["Ann", COLLINS])
    without_ann = fit(arrays["embeddings"][1:], [COLLINS])

    assert list(both.counter_looks.names) == ["Ann"]
    assert list(without_ann.counter_looks.names) == []


def test_watcher_sees_a_counter_example_as_training_does(corrected: Place) -> None:
    before = photos.state(corrected.faces)
    corrected.ensure()
    put_inside(corrected, "Ann/_not/2.png", np.zeros((9, 9, 3), np.uint8))

    after = photos.state(corrected.faces)

    assert before is not None
    assert after is not None
    assert set(after) - set(before) == {"Ann/_not/2.png"}
    corrected.ensure()
    assert gallery.learnt_from(config_of(corrected)) == after


def test_counter_example_goes_where_its_person_goes(corrected: Place, portraits: dict[str, np.ndarray]) -> None:
    corrected.ensure()
    people.rename("Ann", "Anna", corrected.faces)
    renamed = corrected.ensure()
    put_inside(corrected, f"{COLLINS}/_not/1.png", cv2.flip(portraits[HOPPER], 1))
    people.merge("Anna", COLLINS, corrected.faces)

    assert renamed.report.embedded == 0
    assert renamed.counter_files == ("Anna/_not/1.png",)
    assert only(renamed.classifier, corrected.embed(other_look(portraits))) is None
    assert sorted(path.name for path in (corrected.faces / COLLINS / "_not").iterdir()) == ["1-2.png", "1.png"]
    assert not (corrected.faces / "Anna").exists()
    assert {photo.file for photo in photos.list_photos(corrected.faces).counter_examples} == {
        f"{COLLINS}/_not/1.png",
        f"{COLLINS}/_not/1-2.png",
    }


def test_forgotten_person_leaves_no_counter_example(corrected: Place) -> None:
    corrected.ensure()
    where = SearchedFolders(corrected.faces, corrected.models, network="dlib")

    found = erasure.forget(["Ann"], where)
    corrected.train()
    erasure.forget_earlier_version(where)

    assert str(found) == "2 photos, no recordings"
    assert not (corrected.faces / "Ann").exists()
    assert erasure.traces(["Ann"], where) == []


def test_picture_of_ann_herself_is_no_counter_example(taken: Place, portraits: dict[str, np.ndarray]) -> None:
    put_inside(taken, "Ann/_not/1.png", portraits[HOPPER])
    put_inside(taken, f"{COLLINS}/_not/1.png", portraits[HOPPER])

    made = taken.ensure()

    ann, collins = made.report.people
    assert ann.refused == (RefusedPhoto("looks_like:Ann", "Ann/_not/1.png"),)
    assert (ann.counter_examples, collins.counter_examples) == (0, 1)
    assert only(made.classifier, taken.embed(portraits[HOPPER])) == "Ann"


def test_person_without_photos_has_no_use_for_counter_examples(place: Place, portraits: dict[str, np.ndarray]) -> None:
    put_inside(place, "Ann/_not/1.png", portraits[HOPPER])

    made = place.ensure()

    assert (made.classifier.names, made.counter_files) == ((), ())
    assert place.is_current()


def test_what_is_wrong_in_the_folder_is_told_and_it_is_no_slip_itself(corrected: Place) -> None:
    ann = corrected.faces / "Ann"
    (ann / "_not" / "notes.txt").write_text("who was it?")
    (ann / "_not" / "older").mkdir()
    (ann / "Not").mkdir()
    (corrected.faces / "_not").mkdir()

    told = {other.file: other for other in not_taken(corrected.faces)}

    assert {file: other.code for file, other in told.items()} == {
        "Ann/Not": "folder",
        "Ann/_not/notes.txt": "no_picture",
        "Ann/_not/older": "folder",
    }
    assert "rename it to _not" in told["Ann/Not"].why
    assert {other.person for other in told.values()} == {"Ann"}
    (slip,) = layout.slips(corrected.faces)
    assert slip.startswith(f"{corrected.faces}/_not: ")
    assert "<name>/_not" in slip


def test_table_counts_them(corrected: Place) -> None:
    ann, collins = corrected.ensure().report.people

    assert "counter-examples in _not: 1" in table.notes(ann)
    assert "counter-examples" not in table.notes(collins)


@pytest.fixture
def shared(models_dir: Path, detector, embedder, portraits: dict[str, np.ndarray]) -> Iterator[Place]:
    """Ann with a counter-example, in folders of a user who isn't root."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), models_dir, detector, embedder)
        place.put("Ann/1.png", portraits[HOPPER])
        put_inside(place, "Ann/_not/1.png", other_look(portraits))
        prepare.prepare_gallery(config_of(place))  # imports
        give_away(Path(folder))
        yield place
        (place.faces / "Ann" / "_not").chmod(0o700)


@pytest.mark.parametrize("mode", [0, 0o300, 0o400])
def test_counter_examples_that_cannot_be_read_are_known_from_before(
    shared: Place, mode: int, portraits: dict[str, np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    with without_rights():
        shared.train()
        (shared.faces / "Ann" / "_not").chmod(mode)
        kept = shared.ensure()
        assert shared.is_current(), "or each start would train again"
        assert gallery.learnt_from(config_of(shared)) == photos.state(shared.faces)
        prepare._warn_of(kept.report, shared.faces)
        with pytest.raises(UserError, match="_not: can't be read"):
            people.rename("Ann", "Anna", shared.faces)

    assert kept.counter_files == ("Ann/_not/1.png",)
    assert only(kept.classifier, shared.embed(other_look(portraits))) is None
    assert kept.report.unreadable == (("Ann/_not", "Permission denied"),)
    assert "Ann/_not: can't be read (Permission denied); 1 photos learnt before stay in use" in caplog.text


def test_look_is_kept_private_learnt_and_undone(
    taken: Place, portraits: dict[str, np.ndarray], judge: counter_examples.LookJudge
) -> None:
    config, look = config_of(taken), other_look(portraits)
    old = os.umask(0)
    try:
        kept = counter_examples.keep(config, "Ann", look, "door 2026-11-29 10:00:00/7", judge)
        again = counter_examples.keep(config, "Ann", look, "door 2026-11-29 10:00:00/7", judge)
    finally:
        os.umask(old)

    assert kept == taken.faces / "Ann" / "_not" / "door-2026-11-29-10-00-00-7-1.jpg"
    assert again.name == "door-2026-11-29-10-00-00-7-2.jpg"
    assert [path.stat().st_mode & 0o777 for path in (kept, kept.parent)] == [0o600, 0o700]
    assert only(taken.ensure().classifier, taken.embed(look)) is None
    counter_examples.undo(again)
    assert kept.exists()
    counter_examples.undo(kept)
    counter_examples.undo(kept)
    assert not kept.parent.exists()
    assert only(taken.ensure().classifier, taken.embed(look)) == "Ann"


def test_look_becomes_a_photo_or_a_stranger(
    taken: Place, portraits: dict[str, np.ndarray], judge: counter_examples.LookJudge
) -> None:
    config, look = config_of(taken), other_look(portraits)

    photo = counter_examples.keep_photo(config, "Grace Hopper", look, "door", judge)
    stranger = counter_examples.keep_stranger(config, look, "door", judge)

    assert photo == taken.faces / "Grace Hopper" / "door-1.jpg"
    assert stranger == taken.faces / "_unknown" / "door-1.jpg"
    assert [path.stat().st_mode & 0o777 for path in (photo, photo.parent)] == [0o600, 0o700]
    for path in (photo, stranger):
        counter_examples.undo(path)
    assert {path.name for path in taken.faces.iterdir()} == {"Ann", COLLINS}


def test_look_that_teaches_nothing_is_refused_and_nothing_is_written(
    taken: Place, portraits: dict[str, np.ndarray], judge: counter_examples.LookJudge
) -> None:
    config = config_of(taken)
    before = set(taken.faces.rglob("*"))

    with pytest.raises(UserError, match=r"door: nothing could be learnt from this look \(no_face\)"):
        counter_examples.keep(config, "Ann", np.zeros((90, 90, 3), np.uint8), "door", judge)
    with pytest.raises(UserError, match="no such person"):
        counter_examples.keep(config, "Eve", portraits[HOPPER], "door", judge)
    for name in ("../Eve", "_unknown", "Unknown", ".Eve"):
        with pytest.raises(UserError, match="can't be a person's name"):
            counter_examples.keep_photo(config, name, portraits[HOPPER], "door", judge)

    assert set(taken.faces.rglob("*")) == before


def test_identify_says_which_counter_example_took_the_name(jetstream: Inside, portraits: dict[str, np.ndarray]) -> None:
    faces = jetstream.folder / "faces"
    write_photo(faces / "Ann" / "1.png", portraits[HOPPER])
    write_photo(faces / "Ann" / "_not" / "7.png", other_look(portraits))
    write_photo(jetstream.folder / "look.png", other_look(portraits))
    models = ("--set", f"models.dir={jetstream.models}")

    assert jetstream("train", *models).returncode == 0
    said = jetstream("identify", "look.png", "--json", *models)
    told = jetstream("identify", "look.png", "--explain", *models)

    ((face,),) = (picture["faces"] for picture in json.loads(said.stdout))
    assert (face["name"], face["nearest"], face["counter_example"]) == (None, "Ann", "Ann/_not/7.png")
    assert "more like a counter-example in Ann/_not/ than like Ann" in " ".join(told.stdout.split())
