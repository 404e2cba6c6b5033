"""`jetstream enroll` as a user runs it: from pictures, video, a live stream, a track of a running pipeline."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import zmq
from rich.console import Console

from jetstream.config import load
from jetstream.enroll import photo_writer, table
from jetstream.enroll.enroll import EnrolledPhoto, Enrollment
from jetstream.enroll.samples import SampleSource, cut
from jetstream.enroll.sources import stem_of
from jetstream.enroll.target import FacePosition, parse_at
from jetstream.errors import UserError
from jetstream.events import Event
from jetstream.gallery import prepare, store, train
from jetstream.networks.open import open_embedder, open_mtcnn
from jetstream.runtime import run_dir
from jetstream.video.demo import scene
from jetstream.vision.recognition import align
from tests.support.defaults import open_source, video_sink
from tests.support.inside import Inside
from tests.support.repository import DEMO
from tests.support.serving import Quiet, serving
from tests.support.waiting import wait_until

COLLINS_AT, HOPPER_AT = "330,330", "955,410"  # px in the demo's first second


@pytest.fixture
def jetstream(tmp_path: Path, own_models: Path, portraits: dict[str, np.ndarray]) -> Inside:
    """With models of its own, since a gallery is kept beside them, and both portraits as files."""
    for name, image in portraits.items():
        cv2.imwrite(str(tmp_path / f"{name.split()[1].lower()}.png"), image)
    return Inside(tmp_path, own_models)


@pytest.fixture
def both(jetstream: Inside, portraits: dict[str, np.ndarray]) -> str:
    """A picture with Collins left and Hopper right, faces of like size."""
    collins, hopper = (cv2.resize(image, (512, 512)) for image in portraits.values())
    larger = cv2.resize(collins[:300, 70:370], (600, 600))
    cv2.imwrite(str(jetstream.folder / "both.png"), np.hstack([larger, cv2.resize(hopper, (600, 600))]))
    return "both.png"


def photos_in(jetstream: Inside) -> list[str]:
    folder = jetstream.folder / "faces"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def named(jetstream: Inside, picture: str) -> str:
    """What `identify` says of a picture."""
    return jetstream("identify", picture, sets=True).stdout.partition(": ")[2]


def film(path: Path, seconds: int) -> str:
    """The beginning of the demo as a video file, with about as many frames as are looked at."""
    sink = video_sink(path, fps=6, width=1280, height=720)
    for index in range(6 * seconds):
        sink.write(scene(round(index * 25 / 6)), index / 6)
    sink.close()
    return path.name


def refused(jetstream: Inside, *words: str, code: int = 2) -> str:
    """What `enroll` says when it must refuse; nothing may change."""
    before = photos_in(jetstream) if (jetstream.folder / "faces").exists() else None
    result = jetstream("enroll", *words, sets=True)
    assert result.returncode == code, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert before == (photos_in(jetstream) if (jetstream.folder / "faces").exists() else None)
    return result.stderr


def test_face_of_a_picture_is_enrolled_shown_and_known(jetstream: Inside) -> None:
    result = jetstream.outside("enroll", "Grace Hopper", "--from", "hopper.png", sets=True)

    assert result.returncode == 0, result.stderr
    assert photos_in(jetstream) == ["Grace Hopper/hopper-1.jpg"]
    assert "hopper-1.jpg" in result.stdout
    assert "1 of 1 look taken" in result.stdout
    assert named(jetstream, "hopper.png").startswith("Grace Hopper")
    assert named(jetstream, "collins.png").startswith("unknown")


def test_photos_are_readable_by_the_owner_alone(jetstream: Inside) -> None:
    old = os.umask(0)
    try:
        assert jetstream("enroll", "Grace Hopper", "--from", "hopper.png", sets=True).returncode == 0
    finally:
        os.umask(old)

    faces = jetstream.folder / "faces"
    assert [path.stat().st_mode & 0o777 for path in (faces, faces / "Grace Hopper")] == [0o700, 0o700]
    (photo,) = (faces / "Grace Hopper").iterdir()
    assert photo.stat().st_mode & 0o777 == 0o600


def test_photos_kept_before_an_interruption_are_said_and_learnt_next_time(jetstream: Inside) -> None:
    """The lock on the gallery is held, so that Ctrl-C comes between writing and learning."""
    words = [sys.executable, "-m", "jetstream.cli", "enroll", "Grace Hopper", "--from", "hopper.png"]
    gallery_dir = train.gallery_dir(jetstream.folder / "faces", jetstream.models)
    with store.locked(gallery_dir):
        process = subprocess.Popen(
            [*words, *jetstream.sets],
            cwd=jetstream.folder,
            env=jetstream.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: waits_for_a_lock(process.pid))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)

    assert process.returncode != 0
    assert "Traceback" not in said
    assert "1 photo is kept in faces/Grace Hopper; the next `jetstream train` or `run` learns" in said
    assert named(jetstream, "hopper.png").startswith("Grace Hopper")


def waits_for_a_lock(pid: int) -> bool:
    waiting = (line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" in line)
    return any(str(pid) in words for words in waiting)


def test_photos_kept_are_said_where_learning_fails(jetstream: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise UserError("models: can't be written (No space left on device)")

    monkeypatch.setattr(prepare, "prepare_gallery", full)
    result = jetstream("enroll", "Grace Hopper", "--from", "hopper.png", sets=True)

    assert result.returncode == 2
    assert "1 photo is kept in faces/Grace Hopper" in result.stderr
    assert photos_in(jetstream) == ["Grace Hopper/hopper-1.jpg"]


@pytest.mark.parametrize(("width", "lines"), [(80, 1), (74, 1), (60, 3)])
def test_table_never_cuts_a_photos_name(width: int, lines: int) -> None:
    taken = [
        EnrolledPhoto(f"Ada/holiday-{second}.00s-1.jpg", f"{'videos/' * 9}holiday.mp4", second, 99, 1, 0.2)
        for second in (1, 2)
    ]
    console = Console(width=width, file=io.StringIO())
    console.print(table.table("q[/b] :smile:", Enrollment(tuple(taken), 2, {}), width))
    shown = console.file.getvalue()  # type: ignore[attr-defined]

    photos = "".join(line.split("\u2502")[1].strip() for line in shown.splitlines() if line.startswith("\u2502"))
    assert photos == "holiday-1.00s-1.jpgholiday-2.00s-1.jpg"
    assert "q[/b] :smile:" in shown
    assert shown.count("\n\u2502") <= 2 * lines
    assert max(map(len, shown.splitlines())) <= width


@pytest.mark.parametrize("name", ["../x", "a/b", "", " ", ".hidden", "_unknown", "..", "a\\b", "a\nb"])
def test_name_cannot_leave_the_folder(jetstream: Inside, name: str) -> None:
    before = sorted(jetstream.folder.iterdir())

    assert "can't be a person's name" in refused(jetstream, name, "--from", "hopper.png")
    assert sorted(jetstream.folder.iterdir()) == before


def test_two_faces_of_like_size_need_a_pixel_and_the_sentence_gives_it(jetstream: Inside, both: str) -> None:
    said = refused(jetstream, "Grace Hopper", "--from", both)
    ways = [way for way in said.replace(";", " ").split() if "," in way and way[0].isdigit()]
    assert "2 people are seen about equally" in said
    assert len(ways) == 2

    right = max(ways, key=lambda way: float(way.split(",")[0]))
    result = jetstream("enroll", "Grace Hopper", "--from", both, "--at", right, sets=True)

    assert result.returncode == 0, result.stderr
    assert named(jetstream, "faces/Grace Hopper/both-1.jpg").count("(") == 1  # the photo leaves the neighbour out
    assert named(jetstream, "hopper.png").startswith("Grace Hopper")
    assert named(jetstream, "collins.png").startswith("unknown")


def test_pixel_without_a_face_is_said_with_those_that_have_one(jetstream: Inside, both: str) -> None:
    said = refused(jetstream, "Grace Hopper", "--from", both, "--at", "5,595")

    assert "no face there; there are --at" in said


@pytest.mark.parametrize("at", ["5", "5;6", "a,b", "5,6@", "-5,6"])
def test_pixel_of_another_form_is_refused(jetstream: Inside, at: str) -> None:
    assert "expected X,Y" in refused(jetstream, "Ada", "--from", "hopper.png", f"--at={at}")


def test_picture_without_a_face_is_refused(jetstream: Inside) -> None:
    cv2.imwrite(str(jetstream.folder / "wall.png"), np.full((300, 300, 3), 120, np.uint8))

    assert "wall.png: no face found" in refused(jetstream, "Ada", "--from", "wall.png")
    assert not (jetstream.folder / "faces").exists()


def test_source_that_is_not_there_is_refused(jetstream: Inside) -> None:
    (jetstream.folder / "text.mp4").write_text("no video")

    assert "no such" in refused(jetstream, "Ada", "--from", "nowhere.mp4")
    assert "text.mp4" in refused(jetstream, "Ada", "--from", "text.mp4")


def test_person_in_several_pictures_is_the_one_they_share(jetstream: Inside, both: str) -> None:
    result = jetstream("enroll", "Grace Hopper", "--from", both, "--from", "hopper.png", sets=True)

    assert result.returncode == 0, result.stderr
    assert named(jetstream, "hopper.png").startswith("Grace Hopper")
    assert named(jetstream, "collins.png").startswith("unknown")


def test_pictures_of_two_people_are_not_made_one(jetstream: Inside) -> None:
    said = refused(jetstream, "Ada", "--from", "hopper.png", "--from", "collins.png")

    assert "2 people are seen about equally" in said
    assert "collins.png alone" in said


def test_look_that_is_there_already_is_not_taken_again(jetstream: Inside) -> None:
    jetstream("enroll", "Grace Hopper", "--from", "hopper.png", sets=True)

    assert "no look is worth keeping (duplicate 1)" in refused(jetstream, "Grace Hopper", "--from", "hopper.png")


def test_other_face_is_not_added_to_a_person_unless_forced(jetstream: Inside) -> None:
    jetstream("enroll", "Grace Hopper", "--from", "hopper.png", sets=True)
    words = ("Grace Hopper", "--from", "collins.png")

    assert "doesn't look like the one photo there is (distance" in refused(jetstream, *words)
    assert jetstream("enroll", *words, "--force", sets=True).returncode == 0
    assert photos_in(jetstream) == ["Grace Hopper/collins-1.jpg", "Grace Hopper/hopper-1.jpg"]


def test_known_face_gets_no_second_name_unless_forced(jetstream: Inside) -> None:
    jetstream("enroll", "Grace Hopper", "--from", "hopper.png", sets=True)
    words = ("Somebody", "--from", "hopper.png")

    assert "looks like Grace Hopper" in refused(jetstream, *words)
    assert jetstream("enroll", *words, "--force", sets=True).returncode == 0


def test_photo_there_is_never_overwritten(jetstream: Inside) -> None:
    folder = jetstream.folder / "faces" / "Grace Hopper"
    folder.mkdir(parents=True)
    (folder / "hopper-1.jpg").write_text("somebody's")

    assert jetstream("enroll", "Grace Hopper", "--from", "hopper.png", sets=True).returncode == 0
    assert photos_in(jetstream) == ["Grace Hopper/hopper-1.jpg", "Grace Hopper/hopper-2.jpg"]
    assert (folder / "hopper-1.jpg").read_text() == "somebody's"


def test_photos_that_cannot_all_be_written_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing was kept"):
        photo_writer.write("Ada", tmp_path / "faces", ["fine", "x" * 300], [b"1", b"2"])

    assert list(tmp_path.iterdir()) == []


def test_photo_leaves_a_larger_neighbour_out(models_dir: Path, portraits: dict[str, np.ndarray]) -> None:
    """Training takes a photo's largest face, which must be the enrolled one."""
    small = cv2.copyMakeBorder(portraits["Grace Hopper"][20:320, 130:400], 150, 150, 0, 0, cv2.BORDER_REPLICATE)
    large = cv2.resize(portraits["Eileen Collins"][20:260, 165:305], (350, 600))
    image = np.hstack([small, large])
    config = prepare.for_photos(load.build({"models": {"dir": str(models_dir)}}, where="test"))
    with open_mtcnn(config) as detector, open_embedder(config) as embedder:
        found = detector.detect([image])[0]
        hopper = int(found.boxes[:, 0].argmin())
        widest = cut(image, found.boxes[hopper], SampleSource("both", "both", timed=False))
        wide = cv2.imdecode(np.frombuffer(widest.jpeg, np.uint8), cv2.IMREAD_COLOR)
        embedding = embedder.embed(align.chips(image, found.landmarks[[hopper]]), mirror=True)[0]
        kept = photo_writer.photo_of(widest, embedding, detector, embedder)
        assert len(detector.detect([wide])[0].boxes) == 2
        assert isinstance(kept, photo_writer.NewPhoto)
        photo = cv2.imdecode(np.frombuffer(kept.jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert len(detector.detect([photo])[0].boxes) == 1
        assert np.linalg.norm(kept.embedding - embedding) < photo_writer.SAME_FACE

        stranger = embedding + np.float32(0.1)  # 1.1 away
        assert photo_writer.photo_of(widest, stranger, detector, embedder) == photo_writer.ANOTHER_FACE


def test_film_of_two_people_needs_a_pixel_and_gives_sharp_looks_of_one(jetstream: Inside) -> None:
    clip = film(jetstream.folder / "film.mp4", seconds=8)  # they cross on the way

    said = refused(jetstream, "Grace Hopper", "--from", clip)
    assert "2 people are seen about equally" in said
    result = jetstream("enroll", "Grace Hopper", "--from", clip, "--at", HOPPER_AT, "--photos", "3", sets=True)

    assert result.returncode == 0, result.stderr
    assert 1 <= len(photos_in(jetstream)) <= 3
    assert "other_person" in result.stdout
    for photo in photos_in(jetstream):
        assert photo.startswith("Grace Hopper/film-")
        assert named(jetstream, f"faces/{photo}").count("(") == 1  # one face in it, found again
    assert named(jetstream, "hopper.png").startswith("Grace Hopper")
    assert named(jetstream, "collins.png").startswith("unknown")


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
    assert "1 of 6 different looks" in result.stderr
    assert "secret" not in result.stdout + result.stderr
    assert all(photo.startswith("Grace Hopper/stream-") for photo in photos_in(jetstream))
    assert named(jetstream, "hopper.png").startswith("Grace Hopper")


def test_live_camera_is_left_as_soon_as_the_looks_are_enough(
    jetstream: Inside, portraits: dict[str, np.ndarray], mjpeg: Callable[..., str]
) -> None:
    hopper = cv2.resize(portraits["Grace Hopper"], (480, 560))
    started_s = time.monotonic()

    result = jetstream(
        "enroll", "Grace Hopper", "--from", mjpeg(lambda _: hopper), "--photos", "1", "--seconds", "60", sets=True
    )

    assert result.returncode == 0, result.stderr
    assert time.monotonic() - started_s < 40


def test_camera_that_is_not_there_is_said(jetstream: Inside) -> None:
    assert "no /dev/video99 here" in refused(jetstream, "Ada", "--from", "99")


def events(jetstream: Inside, timeout_s: float) -> Iterator[Event]:
    """What the running pipeline publishes, for so long."""
    with zmq.Context.instance().socket(zmq.SUB) as socket:
        socket.subscribe(b"detections.")
        socket.connect(jetstream.endpoint)
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            if socket.poll(500):
                yield msgspec.msgpack.decode(socket.recv_multipart()[1], type=Event)


def unknown_track(jetstream: Inside, timeout_s: float = 30.0) -> int:
    """A track that the running pipeline shows without a name, for half a second at least."""
    for event in events(jetstream, timeout_s):
        for track in event.tracks:
            if track.name is None and track.state == "confirmed" and track.age_s > 0.5 and track.landmarks:
                return track.track_id
    raise AssertionError(f"no unknown track\n{jetstream.log()}")


def names_until(jetstream: Inside, name: str, timeout_s: float = 40.0) -> bool:
    return any(track.name == name for event in events(jetstream, timeout_s) for track in event.tracks)


@pytest.mark.pipeline
def test_unknown_who_walks_by_is_enrolled_from_the_running_pipeline_which_then_knows_her(jetstream: Inside) -> None:
    """The demo knows Collins; Hopper passes unknown, is enrolled by her track, and is named while it runs."""
    with jetstream.running(DEMO, "--headless"):
        track = unknown_track(jetstream)
        words = ("enroll", "Grace Hopper", "--from", f"track:demo/{track}", "--seconds", "6")
        result = jetstream(*words, "--faces", "models/demo-faces", sets=True)

        assert result.returncode == 0, result.stdout + result.stderr
        assert names_until(jetstream, "Grace Hopper"), jetstream.log()

        gone = jetstream("enroll", "Ada", "--from", "track:999999", "--seconds", "1.5", sets=True)
        assert gone.returncode == 1
        assert "track 999999: not seen within 1.5 s" in gone.stderr
        other = jetstream("enroll", "Ada", "--from", "track:door/1", sets=True)
        assert other.returncode == 2
        assert "no camera door runs; there are: demo" in other.stderr

    folder = jetstream.folder / "models" / "demo-faces" / "Grace Hopper"
    assert list(folder.iterdir())
    assert all(path.name.startswith(f"track-demo-{track}-") for path in folder.iterdir())
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    faces = ("--faces", "models/demo-faces")
    assert "Grace Hopper" in jetstream("identify", "hopper.png", *faces, sets=True).stdout
    assert "Eileen Collins" in jetstream("identify", "collins.png", *faces, sets=True).stdout


def test_track_of_no_pipeline_is_said(jetstream: Inside) -> None:
    assert "no jetstream runs here" in refused(jetstream, "Ada", "--from", "track:7", code=1)
    assert "expected track:<id>" in refused(jetstream, "Ada", "--from", "track:me")


def test_pipeline_that_publishes_nothing_is_said(jetstream: Inside) -> None:
    config = load.build({"publish": {"enabled": False}}, where="test")
    with run_dir.claim(jetstream.run_dir) as folder:
        assert "isn't ready yet" in refused(jetstream, "Ada", "--from", "track:1", code=1)
        folder.write(config, {})
        assert "run it with publish.enabled=true" in refused(jetstream, "Ada", "--from", "track:1")
        folder.write(load.build({}, where="test"), {})
        (folder.path / run_dir.RINGS).unlink()  # it is just ending
        assert "is ending; try again" in refused(jetstream, "Ada", "--from", "track:1", code=1)


@pytest.mark.parametrize(
    ("text", "stem"),
    [("party", "party"), ("../x", "x"), (".hidden", "hidden"), ("_a b", "a-b"), ("/", "photo"), ("Zoë 1", "Zoë-1")],
)
def test_source_gives_a_harmless_beginning_of_a_name(text: str, stem: str) -> None:
    assert stem_of(text) == stem


def test_pixel_and_second_are_read() -> None:
    assert parse_at("320,180.5@2.5") == FacePosition(320.0, 180.5, 2.5)
    assert parse_at("320,180") == FacePosition(320.0, 180.0, None)


@pytest.mark.parametrize("clip", ["d10", "d12", "d18"])
def test_person_of_the_first_half_of_a_clip_is_known_in_the_second(
    data_dir: Path, jetstream: Inside, clip: str
) -> None:
    """The second half is pictures that were not enrolled; the other clips' people stay unknown."""

    frames = [frame.image for frame in open_source(str(data_dir / "video" / "singles" / f"{clip}.mp4"), fps_limit=5)]
    half = len(frames) // 2
    height, width = frames[0].shape[:2]
    sink = video_sink(jetstream.folder / "half.mp4", fps=5, width=width, height=height)
    for index, image in enumerate(frames[:half]):
        sink.write(image, index / 5)
    sink.close()
    pictures = [f"later{index}.png" for index in range(half, len(frames), 4)]
    for index, name in enumerate(pictures):
        cv2.imwrite(str(jetstream.folder / name), frames[half + 4 * index])
    strangers = [str(path) for path in sorted((data_dir / "friends_refs").rglob("*.png"))]

    assert jetstream("enroll", "Clip", "--from", "half.mp4", sets=True).returncode == 0
    seen = jetstream("identify", *pictures, sets=True).stdout.splitlines()
    others = jetstream("identify", *strangers, sets=True).stdout.splitlines()

    assert len(seen) == len(pictures)
    assert sum(": Clip " in line for line in seen) >= 0.9 * len(seen), seen
    assert not any(": Clip " in line for line in others), others


@pytest.mark.parametrize(
    ("at", "name", "other"),
    [
        ("400,250", "Rachel", "Joey"),
        ("865,190@14.5", "Ross", "Phoebe"),
    ],
)
def test_pixel_picks_the_right_one_of_two_in_a_video_with_cuts(
    data_dir: Path, jetstream: Inside, at: str, name: str, other: str
) -> None:
    """The photos of both, taken elsewhere, tell who was enrolled."""
    result = jetstream("enroll", "Picked", "--from", str(data_dir / "video" / "friends_dev.mp4"), "--at", at, sets=True)

    assert result.returncode == 0, result.stderr
    assert "Picked" in named(jetstream, str(data_dir / "friends_refs" / name / "1.png"))
    assert named(jetstream, str(data_dir / "friends_refs" / other / "1.png")).startswith("unknown")


def test_singer_seen_most_is_enrolled_from_a_stage_video_and_known_on_a_photo(
    data_dir: Path, jetstream: Inside
) -> None:
    result = jetstream("enroll", "Lin", "--from", str(data_dir / "video" / "short_hamilton_clip.mp4"), sets=True)

    assert result.returncode == 0, result.stderr
    said = {path.parent.name: named(jetstream, str(path)) for path in (data_dir / "hamilton_refs").rglob("1.*")}
    assert said["lin-manuel-miranda"].startswith("Lin")
    assert all(line.startswith("unknown") for name, line in said.items() if name != "lin-manuel-miranda")
