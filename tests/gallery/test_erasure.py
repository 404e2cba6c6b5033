"""`jetstream forget` says of every folder in use whether it still holds the person."""

import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from jetstream.config import load
from jetstream.config.galleries import gallery_dir
from jetstream.errors import UserError
from jetstream.gallery import erasure
from jetstream.gallery.erasure import SearchedFolders
from tests.support.command import Command
from tests.support.inside import Inside
from tests.support.recordings import recorded
from tests.support.repository import REPOSITORY

DEMO = str(REPOSITORY / "configs" / "demo.toml")
HOPPER = "Grace Hopper"


def make_models(folder: Path, built: Path) -> None:
    folder.mkdir(parents=True)
    for path in built.glob("*.onnx"):
        (folder / path.name).hardlink_to(path)


def make_faces(folder: Path, portraits: dict[str, np.ndarray]) -> None:
    for name, image in portraits.items():
        (folder / name).mkdir(parents=True)
        cv2.imwrite(str(folder / name / "1.png"), image)


@pytest.fixture
def jetstream(tmp_path: Path, models_dir: Path, portraits: dict[str, np.ndarray]) -> Inside:
    """Both portraits in `faces`, models in `m2`, and site.toml that names both and `rec` for recordings."""
    make_models(tmp_path / "m2", models_dir)
    make_faces(tmp_path / "faces", portraits)
    (tmp_path / "site.toml").write_text('[models]\ndir = "m2"\n[record]\ndir = "rec"\n')
    return Inside(tmp_path, tmp_path / "m2")


def forget(jetstream: Inside, *words: str) -> "subprocess.CompletedProcess[str]":
    return jetstream(
        "forget", HOPPER, "--yes", "--config", "site.toml", "--set", f"pipeline.run_dir={jetstream.run_dir}", *words
    )


def train_faces(jetstream: Inside, *words: str) -> None:
    result = jetstream("train", "--config", "site.toml", *words)
    assert result.returncode == 0, result.stderr


def names_hopper(folder: Path) -> list[Path]:
    """Files with her name, as JSON or as numpy stores it."""
    spellings = (b"Hopper", "Hopper".encode("utf-32-le"))
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".onnx" and any(word in path.read_bytes() for word in spellings)
    ]


def test_person_is_gone_from_the_models_folder_of_the_config(jetstream: Inside) -> None:
    train_faces(jetstream)
    assert names_hopper(jetstream.folder / "m2")

    result = forget(jetstream)

    assert result.returncode == 0, result.stderr
    assert "verified gone from faces, m2/galleries." in result.stdout
    assert not names_hopper(jetstream.folder)
    assert not (jetstream.folder / "models").exists()


def test_gallery_of_another_faces_folder_is_said_until_it_is_named(
    jetstream: Inside, portraits: dict[str, np.ndarray]
) -> None:
    """It is known by a version of its own and by the one before."""
    make_faces(jetstream.folder / "office", portraits)
    train_faces(jetstream)
    train_faces(jetstream, "--faces", "office")

    first = forget(jetstream)
    again = forget(jetstream)
    there = forget(jetstream, "--faces", "office")

    for result in (first, again):
        assert result.returncode == 1
        assert "verified" not in result.stdout
        assert "of another folder of faces: run `jetstream forget` again with --faces" in result.stderr
        assert "still in m2/galleries/office-" in result.stderr
        assert "m2/galleries/faces-" not in result.stderr
    assert "erased: 1 photo" in first.stderr
    assert "erased: 0 photos" in again.stderr
    assert there.returncode == 0, there.stderr
    assert "verified gone from office, m2/galleries." in there.stdout
    assert not names_hopper(jetstream.folder)


def test_earlier_version_of_a_gallery_whose_folder_is_no_more_is_said(
    jetstream: Inside, portraits: dict[str, np.ndarray]
) -> None:
    office = jetstream.folder / "office"
    make_faces(office, portraits)
    train_faces(jetstream, "--faces", "office")
    (office / HOPPER / "1.png").unlink()
    (office / HOPPER).rmdir()
    train_faces(jetstream, "--faces", "office")
    gallery = gallery_dir(office, jetstream.models, "sface")
    office.rename(jetstream.folder / "attic")

    result = forget(jetstream)

    assert result.returncode == 1
    assert "manifest.previous.json" in result.stderr
    assert "office-" in result.stderr
    assert f"if that folder no longer exists, remove m2/galleries/{gallery.name}" in result.stderr


@pytest.mark.parametrize(
    ("file", "content"), [("manifest.json", b"{"), ("gallery-1.npz", b"PK"), (".manifest.json.1234", b"{}")]
)
def test_file_of_which_nobody_can_tell_is_said(tmp_path: Path, file: str, content: bytes) -> None:
    where = SearchedFolders(tmp_path / "faces", tmp_path / "models")
    folder = tmp_path / "models" / "galleries" / "office-1"
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    assert erasure.remains([HOPPER], where) == []

    (folder / file).write_bytes(content)

    (remains,) = erasure.remains([HOPPER], where)
    assert remains.paths == [folder / file]


def test_recordings_of_the_config_stay_and_are_said_until_they_are_named(jetstream: Inside) -> None:
    rec = jetstream.folder / "rec"
    recorded(rec, "a-1", HOPPER)
    recorded(rec, "a-2", "Eileen Collins")

    asked = jetstream("forget", HOPPER, "--config", "site.toml")  # nobody answers
    first = forget(jetstream)
    second = forget(jetstream, "--recordings", "rec")

    stays = "rec: 1 recording still holds this name; to erase it, run `jetstream forget` with --recordings rec"
    assert asked.returncode != 0
    assert stays in asked.stderr
    assert first.returncode == 0, first.stderr
    assert stays in first.stderr
    assert "verified gone from faces, m2/galleries." in first.stdout
    assert second.returncode == 0, second.stderr
    assert "erased: 0 photos, 1 recording" in second.stdout
    assert "verified gone from faces, m2/galleries, rec." in second.stdout
    assert "stays" not in second.stderr
    assert [path.name for path in rec.iterdir()] == ["a-2.jsonl"]


def test_recordings_without_the_person_are_among_what_was_verified(jetstream: Inside) -> None:
    recorded(jetstream.folder / "rec", "a-2", "Eileen Collins")

    result = forget(jetstream)

    assert result.returncode == 0, result.stderr
    assert "verified gone from faces, m2/galleries, rec." in result.stdout


def test_recordings_that_cannot_be_read_are_said_before_anything_goes(jetstream: Inside) -> None:
    (jetstream.folder / "rec").symlink_to("rec")  # not even root can read that

    result = forget(jetstream)

    assert result.returncode == 2
    assert "rec: can't be opened" in result.stderr
    assert (jetstream.folder / "faces" / HOPPER / "1.png").exists()


def test_person_in_no_folder_in_use_is_no_person(jetstream: Inside) -> None:
    recorded(jetstream.folder / "rec", "a-2", "Eileen Collins")

    result = jetstream("forget", "Ada", "--yes", "--config", "site.toml")

    assert result.returncode == 2
    assert "Ada: there is no such person in faces, in the gallery; there are: Eileen" in result.stderr


@pytest.mark.pipeline
def test_what_a_running_pipeline_uses_is_said_until_it_is_named(
    jetstream: Inside, models_dir: Path, portraits: dict[str, np.ndarray]
) -> None:
    """It runs in another working folder, with models, faces and recordings of its own, named relative to that."""
    there = jetstream.folder / "there"
    make_models(there / "models", models_dir)
    make_faces(there / "faces", portraits)
    recorded(there / "old", "a-1", HOPPER)
    other = Command(there, Path("models"))
    run_dir = ("--set", f"pipeline.run_dir={other.run_dir}")
    words = ("--headless", "--faces", "faces", "--set", "record.dir=old", "--set", "record.video=none")

    with other.running(DEMO, *words):
        first = forget(jetstream, *run_dir)
        named = ("--faces", str(there / "faces"), "--set", f"models.dir={there / 'models'}")
        second = forget(jetstream, *run_dir, *named)
        recordings = forget(jetstream, *run_dir, *named, "--recordings", str(there / "old"))

    assert first.returncode == 1
    assert "erased: 1 photo" in first.stderr
    assert f"still in {there / 'faces' / HOPPER}, {there / 'models' / 'galleries'}" in first.stderr
    assert f"of the running pipeline: run `jetstream forget` again with {' '.join(named)}" in first.stderr
    assert second.returncode == 0, second.stderr
    assert f"verified gone from {there / 'faces'}, {there / 'models' / 'galleries'}." in second.stdout
    assert f"{there / 'old'}: " in second.stderr
    assert "stop the pipeline" in recordings.stderr
    assert not names_hopper(there / "models")


def test_pipeline_that_cannot_be_asked_is_said_before_anything_goes(jetstream: Inside) -> None:
    from jetstream.runtime.run_dir import claim

    with claim(jetstream.run_dir) as folder:
        starting = forget(jetstream)
        (folder.path / "config.json").write_text('{"telescope": {}}')
        other = forget(jetstream)

    assert (starting.returncode, other.returncode) == (1, 1)
    assert "the pipeline isn't ready yet, or is ending; try again" in starting.stderr
    assert "another version of jetstream runs here" in other.stderr
    assert (jetstream.folder / "faces" / HOPPER / "1.png").exists()


def test_folders_that_are_one_are_looked_at_once(tmp_path: Path) -> None:
    (tmp_path / "rec").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "rec")
    config = load.build({"record": {"dir": str(tmp_path / "link")}}, where="test")

    assert erasure.folders_in_use(config, tmp_path / "rec").kept_recordings == ()
    assert erasure.folders_in_use(config).kept_recordings == (tmp_path / "link",)
    missing = load.build({"record": {"dir": str(tmp_path / "none")}}, where="test")
    assert erasure.folders_in_use(missing).kept_recordings == ()


def test_faces_of_the_demo_are_nobodys_to_change() -> None:
    config = load.build({"recognize": {"faces": "demo"}}, where="test")

    with pytest.raises(UserError, match="made by the demo"):
        erasure.folders_in_use(config)
