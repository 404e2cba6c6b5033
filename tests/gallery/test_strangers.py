"""Strangers who were put aside."""

from jetstream.config.schema import Config, ModelsConfig, RecognizeConfig
from jetstream.gallery import photos
from jetstream.gallery import train as gallery
from jetstream.gallery.report import RefusedPhoto
from tests.support.galleries import only
from tests.support.photos import HOPPER, looks


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
