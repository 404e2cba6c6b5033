"""Who gets in at the detections topic: real sockets, real keys, and what a stranger might send."""

import contextlib
import os
import socket as socket_module
import struct
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from jetstream.config import load
from jetstream.config.schema import PublishConfig
from jetstream.enroll import live_track
from jetstream.errors import PipelineError, UserError
from jetstream.events import Event
from jetstream.runtime import run_dir
from jetstream.topic import keys
from jetstream.topic.publisher import AllowList, open_topic
from tests.support.command import free_port
from tests.support.topics import SendingTopic, falls_silent, hears, listener, no_descriptor_left, subscriber
from tests.support.waiting import PATIENCE_S, wait_until


def test_allowed_key_hears_and_all_others_do_not(talking: SendingTopic, folder: Path) -> None:
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


def test_key_is_allowed_and_revoked_while_the_topic_runs(talking: SendingTopic, folder: Path) -> None:
    late, other = subscriber(folder, "late", on_list=False), subscriber(folder, "other")
    with listener(talking.settings, late) as socket, listener(talking.settings, other) as remaining:
        assert hears(remaining)
        assert not hears(socket, 0.5)
        keys.allow(folder, "late", late.public)
        # ZeroMQ gives up after a refusal, as `jetstream subscribe` would if it were told to
        with listener(talking.settings, late) as again:
            assert hears(again)
            keys.revoke(folder, "late")
            wait_until(lambda: falls_silent(again))
        while remaining.poll(0):
            remaining.recv_multipart()
        assert hears(remaining)


def test_own_user_listens_by_the_publishers_key(talking: SendingTopic, folder: Path) -> None:
    with listener(talking.settings, keys.publisher(folder)) as own:
        assert hears(own)


def test_enrolling_from_a_running_track_listens_by_the_publishers_key(folder: Path) -> None:
    event = Event(schema=1, camera="door", frame_id=1, pts_s=0.0, captured_ns=1, wall="", tracks=())
    settings = PublishConfig(endpoint=f"tcp://0.0.0.0:{free_port()}", keys=str(folder))
    with SendingTopic(settings, msgspec.msgpack.encode(event)), run_dir.claim(folder.parent / "run") as claimed:
        until_s = time.monotonic() + PATIENCE_S
        assert next(live_track._events(settings, "door", until_s, claimed)) == event
    settings = msgspec.structs.replace(settings, endpoint=f"tcp://0.0.0.0:{free_port()}")
    with (
        SendingTopic(settings, msgspec.msgpack.encode({"of": "another version"})),
        run_dir.claim(folder.parent / "run") as claimed,
        pytest.raises(PipelineError, match="another version of jetstream runs here; restart it"),
    ):
        next(live_track._events(settings, "door", time.monotonic() + PATIENCE_S, claimed))


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
    with SendingTopic(PublishConfig(endpoint=endpoint, keys=str(folder) if with_keys else "")) as talking:
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
    with socket_module.create_connection(address, timeout=PATIENCE_S) as connection, contextlib.suppress(OSError):
        connection.sendall(raw)


def memory_and_files() -> tuple[int, int]:
    process = psutil.Process()
    return process.memory_info().rss, process.num_fds()


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
