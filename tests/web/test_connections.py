"""How long a connection of the page may take, with the limits made short; and what happens where there is no room."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection

from jetstream.web import app, connections
from jetstream.web.tasks import EVALUATION
from tests.support.pages import PageSite, looking, page_site
from tests.support.waiting import wait_until

PASSWORD = "correct horse"
UPLOAD = b"POST /api/search HTTP/1.1\r\nHost: a\r\nCookie: %b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture
def page(tmp_path: Path) -> Iterator[PageSite]:
    with page_site(tmp_path) as page:
        page.add_user("ada", PASSWORD)
        yield page


def connected(page: PageSite, sent: bytes = b"", receive_bytes: int = 0) -> socket.socket:
    client = socket.socket()
    if receive_bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    client.settimeout(20)
    client.connect(("127.0.0.1", page.port))
    client.sendall(sent)
    return client


def ends(client: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    got = b""
    try:
        while data := client.recv(65536):
            got += data
    except ConnectionResetError:
        pass
    return got


def drain(viewer: ClientConnection) -> None:
    while True:
        viewer.recv(timeout=20)


def open_connections(page: PageSite) -> int:
    return len(page.server.connections.open)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n"])
def test_head_that_does_not_come_closes_the_connection(
    page: PageSite, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.5)
    with connected(page, sent) as client:
        assert ends(client) == b""
    wait_until(lambda: open_connections(page) == 0)


def test_head_that_comes_byte_by_byte_closes_the_connection_also_after_an_answer(
    page: PageSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_S", 0.5)
    with connected(page, b"GET /api/who HTTP/1.1\r\nHost: a\r\n\r\n") as client:
        assert client.recv(65536).startswith(b"HTTP/1.1 200")

        def drip() -> bool:
            try:
                client.sendall(b"G")
            except OSError:
                return True
            time.sleep(0.05)
            return False

        wait_until(drip, 20)


def test_answer_that_is_read_slowly_comes_whole(page: PageSite, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("IDLE_S", "CLOSE_S"):
        monkeypatch.setattr(connections, limit, 0.1)
    report = Path(page.config.web.dir) / EVALUATION
    report.write_bytes(b"x" * 8_000_000)
    cookie = page.logged_in("ada", PASSWORD).encode()
    asked = b"GET /api/evaluation HTTP/1.1\r\nHost: a\r\nCookie: %b\r\n\r\n" % cookie
    with connected(page, asked, receive_bytes=100_000) as client:
        size = 0
        while data := client.recv(65_536):
            size += len(data)
            time.sleep(0.02)
    assert size > 8_000_000


def test_rest_of_a_refused_body_is_not_waited_for(page: PageSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDLE_S", 0.5)
    head = b"POST /api/search HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: 9000000\r\n\r\n"
    with connected(page, head) as client:
        assert b" 401 " in ends(client)[:20]


@pytest.mark.parametrize(
    ("path", "kind", "limit"),
    [("/api/login", b"application/json", "BODY_S"), ("/api/search", b"image/jpeg", "PICTURE_S")],
)
def test_body_that_does_not_come_gets_a_sentence(
    page: PageSite, monkeypatch: pytest.MonkeyPatch, path: str, kind: bytes, limit: str
) -> None:
    monkeypatch.setattr(app, limit, 0.3)
    monkeypatch.setattr(connections, "IDLE_S", 0.3)
    cookie = page.logged_in("ada", PASSWORD).encode()
    head = b"POST %b HTTP/1.1\r\nHost: a\r\nCookie: %b\r\nContent-Type: %b\r\nContent-Length: 900\r\n\r\nx"
    with connected(page, head % (path.encode(), cookie, kind)) as client:
        answer = ends(client)
    assert b" 408 " in answer[:20]
    assert b"took longer than 0 s; try again" in answer


def test_client_that_goes_amid_a_picture_is_no_fault(page: PageSite, caplog: pytest.LogCaptureFixture) -> None:
    cookie = page.logged_in("ada", PASSWORD).encode()
    with connected(page, UPLOAD % (cookie, 900) + b"x"):
        wait_until(lambda: page.site._uploading == 1)
    wait_until(lambda: page.site._uploading == 0)
    wait_until(lambda: open_connections(page) == 0)
    assert caplog.text == ""


def test_viewer_who_reads_nothing_is_given_up(page: PageSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "STALL_S", 0.5)
    noise = np.random.default_rng(0).integers(0, 255, (1080, 1920, 3), np.uint8)
    cookie = page.logged_in("ada", PASSWORD).encode()
    asked = (
        b"GET /api/live HTTP/1.1\r\nHost: a\r\nCookie: %b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n" % cookie
    )
    demand = b'{"show": [{"camera": "a", "width": 3840}], "credits": 8}'
    with connected(page, asked, receive_bytes=4096) as client:
        wait_until(lambda: page.site.viewers == 1)
        client.sendall(bytes((0x81, 0x80 | len(demand), 0, 0, 0, 0)) + demand)

        def is_given_up() -> bool:
            page.show(noise)
            return page.site.viewers == 0

        wait_until(is_given_up)
        wait_until(lambda: open_connections(page) == 0)


def test_message_of_endless_fragments_ends_the_socket(page: PageSite) -> None:
    empty = Frame(Opcode.CONT, b"", fin=False).serialize(mask=True)
    with looking(page, Cookie=page.logged_in("ada", PASSWORD)) as viewer:
        viewer.socket.sendall(Frame(Opcode.TEXT, b"{", fin=False).serialize(mask=True) + empty * 2000)
        with pytest.raises(ConnectionClosed):
            drain(viewer)


def test_new_connection_takes_the_place_of_the_one_that_waits_longest(
    page: PageSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 2)
    with connected(page) as first:
        wait_until(lambda: open_connections(page) == 1)
        with connected(page) as second:
            wait_until(lambda: open_connections(page) == 2)
            assert page.ask("GET", "/api/who").status == 200
            assert ends(first) == b""
            second.sendall(b"GET /api/who HTTP/1.0\r\n\r\n")
            assert ends(second).startswith(b"HTTP/1.1 200"), "it waited less long"


def test_who_is_logged_in_keeps_a_place_and_where_none_is_left_the_next_gets_503(
    page: PageSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 1)
    cookie = page.logged_in("ada", PASSWORD).encode()
    head = (
        b"POST /api/search HTTP/1.1\r\nHost: a\r\nCookie: %b\r\nContent-Type: image/jpeg\r\nContent-Length: 2\r\n\r\n"
    )
    with connected(page, head % cookie) as sending:
        wait_until(lambda: page.site._uploading == 1)
        with connected(page) as refused:
            answer = ends(refused)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert answer.endswith(b'{"error": "too many connections; try again"}\n')
        assert b"Content-Length: %d" % len(answer.partition(b"\r\n\r\n")[2]) in answer
        sending.sendall(b"xx")
        assert b" 400 " in sending.recv(65536)[:20], "it is no picture"


def test_more_pictures_than_there_is_room_for_get_503(page: PageSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jetstream.web.site.MOST_UPLOADING", 0)
    answer = page.ask("POST", "/api/search", b"x", Cookie=page.logged_in("ada", PASSWORD), Content_Type="image/jpeg")
    assert (answer.status, "many others are sending pictures" in answer.json["error"]) == (503, True)


def test_guesses_that_are_sent_at_once_are_counted_one_by_one(page: PageSite) -> None:
    seen: list[int] = []

    def guess() -> None:
        seen.append(page.ask("POST", "/api/login", {"name": "ada", "password": "guess"}).status)

    threads = [Thread(target=guess) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen.count(401) <= 5
    assert set(seen) <= {401, 429, 503}
