"""Known people: listed, renamed, merged, forgotten, with real photos and a real gallery."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from jetstream.config.galleries import gallery_dir
from jetstream.errors import UserError
from jetstream.gallery import erasure, people
from jetstream.gallery.erasure import SearchedFolders
from jetstream.recording import library as recordings
from jetstream.recording.events_file import open_events
from tests.support.inside import Inside
from tests.support.recordings import recorded
from tests.support.repository import DEMO


@pytest.fixture
def jetstream(tmp_path: Path, models_dir: Path, portraits: dict[str, np.ndarray]) -> Inside:
    """A faces folder with both portraits."""
    for name, image in portraits.items():
        (tmp_path / "faces" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "faces" / name / "1.png"), image)
        cv2.imwrite(str(tmp_path / f"{name.split()[0]}.png"), image)
    return Inside(tmp_path, models_dir)


def models(jetstream: Inside) -> tuple[str, str]:
    return "--set", f"models.dir={jetstream.folder / 'models'}"


@pytest.fixture
def built(jetstream: Inside) -> Inside:
    """The same with models of its own, so that every trace lies in its folder."""
    (jetstream.folder / "models").mkdir()
    for path in jetstream.models.glob("*.onnx"):
        (jetstream.folder / "models" / path.name).hardlink_to(path)
    return jetstream


@pytest.fixture
def powerless() -> Iterator[Path]:
    """A folder of ours while we aren't root, who may write anywhere."""
    with tempfile.TemporaryDirectory() as folder:
        if os.geteuid() != 0:
            yield Path(folder)
            return
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            os.seteuid(0)


def identified(jetstream: Inside, picture: str) -> str:
    return jetstream("identify", picture, *models(jetstream)).stdout


def test_people_are_listed_with_their_photos(built: Inside) -> None:
    result = built.outside("people", *models(built))

    assert result.returncode == 0, result.stderr
    assert "Eileen Collins" in result.stdout
    assert "Grace Hopper" in result.stdout


def test_renamed_person_is_known_by_the_new_name(built: Inside) -> None:
    result = built.outside("rename", "Grace Hopper", "Amazing Grace", *models(built))

    assert result.returncode == 0, result.stderr
    assert "Amazing Grace" in identified(built, "Grace.png")
    assert "Eileen Collins" in identified(built, "Eileen.png")


def test_rename_to_a_taken_name_changes_nothing(built: Inside) -> None:
    result = built("rename", "Grace Hopper", "Eileen Collins", *models(built))

    assert result.returncode == 2
    assert "use merge" in result.stderr
    assert (built.folder / "faces" / "Grace Hopper" / "1.png").exists()


@pytest.mark.parametrize("name", ["../out", "a/b", ".hidden", ""])
def test_name_cannot_leave_the_folder(built: Inside, name: str) -> None:
    assert built("rename", "Grace Hopper", name, *models(built)).returncode == 2
    assert built("forget", name, "--yes", *models(built)).returncode == 2
    assert (built.folder / "faces" / "Grace Hopper" / "1.png").exists()


def test_merged_people_are_one_and_keep_all_photos(built: Inside) -> None:
    result = built.outside("merge", "Grace Hopper", "Eileen Collins", *models(built))

    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in (built.folder / "faces").rglob("*.png")) == ["1-2.png", "1.png"]
    assert not (built.folder / "faces" / "Grace Hopper").exists()


def test_forgotten_person_is_nowhere_and_the_others_stay(built: Inside) -> None:
    assert "Grace Hopper" in identified(built, "Grace.png")
    recordings = built.folder / "rec"
    recorded(recordings, "a-1", "Grace Hopper")
    (recordings / "a-1.mp4").write_bytes(b"video")
    (recordings / "a-1.mkv").write_bytes(b"the same, by another program")
    recorded(recordings, "a-2", "Eileen Collins")
    recorded(recordings, "a-3", None, votes=["Grace Hopper"])

    result = built.outside("forget", "Grace Hopper", "--yes", "--recordings", "rec", *models(built))

    assert result.returncode == 0, result.stderr
    assert "Grace Hopper: erased: 1 photo, 2 recordings, and their data in the gallery; verified" in result.stdout
    assert "evaluate" in result.stdout
    assert [path.name for path in recordings.iterdir()] == ["a-2.jsonl"]
    assert erasure.traces(["Grace Hopper"], SearchedFolders(built.folder / "faces", built.folder / "models")) == []
    gallery_files = [path for path in (built.folder / "models" / "galleries").rglob("*") if path.is_file()]
    assert gallery_files
    for spelling in (b"Hopper", "Hopper".encode("utf-32-le")):  # as in JSON, and as numpy stores it
        assert not any(spelling in path.read_bytes() for path in gallery_files)
    assert "Grace" not in identified(built, "Grace.png").partition(":")[2]
    assert "Eileen Collins" in identified(built, "Eileen.png")


def test_earlier_version_that_holds_the_person_is_a_trace(built: Inside) -> None:
    faces, folder = built.folder / "faces", built.folder / "models"
    built("train", *models(built))
    (faces / "Grace Hopper" / "1.png").unlink()
    (faces / "Grace Hopper").rmdir()
    built("train", *models(built))

    left = erasure.traces(["Grace Hopper"], SearchedFolders(faces, folder))
    erasure.forget_earlier_version(SearchedFolders(faces, folder))

    assert [path.suffix for path in left] == [".json", ".npz"]
    assert left[0].name == "manifest.previous.json"
    assert erasure.traces(["Grace Hopper"], SearchedFolders(faces, folder)) == []


def test_forget_lists_what_goes_and_says_where_an_original_stays(built: Inside) -> None:
    hopper = built.folder / "faces" / "Grace Hopper"
    (built.folder / "album").mkdir()
    (built.folder / "album" / "navy.png").write_bytes((hopper / "1.png").read_bytes())
    (hopper / "2.png").symlink_to(built.folder / "album" / "navy.png")
    (hopper / "notes.txt").write_text("hers")

    asked = built("forget", "Grace Hopper", *models(built))  # nobody answers
    result = built("forget", "Grace Hopper", "--yes", *models(built))

    for done in (asked, result):
        for line in ("1.png", "2.png (a link)", "notes.txt (not a photo)"):
            assert f"faces/Grace Hopper/{line}\n" in done.stdout
        assert f"{built.folder / 'album' / 'navy.png'} stays: faces/Grace Hopper/2.png is only a link" in done.stderr
    assert "Erase Grace Hopper: 1 photo, 1 other file, 1 link, no recordings" in asked.stdout
    assert result.returncode == 0, result.stderr
    assert "erased: 1 photo, 1 other file, 1 link" in result.stdout
    assert (built.folder / "album" / "navy.png").exists()
    assert not hopper.exists()


def test_forget_asks_first_and_no_leaves_everything(built: Inside) -> None:
    recorded(built.folder / "rec", "a-1", "Grace Hopper")

    result = built("forget", "Grace Hopper", "--recordings", "rec", *models(built))  # nobody answers

    assert result.returncode == 2
    assert "nothing was erased: nobody answered; add --yes to erase without a question" in result.stderr
    assert "Erase Grace Hopper: 1 photo, 1 recording, and their data in the gallery?" in result.stdout
    assert (built.folder / "rec" / "a-1.jsonl").exists()
    assert (built.folder / "faces" / "Grace Hopper" / "1.png").exists()


def test_person_who_is_not_there_is_said_with_those_who_are(built: Inside) -> None:
    result = built("forget", "Nobody", "--yes", *models(built))

    assert result.returncode == 2
    assert "there are: Eileen Collins, Grace Hopper" in result.stderr


def test_both_spellings_of_a_name_are_one_person(tmp_path: Path) -> None:
    for spelling in ("Zo\u00eb", "Zoe\u0308"):
        (tmp_path / spelling).mkdir()
        (tmp_path / spelling / "1.jpg").touch()

    assert len(people.folders_of("Zo\u00eb", tmp_path)) == 2
    erasure.forget(["Zo\u00eb"], SearchedFolders(tmp_path, tmp_path / "models"))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="there are: nobody"):
        erasure.forget(["Zo\u00eb"], SearchedFolders(tmp_path, tmp_path / "models"))


def test_person_whose_photos_were_deleted_by_hand_is_forgotten(built: Inside) -> None:
    built("train", *models(built))
    (built.folder / "faces" / "Grace Hopper" / "1.png").unlink()
    (built.folder / "faces" / "Grace Hopper").rmdir()

    result = built("forget", "Grace Hopper", "--yes", *models(built))

    assert result.returncode == 0, result.stderr
    assert "0 photos" in result.stdout
    assert erasure.traces(["Grace Hopper"], SearchedFolders(built.folder / "faces", built.folder / "models")) == []


def test_name_that_was_gone_back_to_is_forgotten_and_the_new_one_stays(built: Inside) -> None:
    built("train", *models(built))
    built("rename", "Grace Hopper", "Amazing Grace", *models(built))
    built("train", "--rollback", *models(built))

    result = built("forget", "Grace Hopper", "--yes", *models(built))

    assert result.returncode == 0, result.stderr
    assert erasure.traces(["Grace Hopper"], SearchedFolders(built.folder / "faces", built.folder / "models")) == []
    assert (built.folder / "faces" / "Amazing Grace" / "1.png").exists()
    assert "Amazing Grace" in identified(built, "Grace.png")


def test_interrupted_forget_says_that_embeddings_are_left_and_is_repeated_to_its_end(built: Inside) -> None:
    faces, folder = built.folder / "faces", built.folder / "models"
    built("train", *models(built))
    lock = gallery_dir(faces, folder, "sface") / "lock"
    lock.unlink()
    lock.mkdir()  # not even root can write that

    first = built("forget", "Grace Hopper", "--yes", *models(built))
    left = erasure.traces(["Grace Hopper"], SearchedFolders(faces, folder))
    lock.rmdir()
    second = built("forget", "Grace Hopper", "--yes", *models(built))

    assert first.returncode == 1
    assert "1 photo" in first.stderr
    assert "the embeddings are still there" in first.stderr
    assert "run `jetstream forget` again" in first.stderr
    assert "Traceback" not in first.stderr
    assert left
    assert second.returncode == 0, second.stderr
    assert erasure.traces(["Grace Hopper"], SearchedFolders(faces, folder)) == []


def test_earlier_name_goes_from_recordings_with_the_present_one(built: Inside) -> None:
    recorded(built.folder / "rec", "a-1", "Grace Hopper")
    recorded(built.folder / "rec", "a-2", "Amazing Grace")
    recorded(built.folder / "rec", "a-3", "Eileen Collins")
    renamed = built("rename", "Grace Hopper", "Amazing Grace", *models(built))
    built("train", *models(built))

    both = ("Amazing Grace", "Grace Hopper")
    result = built("forget", *both, "--yes", "--recordings", "rec", *models(built))

    assert "recordings made until now keep the name Grace Hopper" in renamed.stderr
    assert result.returncode == 0, result.stderr
    assert "Amazing Grace, Grace Hopper: erased: 1 photo, 2 recordings" in result.stdout
    assert [path.name for path in (built.folder / "rec").iterdir()] == ["a-3.jsonl"]


def test_one_unknown_name_of_several_leaves_all(tmp_path: Path) -> None:
    (tmp_path / "faces" / "Ada").mkdir(parents=True)
    recorded(tmp_path / "rec", "a-1", "Ada")

    with pytest.raises(UserError, match=r"Bob: there is no such person in .*, in the gallery, in .*rec; there are"):
        erasure.forget(["Ada", "Bob"], SearchedFolders(tmp_path / "faces", tmp_path / "models", tmp_path / "rec"))

    assert (tmp_path / "faces" / "Ada").is_dir()
    assert (tmp_path / "rec" / "a-1.jsonl").exists()


@pytest.mark.parametrize("spelling", ["Zoe\u0308", " Zo\u00eb "])
def test_every_spelling_of_a_name_finds_recordings_and_traces(tmp_path: Path, spelling: str) -> None:
    (tmp_path / "faces").mkdir()
    recorded(tmp_path / "rec", "a-1", "Zo\u00eb")
    where = SearchedFolders(tmp_path / "faces", tmp_path / "models", tmp_path / "rec")

    assert erasure.traces([spelling], where) == [tmp_path / "rec" / "a-1.jsonl"]
    erasure.forget([spelling], where)

    assert erasure.traces([spelling], where) == []
    assert list((tmp_path / "rec").iterdir()) == []


def test_recordings_that_are_no_folder_are_said_before_anything_goes(built: Inside) -> None:
    (built.folder / "file").touch()

    for wrong in ("nowhere", "file"):
        result = built("forget", "Grace Hopper", "--yes", "--recordings", wrong, *models(built))
        assert result.returncode == 2
        assert f"{wrong}: no such folder of recordings" in result.stderr
    assert (built.folder / "faces" / "Grace Hopper" / "1.png").exists()


def test_nothing_goes_while_something_is_recorded(tmp_path: Path) -> None:
    (tmp_path / "faces" / "Ada").mkdir(parents=True)
    recorded(tmp_path / "rec", "a-1", "Ada")
    where = SearchedFolders(tmp_path / "faces", tmp_path / "models", tmp_path / "rec")

    with open_events(tmp_path / "rec" / "a-2.jsonl"), pytest.raises(UserError, match=r"a-2.jsonl: is being recorded"):
        erasure.forget(["Ada"], where)
    assert (tmp_path / "faces" / "Ada").is_dir()
    assert (tmp_path / "rec" / "a-1.jsonl").exists()
    assert (tmp_path / "rec" / "a-2.jsonl").exists()

    erasure.forget(["Ada"], where)  # the recording has ended
    assert recordings.of(["Ada"], tmp_path / "rec") == []


@pytest.mark.pipeline
def test_nothing_goes_while_the_pipeline_records(built: Inside) -> None:
    def is_recording() -> bool:
        return any((built.folder / "rec").glob("*.jsonl"))

    with built.running(DEMO, "--headless", "--record", "rec") as process:
        built.wait(lambda status: is_recording(), process)
        result = built("forget", "Grace Hopper", "--yes", "--recordings", "rec", *models(built))

    assert result.returncode == 2
    assert "stop the pipeline" in result.stderr
    assert (built.folder / "faces" / "Grace Hopper" / "1.png").exists()


def test_missing_faces_folder_is_not_taken_for_forgotten_photos(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder of faces"):
        erasure.forget(["Ada"], SearchedFolders(tmp_path / "faces", tmp_path / "models"))


@pytest.mark.parametrize("closed", [".", "Ada"])
def test_folder_that_cannot_be_written_is_a_sentence(powerless: Path, closed: str) -> None:
    faces = powerless / "faces"
    for name in ("Ada", "Bob"):
        (faces / name).mkdir(parents=True)
        (faces / name / "1.jpg").touch()
    (faces / closed).chmod(0o500)
    try:
        for change in (
            lambda: people.merge("Ada", "Bob", faces),
            lambda: erasure.forget(["Ada"], SearchedFolders(faces, powerless / "models")),
            lambda: people.rename("Ada", "Eve", faces) if closed == "." else people.merge("Bob", "Ada", faces),
        ):
            with pytest.raises(UserError, match=r"can't be changed \(Permission denied\); .*run it again"):
                change()
    finally:
        (faces / closed).chmod(0o700)


def test_renamed_folder_keeps_what_it_is(tmp_path: Path) -> None:
    """Also one that is a link, and a name that no folder can have leaves the old one."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.jpg").touch()
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "Ada").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(UserError, match="File name too long"):
        people.rename("Ada", "A" * 300, tmp_path / "faces")
    people.rename("Ada", "Eve", tmp_path / "faces")

    assert (tmp_path / "faces" / "Eve" / "1.jpg").exists()
    erasure.forget(["Eve"], SearchedFolders(tmp_path / "faces", tmp_path / "models"))
    assert list((tmp_path / "faces").iterdir()) == []
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["1.jpg"]


def test_names_that_look_like_markup_are_printed_as_they_are(built: Inside) -> None:
    names = ("[red]Ann", "a:smile:b", ":B:")
    (built.folder / "faces" / "Grace Hopper").rename(built.folder / "faces" / names[0])
    for name in names[1:]:
        (built.folder / "faces" / name).mkdir()

    listed = built("people", *models(built))
    renamed = built("rename", names[1], "c:smile:d", *models(built))
    forgotten = built("forget", *names[::2], "--yes", *models(built))

    assert all(name in listed.stdout for name in names), listed.stdout
    assert "the name a:smile:b:" in renamed.stderr
    assert "[red]Ann, :B:: erased: 1 photo" in forgotten.stdout, forgotten.stderr
