"""Video files as they come: whole, turned, limited, looped, cut off, damaged."""

import random
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from jetstream.errors import SourceError
from tests.support.defaults import open_source, probe

Number = Callable[[np.ndarray], int]


def numbers(path: Path, number: Number, **options: object) -> list[int]:
    with open_source(str(path), **options) as source:  # type: ignore[arg-type]
        return [number(frame.image) for frame in source]


def cut(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("clip.mp4", "libx264"),
        ("clip.mkv", "libx264"),
        ("clip.ts", "libx264"),
        ("clip.avi", "mpeg4"),
        ("clip.webm", "libvpx"),
        ("clip.mov", "mjpeg"),
    ],
)
def test_every_frame_arrives_in_order(clip: Callable[..., Path], number: Number, name: str, codec: str) -> None:
    path = clip(name, codec=codec, options={"bf": "0", "strict": "unofficial", "b": "2000000"})
    with open_source(str(path)) as source:
        frames = list(source)
        assert source.warning is None
        assert not source.live
    assert [number(frame.image) for frame in frames] == list(range(60))
    assert [frame.pts_s for frame in frames] == pytest.approx([index / 25 for index in range(60)], abs=0.002)
    assert frames[0].image.shape == (120, 160, 3)
    assert frames[0].image.flags.c_contiguous


def test_two_runs_give_the_same_pixels(clip: Callable[..., Path]) -> None:
    path = clip("clip.mp4")
    with open_source(str(path)) as one, open_source(str(path)) as other:
        assert all(np.array_equal(a.image, b.image) for a, b in zip(one, other, strict=True))


def test_source_says_what_it_is(clip: Callable[..., Path]) -> None:
    path = clip("clip.mp4", frames=30)
    with open_source(str(path)) as source:
        assert source.describe() == f"{path} (160x120, 25 fps, 30 frames)"
    assert probe(str(path))[:6] == ("video", 160, 120, 25.0, 30, False)


def test_odd_name_is_not_an_address(clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip("plain.mp4", frames=5).rename(tmp_path / "http:né 1%d.mp4")
    monkeypatch.chdir(tmp_path)
    with open_source("http:né 1%d.mp4") as source:
        assert len(list(source)) == 5


def test_large_frames_are_scaled_down_keeping_their_shape(clip: Callable[..., Path], number: Number) -> None:
    path = clip("clip.mp4", size=(640, 360), frames=3)
    with open_source(str(path), max_width=200, max_height=200) as source:
        frames = list(source)
    assert {frame.image.shape for frame in frames} == {(112, 200, 3)}
    assert [number(frame.image) for frame in frames] == [0, 1, 2]


@pytest.mark.parametrize(("matrix", "red", "blue"), [("bt709", 0.2126, 0.0722), ("smpte170m", 0.299, 0.114)])
def test_colours_are_those_of_the_tagged_matrix(tmp_path: Path, matrix: str, red: float, blue: float) -> None:
    r, g, b = 200, 50, 30
    luma = red * r + (1 - red - blue) * g + blue * b
    yuv = [16 + luma * 219 / 255] + [128 + 112 / 255 * (c - luma) / (1 - w) for c, w in ((b, blue), (r, red))]
    planes = np.repeat(np.round(yuv), [64 * 64, 32 * 32, 32 * 32]).astype(np.uint8).reshape(96, 64)
    path = tmp_path / "red.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"colorspace": matrix, "crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        output.mux(stream.encode(av.VideoFrame.from_ndarray(planes, "yuv420p")))
        output.mux(stream.encode(None))
    with open_source(str(path)) as source:
        assert next(source).image[32, 32] == pytest.approx([b, g, r], abs=3)


def with_matrix(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Set a, b, c, d of the display matrix in an MP4's track header."""
    a, b, c, d = (value << 16 for value in matrix)
    data = path.read_bytes()
    identity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    at = data.index(identity, data.index(b"tkhd"))
    path.write_bytes(data[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + data[at + len(identity) :])
    return path


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ((0, 1, -1, 0), lambda image: cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE)),
        ((-1, 0, 0, -1), lambda image: cv2.rotate(image, cv2.ROTATE_180)),
        ((0, -1, 1, 0), lambda image: cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE)),
        ((-1, 0, 0, 1), lambda image: cv2.flip(image, 1)),
    ],
    ids=["clockwise", "half", "counterclockwise", "mirrored"],
)
def test_turned_video_stands_upright(
    clip: Callable[..., Path], matrix: tuple[int, int, int, int], turned: Callable[[np.ndarray], np.ndarray]
) -> None:
    path = clip("turned.mp4", frames=38)
    with open_source(str(path)) as source:
        lying = list(source)[-1].image
    with open_source(str(with_matrix(path, matrix))) as source:
        assert np.array_equal(list(source)[-1].image, turned(lying))


def test_turned_video_fits_the_limits_as_shown(clip: Callable[..., Path]) -> None:
    path = with_matrix(clip("turned.mp4", size=(320, 160), frames=1), (0, 1, -1, 0))
    with open_source(str(path), max_width=320, max_height=160) as source:
        assert next(source).image.shape == (160, 80, 3)


def test_rate_is_limited_by_time(clip: Callable[..., Path], number: Number) -> None:
    assert numbers(clip("clip.mp4"), number, fps_limit=5) == list(range(0, 60, 5))


def test_variable_rate_keeps_its_times(clip: Callable[..., Path]) -> None:
    times = [0.0, 0.04, 0.5, 0.51, 3.0]
    with open_source(str(clip("clip.mkv", frames=5, times=times))) as source:
        assert [frame.pts_s for frame in source] == pytest.approx(times, abs=0.002)


def test_looped_video_goes_on_in_time(clip: Callable[..., Path], number: Number) -> None:
    with open_source(str(clip("clip.mp4", frames=4)), loop=True) as source:
        frames = [next(source) for _ in range(10)]
    assert [number(frame.image) for frame in frames] == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert [frame.pts_s for frame in frames] == pytest.approx([index / 25 for index in range(10)], abs=0.002)


@pytest.mark.parametrize(
    ("name", "container"),
    [
        ("clip.mp4", {"movflags": "faststart"}),
        ("clip.mp4", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
        ("clip.mkv", {}),
    ],
    ids=["faststart", "fragmented", "matroska"],
)
def test_cut_off_video_gives_every_frame_before_and_says_so(
    clip: Callable[..., Path], number: Number, name: str, container: dict[str, str]
) -> None:
    path = cut(clip(name, container=container), 0.6)
    with open_source(str(path)) as source:
        got = [number(frame.image) for frame in source]
        assert source.warning is not None
    assert 25 < len(got) < 50
    assert got == list(range(len(got)))
    assert f"clip{path.suffix}: damaged after frame {len(got)}" in source.warning
    assert "the frames before it were processed" in source.warning


def test_cut_off_transport_stream_gives_every_frame_before(clip: Callable[..., Path], number: Number) -> None:
    got = numbers(cut(clip("clip.ts"), 0.6), number)
    assert 25 < len(got) < 50
    assert got == list(range(len(got)))


def test_number_of_frames_is_said_with_the_damage(clip: Callable[..., Path]) -> None:
    with open_source(str(cut(clip("clip.mp4", container={"movflags": "faststart"}), 0.6))) as source:
        count = len(list(source))
        assert source.warning is not None
        assert f"damaged after frame {count} of 60;" in source.warning


def test_video_without_its_index_is_one_sentence(clip: Callable[..., Path]) -> None:
    with pytest.raises(SourceError, match="cut off before its index was written"):
        open_source(str(cut(clip("clip.mp4"), 0.6)))


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4"])
def test_damaged_video_goes_on_and_is_the_same_each_time(clip: Callable[..., Path], number: Number, codec: str) -> None:
    path = clip("clip.ts", codec=codec, size=(320, 240), options={"x265-params": "log-level=none"})
    data, dice = bytearray(path.read_bytes()), random.Random(1)
    for _ in range(6):
        at = dice.randrange(len(data) // 4, len(data) * 3 // 4)
        data[at : at + 40] = dice.randbytes(40)
    path.write_bytes(data)
    runs = []
    for _ in range(3):
        with open_source(str(path)) as source:
            runs.append([frame.image.tobytes() for frame in source])
            assert source.skipped == 0 or source.warning is not None
    assert len(runs[0]) > 30
    assert runs[0] == runs[1] == runs[2]


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(
        b"RIFF" + struct.pack("<I", 36 + 8000) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
        + b"data" + struct.pack("<I", 8000) + bytes(8000)
    )  # fmt: skip
    with pytest.raises(SourceError, match="no video in it; name a video"):
        open_source(str(path))


def test_size_may_change_on_the_way(clip: Callable[..., Path], number: Number) -> None:
    joined = clip("a.ts", frames=20).read_bytes() + clip("b.ts", frames=20, size=(320, 240)).read_bytes()
    path = clip("c.ts", frames=1)
    path.write_bytes(joined)
    with open_source(str(path)) as source:
        frames = list(source)
    assert {frame.image.shape for frame in frames} == {(120, 160, 3), (240, 320, 3)}
    assert all(later.pts_s > earlier.pts_s for earlier, later in pairwise(frames))


def test_real_video_is_read_whole(data_dir: Path) -> None:
    with open_source(str(data_dir / "video" / "friends_dev.mp4")) as source:
        frames = sum(1 for _ in source)
        assert (frames, source.warning, source.skipped) == (401, None, 0)
