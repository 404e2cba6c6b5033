"""Which video of a file is opened, and what a camera is asked for."""

from collections.abc import Sequence
from pathlib import Path

import av
import msgspec
import pytest

from jetstream.video import ffmpeg
from jetstream.video.camera import CaptureDevice
from tests.support.corners import UPRIGHT, marked, shown
from tests.support.defaults import CONFIG


def two_tracks(path: Path, dispositions: Sequence[int], frames: Sequence[int] = (8, 8)) -> Path:
    """A video of 160x120 beside one of 80x60."""
    with av.open(str(path), "w") as output:
        streams = []
        for (width, height), disposition in zip(((160, 120), (80, 60)), dispositions, strict=True):
            stream = output.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.disposition = disposition
            streams.append((stream, width, height))
        for (stream, width, height), count in zip(streams, frames, strict=True):
            for index in range(count):
                frame = av.VideoFrame.from_ndarray(marked(width, height), "bgr24")
                frame.pts = index
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "dispositions", "width"),
    [
        ("a.mkv", (0, 1), 80),
        ("a.mkv", (1, 0), 160),
        ("a.mkv", (0, 0), 160),
        ("a.mp4", (0, 1), 80),
        ("a.mp4", (1, 0), 160),
    ],
)
def test_default_track_is_chosen(tmp_path: Path, name: str, dispositions: Sequence[int], width: int) -> None:
    assert shown(two_tracks(tmp_path / name, dispositions)) == [(UPRIGHT, width, width * 3 // 4)]


def test_track_with_pictures_is_chosen_before_one_without(tmp_path: Path) -> None:
    assert shown(two_tracks(tmp_path / "a.ts", (0, 0), frames=(0, 30)))[0][1:] == (80, 60)


@pytest.mark.parametrize(("rotate", "size"), [(0, "1280x720"), (90, "720x1280"), (180, "1280x720"), (270, "720x1280")])
def test_camera_is_asked_for_the_size_before_it_is_turned(
    monkeypatch: pytest.MonkeyPatch, rotate: int, size: str
) -> None:
    """No camera is here, so what FFmpeg would be told is looked at."""
    asked: list[dict[str, str]] = []

    def refuse(path: Path, options: dict[str, str], hwaccel: object) -> None:
        asked.append(options)
        raise av.FFmpegError(22, "refused")

    monkeypatch.setattr(ffmpeg, "_open_device", refuse)
    camera = msgspec.structs.replace(CONFIG.cameras[0], max_width=1280, max_height=720, rotate=rotate)
    with pytest.raises(av.FFmpegError):
        ffmpeg._open_best(CaptureDevice(Path("/dev/video9"), "camera 9"), camera, None)
    assert [options.get("video_size") for options in asked] == [size, size, None]
