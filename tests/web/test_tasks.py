"""What is changed through the page: with real faces, the real networks, and the process that does it."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from jetstream.config.schema import Config
from jetstream.gallery import audit
from jetstream.gallery.prepare import prepare_gallery
from jetstream.web import task_runner
from tests.support.pages import Answer, PageSite, page_site
from tests.support.sightings import IDS, Portraits, stored
from tests.support.waiting import wait_until

COLLINS, HOPPER = "Eileen Collins", "Grace Hopper"


@pytest.fixture
def page(tmp_path: Path, own_models: Path, portraits: dict[str, np.ndarray]) -> Iterator[PageSite]:
    """Eileen Collins is enrolled. Seen were a stranger, who is Grace Hopper; and Grace Hopper as Eileen Collins."""
    folder = tmp_path / "faces" / COLLINS
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "1.jpg"), portraits[COLLINS])
    with page_site(tmp_path, models=own_models, recognize={"faces": str(tmp_path / "faces")}) as page:
        seen = Portraits(page.config, portraits)
        seen.seen(page.config, (HOPPER, IDS[0], None), (HOPPER, IDS[1], COLLINS))
        yield page


def post(page: PageSite, path: str, body: object, **headers: str) -> Any:
    answer = page.ask("POST", path, body, **headers)
    assert answer.status == 200, answer
    return answer.json


def upload(page: PageSite, path: str, image: np.ndarray) -> Answer:
    return page.ask("POST", path, cv2.imencode(".png", image)[1].tobytes(), Content_Type="image/png")


def photos(config: Config) -> list[str]:
    faces = Path(config.recognize.faces)
    return sorted(path.relative_to(faces).as_posix() for path in faces.rglob("*") if path.is_file())


def people(config: Config) -> list[str]:
    return [person.name for person in prepare_gallery(config).people if person.used]


def ended(page: PageSite, task: Any) -> Any:
    """The task's status, once it has ended."""
    found: list[Any] = []

    def has_ended() -> bool:
        found.append(page.ask("GET", f"/api/tasks/{task['id']}").json)
        return found[-1]["state"] != "running"

    wait_until(has_ended, 60)
    return found[-1]


def test_stranger_is_named_and_learnt(page: PageSite) -> None:
    done = post(page, "/api/sightings/correct", {"sightings": [IDS[0]], "verdict": "name", "name": HOPPER})

    assert (done["photos"], [one["name"] for one in done["sightings"]]) == (1, [HOPPER])
    assert [one.name for one in stored(page.config)] == [HOPPER, COLLINS]
    assert people(page.config) == [COLLINS, HOPPER]
    assert {"correct", "learn"} <= {
        line.what for line in audit.lines(Path(page.config.models.dir)) if line.is_about(HOPPER)
    }


def test_wrong_name_is_denied_and_taken_back(page: PageSite) -> None:
    post(page, "/api/sightings/correct", {"sightings": [IDS[1]], "verdict": "not"})
    assert [one.name for one in stored(page.config)] == [None, None]
    assert len(photos(page.config)) == 2, "a counter-example"

    post(page, "/api/sightings/undo", {"sightings": [IDS[1]]})
    assert [one.name for one in stored(page.config)] == [None, COLLINS]
    assert photos(page.config) == [f"{COLLINS}/1.jpg"]


def test_one_of_several_that_cannot_be_corrected_is_told_and_the_others_are(page: PageSite) -> None:
    done = post(page, "/api/sightings/correct", {"sightings": [IDS[0], IDS[1]], "verdict": "not"})

    assert [one["id"] for one in done["sightings"]] == [IDS[1]]
    assert done["notes"] == [f"{IDS[0]}: bears no name; say who it is with --name, or --ignore"]
    refused = page.ask("POST", "/api/sightings/correct", {"sightings": [IDS[0]], "verdict": "not"})
    assert (refused.status, "bears no name" in refused.json["error"]) == (400, True)


def test_second_task_is_done_by_the_same_process_with_its_networks_open(page: PageSite) -> None:
    post(page, "/api/sightings/correct", {"sightings": [IDS[0]], "verdict": "ignore"})
    first = page.site.tasks._short
    post(page, "/api/sightings/correct", {"sightings": [IDS[1]], "verdict": "ignore"})

    assert page.site.tasks._short is first is not None


def test_process_that_died_is_replaced(page: PageSite) -> None:
    post(page, "/api/sightings/correct", {"sightings": [IDS[0]], "verdict": "ignore"})
    assert page.site.tasks._short is not None
    page.site.tasks._short._process.send_signal(signal.SIGKILL)
    page.site.tasks._short._process.wait()

    post(page, "/api/sightings/undo", {"sightings": [IDS[0]]})


def test_task_that_takes_too_long_is_stopped(page: PageSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_runner, "SHORT_S", 0.01)
    answer = page.ask("POST", "/api/sightings/correct", {"sightings": [IDS[0]], "verdict": "ignore"})

    assert answer.status == 400
    assert "took longer" in answer.json["error"]
    monkeypatch.undo()
    post(page, "/api/sightings/correct", {"sightings": [IDS[0]], "verdict": "ignore"})


def test_photo_is_added_without_what_a_phone_wrote_into_it_and_removed(
    page: PageSite, portraits: dict[str, np.ndarray]
) -> None:
    jpeg = cv2.imencode(".jpg", portraits[HOPPER])[1].tobytes()
    secret = b"GPS 48.137 11.575"
    marked = jpeg[:2] + b"\xff\xfe" + (len(secret) + 2).to_bytes(2, "big") + secret + jpeg[2:]
    path = "/api/people/Grace%20Hopper/photos?file=IMG%20(1).jpg"
    answer = page.ask("POST", path, marked, Content_Type="image/jpeg")

    assert answer.json == {"photo": f"{HOPPER}/IMG-1-1.jpg"}
    assert secret not in (Path(page.config.recognize.faces) / answer.json["photo"]).read_bytes()
    assert people(page.config) == [COLLINS, HOPPER]
    post(page, "/api/photos/remove", answer.json)
    assert people(page.config) == [COLLINS]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/api/people/Ada/photos?file=a.png", "a.png: no face was found"),
        ("/api/people/_unknown/photos", "can't be a person's name"),
    ],
)
def test_photo_that_teaches_nothing_is_refused(page: PageSite, path: str, said: str) -> None:
    answer = upload(page, path, np.full((300, 300, 3), 90, np.uint8))

    assert (answer.status, said in answer.json["error"]) == (400, True), answer
    assert photos(page.config) == [f"{COLLINS}/1.jpg"]


@pytest.mark.parametrize("photo", ["../models/sface.onnx", f"{COLLINS}/../../web/access.db", "/etc/passwd", ""])
def test_nothing_but_a_photo_is_removed(page: PageSite, photo: str) -> None:
    answer = page.ask("POST", "/api/photos/remove", {"photo": photo})

    assert (answer.status, answer.json) == (400, {"error": f"{photo}: there is no such photo"})


def test_person_is_renamed_merged_and_forgotten(page: PageSite, portraits: dict[str, np.ndarray]) -> None:
    post(page, "/api/people/rename", {"old": COLLINS, "new": "Eileen"})
    assert [one.name for one in stored(page.config)] == [None, "Eileen"]
    assert upload(page, "/api/people/Twin/photos", portraits[HOPPER]).status == 200
    post(page, "/api/people/merge", {"source": "Twin", "target": "Eileen"})
    assert [Path(photo).parent.name for photo in photos(page.config)] == ["Eileen", "Eileen"]

    report = Path(page.config.web.dir) / "evaluation.html"
    report.parent.mkdir(exist_ok=True)
    report.write_text("pictures of Eileen")

    done = ended(page, post(page, "/api/people/forget", {"name": "Eileen"}))

    assert done["state"] == "done", done
    assert not report.exists(), "which the page showed to everybody who may look"
    assert "2 photos" in done["answer"]["gone"]
    assert done["answer"]["verified"]
    assert (photos(page.config), len(stored(page.config))) == ([], 1)
    failed = ended(page, post(page, "/api/people/forget", {"name": "Nobody"}))
    assert failed["state"] == "failed"
    assert "no such person" in failed["error"]


def test_face_of_a_picture_is_searched(page: PageSite, portraits: dict[str, np.ndarray]) -> None:
    from jetstream.sightings import grouper

    grouper.group(page.config, idle_s=0.0)
    found = upload(page, "/api/search", portraits[HOPPER]).json

    assert {one["sighting"]["id"] for one in found} == {IDS[0], IDS[1]}
    assert all(one["probability"] > 0.9 for one in found)


def test_people_are_evaluated(page: PageSite, portraits: dict[str, np.ndarray]) -> None:
    assert upload(page, "/api/people/Grace/photos", portraits[HOPPER]).status == 200
    assert page.ask("GET", "/api/evaluation").status == 404
    assert not page.ask("GET", "/api/people").json["has_report"]
    done = ended(page, post(page, "/api/people/evaluate", {}))

    assert done["state"] == "done", done
    assert (Path(page.config.web.dir) / "evaluation.html").stat().st_mode & 0o777 == 0o600
    assert page.ask("GET", "/api/people").json["has_report"]
    report = page.ask("GET", "/api/evaluation")
    assert b"<html" in report.body
    assert report.headers["content-security-policy"].startswith("default-src 'none'"), "its own policy alone"


def test_no_more_long_tasks_run_than_there_may_be_and_one_can_be_stopped(
    page: PageSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_runner, "MOST_LONG", 1)
    task = post(page, "/api/people/evaluate", {})
    refused = page.ask("POST", "/api/people/evaluate", {})
    assert (refused.status, "other work" in refused.json["error"]) == (503, True)

    post(page, f"/api/tasks/{task['id']}/stop", {})
    assert ended(page, task)["error"] == "it was stopped"
    assert page.ask("GET", "/api/tasks/0123456789abcdef").status == 404


def test_process_ends_with_the_page(page: PageSite) -> None:
    post(page, "/api/sightings/correct", {"sightings": [IDS[0]], "verdict": "ignore"})
    process = page.site.tasks._short
    assert process is not None
    page.site.tasks.close()

    assert process._process.wait(10) == -signal.SIGKILL
