"""`--config`: commands about people and pictures answer as the pipeline of that config does."""

import json
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from jetstream.gallery import audit
from tests.support.inside import Inside
from tests.support.repository import REPOSITORY

DEMO = str(REPOSITORY / "configs" / "demo.toml")
SITE = """
[models]
dir = "m2"
[recognize]
faces = "crew"
"""
COMMANDS = {
    "people": (),
    "rename": ("Grace Hopper", "Amazing Grace"),
    "merge": ("Grace Hopper", "Eileen Collins"),
    "forget": ("Grace Hopper", "--yes"),
    "identify": ("Grace.png",),
    "detect": ("Grace.png",),
    "audit": (),
    "train": (),
    "enroll": ("Ada", "--from", "Grace.png"),
    "evaluate": (),
}


@pytest.fixture
def jetstream(tmp_path: Path, models_dir: Path, portraits: dict[str, np.ndarray]) -> Inside:
    """Both portraits in `crew`, models in `m2`, which site.toml names, and nothing where the defaults say."""
    (tmp_path / "m2").mkdir()
    for path in models_dir.glob("*.onnx"):
        (tmp_path / "m2" / path.name).hardlink_to(path)
    for name, image in portraits.items():
        (tmp_path / "crew" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "crew" / name / "1.png"), image)
        cv2.imwrite(str(tmp_path / f"{name.split()[0]}.png"), image)
    (tmp_path / "site.toml").write_text(SITE)
    return Inside(tmp_path, tmp_path / "m2")


def write(jetstream: Inside, *lines: str) -> str:
    """site.toml with more keys of [recognize], or tables, at its end."""
    (jetstream.folder / "more.toml").write_text(SITE + "\n".join(lines))
    return "more.toml"


def done(result: "subprocess.CompletedProcess[str]") -> str:
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def face_in(jetstream: Inside, command: str, picture: str, *words: str) -> dict[str, object]:
    (seen,) = json.loads(done(jetstream(command, picture, "--json", *words)))
    (face,) = seen["faces"]
    return dict(face)


@pytest.mark.parametrize("command", COMMANDS)
def test_config_that_is_wrong_is_one_sentence(jetstream: Inside, command: str) -> None:
    (jetstream.folder / "wrong.toml").write_text("[models]\nfolder = 1\n")

    for file, said in (("wrong.toml", "wrong.toml: models.folder: unknown key"), ("none.toml", "none.toml: No such")):
        result = jetstream(command, *COMMANDS[command], "--config", file)
        assert result.returncode == 2
        assert said in result.stderr


def test_people_are_those_of_the_config_until_options_say_otherwise(jetstream: Inside) -> None:
    (jetstream.folder / "guests" / "Ada").mkdir(parents=True)

    of_config = done(jetstream("people", "--config", "site.toml"))
    of_faces = done(jetstream("people", "--config", "site.toml", "--faces", "guests"))
    of_set = done(jetstream("people", "--config", "site.toml", "--set", "recognize.faces=guests"))

    assert "Grace Hopper" in of_config
    assert all("Ada" in shown and "Grace Hopper" not in shown for shown in (of_faces, of_set))
    assert sorted(path.name.partition("-")[0] for path in (jetstream.folder / "m2" / "galleries").iterdir()) == [
        "crew",
        "guests",
    ]
    assert not (jetstream.folder / "models").exists()


def test_people_who_change_names_do_so_where_the_config_says(jetstream: Inside) -> None:
    done(jetstream("rename", "Grace Hopper", "Amazing Grace", "--config", "site.toml"))
    assert face_in(jetstream, "identify", "Grace.png", "--config", "site.toml")["name"] == "Amazing Grace"
    done(jetstream("merge", "Amazing Grace", "Eileen Collins", "--config", "site.toml"))

    assert sorted(path.name for path in (jetstream.folder / "crew" / "Eileen Collins").iterdir()) == [
        "1-2.png",
        "1.png",
    ]
    lines = list(audit.lines(jetstream.folder / "m2"))
    assert [line.what for line in lines if line.is_about("Amazing Grace")] == ["rename", "learn", "merge", "unlearn"]
    shown = done(jetstream("audit", "Amazing Grace", "--config", "site.toml")).splitlines()
    assert [line.split()[2] for line in shown] == ["rename", "learn", "merge", "unlearn"]
    assert done(jetstream("audit", "Amazing Grace")) == ""
    assert not (jetstream.folder / "models").exists()


def test_thresholds_are_those_of_the_config_until_options_say_otherwise(jetstream: Inside) -> None:
    tight = write(jetstream, "max_distance = 0.0001")

    usual = face_in(jetstream, "identify", "Grace.png", "--config", "site.toml")
    wide = face_in(jetstream, "identify", "Grace.png", "--config", write(jetstream, "false_accept_rate = 0.2"))
    near = face_in(jetstream, "identify", "Grace.png", "--config", write(jetstream, "max_distance = 0.25"))
    won = face_in(jetstream, "identify", "Grace.png", "--config", tight, "--set", "recognize.max_distance=0.5")

    assert float(str(wide["gate"])) > float(str(usual["gate"]))
    assert near["gate"] == 0.25
    assert won["gate"] == 0.5
    assert "thresholds name 0.2 of strangers" in done(
        jetstream("people", "--config", write(jetstream, "false_accept_rate = 0.2"))
    )


def test_faces_are_found_by_the_keys_of_the_config_until_options_say_otherwise(jetstream: Inside) -> None:
    sure = write(jetstream, "[detect]", "thresholds = [0.6, 0.7, 0.99999999]")

    assert face_in(jetstream, "detect", "Grace.png", "--config", "site.toml")
    assert done(jetstream("detect", "Grace.png", "--config", sure)) == "Grace.png: no face\n"
    giants = write(jetstream, "[detect]", "min_face_px = 900")
    assert done(jetstream("detect", "Grace.png", "--config", giants)) == "Grace.png: no face\n"
    assert face_in(jetstream, "detect", "Grace.png", "--config", giants, "--set", "detect.min_face_px=40")


def test_preset_of_a_config_is_for_its_tracks_and_single_pictures_keep_theirs(jetstream: Inside) -> None:
    usual = face_in(jetstream, "detect", "Grace.png", "--config", "site.toml")
    fast = write(jetstream, "[detect]", 'preset = "fast"')

    assert face_in(jetstream, "detect", "Grace.png", "--config", fast) == usual


@pytest.mark.parametrize("command", ["people", "identify", "detect", "rename"])
def test_backend_is_that_of_the_config(jetstream: Inside, no_gpu: None, command: str) -> None:
    absent = write(jetstream, "[gpu]", 'backend = "tensorrt"')

    result = jetstream(command, *COMMANDS[command], "--config", absent)

    assert result.returncode != 0
    assert "gpu.backend" in result.stderr


def test_demo_knows_its_one_person_and_changes_nobody(jetstream: Inside) -> None:
    words = ("--config", DEMO, "--set", "models.dir=m2")

    assert face_in(jetstream, "identify", "Eileen.png", *words)["name"] == "Eileen Collins"
    assert face_in(jetstream, "identify", "Grace.png", *words)["name"] is None
    assert "Eileen Collins" in done(jetstream("people", *words))
    for command in ("rename", "merge", "forget", "enroll"):
        result = jetstream(command, *COMMANDS[command], *words)
        assert result.returncode == 2
        assert "the demo's faces are made by the demo; name a folder with --faces" in result.stderr
