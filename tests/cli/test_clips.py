"""`jetstream clip`, and clips of people who are forgotten: real clips of a played film."""

import json
from pathlib import Path

import av
import pytest

from jetstream.clips import library
from jetstream.config.schema import Config
from jetstream.gallery import audit
from tests.support.command import fails_with
from tests.support.inside import Inside
from tests.support.numbered_films import numbered_film, shown_numbers
from tests.support.played import PlayedCamera
from tests.support.sightings import IDS, at, config_with, face, record

CLIPS = ("--set", "clips.dir=clips")


@pytest.fixture
def config(jetstream: Inside) -> Config:
    """Ada, and then a stranger, who share no clip."""
    config = config_with(jetstream.folder)
    record(config, [at(0, face(IDS[0], "Ada")), at(60, face(IDS[1]))])
    return config


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return numbered_film(tmp_path_factory.mktemp("film") / "film.mp4", [number / 10 for number in range(200)])


@pytest.fixture
def camera(jetstream: Inside, film: Path) -> PlayedCamera:
    """Its clips: one of IDS[0], one of IDS[1], which is still open."""
    camera = PlayedCamera(jetstream.folder, pre_s=2, post_s=1)
    camera.play(film, 5.0)
    camera.enter(IDS[0], 4.5)
    camera.play_on(7.0)
    camera.leave(IDS[0], 6.0)
    camera.play_on(13.0)
    camera.enter(IDS[1], 12.5)
    camera.play_on(16.0)
    return camera


def test_says_where_the_clip_is(jetstream: Inside, config: Config, camera: PlayedCamera) -> None:
    said = jetstream("clip", IDS[0], *CLIPS)
    ended, going_on = camera.stored()
    assert said.returncode == 0, said.stderr
    assert f"{ended.video.relative_to(jetstream.folder)}  " in said.stdout
    assert "is being written" in jetstream("clip", IDS[1], *CLIPS).stdout
    as_json = json.loads(jetstream("clip", IDS[1], "--json", *CLIPS).stdout)
    assert (as_json["state"], as_json["sightings"]) == ("open", list(going_on.info.sightings))


@pytest.mark.parametrize("number", [0, 1])
def test_copies_what_is_shown(
    jetstream: Inside, config: Config, camera: PlayedCamera, own_models: Path, number: int
) -> None:
    done = Inside(jetstream.folder, own_models)("clip", IDS[number], "-o", "visit.mp4", *CLIPS, sets=True)

    assert done.returncode == 0, done.stderr
    shown = shown_numbers(jetstream.folder / "visit.mp4")
    assert shown[0] in (20, 21) if number == 0 else shown[0] in (100, 101)
    assert shown == list(range(shown[0], shown[-1] + 1))
    assert (jetstream.folder / "visit.mp4").stat().st_mode & 0o777 == 0o600
    assert len(camera.stored()) == 2, "the clips stay"
    (line,) = audit.lines(own_models)
    assert line.what == "export"


def test_copies_the_first_seconds(jetstream: Inside, config: Config, camera: PlayedCamera) -> None:
    done = jetstream("clip", IDS[0], "-o", "visit.mp4", "--seconds", "1.5", *CLIPS)

    assert done.returncode == 0, done.stderr
    with av.open(str(jetstream.folder / "visit.mp4")) as container:
        assert container.duration / 1e6 == pytest.approx(1.5, abs=0.6)


def test_user_errors_are_one_sentence_and_change_nothing(
    jetstream: Inside, config: Config, camera: PlayedCamera
) -> None:
    (jetstream.folder / "mine.mp4").write_bytes(b"mine")

    fails_with(jetstream("clip", IDS[0], "-o", "mine.mp4", *CLIPS), 2, "is there already")
    fails_with(jetstream("clip", IDS[0], "-o", "none/visit.mp4", *CLIPS), 2, "none", "No such file")
    fails_with(jetstream("clip", IDS[0], "--seconds", "2", *CLIPS), 2, "--seconds", "-o")
    fails_with(jetstream("clip", IDS[0]), 2, "clips.dir")
    fails_with(jetstream("clip", IDS[0], "--set", "clips.dir=elsewhere"), 2, "there is no clip of it")
    fails_with(jetstream("clip", "ZZZZ", *CLIPS), 2, "no such sighting")
    camera.stored()[0].video.write_bytes(b"no film at all")
    fails_with(jetstream("clip", IDS[0], "-o", "visit.mp4", *CLIPS), 2, "can't be read")

    assert (jetstream.folder / "mine.mp4").read_bytes() == b"mine"
    assert sorted(path.name for path in jetstream.folder.glob("*.mp4")) == ["mine.mp4"]


def test_forget_takes_the_clips_along_and_no_other(
    jetstream: Inside, config: Config, camera: PlayedCamera, own_models: Path
) -> None:
    jetstream = Inside(jetstream.folder, own_models)
    (jetstream.folder / "faces").mkdir()
    ended, going_on = camera.stored()

    result = jetstream("forget", "Ada", "--yes", *CLIPS, sets=True)

    assert result.returncode == 0, result.stderr
    assert "1 clip" in result.stdout
    assert [one.video for one in library.clips_in(jetstream.folder / "clips")] == [going_on.video]
    assert not list(ended.video.parent.glob(f"{ended.video.stem}*"))


def test_forget_of_a_person_whose_clip_is_being_written_ends_it(
    jetstream: Inside, config: Config, camera: PlayedCamera, own_models: Path
) -> None:
    record(config, [at(100, face(IDS[1], "Bob"))])
    jetstream = Inside(jetstream.folder, own_models)
    (jetstream.folder / "faces").mkdir()

    assert jetstream("forget", "Bob", "--yes", *CLIPS, sets=True).returncode == 0
    camera.play_on()

    assert [one.info.sightings for one in camera.stored()] == [(IDS[0],)]
