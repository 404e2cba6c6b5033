"""Nothing is erased, moved or overwritten through a link, and what stays is said."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from jetstream.errors import UserError
from jetstream.gallery import erasure, people, removal
from jetstream.gallery.erasure import SearchedFolders
from tests.support.recordings import recorded

Make = Callable[[Path, Path], None]


def pictures(folder: Path) -> Path:
    """The user's own pictures, in a folder of folders outside the faces folder."""
    for name in ("holiday.jpg", "tax.pdf", "2024/deep/party.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def content(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def person(ada: Path) -> Path:
    ada.mkdir(parents=True)
    (ada / "1.jpg").write_text("1")
    return ada


def folder_link(ada: Path, own: Path) -> None:
    ada.symlink_to(own)


def link_to_a_link(ada: Path, own: Path) -> None:
    (own.parent / "between").symlink_to(own)
    ada.symlink_to(own.parent / "between")


def relative_link(ada: Path, own: Path) -> None:
    ada.symlink_to(os.path.relpath(own, ada.parent))


def file_link(ada: Path, own: Path) -> None:
    (person(ada) / "2.jpg").symlink_to(own / "holiday.jpg")


def link_inside(ada: Path, own: Path) -> None:
    (person(ada) / "album").symlink_to(own)


def link_far_inside(ada: Path, own: Path) -> None:
    person(ada / "a" / "b" / "c")
    (ada / "a" / "b" / "c" / "album").symlink_to(own / "2024")


def dangling_link(ada: Path, own: Path) -> None:
    (person(ada) / "2.jpg").symlink_to(own / "none.jpg")


def dangling_folder(ada: Path, own: Path) -> None:
    ada.symlink_to(own / "none")


def link_upwards(ada: Path, own: Path) -> None:
    (person(ada) / "up").symlink_to("../..")


def hard_link(ada: Path, own: Path) -> None:
    (person(ada) / "2.jpg").hardlink_to(own / "holiday.jpg")


KINDS = (folder_link, link_to_a_link, relative_link, file_link, link_inside, link_far_inside, dangling_link)
KINDS += (dangling_folder, link_upwards, hard_link)


@pytest.mark.parametrize("make", KINDS)
def test_forget_erases_nothing_behind_a_link(tmp_path: Path, make: Make) -> None:
    own = pictures(tmp_path / "own")
    before = content(own)
    person(tmp_path / "faces" / "Bob")
    make(tmp_path / "faces" / "Ada", own)

    erasure.forget(["Ada"], SearchedFolders(tmp_path / "faces", tmp_path / "models"))

    assert content(own) == before
    assert [path.name for path in (tmp_path / "faces").iterdir()] == ["Bob"]
    assert (tmp_path / "faces" / "Bob" / "1.jpg").exists()


@pytest.mark.parametrize(
    ("make", "stays"),
    [
        (folder_link, "own"),
        (link_to_a_link, "own"),
        (file_link, "own/holiday.jpg"),
        (link_inside, "own"),
        (link_far_inside, "own/2024"),
        (hard_link, "own/holiday.jpg"),
    ],
)
def test_original_that_stays_is_said(tmp_path: Path, make: Make, stays: str) -> None:
    (tmp_path / "faces").mkdir()
    make(tmp_path / "faces" / "Ada", pictures(tmp_path / "own"))

    found = erasure.find(["Ada"], SearchedFolders(tmp_path / "faces", tmp_path / "models"))

    (line,) = found.what_stays()
    assert line.startswith(f"{tmp_path / stays} stays: ")
    assert str(tmp_path / "faces" / "Ada") in line


@pytest.mark.parametrize("make", [dangling_link, dangling_folder])
def test_link_that_leads_nowhere_leaves_no_original(tmp_path: Path, make: Make) -> None:
    (tmp_path / "faces").mkdir()
    make(tmp_path / "faces" / "Ada", pictures(tmp_path / "own"))

    found = erasure.find(["Ada"], SearchedFolders(tmp_path / "faces", tmp_path / "models"))

    assert list(found.what_stays()) == []
    assert found.links == 1


def test_other_name_that_is_not_found_is_said_with_how_to_find_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "faces").mkdir()
    hard_link(tmp_path / "faces" / "Ada", pictures(tmp_path / "own"))
    monkeypatch.setattr(removal, "SEARCH_S", 0.0)

    found = erasure.find(["Ada"], SearchedFolders(tmp_path / "faces", tmp_path / "models"))

    (line,) = found.what_stays()
    inode = (tmp_path / "own" / "holiday.jpg").stat().st_ino
    assert f"-xdev -inum {inode}`) stays" in line


def test_two_names_of_one_file_that_both_go_leave_no_original(tmp_path: Path) -> None:
    ada = person(tmp_path / "faces" / "Ada")
    (ada / "2.jpg").hardlink_to(ada / "1.jpg")
    (ada / "3.jpg").symlink_to("1.jpg")

    found = erasure.forget(["Ada"], SearchedFolders(tmp_path / "faces", tmp_path / "models"))

    assert list(found.what_stays()) == []
    assert str(found) == "2 photos, 1 link, no recordings"


def test_one_folder_of_two_people_stays_for_the_other(tmp_path: Path) -> None:
    own, faces = pictures(tmp_path / "own"), tmp_path / "faces"
    faces.mkdir()
    for name in ("Ada", "Eve"):
        (faces / name).symlink_to(own)

    found = erasure.forget(["Ada"], SearchedFolders(faces, tmp_path / "models"))

    assert [path.name for path in faces.iterdir()] == ["Eve"]
    assert len(content(own)) == 3
    assert any(
        f"{own} stays: {faces}/Ada is only a link to it, and {faces}/Eve still" in line for line in found.what_stays()
    )


def test_link_of_another_person_to_what_goes_is_said(tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    person(faces / "Ada")
    (faces / "Eve").symlink_to("Ada")
    person(faces / "Bob")
    (faces / "Bob" / "2.jpg").symlink_to("../Ada/1.jpg")

    found = erasure.forget(["Ada"], SearchedFolders(faces, tmp_path / "models"))

    assert found.broken == [faces / "Bob" / "2.jpg", faces / "Eve"]
    assert (faces / "Eve").is_symlink()


def test_every_file_that_goes_is_listed_and_counted(tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    ada = person(faces / "Ada")
    (ada / "notes.txt").touch()
    (ada / "old").mkdir()
    (ada / "old" / "tax.pdf").touch()
    (ada / "link.jpg").symlink_to("1.jpg")
    recorded(tmp_path / "rec", "a-1", "Ada")
    (tmp_path / "rec" / "a-1.mp4").touch()
    (tmp_path / "rec" / "a-1.txt").write_text("my notes")

    found = erasure.find(["Ada"], SearchedFolders(faces, tmp_path / "models", tmp_path / "rec"))

    assert str(found) == "1 photo, 2 other files, 1 link, 1 recording"
    assert list(found.what_goes()) == [
        f"{ada}/1.jpg",
        f"{ada}/link.jpg (a link)",
        f"{ada}/notes.txt (not a photo)",
        f"{ada}/old/tax.pdf (not a photo)",
        f"{tmp_path}/rec/a-1.jsonl",
        f"{tmp_path}/rec/a-1.mp4",
        f"{tmp_path}/rec/a-1.txt",
    ]


@pytest.mark.parametrize("what", ["faces", "rec"])
def test_folder_that_is_a_link_itself_is_refused_with_its_real_name(tmp_path: Path, what: str) -> None:
    person(tmp_path / "disk" / "faces" / "Ada")
    recorded(tmp_path / "disk" / "rec", "a-1", "Ada")
    where = {name: tmp_path / ("link" if name == what else "disk") / name for name in ("faces", "rec")}
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / what).symlink_to(tmp_path / "disk" / what)

    with pytest.raises(
        UserError, match=rf"link/{what}: is a link .*name the folder itself: --\w+ {tmp_path}/disk/{what}"
    ):
        erasure.forget(["Ada"], SearchedFolders(where["faces"], tmp_path / "models", where["rec"]))

    assert content(tmp_path / "disk") == {"faces/Ada/1.jpg", "rec/a-1.jsonl"}


def test_linked_recordings_go_as_links_and_their_originals_are_said(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    recorded(tmp_path / "archive", "a-1", "Ada")
    (tmp_path / "archive" / "a-1.mp4").touch()
    (tmp_path / "rec").mkdir()
    (tmp_path / "rec" / "a-1.jsonl").symlink_to(tmp_path / "archive" / "a-1.jsonl")
    (tmp_path / "rec" / "a-1.mp4").hardlink_to(tmp_path / "archive" / "a-1.mp4")

    found = erasure.forget(["Ada"], SearchedFolders(tmp_path / "faces", tmp_path / "models", tmp_path / "rec"))

    assert content(tmp_path / "archive") == {"a-1.jsonl", "a-1.mp4"}
    assert list((tmp_path / "rec").iterdir()) == []
    assert {original.where for original in found.originals} == {
        (tmp_path / "archive" / "a-1.jsonl",),
        (tmp_path / "archive" / "a-1.mp4",),
    }


def test_folder_with_an_original_is_not_called_verified(tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    person(faces / "_originals" / "Countess")
    (faces / "Ada").symlink_to("_originals/Countess")
    where = SearchedFolders(faces, tmp_path / "models")

    found = erasure.forget(["Ada"], where)

    assert erasure.remains(["Ada"], where) == []
    assert erasure.verified(found, where) == [tmp_path / "models" / "galleries"]


@pytest.mark.parametrize("left", ["_archive/Ada", "Bob/old/Ada", "Ada.jpg"])
def test_what_has_the_name_elsewhere_in_the_faces_folder_is_a_trace(tmp_path: Path, left: str) -> None:
    faces = tmp_path / "faces"
    person(faces / "Bob")
    (faces / left).parent.mkdir(parents=True, exist_ok=True)
    (faces / left).touch() if left.endswith(".jpg") else (faces / left).mkdir()

    assert erasure.traces(["Ada"], SearchedFolders(faces, tmp_path / "models")) == [faces / left]


def test_folder_among_recordings_is_said_not_to_be_searched(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    (tmp_path / "rec").mkdir()
    recorded(tmp_path / "rec" / "2025", "a-1", "Ada")

    (line,) = erasure.not_searched(SearchedFolders(tmp_path / "faces", tmp_path / "models", tmp_path / "rec"))

    assert line.startswith(
        f"{tmp_path}/rec/2025: is not searched; if recordings are in it, run `jetstream forget` with"
    )


@pytest.mark.parametrize("make", KINDS)
def test_rename_keeps_what_is_behind_a_link_and_the_link(tmp_path: Path, make: Make) -> None:
    own, faces = pictures(tmp_path / "own"), tmp_path / "faces"
    faces.mkdir()
    make(faces / "Ada", own)
    was_link = (faces / "Ada").is_symlink()
    before = content(own)

    people.rename("Ada", "Eve", faces)

    assert content(own) == before
    assert [path.name for path in faces.iterdir()] == ["Eve"]
    assert (faces / "Eve").is_symlink() is was_link


@pytest.mark.parametrize("kind", ["link", "dangling", "file"])
def test_rename_overwrites_nothing(tmp_path: Path, kind: str) -> None:
    faces = tmp_path / "faces"
    (tmp_path / "own").write_text("own")
    faces.mkdir()
    (faces / "Ada").symlink_to(person(tmp_path / "Ada"))
    if kind == "file":
        (faces / "Eve").write_text("own")
    else:
        (faces / "Eve").symlink_to(tmp_path / ("none" if kind == "dangling" else "own"))

    with pytest.raises(UserError, match=rf"Eve: there is a {'file' if kind == 'file' else 'link'} of that name"):
        people.rename("Ada", "Eve", faces)

    assert sorted(path.name for path in faces.iterdir()) == ["Ada", "Eve"]
    assert (tmp_path / "own").read_text() == "own"


@pytest.mark.parametrize("linked", ["Ada", "Eve", "both"])
def test_merge_moves_nothing_through_a_link(tmp_path: Path, linked: str) -> None:
    own, faces = pictures(tmp_path / "own"), tmp_path / "faces"
    before = content(own)
    for name in ("Ada", "Eve"):
        if linked in (name, "both"):
            faces.mkdir(exist_ok=True)
            (faces / name).symlink_to(own)
        else:
            person(faces / name)

    with pytest.raises(UserError, match="nothing is moved through a link; nothing was changed"):
        people.merge("Ada", "Eve", faces)

    assert content(own) == before
    assert sorted(path.name for path in faces.iterdir()) == ["Ada", "Eve"]


def test_merge_keeps_every_file_and_overwrites_no_dangling_link(tmp_path: Path) -> None:
    own, faces = pictures(tmp_path / "own"), tmp_path / "faces"
    ada, eve = person(faces / "Ada"), person(faces / "Eve")
    for name in ("notes.txt", ".hidden", "old/2.jpg"):
        (ada / name).parent.mkdir(exist_ok=True)
        (ada / name).write_text(name)
    (ada / "own.jpg").symlink_to("../../own/holiday.jpg")
    (ada / "same.jpg").symlink_to("1.jpg")
    (eve / "notes.txt").symlink_to("none")

    people.merge("Ada", "Eve", faces)

    assert not ada.exists()
    assert content(eve) == {"1.jpg", "1-2.jpg", "notes-2.txt", ".hidden", "old/2.jpg", "own.jpg", "same.jpg"}
    assert (eve / "notes.txt").is_symlink()
    assert (eve / "own.jpg").read_text() == "holiday.jpg"
    assert os.readlink(eve / "same.jpg") == "1-2.jpg"
    assert len(content(own)) == 3


@pytest.mark.parametrize("change", [people.rename, people.merge])
def test_nothing_moves_in_a_faces_folder_that_is_a_link(
    tmp_path: Path, change: Callable[[str, str, Path], list[Path]]
) -> None:
    person(tmp_path / "disk" / "Ada")
    person(tmp_path / "disk" / "Eve")
    (tmp_path / "faces").symlink_to("disk")

    with pytest.raises(UserError, match=rf"faces: is a link to .*--faces {tmp_path}/disk"):
        change("Ada", "Zoe" if change is people.rename else "Eve", tmp_path / "faces")

    assert content(tmp_path / "disk") == {"Ada/1.jpg", "Eve/1.jpg"}


def test_links_into_a_renamed_folder_are_told(tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    person(faces / "Ada")
    person(faces / "Bob")
    (faces / "Bob" / "2.jpg").symlink_to("../Ada/1.jpg")

    assert people.rename("Ada", "Eve", faces) == [faces / "Bob" / "2.jpg"]


def test_two_spellings_of_which_one_is_a_link_stay_two(tmp_path: Path) -> None:
    own, faces = pictures(tmp_path / "own"), tmp_path / "faces"
    person(faces / "Zo\u00eb")
    (faces / "Zoe\u0308").symlink_to(own)

    with pytest.raises(UserError, match="nothing is moved through a link"):
        people.rename("Zo\u00eb", "Eve", faces)

    assert len(content(own)) == 3
    assert len(list(faces.iterdir())) == 2
