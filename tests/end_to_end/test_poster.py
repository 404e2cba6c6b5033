"""A picture of a person and the person in one frame: real video, replayed."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from jetstream import startup
from jetstream.config import load
from jetstream.events import Event
from jetstream.replay.replay import to_files
from tests.support.clips import clip_of, frames_of

Image = NDArray[np.uint8]
SIDE = 256
FPS = 12.5
ENTERS = 50
"""the frame in which the person comes, after 4 s"""
FRAMES = 120


def names(source: Path, faces: Path, models_dir: Path, tmp_path: Path, *, last: int = 25) -> Counter[tuple[str, str]]:
    """How often each side of the picture had each name in the last frames: ('left', 'Ada')."""
    data = {
        "pipeline": {"pace": "every-frame"},
        "models": {"dir": str(models_dir)},
        "recognize": {"faces": str(faces)},
        "cameras": [{"name": "hall", "source": str(source)}],
    }
    to_files(startup.prepare(load.build(data, where="test")), tmp_path / "e.jsonl", None, lambda what, share: None)
    events = [msgspec.json.decode(line, type=Event) for line in (tmp_path / "e.jsonl").read_bytes().splitlines()]
    seen = [track for event in events[-last:] for track in event.tracks]
    middle = max(track.box[2] for event in events for track in event.tracks) / 2
    return Counter(("left" if track.box[0] < middle else "right", str(track.name)) for track in seen)


def test_person_who_walks_in_gets_the_name_from_the_poster(data_dir: Path, models_dir: Path, tmp_path: Path) -> None:
    for person in ("Tony_Blair", "George_W_Bush", "Colin_Powell", "Hugo_Chavez"):
        (tmp_path / "faces" / person).mkdir(parents=True)
        for photo in sorted((data_dir / "lfw10x10" / person).iterdir())[:5]:
            (tmp_path / "faces" / person / photo.name).write_bytes(photo.read_bytes())

    found = names(data_dir / "cases" / "poster_and_person.mp4", tmp_path / "faces", models_dir, tmp_path, last=75)

    assert found == {("left", "None"): 75, ("right", "Tony_Blair"): 75}


@pytest.fixture(scope="module")
def person(data_dir: Path) -> list[Image]:
    """Somebody who talks to a camera, half as many frames a second as filmed."""
    path = data_dir / "video" / "singles" / "d14.mp4"
    return [cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for image in frames_of(path, every=2)]


@pytest.fixture
def faces(person: list[Image], tmp_path: Path) -> Path:
    """Ada, who is this person, in three photos."""
    folder = tmp_path / "faces" / "Ada"
    folder.mkdir(parents=True)
    for index in (5, 60, 200):
        cv2.imwrite(str(folder / f"{index}.png"), person[index])
    return tmp_path / "faces"


def noisy(image: Image, index: int, most: float = 6.0) -> Image:
    noise = np.random.default_rng(index).normal(0.0, most, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def lit(image: Image, index: int) -> Image:
    return noisy(np.clip(image * (1 + 0.4 * np.sin(index / 9)), 0, 255).astype(np.uint8), index, 3.0)


def compressed(image: Image, index: int) -> Image:
    _, jpeg = cv2.imencode(".jpg", noisy(image, index, 4.0), [cv2.IMWRITE_JPEG_QUALITY, 25])
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)


def unfocused(image: Image, index: int) -> Image:
    return noisy(np.asarray(cv2.GaussianBlur(image, (0, 0), 2.0), np.uint8), index)


def shifted(image: Image, right_px: float, down_px: float) -> Image:
    moves = np.array([[1, 0, right_px], [0, 1, down_px]], np.float32)
    size = image.shape[1], image.shape[0]
    return np.asarray(cv2.warpAffine(image, moves, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def still(image: Image, index: int) -> Image:
    return image


def shaken(image: Image, index: int) -> Image:
    return noisy(shifted(image, 5 * np.sin(2.1 * index), 4 * np.sin(1.3 * index)), index, 3.0)


def panned(image: Image, index: int) -> Image:
    return noisy(shifted(image, 40 * np.sin(index / 15), 0.0), index, 3.0)


def side_by_side(left: Sequence[Image], right: Sequence[Image], of_all: Callable[[Image, int], Image]) -> list[Image]:
    return [of_all(np.hstack(both), index) for index, both in enumerate(zip(left, right, strict=True))]


@pytest.mark.parametrize("seen", [still, noisy, lit, compressed, unfocused, shaken, panned])
def test_still_face_yields_its_name_to_the_person(
    seen: Callable[[Image, int], Image], person: list[Image], faces: Path, models_dir: Path, tmp_path: Path
) -> None:
    poster = [seen(person[60], index) for index in range(FRAMES)] if seen in (lit, compressed, unfocused) else None
    of_all = still if poster else seen
    wall = np.full_like(person[0], 128)
    walks_in = [wall] * ENTERS + person[: FRAMES - ENTERS]
    images = side_by_side(poster or [person[60]] * FRAMES, walks_in, of_all)
    clip = clip_of(tmp_path / "hall.mp4", images, (index / FPS for index in range(FRAMES)))

    found = names(clip, faces, models_dir, tmp_path)

    assert found == {("left", "None"): 25, ("right", "Ada"): 25}


def test_person_beside_their_mirror_image_keeps_the_name(
    person: list[Image], faces: Path, models_dir: Path, tmp_path: Path
) -> None:
    mirrored = [np.ascontiguousarray(image[:, ::-1]) for image in person[:FRAMES]]
    images = side_by_side(person[:FRAMES], mirrored, noisy)
    clip = clip_of(tmp_path / "hall.mp4", images, (index / FPS for index in range(FRAMES)))

    found = names(clip, faces, models_dir, tmp_path, last=100)

    assert sorted(found.values()) == [100, 100], "one side has the name in all frames"


def test_person_who_sits_as_still_as_a_picture_keeps_the_name_where_nobody_else_has_it(
    person: list[Image], faces: Path, models_dir: Path, tmp_path: Path
) -> None:
    images = [noisy(person[60], index) for index in range(FRAMES)]
    clip = clip_of(tmp_path / "hall.mp4", images, (index / FPS for index in range(FRAMES)))

    found = names(clip, faces, models_dir, tmp_path, last=100)

    assert {name for _, name in found} == {"Ada"}
