"""The render stage and its window, on SDL's driver without a screen, and what is drawn."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jetstream.messages import Dropped, Finished, Tick, Tracked
from jetstream.stages.render import render
from jetstream.video import window
from jetstream.vision.drawing import draw
from tests.support.stage_messages import FACE, config_of, frame_of, rings_for, tracked
from tests.support.waiting import PATIENCE_S


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygame", reason="needs the extra `window`")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


@pytest.fixture
def no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_screen")
def test_without_a_screen_every_frame_is_finished_and_nothing_shown(tmp_path: Path) -> None:
    config = config_of(tmp_path)

    messages = list(render((tracked(i, FACE) for i in range(3)), rings_for(config), config))

    assert messages == [Finished(frame=frame_of(i)) for i in range(3)]


@pytest.mark.usefixtures("screen")
def test_frames_are_shown_and_those_that_left_the_ring_counted(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    rings = rings_for(config, slots=2)
    for _ in range(3):
        rings["a"].write(np.full((90, 160, 3), 120, np.uint8))

    messages = list(render((tracked(i, FACE) for i in range(3)), rings, config))

    assert messages == [Dropped(camera="a", reason="lapped"), Finished(frame=frame_of(1)), Finished(frame=frame_of(2))]


@pytest.mark.usefixtures("screen")
@pytest.mark.parametrize(("blur", "is_hidden"), [("none", False), ("all", True)])
def test_window_shows_hidden_faces_only_where_all_are_hidden(tmp_path: Path, blur: str, is_hidden: bool) -> None:
    import pygame

    config = config_of(tmp_path, render={"blur": blur, "landmarks": False})
    rings = rings_for(config)
    rings["a"].write(np.kron(np.indices((23, 40)).sum(0)[:, :, None] % 2 * 255, np.ones((4, 4, 3))).astype(np.uint8))
    shown = []

    def messages() -> Iterator[Tracked | Tick]:
        yield tracked(0, FACE)
        shown.append(pygame.surfarray.array3d(pygame.display.get_surface()))
        yield Tick()

    list(render(messages(), rings, config))

    x1, y1, x2, y2 = (round(value) for value in FACE.box)
    inside = shown[0].astype(int)[x1 + 4 : x2 - 4, y1 + 4 : y2 - 4]
    assert bool(np.abs(np.diff(inside, axis=0)).max() < 10) is is_hidden


@pytest.mark.usefixtures("screen")
def test_closing_the_window_ends_the_stage_even_when_no_frame_comes(tmp_path: Path) -> None:
    import pygame

    config = config_of(tmp_path)

    def ticks() -> Iterator[Tick]:
        yield Tick()
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_q))
        yield Tick()
        raise AssertionError("went on after the window was closed")

    assert list(render(ticks(), rings_for(config), config)) == []  # type: ignore[arg-type]


@pytest.mark.usefixtures("screen")
def test_cameras_stand_side_by_side_in_one_window() -> None:
    import pygame

    shown = window.Window("test", 2, 1.0)
    shown.show("a", np.full((360, 640, 3), (0, 0, 255), np.uint8))
    shown.show("b", np.full((360, 640, 3), (255, 0, 0), np.uint8))
    surface = pygame.display.get_surface()
    width, height = surface.get_size()

    left, right = surface.get_at((width // 4, height // 2)), surface.get_at((3 * width // 4, height // 2))
    shown.close()

    assert left[:3] == (255, 0, 0), "BGR red is shown red"
    assert right[:3] == (0, 0, 255)


def test_screen_that_cannot_be_opened_is_said_and_never_an_abort(tmp_path: Path) -> None:
    """In a process of its own: SDL's choice of a driver is for good."""
    program = """
import logging, os, sys
os.environ.pop("SDL_VIDEODRIVER", None)
os.environ["DISPLAY"] = ":77"
logging.basicConfig(level=logging.INFO)
from pathlib import Path
from jetstream.stages.render import render
from tests.support.stage_messages import config_of, rings_for, tracked
config = config_of(Path("."))
print(len(list(render(iter([tracked(0)]), rings_for(config), config))))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S)

    assert (result.returncode, result.stdout) == (0, "1\n"), result.stderr
    assert "no window" in result.stderr


def test_box_landmarks_and_name_are_drawn_and_the_rest_is_untouched() -> None:
    image = np.full((360, 640, 3), 90, np.uint8)
    draw.faces(image, [FACE], landmarks=True)

    for where, (x, y) in {"left side of the box": (10, 40), "an eye": (20, 30)}.items():
        assert np.abs(image[y, x].astype(int) - draw.KNOWN).max() < 15, where
    assert (image[100:, :] == 90).all()
    assert (image[:, 300:] == 90).all()


def test_name_of_any_script_is_drawn() -> None:
    def label(name: str) -> np.ndarray:
        from msgspec.structs import replace

        image = np.full((360, 640, 3), 90, np.uint8)
        draw.faces(image, [replace(FACE, name=name, box=(100.0, 100.0, 200.0, 200.0), landmarks=None)], landmarks=True)
        return image

    assert (label("李明") != label("??")).any()
    assert (label("Zoë") != label("Zo?")).any()
