"""The detect stage on real pictures, in one process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from jetstream.messages import Captured, Detected, Dropped, Searching, Tick
from jetstream.stages.detect import detect
from jetstream.vision.detection.mtcnn import MtcnnDetector
from tests.support.stage_messages import captured, config_of, faces_in, frame_of, rings_for


@pytest.mark.parametrize("search", ["always", "nth", "motion"])
def test_both_people_are_found_in_every_frame_whatever_is_searched(
    models_dir: Path, scene: list[np.ndarray], search: str
) -> None:
    config = config_of(models_dir, detect={"search": search, "search_every": 8})
    rings = rings_for(config)

    found = list(detect(([m] for m in captured(rings, scene)), rings, config))

    assert faces_in(found) == [2] * 30


def test_verified_boxes_follow_the_searched_ones(models_dir: Path, scene: list[np.ndarray]) -> None:
    def boxes(search: str) -> np.ndarray:
        config = config_of(models_dir, detect={"search": search, "search_every": 30})
        rings = rings_for(config)
        found = list(detect(([m] for m in captured(rings, scene)), rings, config))
        return np.array([sorted(face.box for face in message.faces) for message in found])  # type: ignore[union-attr]

    width = 150
    assert np.abs(boxes("nth") - boxes("always")).max() < 0.15 * width


def test_batch_of_cameras_gets_the_answers_of_each_alone(models_dir: Path, scene: list[np.ndarray]) -> None:
    config = config_of(models_dir, "a", "b", "c")
    small, mirrored = cv2.resize(scene[0], (640, 360)), scene[1][:, ::-1]
    images = {"a": scene[0], "b": small, "c": np.ascontiguousarray(mirrored)}
    rings = rings_for(config)
    batch = [captured(rings, [image], camera)[0] for camera, image in images.items()]

    together = list(detect(iter([batch]), rings, config))
    alone = [next(iter(detect(iter([[message]]), rings, config))) for message in batch]

    assert together == alone
    assert faces_in(together) == [2, 2, 2]


def test_frame_that_left_the_ring_is_dropped_and_said(models_dir: Path, scene: list[np.ndarray]) -> None:
    config = config_of(models_dir)
    rings = rings_for(config, slots=2)
    messages = captured(rings, scene[:4])

    found = list(detect(([m] for m in messages), rings, config))

    assert found[:2] == [Dropped(camera="a", reason="lapped")] * 2
    assert faces_in(found) == [2, 2]


@pytest.mark.parametrize(
    "settings", [{"ignore": [{"box": [0, 0, 640, 720]}]}, {"ignore": [{"box": [640, 0, 1280, 720], "camera": "a"}]}]
)
def test_face_in_an_ignored_region_is_told_as_ignored_alone(
    models_dir: Path, scene: list[np.ndarray], settings: dict[str, object]
) -> None:
    config = config_of(models_dir, detect=settings)
    rings = rings_for(config)

    (found,) = detect(([m] for m in captured(rings, scene[:1])), rings, config)

    assert isinstance(found, Detected)
    assert (len(found.faces), len(found.ignored)) == (1, 1)
    assert found.faces[0].box != found.ignored[0]


def test_region_of_another_camera_ignores_nothing(models_dir: Path, scene: list[np.ndarray]) -> None:
    config = config_of(models_dir, "a", "b", detect={"ignore": [{"box": [0, 0, 1280, 720], "camera": "b"}]})
    rings = rings_for(config)

    assert faces_in(list(detect(([m] for m in captured(rings, scene[:1])), rings, config))) == [2]


def test_face_over_the_largest_size_is_not_reported(models_dir: Path) -> None:
    from jetstream.video.demo import scene

    config = config_of(models_dir, detect={"max_face_px": 150})
    rings = rings_for(config)

    (found,) = detect(([m] for m in captured(rings, [scene(430)])), rings, config)

    assert isinstance(found, Detected)
    assert [face.box[2] - face.box[0] < 100 for face in found.faces] == [True], "the other is 190 px wide"


def test_hard_cut_is_said_and_searched_at_once(models_dir: Path, scene: list[np.ndarray]) -> None:
    config = config_of(models_dir, detect={"search": "nth", "search_every": 1000})
    rings = rings_for(config)
    other = np.ascontiguousarray(np.rot90(scene[0]).copy()[:720, :720])
    other = cv2.resize(scene[5][:, ::-1], (1280, 720))
    noise = np.random.default_rng(0).integers(0, 255, (45, 80, 3), np.uint8)
    other[:300] = cv2.resize(noise, (1280, 300), interpolation=cv2.INTER_NEAREST)

    found = list(detect(([m] for m in captured(rings, [scene[0], scene[1], other])), rings, config))

    assert [message.cut for message in found] == [False, False, True]  # type: ignore[union-attr]


def test_alternating_empty_single_and_crowd_give_the_answers_of_each_alone(
    models_dir: Path, scene: list[np.ndarray]
) -> None:
    """An earlier program kept boxes of the picture before."""
    empty = np.full((720, 1280, 3), 90, np.uint8)
    single = scene[0].copy()
    single[:, 700:] = 90
    crowd = np.tile(cv2.resize(scene[0], (640, 360)), (2, 2, 1))
    config = config_of(models_dir, detect={"search": "always"})
    rings = rings_for(config)
    kinds = [empty, single, crowd] * 4

    found = list(detect(([m] for m in captured(rings, kinds)), rings, config))

    assert faces_in(found) == [0, 1, 8] * 4
    for kind in range(3):
        assert all(found[i].faces == found[kind].faces for i in range(kind, 12, 3))  # type: ignore[union-attr]


def test_frames_of_one_pixel_and_of_noise_are_no_trouble(models_dir: Path) -> None:
    config = config_of(models_dir)
    rings = rings_for(config)
    noise = np.random.default_rng(1).integers(0, 256, (360, 640, 3), np.uint8)
    images = [np.zeros((1, 1, 3), np.uint8), noise, np.zeros((3, 2000, 3), np.uint8)]

    found = list(detect(([m] for m in captured(rings, images)), rings, config))

    assert [message.frame for message in found] == [frame_of(i) for i in range(3)]  # type: ignore[union-attr]
    assert faces_in(found)[0] == faces_in(found)[2] == 0


def at_20_fps(messages: list[Captured], falls: Callable[[int], bool]) -> list[list[Captured | Tick]]:
    """Those that don't fall, each followed by a Tick: nothing else waits."""
    batches: list[list[Captured | Tick]] = []
    for place, message in enumerate(messages):
        frame = msgspec.structs.replace(message.frame, captured_ns=place * 50_000_000)
        if not falls(place):
            batches += [[msgspec.structs.replace(message, frame=frame)], [Tick()]]
    return batches


def said(models: Path, falls: Callable[[int], bool], frames: int, **tables: dict[str, Any]) -> list[int]:
    """How often whole pictures are searched, as `detect` says it, while such frames of an empty scene fall."""
    config = config_of(models, **tables)
    rings = rings_for(config, slots=frames)
    messages = captured(rings, [np.full((72, 128, 3), 90, np.uint8)] * frames)
    found = detect(iter(at_20_fps(messages, falls)), rings, config)
    return [message.every for message in found if isinstance(message, Searching)]


def test_while_frames_fall_whole_pictures_are_searched_less_and_then_as_before(models_dir: Path) -> None:
    every = said(models_dir, lambda place: place < 100 and place % 3 == 0, 700, detect={"search_every_most": 9})

    assert every == [6, 9, 6, 4]


@pytest.mark.parametrize(
    ("tables", "every"),
    [
        ({"pipeline": {"pace": "every-frame"}}, []),
        ({"detect": {"search": "always"}}, [1]),
        ({"detect": {"search_every_most": 0}}, [4]),
        ({"detect": {"search_every": 30}}, [30]),
    ],
)
def test_rate_stays_where_nothing_may_fall_or_it_is_told_to(
    models_dir: Path, tables: dict[str, Any], every: list[int]
) -> None:
    assert said(models_dir, lambda place: place % 3 == 0, 200, **tables) == every


def test_under_load_a_moving_scene_is_searched_less_too(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[bool] = []
    plain = MtcnnDetector.submit
    monkeypatch.setattr(
        MtcnnDetector, "submit", lambda self, looks: searched.extend(k.search for k in looks) or plain(self, looks)
    )
    config = config_of(models_dir, detect={"search": "motion", "search_every": 2, "search_every_most": 12})
    rings = rings_for(config, slots=400)
    blocks = cv2.resize(np.random.default_rng(0).integers(0, 256, (5, 8, 3), np.uint8), (128, 72))
    images = [np.roll(blocks, 2 * place, axis=1) for place in range(400)]  # moves, and is no cut
    batches = at_20_fps(captured(rings, images), lambda place: place % 2 == 1)

    found = list(detect(iter(batches), rings, config))

    assert [message.every for message in found if isinstance(message, Searching)][-1] == 12
    assert all(searched[:10])
    assert sum(searched[-60:]) == 10, "one in 12 / 2"


def windows(image: np.ndarray, *lefts: int) -> list[np.ndarray]:
    """What a camera sees of `image` that turns to the right."""
    return [np.ascontiguousarray(image[:, left : left + 960]) for left in lefts]


def test_shift_of_the_picture_is_told_since_the_frame_before(models_dir: Path, scene: list[np.ndarray]) -> None:
    config = config_of(models_dir)
    rings = rings_for(config)
    seen = windows(scene[0], 0, 0, 40, 120, 120)

    found = list(detect(([m] for m in captured(rings, seen)), rings, config))

    shifts = [message.shift for message in found if isinstance(message, Detected)]
    np.testing.assert_allclose(shifts, [(0, 0), (0, 0), (-40, 0), (-80, 0), (0, 0)], atol=2.0)


def test_faces_are_verified_where_the_camera_turned_them(models_dir: Path, scene: list[np.ndarray]) -> None:
    config = config_of(models_dir, detect={"search": "nth", "search_every": 100})
    rings = rings_for(config)
    seen = windows(scene[0], 0, 0, 200, 0, 200)

    found = list(detect(([m] for m in captured(rings, seen)), rings, config))

    (first, *rest) = faces_in(found)
    assert rest == [first] * 4


def test_shift_of_a_frame_that_was_overwritten_is_told_with_the_next(
    models_dir: Path, scene: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MtcnnDetector, "reads_in_place", True)
    config = config_of(models_dir)
    rings = rings_for(config, slots=2)
    seen = windows(scene[0], 0, 80, 160, 160)

    def batches() -> Any:
        (first,) = captured(rings, seen[:1])
        yield [first]
        (second,) = captured(rings, seen[1:2])
        yield [second, Tick()]
        (third,) = captured(rings, seen[2:3])
        yield [third]
        (fourth,) = captured(rings, seen[3:])
        yield [fourth]

    found = list(detect(batches(), rings, config))

    told = np.sum([message.shift for message in found if isinstance(message, Detected)], axis=0)
    np.testing.assert_allclose(told, (-160, 0), atol=3.0)
