"""Whether a camera can know people, from the faces that it has shown."""

from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
import pytest

from jetstream.ipc.local import LocalRing
from jetstream.ipc.rings import Rings
from jetstream.web import seen_faces
from jetstream.web.reach_view import reach_m, verdict
from jetstream.web.seen_faces import FaceFigures, SeenFaces
from tests.support.pages import browser, console, page_site
from tests.support.sightings import Portraits, at, config_with, face
from tests.support.waiting import wait_until

COLLINS = "Eileen Collins"
NEEDED_PX = 40.0
# Of a mean face, in mm: to the right, up and towards the camera, of eyes, nose and corners of the mouth.
HEAD: Final = np.array([(-32, 33, -5), (32, 33, -5), (0, 0, 25), (-25, -35, 0), (25, -35, 0)], np.float64)


class Portrait(NamedTuple):
    image: np.ndarray
    box: tuple[float, ...]
    landmarks: tuple[float, ...]


def figures(**told: float) -> FaceFigures:
    usual = FaceFigures(9, 90, 4, 1280, 120.0, 60.0, pose=1.0, exposure=1.0, sharpness=1.0, lowness=0.0)
    return usual._replace(**told)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, "good"),
        ({"tracks": 4, "looks": 29}, "unknown"),
        ({"tracks": 1, "looks": 30}, "good"),
        ({"width_px": 49.0}, "too_far"),
        ({"lowness": 0.25, "pose": 0.4}, "too_steep"),
        ({"pose": 0.4}, "turned_away"),
        ({"exposure": 0.3}, "too_dark"),
        ({"sharpness": 0.3}, "blurred"),
        ({"width_px": 49.0, "exposure": 0.3}, "too_far"),
    ],
)
def test_verdict_names_what_keeps_faces_from_being_known(told: dict[str, float], expected: str) -> None:
    assert verdict(figures(**told), NEEDED_PX) == expected


def test_reach_is_that_of_a_pinhole() -> None:
    assert reach_m(1920, 40.0, 90.0) == 3.6  # 960 px of focal length; 15 cm are 40 px at 960 / 40 * 0.15 m
    assert reach_m(3840, 40.0, 90.0) == 7.2
    assert reach_m(1920, 80.0, 90.0) == 1.8


def seen(image: np.ndarray, box: tuple[float, ...], landmarks: tuple[float, ...], tracks: int = 6) -> FaceFigures:
    """What is known of a camera that showed this face to as many tracks, a second apart."""
    ring = LocalRing(slots=4)
    faces = SeenFaces(Rings({"a": ring}))
    for track in range(tracks):
        one = face(None, "Ada", track_id=track, box=box, landmarks=landmarks)
        faces.see(at(track, one, frame_id=ring.write(image)), now_s=2.0 * track)
    found = faces.of("a")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory, portraits: dict[str, np.ndarray], models_dir: Path) -> Portrait:
    """A picture with a face, its box and its landmarks as the detector gives them."""
    config = config_with(tmp_path_factory.mktemp("reach"), "a", models=models_dir)
    image = portraits[COLLINS]
    return Portrait(image, *Portraits(config, {COLLINS: image}).faces[COLLINS])


def test_a_good_portrait_is_good_and_named(portrait: Portrait) -> None:
    image, box, landmarks = portrait
    found = seen(image, box, landmarks)

    assert (verdict(found, NEEDED_PX), found.tracks, found.named) == ("good", 6, 6)
    assert found.frame_width == image.shape[1]
    assert found.width_px == found.smallest_named_px == pytest.approx(box[2] - box[0])


def test_the_same_portrait_is_too_dark_blurred_or_too_far(
    portrait: Portrait,
) -> None:
    image, box, landmarks = portrait
    scale = 45.0 / (box[2] - box[0])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)

    assert verdict(seen((image * 0.03).astype(np.uint8), box, landmarks), NEEDED_PX) == "too_dark"
    assert verdict(seen(cv2.GaussianBlur(image, (0, 0), 8), box, landmarks), NEEDED_PX) == "blurred"
    scaled = tuple(scale * value for value in box), tuple(scale * value for value in landmarks)
    assert verdict(seen(small, *scaled), NEEDED_PX) == "too_far"


@pytest.mark.parametrize(("degrees", "expected"), [(0, False), (15, False), (40, True), (-20, False)])
def test_a_camera_that_looks_down_on_faces_is_too_steep(degrees: int, expected: bool) -> None:
    angle = np.radians(degrees)
    turned = np.stack([HEAD[:, 0], HEAD[:, 1] * np.cos(angle) - HEAD[:, 2] * np.sin(angle)], axis=1)
    points = np.array([200.0, 200.0]) + turned * (2.0, -2.0)
    noise = np.random.default_rng(1).integers(0, 255, (400, 400, 3), np.uint8)
    found = seen(noise, (120.0, 110.0, 280.0, 310.0), tuple(points.ravel()))

    assert (verdict(found, NEEDED_PX) == "too_steep") == expected, found.lowness


def test_one_frame_a_second_is_looked_at_and_the_newest_tracks_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_faces, "MOST_TRACKS", 3)
    ring = LocalRing(slots=4)
    faces = SeenFaces(Rings({"a": ring}))
    image = np.zeros((120, 160, 3), np.uint8)
    for track in range(10):
        frame_id = ring.write(image)
        faces.see(at(track, face(None, track_id=track), frame_id=frame_id), now_s=float(track))
        faces.see(at(track, face(None, track_id=100), frame_id=frame_id), now_s=track + 0.5)
    found = faces.of("a")

    assert found is not None
    assert (found.tracks, found.looks, found.named) == (3, 3, 0)


def test_what_is_no_sure_face_counts_nothing() -> None:
    ring = LocalRing(slots=4)
    faces = SeenFaces(Rings({"a": ring}))
    frame_id = ring.write(np.zeros((120, 160, 3), np.uint8))
    one_place = (20.0, 30.0) * 5
    for fields in ({"doubtful": True}, {"state": "tentative"}, {"landmarks": None}, {"landmarks": one_place}):
        faces.see(at(0, face(None, **fields), frame_id=frame_id), now_s=0.0)  # type: ignore[arg-type]
    faces.see(at(0, face(None), frame_id=99), now_s=0.0)  # it left the ring

    assert faces.of("a") is None


def test_view_says_it_in_words_and_takes_what_the_lens_sees(tmp_path: Path, portrait: Portrait) -> None:
    image, box, landmarks = portrait
    with page_site(tmp_path) as page, browser(390, 844) as driver:
        text = "return document.querySelector('.reach')?.innerText ?? ''"
        driver.get(f"http://127.0.0.1:{page.port}/system/faces")
        wait_until(lambda: "Not known yet." in driver.execute_script(text), 20)
        for track in range(6):
            one = face(None, track_id=track, box=box, landmarks=landmarks)
            page.site.faces.see(at(track, one, frame_id=page.rings["a"].write(image)), now_s=2.0 * track)
        wait_until(lambda: "Good." in driver.execute_script(text), 20, lambda: driver.execute_script(text))
        width = image.shape[1]
        assert f"up to {reach_m(width, 40, 90)} to {reach_m(width, 40, 70)} m" in driver.execute_script(text)
        driver.execute_script(
            "const box = document.querySelector('.reach input'); box.value = '30';"
            "box.dispatchEvent(new Event('change', {bubbles: true}))"
        )
        wait_until(lambda: f"up to {reach_m(width, 40, 30)} m" in driver.execute_script(text), 20)
        assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        assert console(driver) == []
