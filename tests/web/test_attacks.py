"""What somebody who may use the page sends to get at more: paths, names, and pictures that are bombs."""

import contextlib
import http.client
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import cv2
import msgspec
import numpy as np
import psutil
import pytest

from jetstream.web import task_runner
from jetstream.web.routes import Route, table
from tests.support import bombs
from tests.support.page_process import page_process
from tests.support.pages import PageSite, ask, page_site
from tests.support.waiting import wait_until

SECRET = "the secret"
PATHS = (
    *("../secret", "../../secret", "Ada/../../secret", "/etc/passwd", "../web/access.db", "Ada/folder"),
    *("..\\secret", "%2e%2e/secret", "....//secret", "Ada/1.jpg\0.txt", "Ada//../../secret", "./secret", "~/secret"),
    *("file:///etc/passwd", "\\\\host\\share", "Ada/\r\nX-Injected: 1", "a" * 190 + "/../secret", "/proc/self/environ"),
)
NAMES = (
    *(
        "Ada\r\nX-Injected: 1",
        "Ada\nBob",
        "Ad\u202egpj",
        "Ada\u2028Bob",
        "A\0da",
        "x" * 10_000,
        "..",
        ".ssh",
        "_unknown",
    ),
    *("a/b", "../Ada", "", "   ", "\u200b", "\x1b[2J"),
)


@pytest.fixture
def page(tmp_path: Path, own_models: Path, portraits: dict[str, np.ndarray]) -> Iterator[PageSite]:
    """Ada is known. Beside her folder is what nobody shall see."""
    faces = tmp_path / "faces"
    (faces / "Ada" / "folder").mkdir(parents=True)
    (tmp_path / "secret").write_text(SECRET)
    (faces / "secret").write_text(SECRET)
    (faces / "Ada" / "link.jpg").symlink_to(tmp_path / "secret")
    cv2.imwrite(str(faces / "Ada" / "1.jpg"), portraits["Eileen Collins"])
    with page_site(tmp_path, models=own_models, recognize={"faces": str(faces)}) as page:
        yield page


def in_faces(page: PageSite) -> list[str]:
    faces = Path(page.config.recognize.faces)
    return sorted(str(path.relative_to(faces)) for path in faces.rglob("*"))


def doing() -> psutil.Process | None:
    """The process that does the page's tasks, if there is one."""
    for one in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            if task_runner.MODULE in one.cmdline():
                return one
    return None


def texts_of(route: Route) -> list[str]:
    """Fields that a client fills with any text."""
    return [
        field.encode_name
        for field in msgspec.structs.fields(route.takes)
        if field.name != "body" and "str" in str(field.type)
    ]


@pytest.mark.parametrize(
    "route", [one for one in table() if texts_of(one)], ids=lambda route: f"{route.method} {route.path}"
)
def test_no_path_leads_anywhere_and_no_line_break_into_a_header(tmp_path: Path, route: Route) -> None:
    (tmp_path / "secret").write_text(SECRET)
    with page_site(tmp_path, recognize={"faces": str(tmp_path / "faces")}) as page:
        for path in PATHS:
            given = dict.fromkeys(texts_of(route), path)
            asked = "/".join(
                quote(given.get(part[1:-1], "1"), safe="/") if part.startswith("{") else part
                for part in route.path.split("/")
            )
            if route.method == "GET" or route.most_bytes:
                asked += "?" + "&".join(f"{name}={quote(text)}" for name, text in given.items())
            kind = "image/jpeg" if route.most_bytes else "application/json"
            body = None if route.method == "GET" else b"x" if route.most_bytes else given
            answer = page.ask(route.method, asked, body, Content_Type=kind)
            assert answer.status in (200, 400, 401, 404, 405, 429, 503), answer
            assert "x-injected" not in answer.headers
            for secret in (SECRET.encode(), b"root:", b"SQLite format", b"PATH="):
                assert secret not in answer.body, f"{asked}: {answer}"


@pytest.mark.parametrize("path", PATHS)
def test_nothing_but_a_photo_is_shown_or_removed(page: PageSite, path: str) -> None:
    before = in_faces(page)
    shown = page.ask("GET", f"/api/picture?photo={quote(path)}")
    assert shown.status in (400, 404), shown
    assert page.ask("POST", "/api/photos/remove", {"photo": path}).status == 400
    assert in_faces(page) == before
    assert (Path(page.config.web.dir).parent / "secret").read_text() == SECRET


def test_photo_that_is_a_link_shows_nothing_and_goes_alone(page: PageSite) -> None:
    assert page.ask("GET", "/api/picture?photo=Ada/link.jpg").status == 400
    assert page.ask("POST", "/api/photos/remove", {"photo": "Ada/link.jpg"}).status == 200
    assert "Ada/link.jpg" not in in_faces(page)
    assert (Path(page.config.web.dir).parent / "secret").read_text() == SECRET


@pytest.mark.parametrize("name", NAMES)
def test_name_that_is_none_is_refused_everywhere(page: PageSite, portraits: dict[str, np.ndarray], name: str) -> None:
    before = in_faces(page)
    jpeg = cv2.imencode(".jpg", portraits["Grace Hopper"])[1].tobytes()
    for path, body in (
        ("/api/people/rename", {"old": "Ada", "new": name}),
        ("/api/people/merge", {"source": "Ada", "target": name}),
        (f"/api/people/{quote(name, safe='')}/photos", jpeg),
    ):
        kind = {"Content_Type": "image/jpeg"} if isinstance(body, bytes) else {}
        answer = page.ask("POST", path, body, **kind)
        assert answer.status in (400, 404, 405), f"{path}: {answer}"
    assert in_faces(page) == before


@pytest.mark.parametrize("name", [*NAMES[:6], "", "   ", "\u200b", "\x1b[2J", " ada", "ada\n"])
def test_user_and_token_have_names_that_can_be_printed(tmp_path: Path, name: str) -> None:
    with page_site(tmp_path) as page:
        user = page.ask("POST", "/api/users/add", {"name": name, "password": "correct horse"})
        token = page.ask("POST", "/api/tokens/add", {"name": name, "may": "look"})
        assert (user.status, token.status) == (400, 400), name
        assert page.ask("GET", "/api/who").json["has_users"] is False


@pytest.mark.parametrize("bomb", [bombs.png_bomb, bombs.heic_bomb])
def test_picture_that_is_a_bomb_gets_a_sentence_and_takes_no_memory(tmp_path: Path, bomb: Callable[[], bytes]) -> None:
    with page_process(tmp_path) as page:
        cookie, before_mb = page.logged_in("sort"), page.memory_mb
        for path in ("/api/search", "/api/people/Ada/photos"):
            answer = ask(page.port, "POST", path, bomb(), Cookie=cookie, Content_Type="image/png")
            assert answer.status == 400
            assert "megapixels; scale it down first" in answer.json["error"]
        assert page.memory_mb - before_mb < 30
        assert page.children_mb < 500


def test_picture_that_takes_too_long_is_given_up_and_the_next_is_not(
    page: PageSite, portraits: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_runner, "SHORT_S", 4.0)
    slow = page.ask("POST", "/api/people/Ada/photos", bombs.slow_jpeg(), Content_Type="image/jpeg")
    assert (slow.status, "took longer than 4 s" in slow.json["error"]) == (400, True), slow
    monkeypatch.undo()
    jpeg = cv2.imencode(".jpg", portraits["Eileen Collins"])[1].tobytes()
    assert page.ask("POST", "/api/people/Ada/photos", jpeg, Content_Type="image/jpeg").status == 200


def test_process_that_is_killed_amid_a_photo_leaves_nothing(
    page: PageSite, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    before, answers = in_faces(page), []

    def send() -> None:
        answers.append(
            page.ask("POST", "/api/people/New/photos", bombs.slow_jpeg(300), Content_Type="image/jpeg").status
        )

    thread = threading.Thread(target=send)
    thread.start()
    wait_until(lambda: doing() is not None)
    time.sleep(3.0)  # it decodes now, or imports what decodes
    process = doing()
    assert process is not None
    process.kill()
    thread.join()
    assert answers == [400]
    assert in_faces(page) == before
    assert list(temporary.iterdir()) == []


def test_page_that_is_killed_amid_a_photo_leaves_nothing_and_no_process(
    tmp_path: Path, own_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary, faces = tmp_path / "temporary", tmp_path / "faces"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))

    def send(port: int, cookie: str) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):  # the server is gone
            ask(port, "POST", "/api/people/New/photos", bombs.slow_jpeg(), Cookie=cookie, Content_Type="image/jpeg")

    with page_process(tmp_path, models=own_models) as page:
        thread = threading.Thread(target=send, args=(page.port, page.logged_in("sort")))
        thread.start()
        wait_until(lambda: page.children)
        (doing,) = page.children
        wait_until(lambda: doing.cpu_times().user > 3.0)  # it decodes
        page.kill()
        thread.join()
        wait_until(lambda: not doing.is_running() or doing.status() == psutil.STATUS_ZOMBIE)
    assert not faces.exists()
    assert list(temporary.iterdir()) == []
