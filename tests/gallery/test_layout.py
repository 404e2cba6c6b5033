"""Folders that can't be read leave only their people out, and slips in a faces folder are sentences."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from jetstream import startup
from jetstream.config import load
from jetstream.errors import UserError
from jetstream.gallery import erasure, layout, people, photos
from jetstream.gallery import prepare as preparation
from jetstream.gallery.report import RefusedPhoto
from jetstream.gallery.table import notes
from tests.support.galleries import Place
from tests.support.other_user import give_away, without_rights
from tests.support.photos import COLLINS, HOPPER


@pytest.fixture(scope="module")
def everything_imported(models_dir: Path, detector, embedder, portraits: dict[str, np.ndarray]) -> None:
    """Python's own files may be root's alone, so what is imported late is imported before."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), models_dir, detector, embedder)
        for name, image in portraits.items():
            place.put(f"{name}/1.png", image)
        for _ in range(2):
            preparation.prepare_gallery(config_of(place))


@pytest.fixture
def shared(
    everything_imported: None, models_dir: Path, detector, embedder, portraits: dict[str, np.ndarray]
) -> Iterator[Place]:
    """Two people with a photo each and a stranger, in folders of a user who isn't root."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), models_dir, detector, embedder)
        for name, image in portraits.items():
            place.put(f"{name}/1.png", image)
        place.put("_unknown/1.png", cv2.flip(portraits[HOPPER][::-1].copy(), 1))
        give_away(Path(folder))
        yield place
        for path in (place.faces, *place.faces.rglob("*")):
            path.chmod(0o700)


def close_folder(place: Place) -> None:
    (place.faces / HOPPER).chmod(0)


def close_entering(place: Place) -> None:
    (place.faces / HOPPER).chmod(0o400)


def close_listing(place: Place) -> None:
    (place.faces / HOPPER).chmod(0o300)


def close_photo(place: Place) -> None:
    (place.faces / HOPPER / "1.png").chmod(0)


def close_target(place: Place) -> None:
    """Her folder becomes a link into one that can't be entered."""
    closed = place.faces.parent / "closed"
    closed.mkdir()
    (place.faces / HOPPER).rename(closed / "hopper")
    (place.faces / HOPPER).symlink_to(closed / "hopper")
    closed.chmod(0)


def close_photo_target(place: Place) -> None:
    closed = place.faces.parent / "closed"
    closed.mkdir()
    (place.faces / HOPPER / "1.png").rename(closed / "1.png")
    (place.faces / HOPPER / "1.png").symlink_to(closed / "1.png")
    closed.chmod(0)


CLOSED = (close_folder, close_entering, close_listing, close_photo, close_target, close_photo_target)


@pytest.mark.parametrize("close", CLOSED)
def test_person_whose_photos_cannot_be_read_is_known_from_before(shared: Place, close: Callable[[Place], None]) -> None:
    with without_rights():
        shared.train()
        close(shared)
        kept = shared.ensure()
        assert shared.is_current(), "or each start would train again"
        shared.put("Later/1.png", cv2.flip(cv2.imread(str(shared.faces / COLLINS / "1.png")), 1))
        later = shared.ensure()

    assert kept.classifier.names == (COLLINS, HOPPER)
    assert later.classifier.names == (COLLINS, HOPPER, "Later")
    assert later.report.embedded == 1, "the others were embedded before"


@pytest.mark.parametrize("close", [close_folder, close_entering, close_photo])
def test_person_whose_photos_can_be_read_again_is_learnt_again(shared: Place, close: Callable[[Place], None]) -> None:
    with without_rights():
        shared.train()
        close(shared)
        shared.ensure()
        for path in ("", "1.png"):
            (shared.faces / HOPPER / path).chmod(0o700)
        assert not shared.is_current()
        known = shared.ensure()

    assert known.classifier.names == (COLLINS, HOPPER)
    assert known.report.unreadable == ()
    assert [person.kept for person in known.report.people] == [0, 0]
    assert known.report.embedded == 0, "the photo is the same"


@pytest.mark.parametrize("close", [close_folder, close_entering, close_photo])
def test_person_of_whom_nothing_is_known_is_left_out_alone(shared: Place, close: Callable[[Place], None]) -> None:
    with without_rights():
        close(shared)
        known = shared.ensure()
        assert shared.is_current()

    assert known.classifier.names == (COLLINS,)
    assert [(person.name, person.used) for person in known.report.people] == [(COLLINS, 1), (HOPPER, 0)]


def test_unreadable_tells_rights_from_damage(shared: Place) -> None:
    with without_rights():
        (shared.faces / COLLINS / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
        close_photo(shared)
        people = shared.ensure().report.people

    assert [person.refused for person in people] == [
        (RefusedPhoto("unreadable", f"{COLLINS}/1.png"),),
        (RefusedPhoto("no_access", f"{HOPPER}/1.png"),),
    ]


def test_photo_replaced_by_one_that_cannot_be_read_is_not_the_old_one(shared: Place) -> None:
    with without_rights():
        shared.train()
        (shared.faces / HOPPER / "1.png").write_bytes(b"another")
        close_photo(shared)
        known = shared.ensure()

    assert known.classifier.names == (COLLINS,)


def test_strangers_that_cannot_be_read_stay_strangers(shared: Place) -> None:
    with without_rights():
        before = shared.train().report.unknown
        (shared.faces / "_unknown").chmod(0)
        known = shared.ensure().report

    assert before is not None
    assert known.unknown is not None
    assert known.unknown.used == before.used
    assert known.unreadable == (("_unknown", "Permission denied"),)


def config_of(place: Place):
    return load.build({"recognize": {"faces": str(place.faces)}, "models": {"dir": str(place.models)}}, where="test")


def test_start_says_who_is_left_out_and_what_to_do(shared: Place, caplog: pytest.LogCaptureFixture) -> None:
    config = config_of(shared)
    with without_rights():
        preparation.prepare_gallery(config)
        close_folder(shared)
        caplog.clear()
        report = preparation.prepare_gallery(config)
        first = caplog.text
        caplog.clear()
        preparation.prepare_gallery(config)

    where = f"{shared.faces}/{HOPPER}: can't be read (Permission denied); 1 photos learnt before stay in use, make it "
    assert where in first
    assert where in caplog.text, "also at a start that trains nothing"
    assert {person.name: person.used for person in report.people} == {COLLINS: 1, HOPPER: 1}


def test_check_and_the_table_of_people_say_it_too(shared: Place) -> None:
    config = load.build(
        {
            "cameras": [{"name": "a", "source": "demo"}],
            "recognize": {"faces": str(shared.faces)},
            "models": {"dir": str(shared.models)},
            "publish": {"enabled": False},
            "metrics": {"enabled": False},
            "web": {"enabled": False},
            "sightings": {"dir": str(shared.models / "sightings")},
        },
        where="test",
    )
    (shared.faces / "unknown").mkdir()
    list(startup.check(config))  # imports
    with without_rights():
        preparation.prepare_gallery(config)
        close_folder(shared)
        lines = list(startup.check(config))
        (hopper,) = [one for one in preparation.prepare_gallery(config).people if one.name == HOPPER]

    start = f"people: {shared.faces}/"
    assert any(line.startswith(f"{start}{HOPPER}: can't be read (Permission denied), only what was") for line in lines)
    assert any(line.startswith(f"{start}unknown: this name is no person's") for line in lines)
    assert "1 can't be read now, and count as they were learnt before" in notes(hopper)


def test_photo_without_rights_is_said(shared: Place, caplog: pytest.LogCaptureFixture) -> None:
    with without_rights():
        close_photo(shared)
        preparation.prepare_gallery(config_of(shared))

    assert f"{shared.faces}/{HOPPER}: 1 photos can't be opened, 0 of them learnt before; make them" in caplog.text


@pytest.mark.parametrize("mode", [0, 0o400], ids=["closed", "not to be entered"])
def test_whole_folder_that_cannot_be_read_leaves_the_people_known(
    shared: Place, caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    config = config_of(shared)
    with without_rights():
        preparation.prepare_gallery(config)
        shared.faces.chmod(mode)
        report = preparation.prepare_gallery(config)
        with pytest.raises(UserError, match="can't be read as a folder of faces"):
            preparation.prepare_gallery(config, stay_rolled_back=False)

    assert [person.name for person in report.people] == [COLLINS, HOPPER]
    assert f"{shared.faces}" in caplog.text
    assert "the people learnt before stay known" in caplog.text


def test_whole_folder_that_cannot_be_read_at_the_first_start_is_refused(shared: Place) -> None:
    with without_rights():
        shared.faces.chmod(0)
        with pytest.raises(UserError, match="can't be read as a folder of faces"):
            preparation.prepare_gallery(config_of(shared))


def test_forget_of_another_person_keeps_who_cannot_be_read(shared: Place) -> None:
    where = erasure.SearchedFolders(shared.faces, shared.models)
    with without_rights():
        shared.train()
        close_folder(shared)
        erasure.forget([COLLINS], where)
        known = shared.train()
        (not_searched,) = erasure.not_searched(where)

    assert known.classifier.names == (HOPPER,)
    assert not_searched == f"{shared.faces}/{HOPPER}: is not searched, because it can't be read (Permission denied)"


@pytest.mark.parametrize("close", [close_folder, close_entering])
def test_who_cannot_be_read_is_not_forgotten_renamed_or_merged(shared: Place, close: Callable[[Place], None]) -> None:
    where = erasure.SearchedFolders(shared.faces, shared.models)
    with without_rights():
        close(shared)
        for change in (
            lambda: erasure.forget([HOPPER], where),
            lambda: people.rename(HOPPER, "Amazing Grace", shared.faces),
            lambda: people.merge(HOPPER, COLLINS, shared.faces),
        ):
            with pytest.raises(UserError, match=r"can't be read .Permission denied.*nothing was changed"):
                change()
    (shared.faces / HOPPER).chmod(0o700)
    assert (shared.faces / HOPPER / "1.png").exists()


def test_state_of_the_photos_is_that_of_the_gallery_while_one_folder_is_closed(shared: Place) -> None:
    from jetstream.gallery import train

    config = config_of(shared)
    with without_rights():
        preparation.prepare_gallery(config)
        close_folder(shared)
        preparation.prepare_gallery(config)
        learnt, seen = train.learnt_from(config), photos.state(shared.faces)

    assert learnt == seen


def test_folder_of_a_disk_or_a_file_server_is_nobody(tmp_path: Path) -> None:
    for name in ("lost+found", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "Ada"):
        (tmp_path / name).mkdir()

    assert photos.list_photos(tmp_path).people == ("Ada",)
    assert list(photos.state(tmp_path) or {}) == ["Ada"]
    assert list(layout.slips(tmp_path)) == []


@pytest.mark.parametrize(
    "name",
    [
        *("unknown", "Unknown", "UNKNOWN", "unknowns", "_Unknown", "_unknowns", "__unknown", "_unknown_", "unknown 2"),
        *("Unknown person", "unknown_faces", "unkown", "_unkown", "unknwon", "stranger", "Strangers", "_strangers"),
        *("no name", "\uff55nknown", "un-known", "Unidentified", "not known", "Anonymous", "(unknown)"),
    ],
)
def test_folder_meant_for_strangers_is_no_person_and_is_told(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "1.jpg").touch()

    listing = photos.list_photos(tmp_path)

    assert (listing.people, listing.photos, listing.unknown) == ((), (), None)
    assert listing.bad_names == (name,)
    (slip,) = layout.slips(tmp_path)
    assert slip.startswith(f"{tmp_path}/{name}: this name is no person's, so the folder is ignored;")
    assert slip.endswith(f"rename it to {tmp_path}/_unknown")


@pytest.mark.parametrize(
    "name", ["Simon Stranger", "Dr. Strange", "Stanger", "Knowles", "Knowno", "Ada Unknown", "Nobody", "Noname Jane"]
)
def test_name_that_only_sounds_like_a_strangers_is_a_persons(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()

    assert photos.list_photos(tmp_path).people == (name,)
    assert photos.check_new_name(name) == name


def test_folder_for_strangers_is_no_slip(tmp_path: Path) -> None:
    (tmp_path / "_unknown").mkdir()
    (tmp_path / "_drafts").mkdir()

    assert photos.list_photos(tmp_path).unknown == ()
    assert list(layout.slips(tmp_path)) == []


def test_test_photos_in_a_folder_named_unknown_are_a_strangers(tmp_path: Path) -> None:
    (tmp_path / "unknown").mkdir()
    (tmp_path / "unknown" / "1.jpg").touch()

    assert photos.list_photos(tmp_path, is_gallery=False).people == ("unknown",)


@pytest.mark.parametrize("name", ["unknown", "_unknown", "Strangers"])
def test_nobody_gets_a_name_meant_for_strangers_but_may_lose_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "Ada").mkdir()
    (tmp_path / "unknown").mkdir()

    with pytest.raises(UserError, match=r"can't be a person's name: .*put photos of it into the folder _unknown"):
        people.rename("Ada", name, tmp_path)
    people.rename("unknown", "Bob", tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["Ada", "Bob"]


@pytest.mark.parametrize(
    ("names", "twins"),
    [
        (("Ada", "ada"), "Ada and ada are 2 people"),
        (("Ada Lovelace", "Ada_Lovelace", "AdaLovelace"), "are 3 people"),
        (("Ada", "Adam"), ""),
        (("Zo\u00eb", "Zoe\u0308"), ""),
    ],
)
def test_names_that_are_nearly_the_same_are_told(tmp_path: Path, names: tuple[str, ...], twins: str) -> None:
    for name in names:
        (tmp_path / name).mkdir()

    told = list(layout.slips(tmp_path))

    assert len(told) == bool(twins)
    assert all(twins in slip and "run `jetstream merge`" in slip for slip in told)


def test_link_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "Ada").symlink_to("/mnt/none")

    (slip,) = layout.slips(tmp_path)

    assert slip.startswith(f"{tmp_path}/Ada: a link that leads nowhere, or to a disk that isn't mounted")


def test_one_persons_folder_given_for_all_is_told(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.put("1.png", np.zeros((50, 50, 3), np.uint8))

    preparation.prepare_gallery(config_of(place))

    assert "if this is one person's folder, name the folder above it with --faces" in caplog.text


def test_gallery_of_an_earlier_version_is_current(trained: Place) -> None:
    manifest = trained.stored / "manifest.json"
    old = msgspec.json.decode(manifest.read_bytes())
    del old["unreadable"]
    for record in old["photos"]:
        del record["kept"]
    manifest.write_bytes(msgspec.json.encode(old))

    assert trained.is_current()
