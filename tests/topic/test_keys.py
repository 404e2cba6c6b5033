"""Key files, and who gets in at the detections topic: real sockets, real keys, and what a stranger might send."""

import contextlib
import os
import resource
import socket as socket_module
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest
import zmq

from jetstream.cli.keys import new_key
from jetstream.config import load
from jetstream.config.schema import PublishConfig
from jetstream.enroll import live_track
from jetstream.errors import PipelineError, UserError
from jetstream.events import Event
from jetstream.runtime import run_dir
from jetstream.topic import keys
from jetstream.topic import subscriber as top
from jetstream.topic.publisher import AllowList, Topic, bind, open_topic
from jetstream.topic.zap import ADDRESS, DOMAIN, ZapAuthenticator
from tests.support.command import Command, free_port
from tests.support.inside import Inside
from tests.support.repository import DEMO

PATIENCE_S = 120.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of keys with the publisher's pair."""
    keys.new(tmp_path / "keys" / keys.PUBLISHER, "publisher")
    return tmp_path / "keys"


@pytest.fixture
def talking(folder: Path) -> Iterator["Talking"]:
    with Talking(PublishConfig(endpoint=f"tcp://127.0.0.1:{free_port()}", keys=str(folder))) as talking:
        yield talking


class Talking:
    """A topic that sends all the time, as a pipeline does, from a thread of its own."""

    def __init__(self, settings: PublishConfig, body: bytes = b"secret") -> None:
        self.settings, self._body = settings, body
        self._topic = Topic(settings)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._talk)

    def _talk(self) -> None:
        while not self._ended.wait(0.01):
            self._topic.send(b"detections.door", self._body)
        self._topic.close()

    def __enter__(self) -> "Talking":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def listener(settings: PublishConfig, pair: keys.KeyFile | None, server: str | None = None) -> "zmq.Socket[bytes]":
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    socket.set(zmq.LINGER, 0)
    if pair is not None:
        pair.authenticate(socket, server or keys.publisher(Path(settings.keys)).public)
    socket.subscribe(b"")
    socket.connect(settings.endpoint)
    return socket


def hears(socket: "zmq.Socket[bytes]", within_s: float = PATIENCE_S) -> bool:
    return bool(socket.poll(int(within_s * 1000)))


def subscriber(folder: Path, name: str, *, on_list: bool = True) -> keys.KeyFile:
    pair = keys.new(folder.parent / f"{name}.key", name, keys.publisher(folder).public)
    if on_list:
        keys.allow(folder, name, pair.public)
    return pair


def test_allowed_key_hears_and_all_others_do_not(talking: Talking, folder: Path) -> None:
    wrong_server = keys.new(folder.parent / "other" / keys.PUBLISHER, "publisher").public
    friend = subscriber(folder, "friend")
    with (
        listener(talking.settings, friend) as allowed,
        listener(talking.settings, subscriber(folder, "stranger", on_list=False)) as not_on_list,
        listener(talking.settings, None) as without_key,
        listener(talking.settings, friend, wrong_server) as wrong,
    ):
        assert hears(allowed)
        assert not hears(not_on_list, 1.0)
        assert not hears(without_key, 0.1)
        assert not hears(wrong, 0.1)


def test_key_is_allowed_and_revoked_while_the_topic_runs(talking: Talking, folder: Path) -> None:
    late, other = subscriber(folder, "late", on_list=False), subscriber(folder, "other")
    with listener(talking.settings, late) as socket, listener(talking.settings, other) as remaining:
        assert hears(remaining)
        assert not hears(socket, 0.5)
        keys.allow(folder, "late", late.public)
        # ZeroMQ gives up after a refusal, as `jetstream subscribe` would if it were told to
        with listener(talking.settings, late) as again:
            assert hears(again)
            keys.revoke(folder, "late")
            time.sleep(0.3)
            while again.poll(0):  # what came before
                again.recv_multipart()
            assert not hears(again, 1.0)
        while remaining.poll(0):
            remaining.recv_multipart()
        assert hears(remaining)


def test_own_user_listens_by_the_publishers_key(talking: Talking, folder: Path) -> None:
    with listener(talking.settings, keys.publisher(folder)) as own:
        assert hears(own)


def test_enrolling_from_a_running_track_listens_by_the_publishers_key(folder: Path) -> None:
    event = Event(schema=1, camera="door", frame_id=1, pts_s=0.0, captured_ns=1, wall="", tracks=())
    settings = PublishConfig(endpoint=f"tcp://0.0.0.0:{free_port()}", keys=str(folder))
    with Talking(settings, msgspec.msgpack.encode(event)), run_dir.claim(folder.parent / "run") as claimed:
        until_s = time.monotonic() + PATIENCE_S
        assert next(live_track._events(settings, "door", until_s, claimed)) == event
    settings = msgspec.structs.replace(settings, endpoint=f"tcp://0.0.0.0:{free_port()}")
    with (
        Talking(settings, msgspec.msgpack.encode({"of": "another version"})),
        run_dir.claim(folder.parent / "run") as claimed,
        pytest.raises(PipelineError, match="another version of jetstream runs here; restart it"),
    ):
        next(live_track._events(settings, "door", time.monotonic() + PATIENCE_S, claimed))


def test_subscriber_is_told_why_nothing_comes(talking: Talking, folder: Path) -> None:
    stranger = subscriber(folder, "stranger", on_list=False)
    assert "refused: the key stranger is not on its list" in refusal(talking.settings.endpoint, stranger)
    assert "refused: the publisher asks for a key" in refusal(talking.settings.endpoint, None)
    other = keys.new(folder.parent / "other.key", "other", stranger.public)
    assert "refused: the publisher has no keys, or not the one that other expects" in refusal(
        talking.settings.endpoint, other
    )


def test_subscriber_is_told_that_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top, "QUIET_S", 0.3)
    address = f"tcp://127.0.0.1:{free_port()}"
    assert f"{address}: no message so far; still waiting" in refusal(address, None)
    assert f"{address}: no message of camera door so far" in refusal(address, None, "door")


def refusal(endpoint: str, key: keys.KeyFile | None, camera: str = "") -> str:
    def tell(why: str) -> None:
        raise PermissionError(why)

    with pytest.raises(PermissionError) as told:
        next(top.detections(endpoint, camera, key, tell))
    return str(told.value)


def test_topic_without_its_authenticator_lets_nobody_in(folder: Path) -> None:
    settings = PublishConfig(endpoint=f"tcp://127.0.0.1:{free_port()}", keys=str(folder))
    with ZapAuthenticator(lambda _: True) as authenticator:
        socket = bind(settings, authenticator)
    with socket, listener(settings, subscriber(folder, "friend")) as friend:
        for _ in range(20):
            socket.send_multipart([b"detections.door", b"secret"])
            assert not friend.poll(50)


@pytest.mark.parametrize(
    "question",
    [
        [],
        [b"1.0"],
        [b"1.0", b"1", DOMAIN, b"", b"", b"NULL"],
        [b"1.0", b"1", DOMAIN, b"", b"", b"PLAIN", b"me", b"secret"],
        [b"1.0", b"1", b"other", b"", b"", b"CURVE", bytes(32)],
        [b"2.0", b"1", DOMAIN, b"", b"", b"CURVE", bytes(32)],
        [b"1.0", b"1", DOMAIN, b"", b"", b"CURVE"],
        [b"1.0", b"1", DOMAIN, b"", b"", b"CURVE", bytes(32), bytes(32)],
    ],
)
def test_authenticator_refuses_what_is_no_curve_client_of_ours(question: list[bytes]) -> None:
    with ZapAuthenticator(lambda _: True) as authenticator:
        assert authenticator.answer(question)[2] == b"400"
        assert authenticator.answer([b"1.0", b"1", DOMAIN, b"", b"", b"CURVE", bytes(32)])[2] == b"200"


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    """As in a flood of connections: nothing can be opened."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_authenticator_goes_on_after_a_moment_in_which_no_file_could_be_opened(folder: Path) -> None:
    friend = bytes.fromhex(subscriber(folder, "friend").public)
    allowed = AllowList(folder)

    def is_allowed(public: bytes) -> bool:
        if public == b"its list is away":
            raise OSError
        return allowed.has(public)

    with ZapAuthenticator(is_allowed), zmq.Context.instance().socket(zmq.REQ) as gate:

        def answer(public: bytes) -> bytes:
            gate.send_multipart([b"1.0", b"1", DOMAIN, b"", b"", b"CURVE", public])
            assert gate.poll(int(PATIENCE_S * 1000)), "the authenticator is gone"
            return gate.recv_multipart()[2]

        gate.connect(ADDRESS)
        assert answer(friend) == b"200"
        with no_descriptor_left():
            assert answer(friend) == b"400"
        assert answer(b"its list is away") == b"400"
        assert answer(friend) == b"200"


def test_whoever_was_let_in_is_missed_even_if_the_list_changed_unseen(folder: Path) -> None:
    """No frame, no look: here somebody comes and goes between two of them, and there the list couldn't be read."""
    friend = bytes.fromhex(subscriber(folder, "friend").public)
    allowed = AllowList(folder)
    keys.revoke(folder, "friend")
    assert not allowed.has_revoked(), "it never came in"
    for _ in range(2):
        keys.allow(folder, "friend", friend.hex())
        assert allowed.has(friend)
        with no_descriptor_left():
            assert allowed.has_revoked()
        assert allowed.has(friend)
        keys.revoke(folder, "friend")
        assert allowed.has_revoked()
        assert not allowed.has_revoked()


def greeting() -> bytes:
    """A ZMTP 3.1 peer without security (RFC 37), up to where it says what it is."""
    return b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)


RAW = {
    "nothing": b"",
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 50,
    "zeros": bytes(100_000),
    "ones": b"\xff" * 100_000,
    "random": os.urandom(100_000),
    "a truncated greeting": greeting()[:40],
    "a frame of 2^63 bytes": greeting() + b"\x02" + struct.pack(">Q", 1 << 63),
    "a subscription of 100 MB, announced": greeting()
    + b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB"
    + b"\x02"
    + struct.pack(">Q", 100 << 20)
    + b"\x01" * 1_000_000,
    "a command cut off": greeting() + b"\x04\xff\x05READY",
}


@pytest.mark.parametrize("with_keys", [False, True])
def test_garbage_on_the_socket_hurts_nobody_and_leaves_nothing(folder: Path, with_keys: bool) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with Talking(PublishConfig(endpoint=endpoint, keys=str(folder) if with_keys else "")) as talking:
        friend = listener(talking.settings, subscriber(folder, "friend") if with_keys else None)
        assert hears(friend)
        address = ("127.0.0.1", int(endpoint.rpartition(":")[2]))
        before = memory_and_files()
        for lap in range(11):
            for raw in RAW.values():
                throw(address, raw)
            if lap == 0:
                before = memory_and_files()  # once warm
        after = memory_and_files()
        while friend.poll(0):
            friend.recv_multipart()
        assert hears(friend)
        friend.close(linger=0)
    assert after[0] - before[0] < 20 << 20
    assert after[1] - before[1] < 15  # the last ones may still be waiting for the end of their handshake


def throw(address: tuple[str, int], raw: bytes) -> None:
    # an error says that it was thrown out already
    with socket_module.create_connection(address, timeout=5) as connection, contextlib.suppress(OSError):
        connection.sendall(raw)


def memory_and_files() -> tuple[int, int]:
    process = psutil.Process()
    return process.memory_info().rss, process.num_fds()


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
def test_what_is_too_long_for_a_file_is_no_key(tmp_path: Path, words: tuple[str, ...]) -> None:
    result = Inside(tmp_path, tmp_path)("keys", *words)
    assert result.returncode == 2
    assert "xxx: neither a public key (64 hexadecimal digits) nor a key file" in result.stderr


def test_socket_path_that_is_too_long_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 120)
    with pytest.raises(UserError, match=rf"^publish\.endpoint: ipc://{path}: File name too long; choose another"):
        open_topic(PublishConfig(endpoint=f"ipc://{path}"))


@pytest.mark.parametrize(
    "endpoint",
    ["tcp://0.0.0.0:5570", "tcp://*:5570", "tcp://192.0.2.1:5570", "tcp://[::]:5570", "tcp://127.evil.example:5570"],
)
def test_other_address_needs_keys_and_the_sentence_says_how(endpoint: str) -> None:
    with pytest.raises(UserError, match=r"only this machine may listen.*jetstream keys new.*keys allow.*publish\.keys"):
        load.build({"publish": {"endpoint": endpoint}}, where="c")
    assert load.build({"publish": {"endpoint": endpoint, "keys": "keys"}}, where="c").publish.keys == "keys"


@pytest.mark.parametrize(
    "endpoint", ["tcp://127.0.0.1:5570", "tcp://[::1]:5570", "tcp://localhost:5570", "ipc:///tmp/t"]
)
def test_own_machine_needs_no_keys(endpoint: str) -> None:
    load.build({"publish": {"endpoint": endpoint}}, where="c")


def test_keys_that_are_missing_end_the_start_with_the_remedy(tmp_path: Path, models_dir: Path) -> None:
    jetstream = Command(tmp_path, models_dir)
    result = jetstream("run", DEMO, "--headless", "--set", "publish.keys=keys", sets=True)
    assert result.returncode == 2
    assert "keys/publisher.key: No such file or directory; `jetstream keys new` makes keys" in result.stderr


@pytest.mark.pipeline
def test_commands_make_allow_list_and_revoke_keys_for_a_running_pipeline(tmp_path: Path, models_dir: Path) -> None:
    jetstream = Command(tmp_path, models_dir)
    server = jetstream("keys", "new").stdout.strip()
    public = jetstream("keys", "new", "dashboard").stdout.strip()
    assert msgspec.json.decode((tmp_path / "dashboard.key").read_bytes())["server"] == server
    assert jetstream("keys", "allow", "dashboard", public).returncode == 0
    assert jetstream("keys", "list").stdout == f"publisher {server}\ndashboard {public}\n"

    with jetstream.running(DEMO, "--headless", "--set", "publish.keys=keys"):
        subscribe = [sys.executable, "-m", "jetstream.cli", "subscribe", jetstream.endpoint]
        refused = subprocess.Popen(subscribe, env=jetstream.environment, stderr=subprocess.PIPE, text=True)
        assert refused.stderr is not None
        assert "refused: the publisher asks for a key" in refused.stderr.readline()
        refused.kill()
        refused.communicate()
        key = keys.read(tmp_path / "dashboard.key")
        assert next(top.detections(jetstream.endpoint, key=key))["camera"] == "demo"
        assert jetstream("keys", "revoke", "dashboard").returncode == 0
    secrets = [keys.read(tmp_path / name).secret for name in ("dashboard.key", "keys/publisher.key")]
    assert not any(secret in jetstream.log() for secret in secrets)
    assert "not on the list of keys; there are: nobody" in jetstream("keys", "revoke", "dashboard").stderr
    assert "there is a key already" in jetstream("keys", "new").stderr
