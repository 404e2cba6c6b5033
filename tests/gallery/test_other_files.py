"""What is told of the files in people's folders that are no photos."""

from jetstream.gallery.other_files import not_taken
from jetstream.gallery.photos import list_photos
from tests.support.picture_files import NOT_READ, STILL, put, video


def test_everything_in_a_persons_folder_that_is_no_photo_is_told_with_the_remedy(tmp_path):
    put(tmp_path, "Ann/1.jpg", STILL["JPEG"]())
    put(tmp_path, "Ann/2", STILL["HEIF"]())
    put(tmp_path, "Ann/.3.jpg", STILL["JPEG"]())
    put(tmp_path, "Ann/IMG_1.MOV", video("mov"))
    put(tmp_path, "Ann/raw.dng", NOT_READ["phone.dng"])
    put(tmp_path, "Ann/holiday/4.jpg", STILL["JPEG"]())
    for name in ("Ann/notes.txt", "_unknown/list.csv", "_drafts/notes.txt", ".cache/notes.txt", "notes.txt"):
        put(tmp_path, name, b"just some text")
    (tmp_path / "Ann" / "lost.jpg").symlink_to(tmp_path / "gone.jpg")

    told = list(not_taken(tmp_path))

    assert [(other.person, other.code, other.file) for other in told] == [
        ("Ann", "hidden", "Ann/.3.jpg"),
        ("Ann", "folder", "Ann/holiday"),
        ("Ann", "video", "Ann/IMG_1.MOV"),
        ("Ann", "no_picture", "Ann/lost.jpg"),
        ("Ann", "no_picture", "Ann/notes.txt"),
        ("Ann", "format", "Ann/raw.dng"),
        ("", "no_picture", "_unknown/list.csv"),
    ]
    remedies = (
        "rename it",
        "move its photos",
        "jetstream enroll",
        "remove it",
        "convert it",
        "convert it",
        "convert it",
    )
    assert all(remedy in other.why for remedy, other in zip(remedies, told, strict=True))


def test_files_that_systems_leave_are_not_told(tmp_path):
    for name in ("Thumbs.db", ".DS_Store", "._1.jpg", "desktop.ini", ".1.jpg.part", "@eaDir/1.jpg"):
        put(tmp_path, f"Ann/{name}", b"\0\5\x16\7" + bytes(60))

    assert not list(not_taken(tmp_path))
    assert not list_photos(tmp_path).photos


def test_nothing_is_told_of_a_folder_that_is_not_there(tmp_path):
    assert not list(not_taken(tmp_path / "gone"))
