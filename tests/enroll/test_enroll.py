"""`jetstream enroll` as a user runs it."""

import signal
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from jetstream.config.galleries import gallery_dir
from jetstream.gallery import store
from tests.support.defaults import open_source, video_sink
from tests.support.enrolling import named, photos_in, refused
from tests.support.inside import Inside
from tests.support.waiting import PATIENCE_S, wait_until


def test_face_of_a_picture_is_enrolled_shown_and_known(jetstream: Inside) -> None:
    result = jetstream.outside("enroll", "Grace Hopper", "--from", "hopper.png", sets=True)

    assert result.returncode == 0, result.stderr
    assert photos_in(jetstream) == ["Grace Hopper/hopper-1.jpg"]
    assert "hopper-1.jpg" in result.stdout
    assert "1 of 1 face sample taken" in result.stdout
    assert named(jetstream, "hopper.png").startswith("Grace Hopper")
    assert named(jetstream, "collins.png").startswith("unknown")


def test_photos_kept_before_an_interruption_are_said_and_learnt_next_time(jetstream: Inside) -> None:
    """The lock on the gallery is held, so that Ctrl-C comes between writing and learning."""
    words = [sys.executable, "-m", "jetstream.cli", "enroll", "Grace Hopper", "--from", "hopper.png"]
    folder = gallery_dir(jetstream.folder / "faces", jetstream.models, "sface")
    with store.locked(folder):
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
        _, said = process.communicate(timeout=PATIENCE_S)

    assert process.returncode != 0
    assert "Traceback" not in said
    assert "1 photo is stored in faces/Grace Hopper; the next `jetstream train` or `run` learns" in said
    assert named(jetstream, "hopper.png").startswith("Grace Hopper")


def waits_for_a_lock(pid: int) -> bool:
    waiting = (line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" in line)
    return any(str(pid) in words for words in waiting)


def test_photos_kept_are_said_where_learning_fails(jetstream: Inside) -> None:
    lock = gallery_dir(jetstream.folder / "faces", jetstream.models, "sface") / "lock"
    lock.mkdir(parents=True)  # not even root can write that

    result = jetstream("enroll", "Grace Hopper", "--from", "hopper.png", sets=True)

    assert result.returncode == 2
    assert "1 photo is stored in faces/Grace Hopper" in result.stderr
    assert photos_in(jetstream) == ["Grace Hopper/hopper-1.jpg"]


@pytest.mark.parametrize("name", ["../x", "a/b", "", " ", ".hidden", "_unknown", "..", "a\\b", "a\nb"])
def test_name_cannot_leave_the_folder(jetstream: Inside, name: str) -> None:
    before = sorted(jetstream.folder.iterdir())

    assert "can't be a person's name" in refused(jetstream, name, "--from", "hopper.png")
    assert sorted(jetstream.folder.iterdir()) == before


def test_look_that_is_there_already_is_not_taken_again(jetstream: Inside) -> None:
    jetstream("enroll", "Grace Hopper", "--from", "hopper.png", sets=True)

    assert "no face sample is good enough (duplicate 1)" in refused(jetstream, "Grace Hopper", "--from", "hopper.png")


def test_other_face_is_not_added_to_a_person_unless_forced(jetstream: Inside) -> None:
    jetstream("enroll", "Grace Hopper", "--from", "hopper.png", sets=True)
    words = ("Grace Hopper", "--from", "collins.png")

    assert "doesn't look like the enrolled photo (distance" in refused(jetstream, *words)
    assert jetstream("enroll", *words, "--force", sets=True).returncode == 0
    assert photos_in(jetstream) == ["Grace Hopper/collins-1.jpg", "Grace Hopper/hopper-1.jpg"]


def test_known_face_gets_no_second_name_unless_forced(jetstream: Inside) -> None:
    jetstream("enroll", "Grace Hopper", "--from", "hopper.png", sets=True)
    words = ("Somebody", "--from", "hopper.png")

    assert "looks like Grace Hopper" in refused(jetstream, *words)
    assert jetstream("enroll", *words, "--force", sets=True).returncode == 0


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


def test_singer_seen_most_is_enrolled_from_a_stage_video_and_known_on_a_photo(
    data_dir: Path, jetstream: Inside
) -> None:
    result = jetstream("enroll", "Lin", "--from", str(data_dir / "video" / "short_hamilton_clip.mp4"), sets=True)

    assert result.returncode == 0, result.stderr
    said = {path.parent.name: named(jetstream, str(path)) for path in (data_dir / "hamilton_refs").rglob("1.*")}
    assert said["lin-manuel-miranda"].startswith("Lin")
    assert all(line.startswith("unknown") for name, line in said.items() if name != "lin-manuel-miranda")
