"""Known people: listed, renamed, merged, forgotten, with real photos and a real gallery."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from jetstream import people
from jetstream.errors import UserError
from tests.command import Command


@pytest.fixture
def jetstream(tmp_path: Path, models_dir: Path, portraits: dict[str, np.ndarray]) -> Command:
    """A faces folder with both portraits."""
    for name, image in portraits.items():
        (tmp_path / "faces" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "faces" / name / "1.png"), image)
        cv2.imwrite(str(tmp_path / f"{name.split()[0]}.png"), image)
    return Command(tmp_path, models_dir)


def models(jetstream: Command) -> tuple[str, str]:
    return "--set", f"models.dir={jetstream.folder / 'models'}"


@pytest.fixture
def built(jetstream: Command) -> Command:
    """The same with models of its own, so that every trace lies in its folder."""
    (jetstream.folder / "models").mkdir()
    for path in jetstream.models.glob("*.onnx"):
        (jetstream.folder / "models" / path.name).hardlink_to(path)
    return jetstream


def identified(jetstream: Command, picture: str) -> str:
    return jetstream("identify", picture, *models(jetstream)).stdout


def test_people_are_listed_with_their_photos(built: Command) -> None:
    result = built("people", *models(built))

    assert result.returncode == 0, result.stderr
    assert "Eileen Collins" in result.stdout
    assert "Grace Hopper" in result.stdout


def test_renamed_person_is_known_by_the_new_name(built: Command) -> None:
    result = built("rename", "Grace Hopper", "Amazing Grace", *models(built))

    assert result.returncode == 0, result.stderr
    assert "Amazing Grace" in identified(built, "Grace.png")
    assert "Eileen Collins" in identified(built, "Eileen.png")


def test_rename_to_a_taken_name_changes_nothing(built: Command) -> None:
    result = built("rename", "Grace Hopper", "Eileen Collins", *models(built))

    assert result.returncode == 2
    assert "use merge" in result.stderr
    assert (built.folder / "faces" / "Grace Hopper" / "1.png").exists()


@pytest.mark.parametrize("name", ["../out", "a/b", ".hidden", ""])
def test_name_cannot_leave_the_folder(built: Command, name: str) -> None:
    assert built("rename", "Grace Hopper", name, *models(built)).returncode == 2
    assert built("forget", name, "--yes", *models(built)).returncode == 2
    assert (built.folder / "faces" / "Grace Hopper" / "1.png").exists()


def test_merged_people_are_one_and_keep_all_photos(built: Command) -> None:
    result = built("merge", "Grace Hopper", "Eileen Collins", *models(built))

    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in (built.folder / "faces").rglob("*.png")) == ["1-2.png", "1.png"]
    assert not (built.folder / "faces" / "Grace Hopper").exists()


def test_forgotten_person_is_nowhere_and_the_others_stay(built: Command) -> None:
    assert "Grace Hopper" in identified(built, "Grace.png")
    recordings = built.folder / "rec"
    recordings.mkdir()
    track = '{"track_id":1,"state":"confirmed","box":[],"score":1,"landmarks":null,"name":%s,"confidence":1,"age_s":1}'
    line = '{"schema":1,"camera":"a","frame_id":0,"pts_s":0,"captured_ns":1,"wall":"","tracks":[' + track + "]}\n"
    (recordings / "a-1.jsonl").write_text(line % '"Grace Hopper"')
    (recordings / "a-1.mp4").write_bytes(b"video")
    (recordings / "a-2.jsonl").write_text(line % '"Eileen Collins"')
    vote = '{"name":"Grace Hopper","log_odds":0.4,"answers":1,"photo":"Grace Hopper/1.png","distance":0.5}'
    (recordings / "a-3.jsonl").write_text((line % "null").replace('"age_s":1', f'"age_s":1,"votes":[{vote}]'))

    result = built("forget", "Grace Hopper", "--yes", "--recordings", "rec", *models(built))

    assert result.returncode == 0, result.stderr
    assert "verified" in result.stdout
    assert [path.name for path in recordings.iterdir()] == ["a-2.jsonl"]
    assert people.traces("Grace Hopper", built.folder / "faces", built.folder / "models") == []
    gallery_files = [path for path in (built.folder / "models" / "galleries").rglob("*") if path.is_file()]
    assert gallery_files
    for spelling in (b"Hopper", "Hopper".encode("utf-32-le")):  # as in JSON, and as numpy stores it
        assert not any(spelling in path.read_bytes() for path in gallery_files)
    assert "Grace" not in identified(built, "Grace.png").partition(":")[2]
    assert "Eileen Collins" in identified(built, "Eileen.png")


def test_earlier_version_that_holds_the_person_is_a_trace(built: Command) -> None:
    faces, folder = built.folder / "faces", built.folder / "models"
    built("train", *models(built))
    (faces / "Grace Hopper" / "1.png").unlink()
    (faces / "Grace Hopper").rmdir()
    built("train", *models(built))

    left = people.traces("Grace Hopper", faces, folder)
    people.forget_earlier_version(faces, folder)

    assert [Path(path).suffix for path in left] == [".json", ".npz"]
    assert "manifest.previous.json" in left[0]
    assert people.traces("Grace Hopper", faces, folder) == []


def test_forget_asks_first_and_no_leaves_everything(built: Command) -> None:
    result = built("forget", "Grace Hopper", *models(built))  # nobody answers

    assert result.returncode != 0
    assert (built.folder / "faces" / "Grace Hopper" / "1.png").exists()


def test_person_who_is_not_there_is_said_with_those_who_are(built: Command) -> None:
    result = built("forget", "Nobody", "--yes", *models(built))

    assert result.returncode == 2
    assert "there are: Eileen Collins, Grace Hopper" in result.stderr


def test_both_spellings_of_a_name_are_one_person(tmp_path: Path) -> None:
    for spelling in ("Zo\u00eb", "Zoe\u0308"):
        (tmp_path / spelling).mkdir()
        (tmp_path / spelling / "1.jpg").touch()

    assert len(people.folders_of("Zo\u00eb", tmp_path)) == 2
    people.forget("Zo\u00eb", tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="there are: nobody"):
        people.forget("Zo\u00eb", tmp_path)
