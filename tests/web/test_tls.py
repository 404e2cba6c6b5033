"""The page over TLS, at an address that other machines reach."""

import http.client
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import websockets.sync.client
from websockets.exceptions import InvalidStatus

from jetstream.config.schema import WebConfig
from jetstream.errors import UserError
from jetstream.web import connections
from jetstream.web.access import AccessStore, check_page
from tests.support.certificates import Certificate, certificate, expired, openssl
from tests.support.pages import PageSite, page_site
from tests.support.waiting import wait_until

PASSWORD = "correct horse"


def own_address() -> str:
    """One of this machine that isn't loopback, where it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return "127.0.0.1"
        return str(asked.getsockname()[0])


HOST = own_address()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("pair"), HOST)


@pytest.fixture
def page(tmp_path: Path, pair: Certificate) -> Iterator[PageSite]:
    with page_site(tmp_path, origin="https://0.0.0.0", web={"cert": str(pair.cert), "key": str(pair.key)}) as page:
        page.add_user("ada", PASSWORD)
        yield page


def trusting(pair: Certificate) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(pair.cert))


def login(page: PageSite, pair: Certificate) -> http.client.HTTPResponse:
    client = http.client.HTTPSConnection(HOST, page.port, timeout=20, context=trusting(pair))
    body = json.dumps({"name": "ada", "password": PASSWORD})
    client.request("POST", "/api/login", body, {"Content-Type": "application/json"})
    return client.getresponse()


def test_cookie_is_for_tls_and_this_host_alone(page: PageSite, pair: Certificate) -> None:
    answer = login(page, pair)
    cookie = answer.headers["set-cookie"]

    assert answer.status == 200
    assert cookie.startswith("__Host-jetstream=")
    assert {"Secure", "HttpOnly", "Path=/"} <= {word.strip() for word in cookie.split(";")}
    assert "Domain" not in cookie


def test_viewer_is_served_over_tls(page: PageSite, pair: Certificate) -> None:
    address = f"wss://{HOST}:{page.port}/api/live"
    with pytest.raises(InvalidStatus), websockets.sync.client.connect(address, ssl=trusting(pair), proxy=None):
        pass
    cookie = login(page, pair).headers["set-cookie"].partition(";")[0]
    headers = {"Cookie": cookie, "Origin": f"https://{HOST}:{page.port}"}
    with websockets.sync.client.connect(
        address, ssl=trusting(pair), additional_headers=headers, proxy=None, open_timeout=20
    ) as viewer:
        assert "news" in json.loads(viewer.recv(timeout=20))


def test_who_speaks_no_tls_gets_nothing(page: PageSite) -> None:
    with socket.create_connection((HOST, page.port), timeout=20) as client:
        client.sendall(b"GET /api/who HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"HTTP" not in client.recv(1000)
    wait_until(lambda: not page.server.connections.open)


def test_handshake_that_does_not_come_closes_the_connection(
    page: PageSite, pair: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HANDSHAKE_S", 0.5)
    with socket.create_connection((HOST, page.port), timeout=20) as client:
        wait_until(lambda: len(page.server.connections.open) == 1)
        assert client.recv(1000) == b""
    wait_until(lambda: not page.server.connections.open)
    assert login(page, pair).status == 200


def test_handshake_that_waits_leaves_its_place_to_a_new_connection(
    page: PageSite, pair: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 1)
    with socket.create_connection((HOST, page.port), timeout=20) as client:
        wait_until(lambda: len(page.server.connections.open) == 1)
        assert login(page, pair).status == 200
        assert client.recv(1000) == b""


def folder_of(made: Certificate, other: Certificate) -> Certificate:
    return made._replace(cert=made.cert.parent)


def mismatched(made: Certificate, other: Certificate) -> Certificate:
    return made._replace(key=other.key)


def exchanged(made: Certificate, other: Certificate) -> Certificate:
    return Certificate(made.key, made.cert)


def with_password(made: Certificate, other: Certificate) -> Certificate:
    locked = made.key.with_name("locked.key")
    openssl("pkey", "-in", made.key, "-aes256", "-passout", "pass:secret", "-out", locked)
    return made._replace(key=locked)


def damaged(made: Certificate, other: Certificate) -> Certificate:
    cut = made.cert.with_name("cut.pem")
    cut.write_text("\n".join(made.cert.read_text().splitlines()[:4]))
    return made._replace(cert=cut)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (folder_of, r"web\.cert: .*can't be read"),
        (mismatched, r"web\.key: .*is not the key of web\.cert"),
        (exchanged, r"web\.cert: .*is no PEM file with -----BEGIN CERTIFICATE-----"),
        (with_password, r"web\.key: .*has a password; write it without one"),
        (damaged, r"web\.cert: .*is damaged; write both anew"),
    ],
)
def test_certificate_that_cannot_be_used_is_one_sentence_at_the_start(
    tmp_path: Path, change: Callable[[Certificate, Certificate], Certificate], said: str
) -> None:
    AccessStore(tmp_path / "web").add_user("ada", PASSWORD, "rule")
    wrong = change(certificate(tmp_path), certificate(tmp_path, name="other"))
    with pytest.raises(UserError, match=said) as refused:
        check_page(WebConfig(dir=str(tmp_path / "web"), cert=str(wrong.cert), key=str(wrong.key)))
    assert "\n" not in str(refused.value)


def test_expired_certificate_is_served_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old = expired(tmp_path)
    with page_site(tmp_path, origin="https://127.0.0.1", web={"cert": str(old.cert), "key": str(old.key)}):
        pass
    assert "has expired, so browsers warn of the page; renew it" in caplog.text


def test_certificate_of_today_is_served_without_a_warning(
    page: PageSite, pair: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    assert login(page, pair).status == 200
    assert caplog.text == ""
