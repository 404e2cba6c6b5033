"""The file with users is damaged, locked, read-only or away: who may not stays outside, and nobody gets a 500."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from jetstream.web import access, access_file, live
from jetstream.web.access import AccessStore
from jetstream.web.access_file import AccessFileError
from tests.support.command import Command, fails_with
from tests.support.other_user import give_away, without_rights
from tests.support.pages import PageSite, looking, page_site
from tests.support.waiting import wait_until

PASSWORD = "correct horse"


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PageSite]:
    monkeypatch.setattr(access_file, "WAIT_S", 0.1)
    with page_site(tmp_path) as page:
        for name in ("ada", "bob"):
            page.add_user(name, PASSWORD, "sort")
        yield page


def file_of(page: PageSite) -> Path:
    return Path(page.config.web.dir) / access.FILE


def garbled(path: Path) -> "AbstractContextManager[None]":
    path.write_bytes(b"no database" * 900)
    return nullcontext()


def torn(path: Path) -> "AbstractContextManager[None]":
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    return nullcontext()


def is_folder(path: Path) -> "AbstractContextManager[None]":
    path.unlink()
    path.mkdir()
    return nullcontext()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    yield
    other.close()


@contextmanager
def forbidden(path: Path) -> Iterator[None]:
    give_away(path.parent)
    path.parent.chmod(0)
    with without_rights():
        yield
    path.parent.chmod(0o700)


@pytest.mark.parametrize(
    ("harm", "is_open"),
    [
        *((harm, True) for harm in (garbled, is_folder, locked, forbidden)),
        *((harm, False) for harm in (garbled, torn, is_folder, locked, forbidden)),
    ],
)
def test_nobody_is_let_in_and_everybody_gets_a_sentence(
    page: PageSite, harm: Callable[[Path], "AbstractContextManager[None]"], is_open: bool
) -> None:
    cookie, path = page.logged_in("ada", PASSWORD), file_of(page)
    if not is_open:  # what is open has the pages that it read
        page.site._access.close()
    with harm(path):
        for method, route, body in (
            ("GET", "/api/cameras", None),
            ("GET", "/api/who", None),
            ("GET", "/api/users", None),
            ("POST", "/api/login", {"name": "ada", "password": PASSWORD}),
            ("POST", "/api/logout", {}),
        ):
            answer = page.ask(method, route, body, Cookie=cookie)
            assert answer.status == 503, f"{route}: {answer}"
            assert "who may use the page" in answer.json["error"]
            assert str(path.parent) not in answer.json["error"], "strangers get no path"
        with pytest.raises((InvalidStatus, ConnectionClosed)), looking(page, Cookie=cookie) as viewer:
            viewer.recv(timeout=20)
        assert page.ask("GET", "/").status == 200, "the page itself says so"


def test_locked_file_is_used_again_afterwards(page: PageSite) -> None:
    cookie = page.logged_in("ada", PASSWORD)
    with locked(file_of(page)):
        assert page.ask("GET", "/api/cameras", Cookie=cookie).status == 503
    assert page.ask("GET", "/api/cameras", Cookie=cookie).status == 200


def test_who_is_logged_in_goes_on_where_nothing_can_be_written(page: PageSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "SEEN_EVERY_S", -1)
    cookie = page.logged_in("ada", PASSWORD)
    other = sqlite3.connect(file_of(page), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # others may read, but not write
    try:
        assert page.ask("GET", "/api/cameras", Cookie=cookie).status == 200
        login = page.ask("POST", "/api/login", {"name": "ada", "password": PASSWORD})
        assert (login.status, "the log says why" in login.json["error"]) == (503, True)
    finally:
        other.close()


def test_page_for_others_lets_nobody_in_when_its_last_user_is_gone(tmp_path: Path) -> None:
    with page_site(tmp_path, web={"behind_proxy": True}) as page:
        page.add_user("ada", PASSWORD)
        file_of(page).unlink()
        assert page.ask("GET", "/api/cameras", Host="127.0.0.1").status == 401, "a Host that anybody can write"
        assert page.ask("POST", "/api/users/add", {"name": "eve", "password": PASSWORD}).status == 401


def test_proxy_that_the_config_does_not_know_of_opens_the_page_to_nobody(tmp_path: Path) -> None:
    with page_site(tmp_path) as page:
        assert page.ask("GET", "/api/cameras").status == 200
        for name in ("X_Forwarded_For", "Forwarded", "Via", "X_Real_IP"):
            assert page.ask("GET", "/api/cameras", **{name: "203.0.113.5"}).status == 401, name


def test_viewer_whose_session_ends_sees_nothing_more(page: PageSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "CHECK_EVERY_S", 0.1)
    with looking(page, Cookie=page.logged_in("ada", PASSWORD)) as viewer:
        viewer.recv(timeout=20)
        with page.site.access() as store:
            store.remove_user("ada")
        with pytest.raises(ConnectionClosed, match="log in first"):
            viewer.recv(timeout=20)
    wait_until(lambda: page.site.viewers == 0)


def test_sessions_end_with_their_user_after_30_days_and_by_their_own_hand(
    page: PageSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, bobs = (page.logged_in(name, PASSWORD) for name in ("ada", "ada", "bob"))

    def status(cookie: str) -> int:
        return page.ask("GET", "/api/cameras", Cookie=cookie).status

    told = page.ask("GET", "/api/sessions", Cookie=first).json
    assert {one["user"] for one in told} == {"ada"}
    for one in told:
        stolen = page.ask("POST", "/api/sessions/end", {"id": one["id"], "user": "ada"}, Cookie=bobs)
        assert (stolen.status, "who may rule alone" in stolen.json["error"]) == (400, True)
    newest = page.ask("GET", "/api/sessions", Cookie=second).json
    for one in newest:
        page.ask("POST", "/api/sessions/end", {"id": one["id"], "user": "ada"}, Cookie=second)
    assert {status(first), status(second)} & {401}
    assert status(bobs) == 200

    with page.site.access() as store:
        store.remove_user("bob")
    assert status(bobs) == 401

    store = AccessStore(Path(page.config.web.dir))
    token = store.log_in("ada", store.password_of("ada") or "", "", "")
    assert token
    now_s = access.time.time()
    for day in range(1, 31):  # used every day
        monkeypatch.setattr(access.time, "time", lambda day=day: now_s + day * 86400 - 1)
        assert store.of_session(token) is not None, day
    monkeypatch.setattr(access.time, "time", lambda: now_s + access.LONGEST_S + 1)
    assert store.of_session(token) is None
    store.close()


def test_nobody_raises_their_own_right(page: PageSite) -> None:
    cookie = page.logged_in("ada", PASSWORD)
    for route, body in (
        ("/api/users/add", {"name": "eve", "password": PASSWORD, "may": "rule"}),
        ("/api/users/remove", {"name": "bob"}),
        ("/api/tokens/add", {"name": "eve", "may": "rule"}),
    ):
        assert page.ask("POST", route, body, Cookie=cookie).status == 403
    page.add_user("eva", PASSWORD, "rule")
    taken = page.ask(
        "POST",
        "/api/users/add",
        {"name": "ada", "password": "another one", "may": "look"},
        Cookie=page.logged_in("eva", PASSWORD),
    )
    assert (taken.status, "such a user already" in taken.json["error"]) == (400, True)
    assert page.ask("GET", "/api/who", Cookie=cookie).json["may"] == "sort"


def test_commands_say_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    store = AccessStore(tmp_path / "web")
    store.add_user("ada", PASSWORD, "rule")
    store.close()
    garbled(tmp_path / "web" / access.FILE)
    jetstream = Command(tmp_path, tmp_path / "models")

    fails_with(jetstream("users", "list", sets=True), 2, "access.db: file is not a database; see that this user")
    with pytest.raises(AccessFileError):
        AccessStore(tmp_path / "web").has_users  # noqa: B018
    os.replace(tmp_path / "web" / access.FILE, tmp_path / "web" / "away")
