import os
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from jetstream.errors import UserError
from jetstream.gallery import photos
from jetstream.gallery.photos import check_name, list_photos, stamp
from tests.support.picture_files import STILL, video
from tests.support.picture_files import put as put_file


def put(folder: Path, *files: str) -> Path:
    """Files with their own path as content."""
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file)
    return folder


def test_people_and_photos_come_in_order(tmp_path):
    listing = list_photos(put(tmp_path, "Bob/img10.jpg", "Bob/img2.PNG", "Ann/z.webp", "Ann/a.bmp", "Ann/b.jpeg"))

    assert listing.people == ("Ann", "Bob")
    assert [p.file for p in listing.photos] == [
        "Ann/a.bmp",
        "Ann/b.jpeg",
        "Ann/z.webp",
        "Bob/img2.PNG",
        "Bob/img10.jpg",
    ]
    assert [p.person for p in listing.photos] == ["Ann"] * 3 + ["Bob"] * 2


def test_missing_folder_holds_nobody(tmp_path):
    assert list_photos(tmp_path / "faces") == ((), (), (), (), None, ())


def test_file_instead_of_a_folder_is_said(tmp_path):
    with pytest.raises(UserError, match=r"faces\.jpg: can't be read as a folder of faces"):
        list_photos(put(tmp_path, "faces.jpg") / "faces.jpg")


def test_hidden_and_underscored_folders_are_left_out(tmp_path):
    listing = list_photos(
        put(tmp_path, ".cache/1.jpg", "_drafts/1.jpg", "Ann/.thumb.jpg", "Ann/notes.txt", "README.md")
    )

    assert listing.people == ("Ann",)
    assert not listing.everything
    assert listing.unknown is None


def test_strangers_have_a_folder_and_are_no_person(tmp_path):
    listing = list_photos(put(tmp_path, "_unknown/1.jpg", "_unknown/deeper/2.jpg", "_unknown/notes.txt", "Ann/1.jpg"))

    assert listing.people == ("Ann",)
    assert listing.unknown is not None
    assert [(photo.person, photo.file) for photo in listing.unknown] == [("", "_unknown/1.jpg")]
    assert listing.everything == listing.photos + listing.unknown


def test_picture_beside_the_folders_is_a_stray(tmp_path):
    assert list_photos(put(tmp_path, "Ann/1.jpg", "Bob.jpg")).strays == ("Bob.jpg",)


def test_photo_of_a_kind_that_cannot_be_read_is_listed_so_that_somebody_is_told(tmp_path):
    assert [photo.file for photo in list_photos(put(tmp_path, "Ann/IMG_1.HEIC")).photos] == ["Ann/IMG_1.HEIC"]


@pytest.mark.parametrize("name", ["DSC0001", "me.jfif", "me.mpo", "me.jp2", "me.dat", "me.mp4", "me.jpg.1"])
def test_photo_is_listed_and_watched_by_its_content(tmp_path, name):
    put_file(tmp_path, f"Ann/{name}", STILL["JPEG"]())
    put_file(tmp_path, name, STILL["PNG"]())

    listing = list_photos(tmp_path)

    assert [photo.file for photo in listing.photos] == [f"Ann/{name}"]
    assert listing.strays == (name,)
    seen = photos.state(tmp_path)
    assert seen is not None
    assert set(seen) == {"Ann", f"Ann/{name}", name}


def test_film_is_no_photo_unless_its_name_says_so(tmp_path):
    put_file(tmp_path, "Ann/IMG_1.MOV", video("mov"))
    put_file(tmp_path, "Ann/IMG_1.jpg", video("mov"))

    assert [photo.file for photo in list_photos(tmp_path).photos] == ["Ann/IMG_1.jpg"]


def test_two_spellings_of_a_name_are_one_person(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "Zoë Müller") for form in ("NFC", "NFD"))

    listing = list_photos(put(tmp_path, f"{composed}/1.jpg", f"{decomposed}/2.jpg"))

    assert listing.people == (composed,)
    assert len(listing.photos) == 2


def test_loops_of_links_end(tmp_path):
    put(tmp_path, "Ann/1.jpg")
    (tmp_path / "Ann" / "again").symlink_to(tmp_path)
    (tmp_path / "Ann" / "self.jpg").symlink_to(tmp_path / "Ann" / "self.jpg")
    (tmp_path / "Bob").symlink_to(tmp_path / "Bob")
    (tmp_path / "up").symlink_to(tmp_path)

    listing = list_photos(tmp_path)

    assert listing.people == ("Ann", "up")
    assert [photo.file for photo in listing.photos] == ["Ann/1.jpg"]


def test_name_that_could_steer_a_terminal_is_refused_and_shown_escaped(tmp_path):
    listing = list_photos(put(tmp_path, "An\x1b[31mn/1.jpg", "Bob/b\x1b.jpg"))

    assert listing.people == ("Bob",)
    assert listing.bad_names == (r"An\x1b[31mn",)
    assert listing.photos[0].file == r"Bob/b\x1b.jpg"


def test_name_that_is_no_utf8_is_refused(tmp_path):
    os.mkdir(os.fsencode(tmp_path) + b"/Jos\xe9")

    assert list_photos(tmp_path).bad_names == (r"Jos\udce9",)


@pytest.mark.parametrize("name", ["Ann", "José Núñez", "李雷", "O'Brien, Jr.", "शर्\u200dमा", "R2-D2 🤖"])
def test_name_of_a_person_is_kept(name):
    assert check_name(f" {name} ") == name


@pytest.mark.parametrize(
    "name", ["", " ", ".", "..", "../x", "a/b", "a\\b", ".hidden", "_private", "a\nb", "a\x00b", "a\u202eb", "a\u2028b"]
)
def test_name_that_cannot_be_a_folder_or_be_shown_is_refused(name):
    with pytest.raises(UserError, match="can't be a person's name"):
        check_name(name)


def test_stamp_changes_with_the_content_only(tmp_path):
    path = put(tmp_path, "1.jpg") / "1.jpg"
    before = stamp(path)
    path.touch()

    assert stamp(path, before).sha256 == before.sha256

    status = path.stat()
    path.write_text("2.jpg")  # the same size, and the old modification time
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert stamp(path, before).sha256 != before.sha256


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (lambda faces: (faces / "A" / "2.jpg").write_bytes(b"2"), True),
        (lambda faces: (faces / "A" / "1.jpg").unlink(), True),
        (lambda faces: (faces / "A" / "1.jpg").write_bytes(b"3"), True),
        (lambda faces: (faces / "A").rename(faces / "B"), True),
        (lambda faces: (faces / "B").mkdir(), True),
        (lambda faces: (faces / "_unknown" / "1.jpg").write_bytes(b"2"), True),
        (lambda faces: (faces / "stray.jpg").write_bytes(b"2"), True),
        (lambda faces: (faces / "A" / ".1.jpg.part").write_bytes(b"2"), False),
        (lambda faces: (faces / "A" / "notes.txt").write_bytes(b"2"), False),
        (lambda faces: (faces / "A" / "notes.txt").write_bytes(STILL["JPEG"]()), True),
        (lambda faces: (faces / "A" / "clip.mov").write_bytes(video("mov")), False),
        (lambda faces: (faces / "_drafts" / "1.jpg").write_bytes(b"2"), False),
    ],
    ids=[
        "added",
        "removed",
        "replaced",
        "renamed",
        "person",
        "stranger",
        "stray",
        "partial",
        "text",
        "no suffix",
        "film",
        "draft",
    ],
)
def test_state_of_the_photos_differs_when_a_photo_does(
    tmp_path: Path, change: Callable[[Path], object], differs: bool
) -> None:
    for folder in ("A", "_unknown", "_drafts"):
        (tmp_path / folder).mkdir()
    (tmp_path / "A" / "1.jpg").write_bytes(b"1")
    before = photos.state(tmp_path)

    time.sleep(0.01)  # a tick of the file system's clock
    change(tmp_path)

    assert (photos.state(tmp_path) != before) is differs


def test_link_to_itself_in_the_faces_folder_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "A").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    assert photos.state(tmp_path) == {"A": (0, 0)}


def test_state_of_no_folder_is_none(tmp_path: Path) -> None:
    assert photos.state(tmp_path / "gone") is None
