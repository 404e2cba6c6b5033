"""The demo film: the same for the same index, two people who cross, one who leaves, and faces that MTCNN finds."""

import importlib.util
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from jetstream.errors import SourceError
from jetstream.video import demo, demo_film
from jetstream.video.images import read_image
from tests.support import defaults
from tests.support.defaults import open_source

COLLINS, HOPPER = 0, 1


def face_x(who: int, time_s: float) -> float:
    return demo.pose_at(demo.set_stage().actors[who], time_s).x


def test_frame_is_a_pure_function_of_its_index() -> None:
    first = demo.scene(123)
    assert first.shape == (720, 1280, 3)
    assert first.dtype == np.uint8
    demo.scene(7)
    assert np.array_equal(demo.scene(123), first)
    assert np.array_equal(demo.scene(123 + demo_film.FRAMES), first)
    assert not np.array_equal(demo.scene(124), first)


def test_frames_are_not_shared() -> None:
    demo.scene(5)[:] = 0
    assert demo.scene(5).mean() > 10


def test_film_ends_where_it_starts() -> None:
    step = np.abs(demo.scene(0).astype(int) - demo.scene(1)).mean()
    assert np.abs(demo.scene(demo_film.FRAMES - 1).astype(int) - demo.scene(0)).mean() < 3 * step + 1


def test_two_people_cross_twice_and_one_leaves_between() -> None:
    order = [face_x(COLLINS, t / 10) < face_x(HOPPER, t / 10) for t in range(200)]
    changes = [index / 10 for index, (now, then) in enumerate(pairwise(order)) if now != then]
    assert len(changes) == 2
    away = [t / 10 for t in range(200) if face_x(HOPPER, t / 10) < -150]
    assert changes[0] < min(away) < max(away) < changes[1]


def test_faces_are_sixty_to_250_px_wide() -> None:
    widths = [demo.pose_at(actor, t / 10).face_px for actor in demo.set_stage().actors for t in range(200)]
    assert min(widths) > 60
    assert max(widths) < 250


def test_light_changes() -> None:
    means = [demo.scene(index).mean() for index in range(0, demo_film.FRAMES, 25)]
    assert max(means) > 1.3 * min(means)


def test_source_gives_the_film_at_25_frames_a_second() -> None:
    with open_source("demo", fps_limit=5) as source:
        assert source.describe() == "demo (1280x720, 25 fps, 500 frames)"
        assert source.frames_expected == 500
        frames = [frame.pts_s for frame in source]
    assert frames == pytest.approx([index / 5 for index in range(100)])


def test_looped_film_goes_on() -> None:
    with open_source("demo", loop=True, fps_limit=0.5, max_width=64, max_height=64) as source:
        frames = [next(source) for _ in range(12)]
    assert [frame.pts_s for frame in frames] == pytest.approx([2.0 * index for index in range(12)])
    assert np.array_equal(frames[10].image, frames[0].image)
    assert frames[0].image.shape == (36, 64, 3)


def test_enrolled_person_is_written(tmp_path: Path) -> None:
    demo_film.write_faces(tmp_path / "faces")
    written = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.*")]
    assert written == [Path("faces/Eileen Collins/astronaut.png")]
    assert read_image(tmp_path / written[0]).shape == (512, 512, 3)


def test_missing_wheel_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SourceError, match=r"demo: no astronaut.png here, .* `pip install scikit-image`"):
        demo_film.collins_path()


def test_mtcnn_finds_both_faces_while_apart_and_nothing_else(models_dir: Path) -> None:
    from jetstream.runners.onnxrt import OnnxRunner

    mtcnn = defaults.mtcnn(*(OnnxRunner(models_dir / f"{name}.onnx") for name in ("pnet", "rnet", "onet")))
    for index in (0, 60, 100, 200, 230, 370, 400, 460):
        found = mtcnn.detect([demo.scene(index)])[0].boxes
        middles = sorted((found[:, 0] + found[:, 2]) / 2)
        assert middles == pytest.approx(sorted(face_x(who, index / demo_film.FPS) for who in (COLLINS, HOPPER)), abs=25)
    assert len(mtcnn.detect([demo.scene(300)])[0].boxes) == 1


def test_photo_of_the_demo_is_not_written_through_a_link(tmp_path: Path) -> None:
    own = tmp_path / "own.png"
    own.write_bytes(b"own")
    photo = tmp_path / "faces" / demo_film.ENROLLED / "astronaut.png"
    photo.parent.mkdir(parents=True)
    photo.symlink_to(own)

    demo_film.write_faces(tmp_path / "faces")

    assert own.read_bytes() == b"own"
    assert photo.stat().st_size > 1000
