"""Recordings that keep their times, fit their frame, are private, and survive a kill."""

import os
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest

from jetstream.errors import SourceError
from jetstream.video.mp4_repair import cut_to_last_fragment
from tests.support.defaults import open_source, video_sink
from tests.support.fulldisk import files_of_at_most


def picture(level: int, width: int = 160, height: int = 120) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def levels(path: Path) -> list[float]:
    with open_source(str(path)) as source:
        return [float(frame.image.mean()) for frame in source]


def times(path: Path) -> list[float]:
    with open_source(str(path)) as source:
        return [frame.pts_s for frame in source]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("codec", ["h264", "mpeg4"])
def test_frames_keep_their_picture_and_their_time(tmp_path: Path, suffix: str, codec: str) -> None:
    path = tmp_path / f"out.{suffix}"
    written_s = [10.0, 10.04, 10.0801, 10.5, 12.25, 12.26]
    with video_sink(path, fps=25, width=160, height=120, codec=codec) as sink:
        assert sink.codec_name == codec
        for index, time_s in enumerate(written_s):
            sink.write(picture(40 * index), time_s)
    assert levels(path) == pytest.approx([40 * index for index in range(6)], abs=4)
    assert times(path) == pytest.approx([time_s - 10.0 for time_s in written_s], abs=0.001)


def test_colours_come_back(tmp_path: Path) -> None:
    image = picture(0)
    image[:] = (30, 60, 200)
    with video_sink(tmp_path / "out.mp4", fps=25, width=160, height=120) as sink:
        sink.write(image, 0.0)
    with open_source(str(tmp_path / "out.mp4")) as source:
        assert next(source).image[60, 80] == pytest.approx([30, 60, 200], abs=4)


def test_auto_takes_h264_where_it_is(tmp_path: Path) -> None:
    with video_sink(tmp_path / "out.mp4", fps=25, width=160, height=120) as sink:
        assert sink.codec_name == ("h264" if "libx264" in av.codecs_available else "mpeg4")


@pytest.mark.parametrize("codec", ["h264", "mpeg4"])
def test_key_frame_comes_about_every_second_whatever_the_rate(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "out.mp4"
    with video_sink(path, fps=25, width=160, height=120, codec=codec) as sink:
        for index in range(50):
            sink.write(picture(index), index / 10)
    with av.open(str(path)) as container:
        keys = [float(p.pts * p.time_base) for p in container.demux(video=0) if p.is_keyframe and p.pts is not None]
    assert keys == pytest.approx([0.0, 1.0, 2.0, 3.0, 4.0], abs=0.01)


def test_odd_size_gains_a_row_and_a_column(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with video_sink(path, fps=25, width=161, height=121) as sink:
        assert (sink.width, sink.height) == (162, 122)
        sink.write(picture(200, 161, 121), 0.0)
    with open_source(str(path)) as source:
        image = next(source).image
    assert image.shape == (122, 162, 3)
    assert image[-1, -1] == pytest.approx([200, 200, 200], abs=4)


def test_other_size_is_letterboxed(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with video_sink(path, fps=25, width=160, height=120) as sink:
        sink.write(picture(200), 0.0)
        sink.write(picture(200, 400, 100), 0.04)
        sink.write(picture(200, 30, 60), 0.08)
    with open_source(str(path)) as source:
        full, wide, tall = (frame.image[..., 1] for frame in source)
    assert full.min() > 190
    assert wide[60].min() > 190
    assert wide[[5, -5]].max() < 20
    assert tall[:, 80].min() > 190
    assert tall[:, [5, -5]].max() < 20


def test_times_that_stand_still_are_moved_up(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with video_sink(path, fps=25, width=160, height=120) as sink:
        for time_s in (0.0, 0.04, 0.04, 0.02, 0.08):
            sink.write(picture(9), time_s)
    got = times(path)
    assert len(got) == 5
    assert got == sorted(got)
    assert got[-1] == pytest.approx(0.08, abs=0.001)


def test_file_is_private_even_where_one_was_open_to_all(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"old")
    path.chmod(0o644)
    with video_sink(path, fps=25, width=160, height=120) as sink:
        sink.write(picture(9), 0.0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_written_is_closed_without_a_fuss(tmp_path: Path) -> None:
    sink = video_sink(tmp_path / "out.mp4", fps=25, width=160, height=120)
    sink.close()
    sink.close()


@pytest.mark.parametrize(
    ("name", "codec", "sentence"),
    [
        ("no/such/folder/out.mp4", "auto", r"can't be written \(No such file or directory\); name a folder"),
        ("out.avi", "auto", r"a video's name ends in \.mp4 or \.mkv"),
        ("out.mp4", "vp9", "no encoder for vp9 here"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence(tmp_path: Path, name: str, codec: str, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence):
        video_sink(tmp_path / name, fps=25, width=160, height=120, codec=codec)


def test_full_disk_is_one_sentence(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    sink = video_sink(tmp_path / "out.mp4", fps=25, width=320, height=240)

    def write_much() -> None:
        for index in range(200):
            sink.write(noise, index / 5)

    with files_of_at_most(100_000):
        with pytest.raises(
            SourceError, match=r"out\.mp4: the video can't be written \(File too large\); check the disk"
        ):
            write_much()
        with pytest.raises(SourceError, match="can't be written"):
            sink.close()
        sink.close()


def test_video_cut_off_by_a_full_disk_plays_to_its_end_when_it_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    sink = video_sink(path, fps=25, width=160, height=120, codec="mpeg4")
    with files_of_at_most(100_000):
        with suppress(SourceError):
            for index in range(200):
                sink.write(noise, index / 5)
        with suppress(SourceError):
            sink.close()
    cut_off = path.stat().st_size

    cut_to_last_fragment(path)

    assert cut_off == 100_000
    assert 0 < path.stat().st_size < cut_off
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) > 4
    whole = path.read_bytes()
    cut_to_last_fragment(path)
    assert path.read_bytes() == whole


WRITER = """
import sys, numpy as np
from jetstream.video.sink import VideoSink
sink = VideoSink(sys.argv[1], fps=25, width=160, height=120, codec=sys.argv[2])
for index in range(10_000):
    sink.write(np.full((120, 160, 3), index % 200, np.uint8), index / 25)
    print(index, flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
@pytest.mark.parametrize("codec", ["h264", "mpeg4"])
def test_killed_writer_leaves_all_but_the_last_second(tmp_path: Path, name: str, codec: str) -> None:
    path = tmp_path / name
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), codec],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        for _ in range(110):
            writer.stdout.readline()
            writer.stdin.write(b"\n")
            writer.stdin.flush()
        writer.kill()
    got = levels(path)
    assert 110 - 25 - 2 <= len(got) <= 112
    assert got == pytest.approx([index % 200 for index in range(len(got))], abs=4)
    assert times(path) == pytest.approx([index / 25 for index in range(len(got))], abs=0.002)


@pytest.mark.parametrize("leads", ["somewhere", "nowhere"])
def test_video_is_not_written_through_a_link(tmp_path: Path, leads: str) -> None:
    own = tmp_path / "own"
    if leads == "somewhere":
        own.write_text("own")
    (tmp_path / "out.mp4").symlink_to(own)

    with pytest.raises(SourceError, match="can't be written"):
        video_sink(tmp_path / "out.mp4", fps=25, width=160, height=120)

    assert not own.exists() or own.read_text() == "own"
    assert own.exists() == (leads == "somewhere")
