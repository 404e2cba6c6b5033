"""Every route of the table is attacked; and what the server does with a client that means no good."""

import json
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import websockets.sync.client
from websockets.exceptions import ConnectionClosed, InvalidStatus

from jetstream.gallery import audit
from jetstream.messages import InUse
from jetstream.sightings import database
from jetstream.web import guard, live
from jetstream.web.access import RIGHTS
from jetstream.web.app import MOST_BODY_BYTES
from jetstream.web.limits import FREE
from jetstream.web.routes import Route, table
from tests.support.pages import PageSite, looking, page_site
from tests.support.sightings import IDS, at, face, record

PASSWORD = "correct horse"
IMAGE = np.full((120, 160, 3), 90, np.uint8)
ROUTES = table()
GARBAGE = (
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"name": 7}',
    b'{"unknown": 1}',
    b"\xff\xfe",
    b'{"name": "' + b"x" * 5000 + b'"}',
    b"[" * 30_000,
    b'{"name": ' * 6000 + b"1",
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageSite]:
    """With a user for each right."""
    with page_site(tmp_path_factory.mktemp("page")) as page:
        for right in RIGHTS:
            page.add_user(right, PASSWORD, right)
        yield page


@pytest.fixture(scope="module")
def cookies(page: PageSite) -> dict[str, str]:
    return {right: page.logged_in(right, PASSWORD) for right in RIGHTS}


def path_of(route: Route) -> str:
    return "/".join("a" if part.startswith("{") else part for part in route.path.split("/"))


def each(routes: tuple[Route, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("route", routes, ids=lambda route: f"{route.method} {route.path}")


@each(tuple(route for route in ROUTES if route.right is not None))
def test_nobody_is_answered_without_a_session(page: PageSite, route: Route) -> None:
    for headers in ({}, {"Cookie": "jetstream=guess"}, {"Authorization": "Bearer jst_guess"}, {"Authorization": "x"}):
        answer = page.ask(route.method, path_of(route), {} if route.method != "GET" else None, **headers)
        assert (answer.status, answer.json) == (401, {"error": "log in first"})


@each(tuple(route for route in ROUTES if route.right not in (None, "look")))
def test_nobody_is_answered_with_a_lesser_right(page: PageSite, cookies: dict[str, str], route: Route) -> None:
    assert route.right is not None
    for lesser in RIGHTS[: RIGHTS.index(route.right)]:
        answer = page.ask(route.method, path_of(route), {} if route.method != "GET" else None, Cookie=cookies[lesser])
        assert answer.status == 403
        assert route.right in answer.json["error"]


@each(tuple(route for route in ROUTES if route.method != "GET"))
def test_another_site_is_refused(page: PageSite, cookies: dict[str, str], route: Route) -> None:
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ):
        answer = page.ask(route.method, path_of(route), {}, Cookie=cookies["rule"], **headers)
        assert answer.status == 403
        assert "another site" in answer.json["error"]


@each(tuple(route for route in ROUTES if route.path != "/api/logout"))
def test_garbage_gets_a_sentence(page: PageSite, cookies: dict[str, str], route: Route) -> None:
    for body in GARBAGE:
        json = {"Content_Type": "application/json"}
        asked = path_of(route) if route.method != "GET" else f"{path_of(route)}?width=x&from=%ff&most=-1"
        answer = page.ask(route.method, asked, body if route.method != "GET" else None, Cookie=cookies["rule"], **json)
        assert answer.status < 500, answer
        if answer.status >= 400:
            assert len(answer.json["error"]) > 5
    if route.method != "GET":
        form = {"Content_Type": "application/x-www-form-urlencoded", "Cookie": cookies["rule"]}
        assert page.ask(route.method, path_of(route), b"name=x", **form).status == 415
        kind = {"Content_Type": "image/jpeg" if route.most_bytes else "application/json", "Cookie": cookies["rule"]}
        most = route.most_bytes or MOST_BODY_BYTES
        assert page.ask(route.method, path_of(route), b"x" * (most + 1), **kind).status == 413


@each(tuple(route for route in ROUTES if route.most_bytes))
def test_what_is_no_picture_gets_a_sentence(page: PageSite, cookies: dict[str, str], route: Route) -> None:
    for body in (b"", b"\xff\xd8\xff" + b"x" * 1000, b"<svg/>"):
        answer = page.ask(route.method, path_of(route), body, Cookie=cookies["rule"], Content_Type="image/jpeg")
        assert answer.status == 400
        assert "picture" in answer.json["error"]
        assert "/tmp" not in answer.json["error"]


def test_nothing_is_read_of_who_may_not_send(page: PageSite) -> None:
    with socket.create_connection(("127.0.0.1", page.port), timeout=10) as client:
        head = b"POST /api/search HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: 9000000\r\n\r\n"
        client.sendall(head)
        assert client.recv(1000).startswith(b"HTTP/1.1 401"), "answered before the picture was sent"


def test_answers_have_the_guards_headers(page: PageSite) -> None:
    for path in ("/", "/app.js", "/api/who", "/api/none", "/none.js"):
        headers = page.ask("GET", path).headers
        assert {name.lower(): text for name, text in guard.HEADERS.items()}.items() <= headers.items(), path


def test_what_is_nowhere_is_404_and_what_isnt_taken_405(page: PageSite) -> None:
    assert page.ask("GET", "/api/none").status == 404
    assert page.ask("GET", "/none.js").status == 404
    assert page.ask("GET", "/../access.py").status == 404
    assert page.ask("DELETE", "/api/who").status == 405
    assert page.ask("POST", "/").status == 405
    assert page.ask("GET", "/people/Ada").status == 200, "the page itself reads its address"


def test_page_is_small_and_its_library_is_the_published_one(page: PageSite) -> None:
    import hashlib

    from jetstream.web.page_files import FOLDER, TYPES

    library = FOLDER / "vendor" / "htm-preact.js"
    assert hashlib.sha256(library.read_bytes()).hexdigest() in (FOLDER / "vendor" / "LICENSES.txt").read_text()
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.suffix in TYPES) < 160_000
    assert "script-src" not in guard.HEADERS["Content-Security-Policy"], "'self' alone: no inline script"


def test_cookie_is_out_of_reach_of_scripts_and_other_sites(page: PageSite) -> None:
    cookie = page.ask("POST", "/api/login", {"name": "look", "password": PASSWORD}).headers["set-cookie"]

    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()


def test_who_is_not_logged_in_is_told_so(page: PageSite) -> None:
    assert page.ask("GET", "/api/who").json == {"name": "", "may": None, "has_users": True, "session": ""}


def test_login_out_and_what_is_told_of_sessions(page: PageSite) -> None:
    cookie = page.logged_in("sort", PASSWORD)
    sessions = page.ask("GET", "/api/sessions", Cookie=cookie).json
    own = {"name": "sort", "may": "sort", "has_users": True, "session": sessions[0]["id"]}
    assert page.ask("GET", "/api/who", Cookie=cookie).json == own
    assert {session["user"] for session in sessions} == {"sort"}, "the own ones"

    assert page.ask("POST", "/api/logout", {}, Cookie=cookie).json["may"] is None
    assert page.ask("GET", "/api/sessions", Cookie=cookie).status == 401
    lines = [line for line in audit.lines(Path(page.config.models.dir)) if line.what == "login"]
    assert any(line.who.endswith(" by sort") for line in lines)


def test_token_asks_without_a_cookie(page: PageSite, cookies: dict[str, str]) -> None:
    made = page.ask("POST", "/api/tokens/add", {"name": "door", "may": "look"}, Cookie=cookies["rule"]).json["token"]

    assert page.ask("GET", "/api/cameras", Authorization=f"Bearer {made}").status == 200
    assert page.ask("GET", "/api/users", Authorization=f"Bearer {made}").status == 403
    assert page.ask("POST", "/api/tokens/remove", {"name": "door"}, Cookie=cookies["rule"]).status == 200
    assert page.ask("GET", "/api/cameras", Authorization=f"Bearer {made}").status == 401


def test_guessing_a_password_has_to_wait(page: PageSite) -> None:
    for _ in range(FREE):
        assert page.ask("POST", "/api/login", {"name": "eve", "password": "guess"}).json == {
            "error": "wrong name or password"
        }
    waits = page.ask("POST", "/api/login", {"name": "eve", "password": "guess"})

    assert waits.status == 429
    assert int(waits.headers["retry-after"]) >= 1
    page.site.failed_logins.succeeded("eve", "127.0.0.1")


def test_page_that_others_reach_answers_nobody_once_the_last_user_is_removed(tmp_path: Path) -> None:
    with page_site(tmp_path, web={"behind_proxy": True}) as page:
        page.add_user("ada", PASSWORD)
        with page.site.access() as access:
            access.remove_user("ada")
        assert page.ask("GET", "/api/cameras", Host="localhost").status == 401, "which another machine can say, too"


def test_without_users_this_machine_alone_is_answered(tmp_path: Path) -> None:
    with page_site(tmp_path) as page:
        assert page.ask("GET", "/api/who").json == {"name": "", "may": "rule", "has_users": False, "session": ""}
        for host in ("evil.example", "evil.example:5572", "192.168.1.5"):
            assert page.ask("GET", "/api/cameras", Host=host).status == 401, "a name that points here (DNS rebinding)"


def test_picture_is_of_the_newest_frame_in_the_size_asked_for(page: PageSite, cookies: dict[str, str]) -> None:
    import cv2

    assert page.ask("GET", "/api/cameras/none/picture", Cookie=cookies["look"]).status == 404
    page.show(IMAGE)
    answer = page.ask("GET", "/api/cameras/a/picture?width=80", Cookie=cookies["look"])

    image = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)
    assert (answer.headers["content-type"], image.shape) == ("image/jpeg", (120, 160, 3))


def picture(socket: "websockets.sync.client.ClientConnection", timeout: float = 10.0) -> tuple[dict[str, Any], bytes]:
    """Header and JPEG of the next picture."""
    while isinstance(message := socket.recv(timeout=timeout), str):
        assert "news" in json.loads(message)
    (size,) = struct.unpack("<I", message[:4])
    return json.loads(message[4 : 4 + size]), message[4 + size :]


def test_pictures_come_with_their_faces_and_as_many_as_were_granted(page: PageSite, cookies: dict[str, str]) -> None:
    with looking(page, Cookie=cookies["look"]) as socket:
        shown = page.show(IMAGE, face(None, "Ada", box=(10.0, 20.0, 50.0, 60.0)))
        socket.send('{"show": [{"camera": "a"}, {"camera": "none"}], "credits": 1}')
        header, jpeg = picture(socket)
        assert (header["camera"], header["frame"], header["width"], header["height"]) == ("a", shown, 160, 120)
        assert [(one["name"], one["box"]) for one in header["faces"]] == [("Ada", [10, 20, 50, 60])]
        assert jpeg[:2] == b"\xff\xd8"

        page.show(IMAGE)
        newest = page.show(IMAGE)
        with pytest.raises(TimeoutError):
            picture(socket, timeout=0.3)
        socket.send('{"credits": 1}')
        assert picture(socket)[0]["frame"] == newest, "the newest one, not the oldest"


def test_news_tell_of_a_sighting_within_a_second_and_of_a_gallery(page: PageSite, cookies: dict[str, str]) -> None:
    def told() -> dict[str, Any]:
        message = socket.recv(timeout=10)
        assert isinstance(message, str)
        news: dict[str, Any] = json.loads(message)["news"]
        return news

    with looking(page, Cookie=cookies["look"]) as socket:
        assert told() == {"sightings": "", "gallery": None}
        record(page.config, [at(second, face(IDS[0], "Ada")) for second in range(3)])
        since_s = time.monotonic()
        first = told()["sightings"]
        assert time.monotonic() - since_s < 1.0
        record(page.config, [at(second, face(IDS[1], "Bob")) for second in range(50, 53)])
        then = told()["sightings"]
        page.site.news.in_use = InUse(sha256="ab" * 32, people=3, photos=9)
        assert told() == {"sightings": then, "gallery": {"sha256": "ab" * 32, "people": 3, "photos": 9}}
        assert first.partition(".")[0] == then.partition(".")[0], "the same database"
        assert "" != first != then
        with pytest.raises(TimeoutError):
            socket.recv(timeout=1.0)
        path = database.path_in(Path(page.config.sightings.dir))
        path.write_bytes(b"damaged" * 900)
        with pytest.raises(TimeoutError):
            socket.recv(timeout=1.0)
        path.unlink()
        assert told()["sightings"] == ""


def test_database_is_looked_at_while_somebody_has_the_page_open_only(tmp_path: Path) -> None:
    with page_site(tmp_path) as page:
        looks = []
        page.site.news._sightings = lambda: looks.append(1) or page.site.sightings()  # type: ignore[func-returns-value]
        with looking(page) as one, looking(page) as other:
            one.recv(timeout=10)
            other.recv(timeout=10)
            time.sleep(1.0)
        assert 2 <= len(looks) <= 5, "once for both"
        time.sleep(0.5)
        looks.clear()
        time.sleep(0.5)
        assert looks == []


def test_socket_is_refused_to_strangers_and_other_sites(page: PageSite, cookies: dict[str, str]) -> None:
    for headers in ({}, {"Cookie": "jetstream=guess"}, {"Cookie": cookies["look"], "Origin": "http://evil.example"}):
        with pytest.raises((InvalidStatus, ConnectionClosed)), looking(page, **headers) as socket:
            socket.recv(timeout=10)


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "{",
        '{"credits": -1}',
        '{"credits": 99}',
        '{"show": [{"camera": "a", "width": 0}]}',
        b"\x00\x01",
        "x" * 70_000,
    ],
)
def test_what_is_no_demand_ends_the_socket(page: PageSite, cookies: dict[str, str], sent: str | bytes) -> None:
    with looking(page, Cookie=cookies["look"]) as socket:
        socket.send(sent)
        with pytest.raises(ConnectionClosed):
            picture(socket)
    assert page.ask("GET", "/api/who").status == 200


def test_more_viewers_than_there_is_room_for_are_sent_away(
    page: PageSite, cookies: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MOST_VIEWERS", 0)
    with pytest.raises((InvalidStatus, ConnectionClosed)), looking(page, Cookie=cookies["look"]) as socket:
        socket.recv(timeout=10)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00" * 100,
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(page: PageSite, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", page.port), timeout=10) as client:
        client.sendall(sent)
        answer = client.recv(1000)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer
    assert page.ask("GET", "/api/who").status == 200
