"""The recognize stage on the demo's people, with a real gallery."""

import contextlib
import math
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from jetstream.config.galleries import gallery_dir
from jetstream.config.schema import Config
from jetstream.gallery import prepare, train
from jetstream.gpu.embedder import GpuEmbedder
from jetstream.messages import Captured, Dropped, InUse, Named, Tick, Wanted, WantedFace
from jetstream.networks.embedders import embedder_of
from jetstream.picture_format import PictureFormat
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.stages import recognize as stage
from jetstream.stages.detect import detect
from jetstream.stages.recognize import CHECK_EVERY_S, GalleryWatcher, recognize
from jetstream.vision.recognition.embedder import CpuEmbedder, EmbedderOutput, View
from tests.support.gpu_emulation import COMPILER, EmulatedDevice, OnnxNet, build
from tests.support.nv12 import nv12_of
from tests.support.stage_messages import captured, config_of, rings_for


@pytest.fixture
def config(models_dir: Path, tmp_path: Path, portraits: dict[str, np.ndarray]) -> Config:
    for name in ("Eileen Collins",):
        (tmp_path / "faces" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "faces" / name / "1.png"), portraits[name])
    settings = config_of(models_dir, "a", "b", recognize={"faces": str(tmp_path / "faces")})
    prepare.prepare_gallery(settings)
    return settings


def questions(messages: list[Captured], rings: object, config: Config) -> list[Wanted]:
    found = detect(([m] for m in messages), rings, config)  # type: ignore[arg-type]
    return [
        Wanted(frame=d.frame, faces=tuple(WantedFace(track_id=i, landmarks=f.landmarks) for i, f in enumerate(d.faces)))
        for d in found
        if not isinstance(d, Dropped)
    ]


def answers_to(batches: list[list[Wanted]], rings: object, config: Config) -> list[Named | Dropped]:
    messages = list(recognize(iter(batches), rings, config))  # type: ignore[arg-type]
    return [message for message in messages if not isinstance(message, InUse)]


def test_the_enrolled_is_named_and_the_other_is_not(config: Config, portraits: dict[str, np.ndarray]) -> None:
    rings = rings_for(config)
    wanted = questions(captured(rings, list(portraits.values())), rings, config)

    answers = answers_to([[w] for w in wanted], rings, config)

    assert [[face.name for face in named.faces] for named in answers] == [["Eileen Collins"], [None]]  # type: ignore[union-attr]
    collins, hopper = (named.faces[0] for named in answers)  # type: ignore[union-attr]
    assert collins.distance < 0.2 < hopper.distance
    assert collins.confidence > 0.9 > 0.5 > hopper.confidence
    assert hopper.nearest == "Eileen Collins"


def test_look_that_is_too_poor_is_not_embedded_and_says_nothing(
    config: Config, portraits: dict[str, np.ndarray]
) -> None:
    rings = rings_for(config)
    collins = portraits["Eileen Collins"]
    dark = (collins * 0.02).astype(np.uint8)
    (wanted,) = questions(captured(rings, [collins]), rings, config)
    (frame,) = (message.frame for message in captured(rings, [dark]))
    unseen = Wanted(frame=frame, faces=wanted.faces)

    good, poor = answers_to([[wanted, unseen]], rings, config)
    back = msgspec.msgpack.decode(msgspec.msgpack.encode(poor), type=Named)

    (seen,), (lost,) = good.faces, poor.faces  # type: ignore[union-attr]
    assert (seen.name, seen.quality) == ("Eileen Collins", 1.0)
    assert (lost.name, lost.confidence, lost.nearest, lost.photo, lost.moved) == (None, 0.0, None, None, False)
    assert lost.distance == math.inf
    assert 0.0 <= lost.quality < config.recognize.min_quality
    assert back == poor, "infinity travels"


def test_second_look_at_another_face_tells_that_the_track_moved(
    config: Config, portraits: dict[str, np.ndarray]
) -> None:
    rings = rings_for(config)
    collins, hopper = portraits.values()
    wanted = questions(captured(rings, [collins, collins, hopper, hopper, hopper]), rings, config)

    answers = [a for a in recognize(([w] for w in wanted), rings, config) if isinstance(a, Named)]

    assert [answer.faces[0].moved for answer in answers] == [False, False, False, True, False]
    assert {answer.faces[0].photo for answer in answers} == {"Eileen Collins/1.png"}


def test_blurred_look_is_compared_together_with_the_looks_before_it(
    config: Config, portraits: dict[str, np.ndarray]
) -> None:
    rings = rings_for(config)
    collins = portraits["Eileen Collins"]
    blurred = cv2.GaussianBlur(collins, (0, 0), 3.0)
    sharp, poor = questions(captured(rings, [collins, blurred]), rings, config)

    (alone,) = answers_to([[poor]], rings, config)
    _, after = answers_to([[sharp], [poor]], rings, config)

    assert after.faces[0].distance < 0.8 * alone.faces[0].distance  # type: ignore[union-attr]
    assert after.faces[0].quality == alone.faces[0].quality  # type: ignore[union-attr]


def test_cameras_share_a_batch_and_get_the_answers_of_each_alone(
    config: Config, portraits: dict[str, np.ndarray]
) -> None:
    rings = rings_for(config)
    collins, hopper = portraits.values()
    wanted = [
        *questions(captured(rings, [collins], "a"), rings, config),
        *questions(captured(rings, [hopper], "b"), rings, config),
    ]

    together = answers_to([wanted], rings, config)
    alone = [answer for w in wanted for answer in answers_to([[w]], rings, config)]

    assert together == alone


def test_question_about_a_frame_that_left_the_ring_is_answered_without_faces(
    config: Config, portraits: dict[str, np.ndarray]
) -> None:
    rings = rings_for(config, slots=1)
    wanted = questions(captured(rings, [portraits["Eileen Collins"]]), rings, config)
    captured(rings, [portraits["Grace Hopper"]])

    answers = answers_to([[w] for w in wanted], rings, config)

    assert answers == [Dropped(camera="a", reason="lapped"), Named(frame=wanted[0].frame, faces=())]


@pytest.mark.parametrize("form", [PictureFormat.BGR, PictureFormat.NV12_709])
def test_pictures_that_are_read_in_place_give_the_same_answers(
    config: Config,
    portraits: dict[str, np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: PictureFormat,
) -> None:
    if COMPILER is None:
        pytest.skip("needs g++ or clang++ to compile the GPU's kernels for the CPU")
    device = EmulatedDevice(build(tmp_path, 16))
    rings = rings_for(config)
    collins, hopper = portraits.values()
    dark = (collins * 0.02).astype(np.uint8)
    if form is not PictureFormat.BGR:
        collins, hopper, dark = (nv12_of(one, form) for one in (collins, hopper, dark))
    wanted = [
        *questions(captured(rings, [collins], "a"), rings, config),
        *questions(captured(rings, [hopper], "b"), rings, config),
    ]
    (frame,) = (message.frame for message in captured(rings, [dark], "b"))
    wanted.append(Wanted(frame=frame, faces=wanted[0].faces * 2))
    expected = answers_to([wanted, wanted[:1]], rings, config)

    entry = embedder_of(config)
    with OnnxRunner(entry.path) as runner:
        embedder = GpuEmbedder(device, OnnxNet(runner, (2, 8)), entry.spec)
        monkeypatch.setattr(stage, "open_embedder", lambda config: contextlib.nullcontext(embedder))
        found = answers_to([wanted, wanted[:1]], rings, config)

    assert device.launched.count("chips") == 4, "those of the network and those of quality"
    for ours, theirs in zip(found, expected, strict=True):
        assert isinstance(ours, Named)
        assert isinstance(theirs, Named)
        for face, same in zip(ours.faces, theirs.faces, strict=True):
            assert (face.name, face.photo, face.nearest, face.moved) == (
                same.name,
                same.photo,
                same.nearest,
                same.moved,
            )
            numbers = [(one.quality, one.distance, one.confidence) for one in (face, same)]
            assert numbers[0] == pytest.approx(numbers[1], abs=1e-3)


def test_frame_overwritten_while_it_is_read_in_place_is_answered_without_faces(
    config: Config, portraits: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    rings = rings_for(config, slots=1)
    collins, hopper = portraits.values()
    (wanted,) = questions(captured(rings, [collins], "a"), rings, config)
    (other,) = questions(captured(rings, [collins], "b"), rings, config)
    look = CpuEmbedder.look

    def overtaken(self: CpuEmbedder, views: list[View], *, mirror: bool) -> list[EmbedderOutput]:
        captured(rings, [hopper], "a")
        return look(self, views, mirror=mirror)

    monkeypatch.setattr(CpuEmbedder, "reads_in_place", True)
    monkeypatch.setattr(CpuEmbedder, "look", overtaken)

    lapped, nobody, named = answers_to([[wanted, other]], rings, config)

    assert lapped == Dropped(camera="a", reason="lapped")
    assert nobody == Named(frame=wanted.frame, faces=())
    assert [face.name for face in named.faces] == ["Eileen Collins"]  # type: ignore[union-attr]


def test_gallery_trained_meanwhile_is_taken_without_a_restart(config: Config, portraits: dict[str, np.ndarray]) -> None:
    known = GalleryWatcher(config)
    known.refresh(0.0)
    before = known.classifier

    faces = Path(config.recognize.faces)
    (faces / "Eileen Collins").rename(faces / "Commander Collins")
    prepare.prepare_gallery(config)
    known.refresh(0.05)
    unlooked = known.classifier
    known.refresh(0.2)

    assert unlooked is before, "not looked for at every batch"
    assert before.names == ("Eileen Collins",)
    assert known.classifier.names == ("Commander Collins",)


def test_gallery_in_use_is_told_at_the_start_and_when_it_changes(config: Config) -> None:
    def ticks() -> Iterator[list[Tick]]:
        yield [Tick()]
        yield [Tick()]
        faces = Path(config.recognize.faces)
        (faces / "Eileen Collins").rename(faces / "Commander Collins")
        prepare.prepare_gallery(config)
        time.sleep(CHECK_EVERY_S)
        yield [Tick()]
        yield [Tick()]

    before = train.open_gallery(config).sha256
    told = list(recognize(ticks(), rings_for(config), config))
    after = train.open_gallery(config).sha256

    assert told == [InUse(sha256=before, people=1, photos=1), InUse(sha256=after, people=1, photos=1)]
    assert before != after


@pytest.mark.parametrize(("pace", "times"), [("live", 3), ("every-frame", 1)])
def test_gallery_in_use_is_told_again_for_whoever_came_later(
    config: Config, pace: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ticks() -> Iterator[list[Tick]]:
        for _ in range(3):
            yield [Tick()]
            yield [Tick()]
            time.sleep(0.06)

    monkeypatch.setattr(stage, "TELL_EVERY_S", 0.05)
    config = msgspec.structs.replace(config, pipeline=msgspec.structs.replace(config.pipeline, pace=pace))
    told = list(recognize(ticks(), rings_for(config), config))

    assert told == [InUse(sha256=train.open_gallery(config).sha256, people=1, photos=1)] * times


def test_damaged_gallery_leaves_the_people_known_so_far(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    known = GalleryWatcher(config)
    known.refresh(0.0)
    folder = gallery_dir(Path(config.recognize.faces), Path(config.models.dir), "sface")
    (folder / "manifest.json").write_text("{")

    known.refresh(2.0)

    assert known.classifier.names == ("Eileen Collins",)
    assert "the gallery in use stays" in caplog.text


def test_track_of_somebody_who_was_there_before_says_which_track_it_continues(
    config: Config, portraits: dict[str, np.ndarray]
) -> None:
    rings = rings_for(config)
    collins, hopper = portraits["Eileen Collins"], portraits["Grace Hopper"]
    shown = [(collins, 7), (collins, 7), (hopper, 8), (hopper, 8), (collins, 9), (collins, 9)]
    wanted = [
        msgspec.structs.replace(w, faces=(msgspec.structs.replace(w.faces[0], track_id=track_id),))
        for w, (_, track_id) in zip(
            questions(captured(rings, [i for i, _ in shown]), rings, config), shown, strict=True
        )
    ]

    answers = answers_to([[w] for w in wanted], rings, config)

    assert [face.returned for named in answers for face in named.faces] == [None] * 5 + [7]  # type: ignore[union-attr]
