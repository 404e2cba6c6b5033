"""Key files, the list of who may listen, and the commands that make them."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from jetstream.cli.keys import new_key
from jetstream.errors import UserError
from jetstream.topic import keys
from jetstream.topic import subscriber as top
from tests.support.inside import Inside
from tests.support.repository import DEMO
from tests.support.topics import subscriber


def test_key_files_are_private_and_others_are_refused(folder: Path) -> None:
    path = folder / keys.PUBLISHER
    assert path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    for mode in (0o644, 0o640, 0o604, 0o660):
        path.chmod(mode)
        with pytest.raises(UserError, match=f"others can read it .mode {mode:04o}.; run `chmod 600"):
            keys.publisher(folder)
    path.chmod(0o400)
    assert keys.publisher(folder).name == "publisher"


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 99, b"[" * 5000, b'{"name":"a","public":"x","secret":"y"}'])
def test_damaged_key_file_is_said_and_its_content_is_not(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(UserError, match=r"a\.key: not a key file; `jetstream keys new` makes one$"):
        keys.read(path)


def test_secret_is_in_no_repr(folder: Path) -> None:
    pair = keys.publisher(folder)
    assert pair.secret not in f"{pair!r} {pair} {[pair]}"


def test_what_others_may_write_or_is_damaged_allows_nobody(folder: Path) -> None:
    friend = subscriber(folder, "friend")
    path = folder / keys.ALLOWED / "friend.pub"
    assert keys.allowed(folder) == {"friend": bytes.fromhex(friend.public)}
    path.chmod(0o666)
    assert keys.allowed(folder) == {}
    path.chmod(0o600)
    (folder / keys.ALLOWED / "bad.pub").write_bytes(os.urandom(64))
    (folder / keys.ALLOWED / "link.pub").symlink_to(path)
    assert list(keys.allowed(folder)) == ["friend"]


def test_what_is_another_users_or_no_key_in_length_allows_nobody(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    friend = subscriber(folder, "friend")
    listed = folder / keys.ALLOWED
    (listed / "long.pub").write_text(friend.public + "\n" * keys.LARGEST_BYTES)
    (listed / "space.pub").write_text(friend.public + "\x1e")  # a space to `re`, and none to bytes.fromhex
    os.mkfifo(listed / "fifo.pub", 0o600)
    assert list(keys.allowed(folder)) == ["friend", "space"]
    listed.chmod(0o770)
    assert keys.allowed(folder) == {}
    with pytest.raises(UserError, match=rf"late\.pub: has no effect.*chmod 700 {listed}"):
        keys.allow(folder, "late", "ab" * 32)
    listed.chmod(0o700)
    for path in (listed / "friend.pub", listed):
        assert "friend" in keys.allowed(folder)
        with somebody_elses(path, monkeypatch):
            assert "friend" not in keys.allowed(folder)


@contextlib.contextmanager
def somebody_elses(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Only root can give a file away; for anybody else, who asks becomes another user."""
    own = os.getuid()
    if own != 0:
        with monkeypatch.context() as patch:
            patch.setattr(os, "getuid", lambda: own + 1)
            yield
        return
    os.chown(path, 65534, -1)
    yield
    os.chown(path, own, -1)


@contextlib.contextmanager
def not_to_be_entered(folder: Path) -> Iterator[None]:
    """By this user; root, whom no mode stops, becomes another one."""
    folder.chmod(0)
    if os.geteuid() == 0:
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        yield
    folder.chmod(0o700)


def test_folder_that_may_not_be_entered_is_a_sentence(folder: Path) -> None:
    subscriber(folder, "friend")
    with not_to_be_entered(folder):
        assert keys.allowed(folder) == {}
        with pytest.raises(UserError, match=r"neither a public key .* nor a key file"):
            keys.check_public(str(folder / keys.PUBLISHER))
        with pytest.raises(UserError, match=r"publisher\.key: not here, so --server is needed"):
            new_key("bob", "", folder)


@pytest.mark.parametrize("words", [("allow", "bob", "x" * 300), ("new", "bob", "--server", "x" * 300)])
def test_what_is_too_long_for_a_file_is_no_key(jetstream: Inside, words: tuple[str, ...]) -> None:
    result = jetstream("keys", *words)
    assert result.returncode == 2
    assert "xxx: neither a public key (64 hexadecimal digits) nor a key file" in result.stderr


def test_keys_that_are_missing_end_the_start_with_the_remedy(tmp_path: Path, jetstream: Inside) -> None:
    result = jetstream("run", DEMO, "--headless", "--set", "publish.keys=keys", sets=True)
    assert result.returncode == 2
    assert "keys/publisher.key: No such file or directory; `jetstream keys new` makes keys" in result.stderr


@pytest.mark.pipeline
def test_commands_make_allow_list_and_revoke_keys_for_a_running_pipeline(tmp_path: Path, jetstream: Inside) -> None:
    server = jetstream.outside("keys", "new").stdout.strip()
    public = jetstream("keys", "new", "dashboard").stdout.strip()
    assert msgspec.json.decode((tmp_path / "dashboard.key").read_bytes())["server"] == server
    assert jetstream("keys", "allow", "dashboard", public).returncode == 0
    assert jetstream("keys", "list").stdout == f"publisher {server}\ndashboard {public}\n"

    with jetstream.running(DEMO, "--headless", "--set", "publish.keys=keys"):
        subscribe = [sys.executable, "-m", "jetstream.cli", "subscribe", jetstream.endpoint]
        refused = subprocess.Popen(subscribe, env=jetstream.environment, stderr=subprocess.PIPE, text=True)
        assert refused.stderr is not None
        assert "refused: the publisher requires a key" in refused.stderr.readline()
        refused.kill()
        refused.communicate()
        key = keys.read(tmp_path / "dashboard.key")
        assert next(top.detections(jetstream.endpoint, key=key))["camera"] == "demo"
        assert jetstream("keys", "revoke", "dashboard").returncode == 0
    secrets = [keys.read(tmp_path / name).secret for name in ("dashboard.key", "keys/publisher.key")]
    assert not any(secret in jetstream.log() for secret in secrets)
    assert "not on the list of keys; there are: nobody" in jetstream("keys", "revoke", "dashboard").stderr
    assert "there is a key already" in jetstream("keys", "new").stderr
