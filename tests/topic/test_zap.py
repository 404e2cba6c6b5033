"""Who is let in, asked as ZeroMQ asks."""

from pathlib import Path

import pytest
import zmq

from jetstream.config.schema import PublishConfig
from jetstream.topic.publisher import AllowList, bind
from jetstream.topic.zap import ADDRESS, DOMAIN, ZapAuthenticator
from tests.support.command import free_port
from tests.support.topics import listener, no_descriptor_left, subscriber
from tests.support.waiting import PATIENCE_S


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
