"""Whether a new face is taken for somebody known, by the thresholds of the config, and whether a pipeline learns it."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from jetstream.config import load
from jetstream.config.schema import Config
from jetstream.enroll.conflicts import KnownPeople
from jetstream.enroll.enroll import other_gallery
from jetstream.errors import UserError
from jetstream.gallery import train
from tests.support.other_process import run_dir_held


@pytest.fixture
def folders(tmp_path: Path, models_dir: Path, portraits: dict[str, np.ndarray]) -> dict[str, str]:
    """Faces and models of a gallery that knows both portraits."""
    (tmp_path / "models").mkdir()
    for path in models_dir.glob("*.onnx"):
        (tmp_path / "models" / path.name).hardlink_to(path)
    for name, image in portraits.items():
        (tmp_path / "faces" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "faces" / name / "1.png"), image)
    return {"faces": str(tmp_path / "faces"), "models": str(tmp_path / "models")}


def config(folders: dict[str, str], **recognize: Any) -> Config:
    keys = {"models": {"dir": folders["models"]}, "recognize": {"faces": folders["faces"], **recognize}}
    return load.build(keys, where="test")


def known(settings: Config) -> KnownPeople:
    return KnownPeople("Ada", settings, lambda what, share: None)


def test_new_face_is_compared_at_the_rate_and_distance_of_the_config(folders: dict[str, str]) -> None:
    strict, loose = config(folders, false_accept_rate=0.00001), config(folders, false_accept_rate=0.2)
    default, near = config(folders), config(folders, max_distance=0.05)
    known(default)  # learns the photos
    hopper = KnownPeople("Grace Hopper", default, lambda what, share: None).embeddings[0]
    thresholds = {
        name: train.open_gallery(settings).classifier.ask(hopper[np.newaxis])[0].threshold
        for name, settings in {"strict": strict, "default": default, "loose": loose}.items()
    }
    aside = np.random.default_rng(0).normal(size=hopper.shape)
    aside -= hopper * (aside @ hopper) / (hopper @ hopper)
    aside /= np.linalg.norm(aside)

    people = train.open_gallery(default).classifier

    def at(distance: float) -> np.ndarray:
        """A face as far from Hopper as the classifier measures it, found by halving."""
        near, far = 0.0, 10.0
        for _ in range(40):
            middle = (near + far) / 2
            face = (hopper + middle * aside).astype(np.float32)[np.newaxis]
            near, far = (middle, far) if people.ask(face)[0].distance < distance else (near, middle)
        return face

    between_strict_and_default = at((thresholds["strict"] + thresholds["default"]) / 2)
    between_default_and_loose = at((thresholds["default"] + thresholds["loose"]) / 2)

    for settings, face in (
        (default, between_strict_and_default),
        (loose, between_default_and_loose),
        (near, at(0.04)),
    ):
        with pytest.raises(UserError, match="looks like Grace Hopper"):
            known(settings).check(face, force=False)
    for settings, face in (
        (strict, between_strict_and_default),
        (default, between_default_and_loose),
        (near, between_strict_and_default),
    ):
        known(settings).check(face, force=False)


def test_pipeline_that_learns_from_another_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders are relative to where each was started."""
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    with run_dir_held(tmp_path / "there", {}) as run_dir:
        pipeline = {"pipeline": {"run_dir": str(run_dir)}}
        theirs = load.build({**pipeline, "recognize": {"faces": "there/faces"}}, where="test")

        assert other_gallery(theirs) == ""
        said = other_gallery(load.build(pipeline, where="test"))

    assert said.endswith(f"enroll with --faces {tmp_path / 'there' / 'faces'}")
    assert other_gallery(load.build(pipeline, where="test")) == ""
