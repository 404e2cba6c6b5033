"""Two networks, each with a gallery of the same photos."""

from pathlib import Path

import numpy as np
import pytest

from jetstream.config.galleries import gallery_dir, gallery_dirs
from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.gallery import erasure, prepare, train
from jetstream.gallery.erasure import SearchedFolders
from jetstream.networks.embedders import embedder_of
from tests.support.photos import COLLINS, HOPPER, write_photo
from tests.support.stage_messages import config_of


@pytest.fixture
def faces(tmp_path: Path, portraits: dict[str, np.ndarray]) -> Path:
    for name in (COLLINS, HOPPER):
        write_photo(tmp_path / "faces" / name / "1.png", portraits[name])
    return tmp_path / "faces"


def config_with(faces: Path, models: Path, model: str = "") -> Config:
    return config_of(models, "a", recognize={"faces": str(faces), "model": model})


def learnt(faces: Path, models: Path, model: str) -> None:
    prepare.prepare_gallery(config_with(faces, models, model))


def test_gallery_that_exists_keeps_its_network(faces: Path, own_models: Path) -> None:
    unset = config_with(faces, own_models)
    assert embedder_of(unset).spec.name == "sface"

    learnt(faces, own_models, "dlib")
    assert embedder_of(unset).spec.name == "dlib"
    assert prepare.with_gallery(unset).recognize.model == "dlib"

    learnt(faces, own_models, "sface")
    assert embedder_of(unset).spec.name == "sface"
    assert {folder.name for folder in gallery_dirs(faces, own_models)} == {
        gallery_dir(faces, own_models, model).name for model in ("dlib", "sface")
    }


@pytest.mark.parametrize("model", ["sface", "dlib"])
def test_both_networks_know_the_people(faces: Path, own_models: Path, model: str) -> None:
    learnt(faces, own_models, model)

    known = train.open_gallery(config_with(faces, own_models, model))

    assert known.classifier.names == (COLLINS, HOPPER)
    photos = known.classifier.to_arrays()["embeddings"]
    assert [answer.name for answer in known.classifier.ask(photos)] == [COLLINS, HOPPER]


def test_going_back_needs_no_network(faces: Path, own_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learnt(faces, own_models, "dlib")
    learnt(faces, own_models, "sface")

    monkeypatch.setattr(prepare, "open_embedder", None)
    report = prepare.prepare_gallery(config_with(faces, own_models, "dlib"))

    assert report.embedded == 0


def test_forgotten_person_is_in_no_networks_gallery(faces: Path, own_models: Path) -> None:
    for model in ("dlib", "sface"):
        learnt(faces, own_models, model)
    where = SearchedFolders(faces, own_models, network="sface")
    erasure.forget([HOPPER], where)
    assert len(erasure.traces([HOPPER], where)) == 4, "a manifest and an archive of each network"

    learnt(faces, own_models, "sface")
    erasure.forget_earlier_version(where)

    assert erasure.remains([HOPPER], where) == []
    assert embedder_of(config_with(faces, own_models)).spec.name == "sface"


def test_network_that_has_not_learnt_is_refused_for_a_reload(faces: Path, own_models: Path) -> None:
    learnt(faces, own_models, "sface")
    prepare.check_learnt(config_with(faces, own_models, "sface"))

    with pytest.raises(UserError, match=r'"dlib" has not learnt the photos yet; run `jetstream train --set'):
        prepare.check_learnt(config_with(faces, own_models, "dlib"))


def test_unknown_network_is_one_sentence(faces: Path, own_models: Path) -> None:
    with pytest.raises(UserError, match=r'recognize\.model: there is no network "facenet" in .*; set it to one of'):
        embedder_of(config_with(faces, own_models, "facenet"))
