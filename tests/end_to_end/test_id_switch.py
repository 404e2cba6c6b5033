"""One face replaced by another in the same place, without a cut: the track goes on, the name must not."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from jetstream import startup
from jetstream.config import load
from jetstream.config.schema import Config
from jetstream.gallery.identify import look
from jetstream.messages import TrackedFace
from jetstream.replay.replay import replay
from tests.support.defaults import open_source

FPS = 25
SWAP_S = 3.0
"""when the first face has faded into the second; by then its name is settled"""
FADE = 5
"""frames of the cross-fade"""
PATCH_PX = 260

Shown = list[tuple[float, TrackedFace]]
"""When, and what was told of the face in the picture."""


def patch(image: np.ndarray, models: Path, folder: Path) -> np.ndarray:
    """(PATCH_PX, PATCH_PX, 3): the picture's face, in the middle and of one size."""
    cv2.imwrite(str(folder / "look.png"), image)
    config = load.build({"models": {"dir": str(models)}, "detect": {"preset": "still"}}, where="test")
    (seen,) = look([folder / "look.png"], config, names=False)
    x1, y1, x2, y2 = max((face.box for face in seen.faces), key=lambda box: box[2] - box[0])  # type: ignore[union-attr]
    scale = PATCH_PX / 2.2 / (y2 - y1)
    shift = PATCH_PX / 2 - scale * np.array([(x1 + x2) / 2, (y1 + y2) / 2])
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    return cv2.warpAffine(image, matrix, (PATCH_PX, PATCH_PX), borderMode=cv2.BORDER_REPLICATE)


def scene(first: Sequence[np.ndarray], second: Sequence[np.ndarray], folder: Path, seconds: float = 7.0) -> Path:
    """Frames of a large still room, in which the first face's patches turn into the second's at SWAP_S."""
    room = cv2.resize(np.random.default_rng(1).integers(60, 190, (9, 16, 3), np.uint8), (1280, 720))
    folder.mkdir()
    for frame in range(int(seconds * FPS)):
        share = min(max((frame - SWAP_S * FPS) / FADE + 1, 0.0), 1.0)
        face = cv2.addWeighted(first[frame % len(first)], 1 - share, second[frame % len(second)], share, 0)
        image = room.copy()
        image[200 : 200 + PATCH_PX, 500 : 500 + PATCH_PX] = face
        cv2.imwrite(str(folder / f"{frame:04}.jpg"), image)
    return folder


def shown(frames: Path, people: dict[str, np.ndarray], models: Path, folder: Path) -> tuple[Shown, Config]:
    for name, photo in people.items():
        (folder / "faces" / name).mkdir(parents=True)
        cv2.imwrite(str(folder / "faces" / name / "1.png"), photo)
    data = {
        "pipeline": {"pace": "every-frame"},
        "models": {"dir": str(models)},
        "recognize": {"faces": str(folder / "faces")},
        "cameras": [{"name": "room", "source": str(frames), "image_fps": FPS}],
    }
    config = startup.prepare(load.build(data, where="test"))
    return [(tracked.frame.pts_s, face) for tracked, _ in replay(config) for face in tracked.faces], config


def names(said: Shown, from_s: float, to_s: float = 99.0) -> set[str | None]:
    return {face.name for time_s, face in said if from_s < time_s < to_s}


def votes_at_change(said: Shown) -> list[tuple[str | None, int]]:
    """The candidates in the first frame that shows the last name, and how many answers each has."""
    *_, (_, last) = said
    change = next(after for (_, before), (_, after) in reversed(list(pairwise(said))) if before.name != last.name)
    return [(vote.name, vote.answers) for vote in change.votes]


@pytest.fixture
def scenes(portraits: dict[str, np.ndarray], models_dir: Path, tmp_path: Path) -> Path:
    collins, hopper = (patch(image, models_dir, tmp_path) for image in portraits.values())
    return scene([collins], [hopper], tmp_path / "frames")


def test_name_changes_with_the_second_answer_after_a_swap(
    scenes: Path, portraits: dict[str, np.ndarray], models_dir: Path, tmp_path: Path
) -> None:
    said, config = shown(scenes, portraits, models_dir, tmp_path)

    assert {face.track_id for _, face in said} == {1}, "no cut, no new track"
    assert names(said, 0.5, SWAP_S - FADE / FPS) == {"Eileen Collins"}
    # The first answer comes with the settled track's next question, the second after the retry time of a doubtful one.
    late_s = SWAP_S + config.recognize.refresh_s + config.recognize.retry_s + 2 / FPS
    assert names(said, late_s) == {"Grace Hopper"}
    assert votes_at_change(said) == [("Grace Hopper", 1)], "the second answer, after all others were dropped"


def test_stranger_in_the_place_of_a_known_face_is_unknown_with_the_second_answer(
    scenes: Path, portraits: dict[str, np.ndarray], models_dir: Path, tmp_path: Path
) -> None:
    known = {"Eileen Collins": portraits["Eileen Collins"]}
    said, config = shown(scenes, known, models_dir, tmp_path)

    assert {face.track_id for _, face in said} == {1}
    assert names(said, 0.5, SWAP_S - FADE / FPS) == {"Eileen Collins"}
    assert names(said, SWAP_S + 2 * config.recognize.refresh_s + 2 / FPS) == {None}
    assert votes_at_change(said) == [(None, 1)]


def test_people_on_video_who_take_each_others_place_are_told_apart(
    data_dir: Path, models_dir: Path, tmp_path: Path
) -> None:
    """Faces that talk and move; the last frame of each clip is the person's only photo."""
    clips = {}
    for name in ("d10", "d12"):
        with open_source(str(data_dir / "video" / "singles" / f"{name}.mp4")) as source:
            clips[name] = [frame.image for frame in source]
    patches = [
        [cv2.resize(image, (PATCH_PX, PATCH_PX), interpolation=cv2.INTER_AREA) for image in images[:175]]
        for images in clips.values()
    ]
    frames = scene(*patches, tmp_path / "frames")
    said, config = shown(frames, {name: images[-1] for name, images in clips.items()}, models_dir, tmp_path)

    assert {face.track_id for _, face in said} == {1}
    assert names(said, 0.5, SWAP_S - FADE / FPS) == {"d10"}
    late_s = SWAP_S + config.recognize.refresh_s + config.recognize.retry_s + 2 / FPS
    assert names(said, late_s) == {"d12"}
    assert votes_at_change(said) == [("d12", 1)]
