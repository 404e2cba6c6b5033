"""Which folder a camera's clips come from: that of what it sends, or that of its pictures, encoded."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from jetstream.capturing import fragment_places
from jetstream.capturing.fragment_tap import tap_of
from jetstream.config import load
from jetstream.config.schema import Config
from jetstream.ipc.local import LocalRing
from jetstream.ipc.rings import Rings
from jetstream.messages import Captured, Tick
from jetstream.pipeline import stages_of
from jetstream.stages.capture import capture
from jetstream.video.ffmpeg import open_file
from jetstream.video.gop.fragment_folder import FragmentFolder, fragments_in
from jetstream.video.gop.fragment_output import MuxedFragment
from tests.support.http_cameras import Shape, stream_of
from tests.support.numbered_films import numbered_film
from tests.support.serving import serving

OLD = MuxedFragment(b"fragment", 0, 1, 0, 1, is_key=True)


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands in for shared memory."""
    folder = tmp_path / "shm"
    folder.mkdir()
    monkeypatch.setattr(fragment_places, "SHARED_MEMORY", folder)
    return folder


def config_of(folder: Path, source: str, **tables: Any) -> Config:
    data = {
        "cameras": [{"name": "hall", "source": source}],
        "clips": {"dir": str(folder / "clips")},
        "pipeline": {"run_dir": str(folder)},
        **tables,
    }
    return load.build(data, where="test")


def motion_jpeg(path: Path) -> Path:
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for number in range(10):
        film.write(np.full((48, 64, 3), 10 * number, np.uint8))
    film.release()
    return path


@pytest.fixture(params=["H.264", "MJPEG in a file", "MJPEG of the web", "demo"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, bool]]:
    """A source, and whether what it sends can be copied."""
    with ExitStack() as stack:
        if request.param == "H.264":
            yield str(numbered_film(tmp_path / "film.mp4", [number / 100 for number in range(30)])), True
        elif request.param == "MJPEG in a file":
            yield str(motion_jpeg(tmp_path / "film.avi")), False
        elif request.param == "MJPEG of the web":
            port = stack.enter_context(serving(stream_of(Shape())))
            yield f"http://127.0.0.1:{port}/", False
        else:
            yield "demo", False


def first_frame(config: Config) -> Iterator[Captured]:
    running = capture(itertools.repeat(Tick()), Rings({"hall": LocalRing()}), config)
    yield from (message for message in running if isinstance(message, Captured))
    running.close()


def test_before_a_cameras_first_frame_it_is_known_whether_its_packets_are_copied(
    tmp_path: Path, source: tuple[str, bool]
) -> None:
    spec, copied = source
    config = config_of(tmp_path, spec)
    folder = fragment_places.copied_of("hall", config)
    for was_copied in (False, True):  # by an earlier run that was killed, whose camera had another source
        before = FragmentFolder(folder, keep_ns=10**18, most_bytes=10**8)
        before.write(b"header", OLD, base_ns=0)
        if was_copied:
            before.claim()
        next(first_frame(config))

        assert fragment_places.is_copied("hall", config) is copied
        assert not fragment_places.is_copied("hall", config_of(tmp_path, spec, render={"blur": "all"}))
        assert bool(fragments_in(folder)) is copied


def test_camera_by_rtsp_that_sends_jpeg_says_why_it_has_no_clips(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of(tmp_path, "rtsp://hall/")
    tap = tap_of(config)
    assert tap is not None
    for opened in (open_file(motion_jpeg(tmp_path / f"{number}.avi")) for number in range(2)):
        for packet in opened.container.demux(opened.stream):
            tap.see(opened, packet, 0)

    assert "encode" not in [stage.row.name for stage in stages_of(config)]
    (said,) = caplog.messages
    assert said == "hall: MP4 can't have its video (mjpeg), so there are no clips of it; set the camera to H.264"


def test_nothing_is_copied_where_faces_are_blurred(tmp_path: Path) -> None:
    film = numbered_film(tmp_path / "film.mp4", [number / 100 for number in range(30)])
    config = config_of(tmp_path, str(film), render={"blur": "unknown"})

    assert len(list(first_frame(config))) == 30
    assert not fragment_places.copied_of("hall", config).exists()


@pytest.mark.parametrize(
    ("before", "now", "kept"),
    [
        ("none", "none", {"hall.copied", "hall.encoded"}),
        ("none", "unknown", set()),
        ("none", "all", set()),
        ("unknown", "unknown", {"hall.blurred-unknown"}),
        ("unknown", "all", set()),
        ("all", "none", set()),
    ],
)
def test_run_goes_on_with_what_a_killed_one_left_but_for_what_it_blurred_otherwise(
    tmp_path: Path, before: str, now: str, kept: set[str]
) -> None:
    earlier = config_of(tmp_path, "demo", render={"blur": before})
    for camera in ("hall", "gone"):
        for folder in fragment_places.folders_of(camera, earlier):
            FragmentFolder(folder, keep_ns=1, most_bytes=100).write(b"header", OLD, base_ns=0)

    config = config_of(tmp_path, "demo", render={"blur": now})
    with fragment_places.kept(config):
        root = fragment_places.root_of(config)
        assert {path.name for path in root.iterdir()} == kept
        for folder in fragment_places.folders_of("hall", config):
            assert bool(fragments_in(folder)) is (folder.name in kept)
    assert not root.exists()
