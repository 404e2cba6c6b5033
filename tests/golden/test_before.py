"""Files that an earlier jetstream wrote (see before/README.md) still load, and say what they said."""

import json
import shutil
from pathlib import Path

import matplotlib
import msgspec
import numpy as np
import pytest
import skimage

from jetstream import weights
from jetstream.config import load
from jetstream.config.galleries import gallery_dir
from jetstream.config.schema import Config
from jetstream.events import Event
from jetstream.gallery import audit, prepare, store, train
from jetstream.gallery.identify import IdentifiedFace, PictureResult, look
from jetstream.gallery.origin import origin_of
from jetstream.recording import events_file, library
from jetstream.runners.tensorrt import engine_cache
from jetstream.topic import keys

BEFORE = Path(__file__).resolve().parent / "before"
COLLINS, HOPPER = "Eileen Collins", "Grace Hopper"
PHOTOS = {
    COLLINS: Path(skimage.__file__).parent / "data" / "astronaut.png",
    HOPPER: Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg",
}


@pytest.fixture
def config(tmp_path: Path, models_dir: Path) -> Config:
    """The faces folder and the gallery of before, beside today's networks."""
    faces, models = tmp_path / "faces", tmp_path / "models"
    models.mkdir()
    for path in weights.paths(models_dir):
        (models / path.name).symlink_to(path)
    for name, photo in PHOTOS.items():
        (faces / name).mkdir(parents=True)
        shutil.copy(photo, faces / name)
    shutil.copytree(BEFORE / "gallery", gallery_dir(faces, models, "dlib"))
    data = {
        "models": {"dir": str(models)},
        "recognize": {"faces": str(faces)},
        "detect": {"preset": "still"},
        "gpu": {"backend": "cpu"},
    }
    return load.build(data, where="test")


def gallery_files(config: Config) -> dict[str, bytes]:
    folder = gallery_dir(Path(config.recognize.faces), Path(config.models.dir), "dlib")
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "lock"}


def test_gallery_is_current_and_stays_as_it_is(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    before = gallery_files(config)
    assert b"detector" not in before["manifest.json"], "written before manifests named it"

    report = prepare.prepare_gallery(config)

    assert report.embedded == 0
    assert {person.name: person.used for person in report.people} == {COLLINS: 1, HOPPER: 1}
    assert gallery_files(config) == before
    assert not caplog.records


def test_gallery_answers_the_portraits_as_it_did(config: Config) -> None:
    expected = json.loads((BEFORE / "answers.json").read_text())["photos"]

    results = [
        result for result in look(list(PHOTOS.values()), config, names=True) if isinstance(result, PictureResult)
    ]

    faces = [face for result in results for face in result.faces]
    assert len(faces) == len(expected) == 2
    for face, before in zip(faces, expected, strict=True):
        assert isinstance(face, IdentifiedFace)
        now = {name: getattr(face, name) for name in before}
        assert (now["name"], now["nearest"], now["photo"]) == (before["name"], before["nearest"], before["photo"])
        for number in ("quality", "score"):
            # processors round the networks' sums differently
            assert now[number] == pytest.approx(before[number], abs=2e-3), number
        np.testing.assert_allclose(now["box"], before["box"], atol=0.5)
        np.testing.assert_allclose(now["landmarks"], before["landmarks"], atol=0.5)


def test_gallery_gives_embeddings_the_names_that_it_gave(config: Config) -> None:
    expected = json.loads((BEFORE / "answers.json").read_text())["near"]

    answers = train.open_gallery(config).classifier.ask(np.load(BEFORE / "near.npy"))

    assert len(answers) == len(expected) == 8
    for answer, before in zip(answers, expected, strict=True):
        assert (answer.name, answer.nearest) == (before["name"], before["nearest"])
        assert answer.distance <= answer.threshold, "the thresholds are today's"


def test_gallery_can_be_rolled_back_and_learnt_on(config: Config) -> None:
    faces, models, origin = Path(config.recognize.faces), Path(config.models.dir), origin_of(config)

    assert train.roll_back(faces, models, origin).classifier.names == (COLLINS,)
    assert train.load(faces, models, origin).classifier.names == (COLLINS,)
    assert train.roll_back(faces, models, origin).classifier.names == (COLLINS, HOPPER)

    (faces / HOPPER).rename(faces / "Admiral Hopper")
    report = prepare.prepare_gallery(config)
    assert report.embedded == 0, "the embeddings of before are used again"
    folder = gallery_dir(faces, models, "dlib")
    assert store.read_manifest(folder).detector_sha256 == origin.detector.sha256
    assert store.read_manifest(folder, store.PREVIOUS).detector_sha256 == ""
    assert train.roll_back(faces, models, origin).classifier.names == (COLLINS, HOPPER)


def test_engine_is_the_one_that_is_looked_for_and_is_read(models_dir: Path) -> None:
    wanted = engine_cache.recipe(
        models_dir / "rnet.onnx",
        tensorrt="tensorrt 8.5.3.1",
        gpu="NVIDIA H100, compute capability 9.0",
        precision="fp16",
        profiles=(engine_cache.fixed(64, 3, 24, 24), engine_cache.fixed(256, 3, 24, 24)),
    )

    engine = engine_cache.read(BEFORE / wanted.file, wanted)

    assert engine.plan == b"a plan of TensorRT" * 8
    assert [str(spec) for spec in (*engine.inputs, *engine.outputs)] == [
        "image (any, 3, 24, 24) float32",
        "logit (any) float32",
        "offsets (any, 4) float32",
    ]


def test_key_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "monitor.key"
    shutil.copy(BEFORE / "key.json", path)
    path.chmod(0o600)

    pair = keys.read(path)

    expected = json.loads(path.read_text())
    assert (pair.name, pair.public, pair.secret, pair.server) == tuple(expected.values())


def test_audit_line_is_about_whom_it_was() -> None:
    (line,) = audit.lines(BEFORE)

    assert (line.wall, line.who, line.what, line.count) == ("2026-11-28T16:29:25Z", "operator", "enroll", 3)
    assert line.is_about(COLLINS)
    assert not line.is_about(HOPPER)


def test_recording_names_whom_it_named() -> None:
    (events,) = library.people_in(BEFORE / "recorded")

    assert library.of([COLLINS], BEFORE / "recorded") == [events]
    assert library.of([HOPPER], BEFORE / "recorded") == []
    last = events_file.last_event(BEFORE / "recorded", "door")
    assert last is not None
    assert msgspec.json.decode(events.read_bytes(), type=Event) == last
    assert (last.schema, last.frame_id, last.wall) == (1, 7, "2025-11-24T16:00:00.250Z")
    named, lost = last.tracks
    assert (named.name, named.votes[0].photo, lost.state, lost.name) == (
        COLLINS,
        f"{COLLINS}/astronaut.png",
        "lost",
        None,
    )
    now = json.loads(msgspec.json.encode(last))
    assert [track.pop("doubtful") for track in now["tracks"]] == [False, False], "a field that came later"
    assert [track.pop("sighting") for track in now["tracks"]] == [None, None], "a field that came later"
    assert now == json.loads(events.read_bytes())
