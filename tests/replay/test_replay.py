"""What `replay` refuses before it starts, and says at its end."""

from pathlib import Path

import av
import cv2
import msgspec
import numpy as np
import pytest

from jetstream import files, startup
from jetstream.config import load
from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.networks.open import open_picture_detector
from jetstream.replay import replay
from jetstream.vision.detection.detector import faces_in
from jetstream.vision.drawing.blur import Who


@pytest.fixture
def config(tmp_path: Path, own_models: Path) -> Config:
    """For three grey pictures; nobody is known."""
    for folder in ("pictures", "faces"):
        (tmp_path / folder).mkdir()
    for number in range(3):
        cv2.imwrite(str(tmp_path / "pictures" / f"{number}.png"), np.full((120, 160, 3), 128, np.uint8))
    data = {
        "pipeline": {"pace": "every-frame"},
        "models": {"dir": str(tmp_path / "models")},
        "recognize": {"faces": str(tmp_path / "faces")},
        "cameras": [{"name": "c", "source": str(tmp_path / "pictures")}],
    }
    return startup.prepare(load.build(data, where="test"))


def progress(what: str, share: float) -> None:
    raise AssertionError("it began")


@pytest.mark.parametrize("name", [".", "..", "folder", "folder.mp4", "link"])
@pytest.mark.parametrize("option", ["--out", "--video"])
def test_folder_as_output_is_refused_before_the_first_frame(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("folder", "folder.mp4"):
        Path(folder).mkdir()
    Path("link").symlink_to("folder")
    path = Path(name)
    outputs = (path, None) if option == "--out" else (Path("events.jsonl"), path)

    with pytest.raises(UserError, match=rf"^{option} {name}: it is a folder; name a file$"):
        replay.to_files(config, *outputs, progress)
    assert not Path("events.jsonl").exists()


def test_device_as_output_is_refused_for_a_file_would_take_its_place(config: Config) -> None:
    with pytest.raises(UserError, match="--out /dev/null: it is no file"):
        replay.to_files(config, Path("/dev/null"), None, progress)


def test_folder_made_for_events_is_the_owners_alone(config: Config, tmp_path: Path) -> None:
    replay.to_files(config, tmp_path / "new" / "e.jsonl", None, lambda what, share: None)

    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new" / "e.jsonl").stat().st_mode & 0o777 == 0o600
    assert len((tmp_path / "new" / "e.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize(("blur", "faces"), [("none", 1), ("unknown", 0), ("all", 0)])
def test_face_is_hidden_in_the_video_unless_nobody_is(
    config: Config,
    tmp_path: Path,
    portraits: dict[str, np.ndarray],
    blur: Who,
    faces: int,
) -> None:
    for picture in (tmp_path / "pictures").iterdir():
        cv2.imwrite(str(picture), portraits["Eileen Collins"])
    hiding = msgspec.structs.replace(config, render=msgspec.structs.replace(config.render, blur=blur))

    replay.to_files(hiding, tmp_path / "e.jsonl", tmp_path / "v.mp4", lambda what, share: None)

    with av.open(str(tmp_path / "v.mp4")) as container, open_picture_detector(config) as detector:
        for frame in container.decode(video=0):
            assert len(faces_in(detector, frame.to_ndarray(format="bgr24")).boxes) == faces


@pytest.mark.parametrize("explain", [True, False])
def test_nobody_to_explain_is_said(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str], explain: bool
) -> None:
    replay.to_files(config, tmp_path / "e.jsonl", None, lambda what, share: None, explain=explain)

    assert capsys.readouterr().out == ("no face was tracked, so there is no name to explain\n" if explain else "")


def test_file_without_a_name_is_an_os_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(IsADirectoryError):
        files.replace(Path("."), b"content")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "hard link"])
def test_output_is_replaced_and_nothing_behind_a_link_changes(tmp_path: Path, kind: str) -> None:
    own = tmp_path / "own"
    own.write_text("own")
    for name in ("out.jsonl", ".out.partial.jsonl"):  # the second is what a killed run may leave
        (tmp_path / name).hardlink_to(own) if kind == "hard link" else (tmp_path / name).symlink_to(own)

    with replay.whole(tmp_path / "out.jsonl") as part:
        part.write_text("new")

    assert own.read_text() == "own"
    assert (tmp_path / "out.jsonl").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "own"]
