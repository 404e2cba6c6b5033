"""Which clips are deleted, and what is never touched."""

import os
import time
from pathlib import Path

import pytest

from jetstream.clips import clip_info, library
from jetstream.clips.clip_info import SCHEMA, ClipInfo
from jetstream.clips.retention import ClipSweeper
from jetstream.config.schema import ClipsConfig
from jetstream.events import iso_time

DAY_NS = 86_400 * 10**9


def clip(folder: Path, age_days: float, *, camera: str = "hall", size: int = 1000, state: str = "ended") -> Path:
    """A clip that ended so long ago."""
    begin_ns = time.time_ns() - round(age_days * DAY_NS)
    video = clip_info.path_of(folder, camera, begin_ns)
    video.parent.mkdir(parents=True, exist_ok=True)
    video.write_bytes(bytes(size))
    at = iso_time(begin_ns)
    clip_info.write(clip_info.info_of(video), ClipInfo(SCHEMA, camera, state, ("one",), at, at, 5.0))  # type: ignore[arg-type]
    return video


def swept(folder: Path, **settings: float) -> list[Path]:
    """What is left."""
    ClipSweeper(ClipsConfig(dir=str(folder), **{"keep_days": 0.0, "keep_gb": 0.0, **settings})).sweep(0.0)
    return [found.video for found in library.clips_in(folder)]


def test_old_clips_go_with_their_descriptions(tmp_path: Path) -> None:
    old, new = clip(tmp_path, 3), clip(tmp_path, 1)

    assert swept(tmp_path, keep_days=2) == [new]
    assert not old.exists()
    assert not clip_info.info_of(old).exists()


def test_the_oldest_of_all_cameras_go_first(tmp_path: Path) -> None:
    hall = [clip(tmp_path, age, size=400) for age in (5, 3, 1)]
    door = [clip(tmp_path, age, camera="door", size=400) for age in (4, 2)]

    assert swept(tmp_path, keep_gb=1300e-9) == [door[1], *hall[1:]]


def test_an_open_clip_stays(tmp_path: Path) -> None:
    video = clip(tmp_path, 9, state="open")

    assert swept(tmp_path, keep_days=1, keep_gb=1e-9) == [video]


def test_zero_is_no_limit(tmp_path: Path) -> None:
    video = clip(tmp_path, 900)

    assert swept(tmp_path) == [video]


def test_what_is_no_clip_stays(tmp_path: Path) -> None:
    clip(tmp_path, 9)
    new = clip(tmp_path, 0)
    others = [
        tmp_path / "hall" / name for name in ("visit.mp4", "20261130T093210.123Z.mkv", "20261130T093210.123Z.mp4")
    ]
    for path in others:
        path.write_bytes(b"mine")
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    elsewhere.mkdir()
    linked = clip(elsewhere, 9)
    os.symlink(elsewhere / "hall", tmp_path / "link")
    os.symlink(linked, tmp_path / "hall" / "20200101T000000.000Z.mp4")

    assert swept(tmp_path, keep_days=1) == [new]
    assert all(path.exists() for path in [*others, linked])


def test_doubtful_clock_deletes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    video = clip(tmp_path, 0)
    sweeper = ClipSweeper(ClipsConfig(dir=str(tmp_path), keep_days=2))
    sweeper.sweep(0.0)
    years_later_s = time.time() + 3e8
    monkeypatch.setattr(time, "time", lambda: years_later_s)

    sweeper.sweep(100.0)

    assert video.exists()
    assert "no clip is deleted for its age" in caplog.text
