"""Who is known, as the page tells it: with real photos and a gallery that was really trained."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from jetstream.gallery.prepare import prepare_gallery
from tests.support.pages import PageSite, page_site
from tests.support.sightings import IDS, at, face, record

COLLINS, HOPPER = "Eileen Collins", "Grace Hopper"


@pytest.fixture
def page(tmp_path: Path, own_models: Path, portraits: dict[str, np.ndarray]) -> Iterator[PageSite]:
    """Two people, one of them with a photo without a face, and seen once."""
    for name, file, image in (
        (COLLINS, "1.jpg", portraits[COLLINS]),
        (COLLINS, "empty wall.png", np.full((200, 200, 3), 90, np.uint8)),
        (HOPPER, "1.jpg", portraits[HOPPER]),
    ):
        folder = tmp_path / "faces" / name
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / file), image)
    with page_site(tmp_path, models=own_models, recognize={"faces": str(tmp_path / "faces")}) as page:
        prepare_gallery(page.config)
        record(page.config, [at(0, face(IDS[0], COLLINS)), at(5, ended=(IDS[0],))])
        yield page


def test_people_are_listed_with_what_training_made_of_them(page: PageSite) -> None:
    told = page.ask("GET", "/api/people").json

    assert (told["total"], told["next"], told["strangers"]) == (2, None, 0)
    collins, hopper = told["people"]
    assert (collins["name"], collins["photos"], collins["refused"]) == (COLLINS, 1, 1)
    assert (collins["nearest"], hopper["last"]) == (HOPPER, None)
    assert collins["last"].startswith("2026-11-28T21:06:4")


def test_list_comes_in_parts_and_by_a_part_of_the_name(page: PageSite) -> None:
    first = page.ask("GET", "/api/people?most=1").json
    assert ([one["name"] for one in first["people"]], first["next"]) == ([COLLINS], COLLINS)
    second = page.ask("GET", "/api/people?most=1&after=Eileen%20Collins").json
    assert ([one["name"] for one in second["people"]], second["next"]) == ([HOPPER], None)
    found = page.ask("GET", "/api/people?name=HOP").json
    assert ([one["name"] for one in found["people"]], found["total"]) == ([HOPPER], 1)
    assert page.ask("GET", "/api/person-names").json == [COLLINS, HOPPER]


def test_each_photo_says_whether_it_was_learnt_and_why_not(page: PageSite) -> None:
    told = page.ask("GET", "/api/people/Eileen%20Collins").json

    assert [(one["file"], one["is_learnt"]) for one in told["photos"]] == [
        (f"{COLLINS}/1.jpg", True),
        (f"{COLLINS}/empty wall.png", False),
    ]
    assert told["photos"][1]["why"] == "no face was found; name a photo that shows one"
    assert told["photos"][0]["quality"] > 0.3
    assert told["unlearnt"] == []


def test_photo_that_came_after_the_training_is_told(page: PageSite, portraits: dict[str, np.ndarray]) -> None:
    cv2.imwrite(str(Path(page.config.recognize.faces) / HOPPER / "2.jpg"), portraits[HOPPER])

    assert page.ask("GET", "/api/people/Grace%20Hopper").json["unlearnt"] == [f"{HOPPER}/2.jpg"]


def test_picture_of_a_photo_is_small_and_of_that_photo(page: PageSite, portraits: dict[str, np.ndarray]) -> None:
    address = page.ask("GET", "/api/people/Grace%20Hopper").json["photos"][0]["picture"]
    for _ in range(2):  # made, and kept
        answer = page.ask("GET", address)
        image = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)
        assert (answer.headers["content-type"], max(image.shape)) == ("image/jpeg", 320)
    like = cv2.resize(portraits[HOPPER], image.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(like.astype(int) - image).mean() < 6


@pytest.mark.parametrize(
    "photo", ["../web/access.db", "/etc/passwd", f"{COLLINS}/../../models/sface.onnx", "_unknown/1.jpg", "..", "%00"]
)
def test_nothing_but_photos_is_shown(page: PageSite, photo: str) -> None:
    answer = page.ask("GET", f"/api/picture?photo={photo.replace(' ', '%20')}")

    assert answer.status == 404
    assert "no such photo" in answer.json["error"]


def test_nobody_is_told_of_who_isnt_there(page: PageSite) -> None:
    for name in ("Ada", "_unknown", "%2e%2e", "a" * 200):
        assert page.ask("GET", f"/api/people/{name}").status == 404, name
    assert page.ask("GET", "/api/people/" + "a" * 201).status == 400


def test_without_a_gallery_nobody_is_known(tmp_path: Path) -> None:
    with page_site(tmp_path) as page:
        assert page.ask("GET", "/api/people").json == {
            "people": [],
            "total": 0,
            "next": None,
            "strangers": 0,
            "has_report": False,
        }
        assert page.ask("GET", "/api/person-names").json == []
