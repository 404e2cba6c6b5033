"""Clips of a camera: which frames they show, over codecs, rates and breaks."""

from pathlib import Path

import av
import numpy as np
import pytest

from jetstream.clips.camera_clips import CameraClips
from jetstream.clips.retention import erase
from jetstream.runtime import switches
from jetstream.video.gop.fragment_folder import fragments_in
from tests.support.fulldisk import files_of_at_most
from tests.support.numbered_films import numbered_film, shown_numbers
from tests.support.played import PlayedCamera

FPS = 10
STEADY = [number / FPS for number in range(300)]
UNEVEN = [number / FPS + (0.07 if number % 3 == 1 else 0.0) + (2.0 if number > 120 else 0.0) for number in range(280)]
WIDE = np.full((180, 240, 3), 90, np.uint8)
FILMS = {
    "H.264": ("libx264", STEADY, 20),
    "H.265": ("libx265", STEADY, 20),
    "variable rate": ("libx264", UNEVEN, 20),
    "a key frame in 10 s": ("libx264", STEADY, 100),
}


@pytest.fixture(scope="module", params=FILMS)
def film(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    codec, times_s, gop = FILMS[request.param]
    return numbered_film(tmp_path_factory.mktemp("film") / "film.mp4", times_s, codec=codec, gop=gop), times_s


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return numbered_film(tmp_path_factory.mktemp("film") / "film.mp4", STEADY)


def test_clip_shows_the_sighting_and_the_time_around_it(film: tuple[Path, list[float]], tmp_path: Path) -> None:
    path, times_s = film
    camera = PlayedCamera(tmp_path, pre_s=4, post_s=2)
    camera.play(path, 15.6)
    camera.enter("one", 15.0)
    camera.play_on(19.6)
    camera.leave("one", 18.0)
    camera.play_on(29.0)

    (clip,) = camera.stored()
    shown = shown_numbers(clip.video)
    wanted = [number for number, time_s in enumerate(times_s) if 11.0 <= time_s <= 20.0]
    assert set(wanted) <= set(shown)
    assert shown == list(range(shown[0], shown[-1] + 1))
    assert times_s[shown[0]] > 11.0 - 0.5 - 0.3, "it begins at a frame, and not at a key frame"
    assert times_s[shown[-1]] < 20.0 + 0.5 + 0.5
    assert (clip.info.state, clip.info.sightings, clip.info.short, clip.info.missing) == ("ended", ("one",), "", 0)
    assert clip.info.pre_s >= 4


def within(times_s: list[float], from_s: float, until_s: float) -> set[int]:
    return {number for number, time_s in enumerate(times_s) if from_s <= time_s <= until_s}


def test_sightings_that_overlap_share_a_clip(steady: Path, tmp_path: Path) -> None:
    camera = PlayedCamera(tmp_path, pre_s=2, post_s=2)
    camera.play(steady, 6.0)
    camera.enter("one", 5.5)
    camera.play_on(9.0)
    camera.leave("one", 8.0)
    camera.enter("two", 8.5)
    camera.play_on(14.0)
    camera.leave("two", 12.0)
    camera.play_on(20.0)
    camera.enter("three", 19.5)
    camera.play_on(23.0)
    camera.leave("three", 21.0)
    camera.play_on()

    first, second = camera.stored()
    assert (first.info.sightings, second.info.sightings) == (("one", "two"), ("three",))
    assert within(STEADY, 3.5, 14.0) <= set(shown_numbers(first.video))
    assert within(STEADY, 17.5, 23.0) <= set(shown_numbers(second.video))


@pytest.mark.parametrize("pause_s", [0.5, 4.0])
def test_clip_goes_on_over_a_new_connection(steady: Path, tmp_path: Path, pause_s: float) -> None:
    camera = PlayedCamera(tmp_path, pre_s=3, post_s=2)
    camera.play(steady, 10.0)
    camera.tap.end()
    camera.wait_until(10.0 + pause_s)
    begin_s = camera.now_s
    camera.play(steady, begin_s + 1.0)
    camera.enter("one", begin_s + 0.5)
    camera.play_on(begin_s + 5.0)
    camera.leave("one", begin_s + 3.0)
    camera.play_on(begin_s + 20.0)

    (clip,) = camera.stored()
    shown = shown_numbers(clip.video)
    assert within(STEADY, 0.0, 5.0) <= set(shown[shown.index(0) :]), "all of the new connection"
    if pause_s < 3:
        assert within(STEADY, 7.5 + pause_s, 9.9) <= set(shown[: shown.index(0)]), "and of the time before it"
        assert clip.info.short == ""
    else:
        assert shown[0] == 0
        assert "the camera's picture came back 0.5 s before the sighting" in clip.info.short
        assert clip.info.pre_s == pytest.approx(0.5, abs=0.2)


def test_another_resolution_begins_another_part(steady: Path, tmp_path: Path) -> None:
    wide = numbered_film(tmp_path / "wide.mp4", STEADY[:200], pictures=[WIDE] * 200)
    camera = PlayedCamera(tmp_path, pre_s=2, post_s=2)
    camera.play(steady, 10.0)
    camera.enter("one", 9.0)
    camera.play_on(12.0)
    camera.tap.end()
    camera.play(wide, camera.now_s + 6.0)
    camera.leave("one", camera.now_s - 2.0)
    camera.play_on()

    first, second = camera.stored()
    assert first.info.sightings == second.info.sightings == ("one",)
    assert within(STEADY, 7.0, 11.9) <= set(shown_numbers(first.video))
    assert within(STEADY, 0.0, 5.9) <= set(shown_numbers(second.video))


def test_a_camera_that_was_opened_just_now_says_why_the_clip_begins_late(steady: Path, tmp_path: Path) -> None:
    camera = PlayedCamera(tmp_path, pre_s=5, post_s=1)
    camera.play(steady, 2.0)
    camera.enter("one", 1.5)
    camera.play_on(5.0)
    camera.leave("one", 4.0)
    camera.play_on(15.0)

    (clip,) = camera.stored()
    assert shown_numbers(clip.video)[0] == 0
    assert clip.info.short == "the camera's first picture came 1.5 s before the sighting"
    assert clip.info.pre_s == pytest.approx(1.5, abs=0.01)


def test_too_little_memory_says_why_the_clip_begins_late(steady: Path, tmp_path: Path) -> None:
    camera = PlayedCamera(tmp_path, pre_s=10, post_s=1, most_bytes=4_000)
    camera.play(steady, 15.5)
    camera.enter("one", 15.0)
    camera.play_on(18.0)
    camera.leave("one", 17.0)
    camera.play_on()

    (clip,) = camera.stored()
    assert clip.info.short.startswith("clips.ring_mb holds the last ")
    assert clip.info.pre_s < 10
    assert within(STEADY, 15.0, 18.0) <= set(shown_numbers(clip.video))


def test_long_sighting_has_several_clips_without_a_gap(steady: Path, tmp_path: Path) -> None:
    camera = PlayedCamera(tmp_path, pre_s=2, post_s=2, part_s=10)
    camera.play(steady, 5.0)
    camera.enter("one", 4.5)
    camera.play_on(27.0)
    camera.leave("one", 25.0)
    camera.play_on()

    clips = camera.stored()
    shown = [number for clip in clips for number in shown_numbers(clip.video)]
    assert len(clips) == 3
    assert shown == list(range(shown[0], shown[-1] + 1))
    assert within(STEADY, 2.5, 27.0) <= set(shown)


@pytest.mark.parametrize("killed_s", [15.7, 16.3, 17.9, 19.9, 20.6])
def test_killed_clips_lose_nothing(steady: Path, tmp_path: Path, killed_s: float) -> None:
    camera = PlayedCamera(tmp_path, pre_s=4, post_s=2)
    camera.play(steady, 15.6)
    camera.enter("one", 15.0)
    camera.play_on(killed_s)
    for clip in camera.stored():
        assert shown_numbers(clip.video), "it can be played at any moment"
        with clip.video.open("ab") as file:
            file.write(b"\0\0\x10\0mdat and half of what comes then")
    camera.begin_clips()
    camera.enter("one", 15.0)
    camera.resume()
    camera.play_on(max(killed_s + 1.0, 19.6))
    camera.leave("one", 18.0)
    camera.play_on()

    (clip,) = camera.stored()
    shown = shown_numbers(clip.video)
    assert within(STEADY, 11.0, 20.0) <= set(shown)
    assert shown == list(range(shown[0], shown[-1] + 1))
    assert clip.info.unfinished is None


def test_killed_capture_loses_a_second_at_most(steady: Path, tmp_path: Path) -> None:
    camera = PlayedCamera(tmp_path, pre_s=4, post_s=2)
    camera.play(steady, 13.75)
    camera.begin_capture()
    camera.play(steady, 15.5)
    camera.enter("one", 15.0)
    camera.play_on(20.0)
    camera.leave("one", 18.0)
    camera.play_on()

    (clip,) = camera.stored()
    shown = shown_numbers(clip.video)
    again = shown.index(0)
    assert within(STEADY, 11.0, 12.6) <= set(shown[:again])
    assert within(STEADY, 0.0, 6.0) <= set(shown[again:])


def test_clip_goes_on_in_the_other_folder_where_a_camera_sends_something_else_to_it(
    steady: Path, tmp_path: Path
) -> None:
    camera, encoded = PlayedCamera(tmp_path, pre_s=4, post_s=2), PlayedCamera(tmp_path / "encoded")
    camera.clips = CameraClips("hall", camera.settings, (camera.fragments, encoded.fragments), "boot")
    encoded.play(steady, 10.0)
    encoded.tap.end()
    camera.wait_until(10.2)
    camera.enter("one", 9.0)
    camera.turn()
    camera.play(steady, 16.0)
    camera.leave("one", 14.0)
    camera.play_on()

    first, second = camera.stored()
    assert first.info.sightings == second.info.sightings == ("one",)
    assert within(STEADY, 5.0, 10.0) <= set(shown_numbers(first.video))
    assert within(STEADY, 0.0, 5.8) <= set(shown_numbers(second.video))
    assert [clip.info.state for clip in (first, second)] == ["ended", "ended"]


def test_finished_by_another_boot_as_far_as_it_goes(steady: Path, tmp_path: Path) -> None:
    camera = PlayedCamera(tmp_path, pre_s=4, post_s=2)
    camera.play(steady, 15.6)
    camera.enter("one", 15.0)
    camera.play_on(19.0)
    camera.clips = CameraClips("hall", camera.settings, (tmp_path / "none",), "another boot")

    camera.resume()
    for _ in range(10):
        camera.turn()

    (clip,) = camera.stored()
    assert clip.info.state == "ended"
    assert within(STEADY, 11.0, 17.5) <= set(shown_numbers(clip.video))


def test_clip_that_was_erased_meanwhile_stays_erased(steady: Path, tmp_path: Path) -> None:
    camera = PlayedCamera(tmp_path, pre_s=4, post_s=2)
    camera.play(steady, 15.6)
    camera.enter("one", 15.0)
    camera.play_on(17.0)
    (clip,) = camera.stored()
    erase(clip)
    camera.play_on(19.0)
    camera.leave("one", 18.0)
    camera.play_on()

    assert clip.video not in [one.video for one in camera.stored()]
    assert not clip.video.exists()


def test_sound_comes_along_where_it_is_wanted(tmp_path: Path) -> None:
    film = numbered_film(tmp_path / "film.mp4", STEADY[:150], sound=True)
    for name, sound in (("silent", False), ("loud", True)):
        camera = PlayedCamera(tmp_path / name, pre_s=2, post_s=1, sound=sound)
        camera.play(film, 6.0)
        camera.enter("one", 5.5)
        camera.play_on(8.0)
        camera.leave("one", 7.0)
        camera.play_on()
        (clip,) = camera.stored()
        with av.open(str(clip.video)) as container:
            seconds = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0)) if sound else 0.0
            assert len(container.streams.audio) == int(sound)
        assert within(STEADY, 3.5, 8.0) <= set(shown_numbers(clip.video))
        assert not sound or seconds == pytest.approx(5.0, abs=1.2)


def test_full_disk_is_said_once_and_the_next_clip_is_made(
    steady: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    camera = PlayedCamera(tmp_path, pre_s=2, post_s=1)
    camera.play(steady, 6.0)
    camera.enter("one", 5.5)
    with files_of_at_most(3000):
        camera.clips.turn(camera.clock)
        for _ in range(5):
            camera.clips.turn(camera.clock)
    camera.play_on(9.0)
    camera.leave("one", 8.0)
    camera.play_on(29.0)

    assert caplog.text.count("its recording stops") == 1
    (clip,) = camera.stored()
    assert within(STEADY, 3.5, 9.0) <= set(shown_numbers(clip.video))
    assert clip.info.state == "ended"


@pytest.mark.parametrize("off", [{"blur": True}, {"record": False}])
def test_what_is_switched_off_by_hand_is_in_no_clip(
    steady: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off: dict[str, bool]
) -> None:
    monkeypatch.setattr(switches, "LOOK_EVERY_S", 0.0)
    camera = PlayedCamera(tmp_path, pre_s=2, post_s=2)
    camera.play(steady, 8.0)
    camera.enter("one", 7.5)
    camera.play_on(10.0)
    camera.switch(**off)
    camera.play_on(10.1)
    assert fragments_in(camera.fragments) == []
    camera.play_on(14.0)
    camera.switch()
    camera.play_on(20.0)
    camera.leave("one", 18.0)
    camera.play_on()

    (clip,) = camera.stored()
    shown = set(shown_numbers(clip.video))
    assert within(STEADY, 5.5, 8.5) <= shown
    assert within(STEADY, 16.0, 20.0) <= shown
    assert not shown & within(STEADY, 10.1, 13.9)


def test_fragments_that_are_removed_just_now_are_waited_for(steady: Path, tmp_path: Path) -> None:
    camera = PlayedCamera(tmp_path, pre_s=2, post_s=1)
    camera.play(steady, 6.0)
    header = next(camera.fragments.glob("*.init.mp4"))
    content = header.read_bytes()
    header.unlink()
    camera.enter("one", 5.5)
    camera.turn()
    assert camera.stored() == []
    header.write_bytes(content)
    camera.play_on(9.0)
    camera.leave("one", 8.0)
    camera.play_on()

    (clip,) = camera.stored()
    assert within(STEADY, 3.5, 9.0) <= set(shown_numbers(clip.video))
