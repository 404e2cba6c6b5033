"""Which of several people is enrolled."""

from pathlib import Path

import pytest

from jetstream.enroll.target import FacePosition, parse_at
from tests.support.clips import part_of
from tests.support.enrolling import film, named, photos_in, refused
from tests.support.inside import Inside

HOPPER_AT = "955,410"  # px in the demo's first second


def test_two_faces_of_like_size_need_a_pixel_and_the_sentence_gives_it(jetstream: Inside, both: str) -> None:
    said = refused(jetstream, "Grace Hopper", "--from", both)
    ways = [way for way in said.replace(";", " ").split() if "," in way and way[0].isdigit()]
    assert "2 people are about equally frequent" in said
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


def test_person_in_several_pictures_is_the_one_they_share(jetstream: Inside, both: str) -> None:
    result = jetstream("enroll", "Grace Hopper", "--from", both, "--from", "hopper.png", sets=True)

    assert result.returncode == 0, result.stderr
    assert named(jetstream, "hopper.png").startswith("Grace Hopper")
    assert named(jetstream, "collins.png").startswith("unknown")


def test_pictures_of_two_people_are_not_made_one(jetstream: Inside) -> None:
    said = refused(jetstream, "Ada", "--from", "hopper.png", "--from", "collins.png")

    assert "2 people are about equally frequent" in said
    assert "collins.png alone" in said


def test_film_of_two_people_needs_a_pixel_and_gives_sharp_looks_of_one(jetstream: Inside) -> None:
    clip = film(jetstream.folder / "film.mp4", seconds=8)  # they cross on the way

    said = refused(jetstream, "Grace Hopper", "--from", clip)
    assert "2 people are about equally frequent" in said
    result = jetstream("enroll", "Grace Hopper", "--from", clip, "--at", HOPPER_AT, "--photos", "3", sets=True)

    assert result.returncode == 0, result.stderr
    assert 1 <= len(photos_in(jetstream)) <= 3
    assert "other_person" in result.stdout
    for photo in photos_in(jetstream):
        assert photo.startswith("Grace Hopper/film-")
        assert named(jetstream, f"faces/{photo}").count("(") == 1  # one face in it, found again
    assert named(jetstream, "hopper.png").startswith("Grace Hopper")
    assert named(jetstream, "collins.png").startswith("unknown")


def test_pixel_and_second_are_read() -> None:
    assert parse_at("320,180.5@2.5") == FacePosition(320.0, 180.5, 2.5)
    assert parse_at("320,180") == FacePosition(320.0, 180.0, None)


@pytest.mark.parametrize(
    ("frames", "at", "name", "other"),
    [
        ((0, 270), "400,250", "Rachel", "Joey"),
        ((104, 401), "865,190@10.2", "Ross", "Phoebe"),
    ],
)
def test_pixel_picks_the_right_one_of_two_in_a_video_with_cuts(
    data_dir: Path, jetstream: Inside, frames: tuple[int, int], at: str, name: str, other: str
) -> None:
    """The photos of both, taken elsewhere, tell who was enrolled."""
    clip = part_of(
        data_dir / "video" / "friends_dev.mp4", jetstream.folder / "clip.mp4", first=frames[0], end=frames[1]
    )
    result = jetstream("enroll", "Picked", "--from", str(clip), "--at", at, sets=True)

    assert result.returncode == 0, result.stderr
    assert "Picked" in named(jetstream, str(data_dir / "friends_refs" / name / "1.png"))
    assert named(jetstream, str(data_dir / "friends_refs" / other / "1.png")).startswith("unknown")
