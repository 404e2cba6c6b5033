"""What people are enrolled from: pictures, video, a live stream, and what is none of these."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from jetstream.config.load import build
from jetstream.enroll import sources
from jetstream.gallery.photo_files import stem_of
from jetstream.video.images import read_image
from tests.support.corners import corners, marked_video
from tests.support.enrolling import named, photos_in, refused
from tests.support.inside import Inside
from tests.support.photos import COLLINS, write_photo
from tests.support.picture_files import NOT_READ, encoded, put, video
from tests.support.serving import Quiet, serving

LONG_S = 600
"""nobody wants to wait for so long"""


def test_picture_without_a_face_is_refused(jetstream: Inside) -> None:
    cv2.imwrite(str(jetstream.folder / "wall.png"), np.full((300, 300, 3), 120, np.uint8))

    assert "wall.png: no face found" in refused(jetstream, "Ada", "--from", "wall.png")
    assert not (jetstream.folder / "faces").exists()


@pytest.mark.parametrize("suffix", ["HEIC", "jpg"])
def test_person_of_a_heic_is_the_person_of_its_jpeg(jetstream: Inside, data_dir: Path, suffix: str) -> None:
    """Two people are in the picture. A HEIC is made of tiles, and the top left one shows only the other man."""
    cases, refs = data_dir / "cases", data_dir / "friends_refs"
    write_photo(jetstream.folder / "faces" / "Joey" / "1.png", read_image(refs / "Joey" / "1.png"))

    done = jetstream("enroll", "Ross", "--from", str(cases / f"two.{suffix}"), sets=True)

    assert done.returncode == 0, done.stderr
    assert named(jetstream, str(refs / "Ross" / "1.png")).startswith("Ross ")
    assert named(jetstream, str(refs / "Joey" / "1.png")).startswith("Joey ")


def test_animated_picture_is_a_film_to_enroll_from(jetstream: Inside, portraits: dict[str, np.ndarray]) -> None:
    face = Image.fromarray(portraits[COLLINS][:, :, ::-1])
    frames = [face.rotate(angle) for angle in range(-6, 6)]
    content = encoded("WEBP", frames[0], save_all=True, append_images=frames[1:], duration=100, quality=90)
    put(jetstream.folder, "her.webp", content)

    done = jetstream("enroll", "Ada", "--from", "her.webp", sets=True)

    assert done.returncode == 0, done.stderr
    assert all(file.startswith("Ada/her-") and file.endswith("s-1.jpg") for file in photos_in(jetstream))


def test_folder_is_enrolled_from_without_what_cannot_be_read(
    jetstream: Inside, portraits: dict[str, np.ndarray]
) -> None:
    write_photo(jetstream.folder / "her" / "1.png", portraits[COLLINS])
    for number in range(3):
        put(jetstream.folder, f"her/{number}.dng", NOT_READ["phone.dng"])
    put(jetstream.folder, "her/IMG_1.MOV", video("mov"))

    done = jetstream("enroll", "Ada", "--from", "her", sets=True)

    assert done.returncode == 0, done.stderr
    assert photos_in(jetstream) == ["Ada/1-1.jpg"]
    assert "3 of 4 pictures can't be read and were left out (the first: her/0.dng: " in " ".join(done.stderr.split())


def test_picture_of_a_format_that_is_not_read_is_refused(jetstream: Inside) -> None:
    put(jetstream.folder, "me.jxl", NOT_READ["photo.jxl"])

    assert "not a picture that can be read (JPEG XL); convert it" in refused(jetstream, "Ada", "--from", "me.jxl")


def test_source_that_is_not_there_is_refused(jetstream: Inside) -> None:
    (jetstream.folder / "text.mp4").write_text("no video")

    assert "no such" in refused(jetstream, "Ada", "--from", "nowhere.mp4")
    assert "text.mp4" in refused(jetstream, "Ada", "--from", "text.mp4")


@pytest.fixture
def mjpeg() -> Iterator[Callable[[Callable[[int], np.ndarray]], str]]:
    """mjpeg(picture): URL of a camera that sends picture(0), picture(1), ... 12 times a second, without end."""
    servers = ExitStack()
    over = threading.Event()

    def start(picture: Callable[[int], np.ndarray]) -> str:
        class Handler(Quiet):
            def reply(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                try:
                    for index in count():
                        data = cv2.imencode(".jpg", picture(index))[1].tobytes()
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                        self.wfile.write(head.encode() + data + b"\r\n")
                        if over.wait(1 / 12):
                            return
                except OSError:
                    return

        port = servers.enter_context(serving(Handler))
        return f"http://me:secret@127.0.0.1:{port}/live"

    yield start
    over.set()
    servers.close()


def test_live_camera_is_looked_at_with_guidance_and_a_count(
    jetstream: Inside, portraits: dict[str, np.ndarray], mjpeg: Callable[..., str]
) -> None:
    hopper = cv2.resize(portraits["Grace Hopper"], (480, 560))

    def moving(index: int) -> np.ndarray:
        matrix = np.array([[1, 0, 80 + 20 * np.sin(index / 9)], [0, 1, -20 + 10 * np.cos(index / 7)]])
        return cv2.warpAffine(hopper, matrix, (640, 480))

    url = mjpeg(moving)
    result = jetstream("enroll", "Grace Hopper", "--from", url, "--seconds", "3", sets=True)

    assert result.returncode == 0, result.stderr
    assert "turn your head slowly, for up to 3 s" in result.stderr
    assert "1 of 6 different samples" in result.stderr
    assert "secret" not in result.stdout + result.stderr
    assert all(photo.startswith("Grace Hopper/stream-") for photo in photos_in(jetstream))
    assert named(jetstream, "hopper.png").startswith("Grace Hopper")


def test_live_camera_is_left_as_soon_as_the_looks_are_enough(
    jetstream: Inside, portraits: dict[str, np.ndarray], mjpeg: Callable[..., str]
) -> None:
    hopper = cv2.resize(portraits["Grace Hopper"], (480, 560))
    words = ("enroll", "Grace Hopper", "--from", mjpeg(lambda _: hopper), "--photos", "1", "--seconds", str(LONG_S))
    started_s = time.monotonic()
    result = jetstream(*words, sets=True)

    assert result.returncode == 0, result.stderr
    assert time.monotonic() - started_s < LONG_S


def test_camera_that_is_not_there_is_said(jetstream: Inside) -> None:
    assert "no /dev/video99 here" in refused(jetstream, "Ada", "--from", "99")


@pytest.mark.parametrize(
    ("text", "stem"),
    [("party", "party"), ("../x", "x"), (".hidden", "hidden"), ("_a b", "a-b"), ("/", "photo"), ("Zoë 1", "Zoë-1")],
)
def test_source_gives_a_harmless_beginning_of_a_name(text: str, stem: str) -> None:
    assert stem_of(text) == stem


def test_only_the_configs_own_camera_is_turned_as_it_is_mounted(tmp_path: Path) -> None:
    """A film isn't turned because the camera over the door is."""
    door, film = (marked_video(tmp_path / name, frames=2) for name in ("door.mp4", "film.mp4"))
    config = build({"cameras": [{"name": "door", "source": str(door), "rotate": 90}]}, where="test")
    for path, expected in ((door, "BRWG"), (film, "RGBW")):
        with sources._open(str(path), config) as source:
            assert corners(next(source).image) == expected
