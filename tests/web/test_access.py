"""Users, sessions and tokens, and where the page may be reached from."""

import os
import stat
from pathlib import Path

import pytest

from jetstream.config import load
from jetstream.config.schema import WebConfig
from jetstream.errors import UserError
from jetstream.web import access
from jetstream.web.access import AccessStore, check_page
from jetstream.web.limits import FREE, FailedLogins
from tests.support.command import Command, fails_with

PASSWORD = "correct horse"


@pytest.fixture
def store(tmp_path: Path) -> AccessStore:
    return AccessStore(tmp_path / "web")


def log_in(store: AccessStore, name: str, password: str) -> str | None:
    """As the page does it."""
    stored = store.password_of(name)
    return store.log_in(name, stored or "", "::1", "browser") if access.fits(stored, password) else None


def test_nothing_is_made_before_somebody_is_added(store: AccessStore, tmp_path: Path) -> None:
    assert (store.has_users, store.users(), store.of_session("x"), store.of_token("x")) == (False, [], None, None)
    assert list(tmp_path.iterdir()) == []


def test_file_is_private_and_holds_no_secret(store: AccessStore, tmp_path: Path) -> None:
    store.add_user("ada", PASSWORD, "sort")
    session = log_in(store, "ada", PASSWORD)
    token = store.add_token("door", "look")
    store.close()

    assert session is not None
    for path in (tmp_path / "web").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert not any(secret.encode() in path.read_bytes() for secret in (PASSWORD, session, token)), path
    assert stat.S_IMODE((tmp_path / "web").stat().st_mode) == 0o700


def test_session_is_of_who_logged_in_until_it_ends(store: AccessStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add_user("ada", PASSWORD, "sort")
    assert log_in(store, "ada", "wrong horse") is None
    assert log_in(store, "bob", PASSWORD) is None
    token = log_in(store, "ada", PASSWORD) or ""

    caller = store.of_session(token)
    assert caller is not None
    assert (caller.name, caller.may, caller.has("look"), caller.has("rule")) == ("ada", "sort", True, False)

    now_s = access.time.time()
    monkeypatch.setattr(access.time, "time", lambda: now_s + access.IDLE_S + 1)
    assert store.of_session(token) is None


def test_removed_user_has_no_session(store: AccessStore) -> None:
    store.add_user("ada", PASSWORD, "look")
    token = log_in(store, "ada", PASSWORD) or ""
    store.remove_user("ada")

    assert store.of_session(token) is None
    assert store.sessions() == []


def test_names_are_unique_and_passwords_long_enough(store: AccessStore) -> None:
    store.add_user("ada", PASSWORD, "look")
    store.add_token("door", "look")
    with pytest.raises(UserError, match="such a user already"):
        store.add_user("ada", PASSWORD, "look")
    with pytest.raises(UserError, match="such a token already"):
        store.add_token("door", "look")
    with pytest.raises(UserError, match="8 to 1024 characters"):
        store.add_user("bob", "short", "look")


def test_users_that_another_process_adds_are_seen(store: AccessStore, tmp_path: Path) -> None:
    store.add_user("ada", PASSWORD, "look")
    os.replace(tmp_path / "web" / access.FILE, tmp_path / "web" / "away")
    assert not store.has_users
    AccessStore(tmp_path / "web").add_user("bob", PASSWORD, "rule")

    assert [user.name for user in store.users()] == ["bob"]


def test_guessing_gets_slower_and_a_right_password_ends_that() -> None:
    failed = FailedLogins()
    for _ in range(FREE):
        assert failed.wait_s("ada", "::1", 0.0) == 0
        failed.failed("ada", "::1", 0.0)
    assert failed.wait_s("ada", "::2", 0.0) == 2.0, "of the name"
    assert failed.wait_s("bob", "::1", 1.0) == 1.0, "of the address"
    assert failed.wait_s("bob", "::2", 0.0) == 0
    failed.failed("ada", "::1", 2.0)
    assert failed.wait_s("ada", "::1", 2.0) == 4.0

    failed.succeeded("ada", "::1")
    assert failed.wait_s("ada", "::1", 2.0) == 0


@pytest.mark.parametrize(
    ("web", "said"),
    [
        ({"endpoint": "http://0.0.0.0:5572"}, "would send passwords without encryption"),
        ({"endpoint": "https://0.0.0.0:5572"}, "needs web.cert and web.key"),
        ({"endpoint": "https://0.0.0.0:5572", "cert": "a"}, "needs both web.cert and web.key"),
        ({"endpoint": "http://127.0.0.1:5572", "cert": "a", "key": "b"}, "write https://127.0.0.1:5572"),
        ({"endpoint": "http://127.0.0.1:99999"}, "expected a port from 1 to 65535"),
        ({"proxies": ["proxy"]}, "expected an address"),
    ],
)
def test_page_that_is_no_secret_is_refused(web: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        load.build({"web": web}, where="test")


def test_page_for_other_machines_needs_a_user(tmp_path: Path) -> None:
    settings = WebConfig(dir=str(tmp_path / "web"), behind_proxy=True)
    with pytest.raises(UserError, match="add a user with `jetstream users add NAME`"):
        check_page(settings)

    AccessStore(tmp_path / "web").add_user("ada", PASSWORD, "rule")
    check_page(settings)

    with pytest.raises(UserError, match=r"web\.cert: .*can't be read"):
        check_page(WebConfig(dir=str(tmp_path / "web"), cert=str(tmp_path / "none"), key="x"))


def test_commands_add_list_and_remove(tmp_path: Path) -> None:
    jetstream = Command(tmp_path, tmp_path / "models")
    added = jetstream("users", "add", "ada", "--password-stdin", sets=True, stdin=f"{PASSWORD}\n")
    assert added.returncode == 0, added.stderr
    assert "ada  may rule" in jetstream("users", "list", sets=True).stdout
    token = jetstream("tokens", "new", "door", "--may", "sort", sets=True).stdout.strip()
    assert token.startswith(access.TOKEN_PREFIX)
    assert "door  may sort" in jetstream("tokens", "list", sets=True).stdout
    assert jetstream("users", "remove", "ada", sets=True).returncode == 0
    assert jetstream("tokens", "remove", "door", sets=True).returncode == 0
    assert jetstream("users", "list", sets=True).stdout == ""

    fails_with(jetstream("users", "remove", "ada", sets=True), 2, "there is no such user")
    fails_with(jetstream("tokens", "new", "x", "--may", "all", sets=True), 2, "expected one of look, sort, rule")
    fails_with(jetstream("users", "add", "bob", sets=True, stdin=""), 2, "--password-stdin")
    fails_with(jetstream("users", "add", "bob", "--password-stdin", sets=True, stdin="short\n"), 2, "8 to 1024")
