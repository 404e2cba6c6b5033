"""Clips from the changes in the database: real sightings, real fragments, and processes that are killed between."""

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jetstream.capturing import fragment_places
from jetstream.clips import library
from jetstream.clips.recorder import ClipRecorder
from jetstream.config.schema import ClipsConfig, Config
from jetstream.messages import Tracked
from tests.support import sightings
from tests.support.numbered_films import numbered_film, shown_numbers
from tests.support.played import sent
from tests.support.sightings import IDS, config_with, face, record

FPS = 10


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return numbered_film(tmp_path_factory.mktemp("film") / "film.mp4", [number / FPS for number in range(300)])


@pytest.fixture
def config(tmp_path: Path) -> Any:
    settings = config_with(tmp_path, "a")
    settings = msgspec.structs.replace(
        settings,
        clips=ClipsConfig(dir=str(tmp_path / "clips"), pre_s=3, post_s=2),
        pipeline=msgspec.structs.replace(settings.pipeline, run_dir=str(tmp_path / "run")),
    )
    with fragment_places.kept(settings):
        yield settings


def at(age_s: float, *faces: Any, **told: Any) -> Tracked:
    """A frame so long ago, by the real clock."""
    frame = sightings.at(1000 - age_s, *faces, **told)
    wall_ns = time.time_ns() - round(age_s * 1e9)
    return msgspec.structs.replace(frame, frame=msgspec.structs.replace(frame.frame, wall_ns=wall_ns))


def turns(recorder: ClipRecorder) -> None:
    for _ in range(30):
        recorder.tend()
        time.sleep(0.01)


def send(film: Path, config: Config) -> None:
    """The film has come from the camera until now."""
    sent(film, "a", config, until_ns=time.monotonic_ns())


def test_sighting_gets_its_clip(config: Config, film: Path) -> None:
    recorder = ClipRecorder(config)
    record(config, [at(20)])
    turns(recorder)
    send(film, config)
    record(config, [at(15, face(IDS[0])), at(10, face(IDS[0]))])

    turns(recorder)

    (clip,) = library.of_sightings(Path(config.clips.dir), [IDS[0]])
    shown = shown_numbers(clip.video)
    assert set(range(120, 220)) <= set(shown)
    assert (clip.info.state, clip.info.short) == ("ended", "")
    recorder.close()


def test_sighting_that_began_before_the_start_gets_its_clip_once(config: Config, film: Path) -> None:
    record(config, [at(20)])
    send(film, config)
    record(config, [at(15, face(IDS[0]))], ended=False)

    for _ in range(3):
        recorder = ClipRecorder(config)
        turns(recorder)  # and is killed
    (clip,) = library.clips_in(Path(config.clips.dir))
    assert (clip.info.state, clip.info.sightings) == ("open", (IDS[0],))
    record(config, [at(11, face(IDS[0])), at(10, face(IDS[0]))])
    recorder = ClipRecorder(config)
    turns(recorder)
    recorder.close()

    (clip,) = library.clips_in(Path(config.clips.dir))
    shown = shown_numbers(clip.video)
    assert set(range(120, 220)) <= set(shown)
    assert shown == list(range(shown[0], shown[-1] + 1))
    assert clip.info.state == "ended"


def test_end_of_the_run_finishes_what_is_open(config: Config, film: Path) -> None:
    recorder = ClipRecorder(config)
    record(config, [at(20)])
    turns(recorder)
    send(film, config)
    record(config, [at(15, face(IDS[0]))], ended=False)
    turns(recorder)

    recorder.close()

    (clip,) = library.clips_in(Path(config.clips.dir))
    assert clip.info.state == "ended"
    assert set(range(120, 290)) <= set(shown_numbers(clip.video))


def test_sightings_of_the_past_have_no_pictures_in_memory(
    config: Config, film: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = ClipRecorder(config)
    record(config, [at(300)])
    turns(recorder)
    send(film, config)
    record(config, [at(200, face(IDS[0])), at(190, face(IDS[0]))])

    turns(recorder)

    assert list(library.clips_in(Path(config.clips.dir))) == []
    assert f"a: no clip of {IDS[0]}: its pictures are gone" in caplog.text
    recorder.close()
