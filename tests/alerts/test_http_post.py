"""One POST to real servers that hang, lie, cut off and redirect."""

import socket
import ssl
from pathlib import Path

import pytest

from jetstream.alerts import http_post
from jetstream.alerts.http_post import HttpAnswer, HttpTarget, PostError, post
from tests.support.certificates import certificate
from tests.support.receivers import (
    Answer,
    closes,
    cuts_off,
    drips,
    endless,
    garbage,
    hangs,
    lies,
    receiver,
    says,
)

SHORT_S = 0.5


def sent(url: str, *, private: bool = True, send_timeout_s: float = 10.0, ca: Path | None = None) -> HttpAnswer:
    target = HttpTarget(url, private, send_timeout_s, ssl.create_default_context(cafile=ca))
    return post(target, {"content-type": "text/plain"}, b"hello")


def test_body_and_headers_arrive_and_the_status_is_told() -> None:
    with receiver(says(204)) as server:
        assert sent(f"{server.url}?a=b c").status == 204

    (posted,) = server.posted
    assert (posted.target, posted.body) == ("/hook?a=b%20c", b"hello")
    assert posted.headers["content-type"] == "text/plain"
    assert posted.headers["host"] == f"127.0.0.1:{server.port}"


def test_redirect_is_not_followed() -> None:
    with receiver(says(200)) as other, receiver(says(307, Location=other.url)) as server:
        assert sent(server.url).status == 307

    assert other.posted == []


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (hangs, "no answer within 0.5 s"),
        (drips, "no answer within 0.5 s"),
        (closes, "its answer is no HTTP"),
        (cuts_off, "its answer is no HTTP"),
        (garbage, "its answer is no HTTP"),
        (endless, "its answer is no HTTP"),
    ],
)
def test_what_is_no_answer_is_a_sentence_within_the_limit(answer: Answer, sentence: str) -> None:
    with receiver(answer) as server, pytest.raises(PostError, match=sentence):
        sent(server.url, send_timeout_s=SHORT_S)


def test_answer_that_is_shorter_than_it_says_is_told_by_its_status() -> None:
    with receiver(lies) as server:
        assert sent(server.url, send_timeout_s=SHORT_S).status == 500


def test_success_with_a_body_that_never_ends_is_a_success() -> None:
    def answer(connection: socket.socket, _: int) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.recv(1)

    with receiver(answer) as server:
        assert sent(server.url).status == 200


def test_wait_that_a_server_asks_for_is_read() -> None:
    with receiver(says(429, body=b"too\nmany", Retry_After="17")) as server:
        assert sent(server.url) == HttpAnswer(429, 17.0, "too many")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "0.0.0.0"])
def test_this_machine_is_refused_by_whatever_name(host: str) -> None:
    with receiver(says(200)) as server, pytest.raises(PostError, match="is private or this machine's") as caught:
        sent(f"http://{host}:{server.port}/", private=False)

    assert caught.value.is_refused
    assert server.posted == []


def test_name_is_looked_up_once_and_the_checked_address_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name whose address changes between the check and the connection leads nowhere else."""
    answers = [("93.184.216.34", 9), ("127.0.0.1", 9)]
    asked: list[str] = []
    connected: list[str] = []

    def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", answers[len(asked) - 1])]

    class Noting(socket.socket):
        def connect(self, place: tuple[str, int]) -> None:  # type: ignore[override]
            connected.append(place[0])
            raise ConnectionRefusedError

    monkeypatch.setattr(http_post.socket, "getaddrinfo", look_up)
    monkeypatch.setattr(http_post.socket, "socket", Noting)
    with pytest.raises(PostError, match="the connection failed"):
        sent("https://rebinding.example/", private=False)

    assert (asked, connected) == (["rebinding.example"], ["93.184.216.34"])


def test_http_to_a_public_address_is_refused_even_with_private(monkeypatch: pytest.MonkeyPatch) -> None:
    place = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 80))]
    monkeypatch.setattr(http_post.socket, "getaddrinfo", lambda *_, **__: place)

    with pytest.raises(PostError, match="http isn't encrypted"):
        sent("http://example.com/")


def test_certificate_is_verified_by_host_and_authority(tmp_path: Path) -> None:
    mine, other = certificate(tmp_path), certificate(tmp_path, host="192.0.2.1", name="other")
    context, wrong = (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for _ in range(2))
    context.load_cert_chain(mine.cert, mine.key)
    wrong.load_cert_chain(other.cert, other.key)
    with receiver(says(200), context) as server:
        assert sent(server.url, ca=mine.cert).status == 200
        with pytest.raises(PostError, match="its certificate can't be verified"):
            sent(server.url)
    with receiver(says(200), wrong) as server, pytest.raises(PostError, match="its certificate can't be verified"):
        sent(server.url, ca=other.cert)

    assert server.posted == []


def test_server_that_speaks_no_tls_is_a_sentence(tmp_path: Path) -> None:
    with receiver(garbage) as server, pytest.raises(PostError, match=r"TLS failed|no answer within"):
        sent(server.url.replace("http:", "https:"), send_timeout_s=SHORT_S)


def test_nobody_there_is_a_sentence() -> None:
    with receiver(says(200)) as server:
        pass

    with pytest.raises(PostError, match="the connection failed \\(Connection refused\\)"):
        sent(server.url)
