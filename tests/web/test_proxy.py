"""The page behind a real nginx that ends TLS, with the lines of docs/page.md."""

import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import websockets.sync.client
from websockets.exceptions import InvalidStatus

from jetstream.web.limits import FREE
from tests.support.certificates import Certificate, certificate
from tests.support.nginx import nginx
from tests.support.pages import Answer, PageSite, page_site

PASSWORD = "correct horse"


class Proxied(NamedTuple):
    page: PageSite
    port: int
    """of nginx"""
    pair: Certificate

    @property
    def origin(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.pair.cert))

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        client = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=self.tls)
        data = None if body is None else json.dumps(body)
        sent = {name.replace("_", "-"): text for name, text in headers.items()}
        client.request(method, path, data, {"Content-Type": "application/json", **sent})
        answer = client.getresponse()
        return Answer(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read())


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Proxied]:
    pair = certificate(tmp_path)
    with page_site(tmp_path, web={"behind_proxy": True, "proxies": ["127.0.0.1"]}) as page:
        page.add_user("ada", PASSWORD)
        with nginx(tmp_path, page.port, pair) as port:
            yield Proxied(page, port, pair)


def test_browser_logs_in_and_its_cookie_is_for_tls(proxied: Proxied) -> None:
    browser = {"Origin": proxied.origin, "Sec_Fetch_Site": "same-origin"}
    answer = proxied.ask("POST", "/api/login", {"name": "ada", "password": PASSWORD}, **browser)

    assert answer.status == 200, answer
    assert answer.headers["set-cookie"].startswith("__Host-jetstream=")
    assert "Secure" in answer.headers["set-cookie"]
    cookie = answer.headers["set-cookie"].partition(";")[0]
    assert proxied.ask("GET", "/api/who", Cookie=cookie).json["name"] == "ada"
    assert [one["address"] for one in proxied.ask("GET", "/api/sessions", Cookie=cookie).json] == ["127.0.0.1"]


def test_another_site_is_refused(proxied: Proxied) -> None:
    login = {"name": "ada", "password": PASSWORD}
    assert proxied.ask("POST", "/api/login", login, Origin="https://evil.example").status == 403


def test_viewer_is_served(proxied: Proxied) -> None:
    address = f"wss://127.0.0.1:{proxied.port}/api/live"
    cookie = proxied.ask("POST", "/api/login", {"name": "ada", "password": PASSWORD}).headers["set-cookie"]
    headers = {"Cookie": cookie.partition(";")[0], "Origin": proxied.origin}
    with websockets.sync.client.connect(address, ssl=proxied.tls, additional_headers=headers, proxy=None) as viewer:
        assert "news" in json.loads(viewer.recv(timeout=20))
    for wrong in ({**headers, "Origin": "https://evil.example"}, {"Origin": proxied.origin}):
        with (
            pytest.raises(InvalidStatus),
            websockets.sync.client.connect(address, ssl=proxied.tls, additional_headers=wrong, proxy=None),
        ):
            pass


def test_failed_logins_are_counted_by_the_address_that_the_proxy_saw(proxied: Proxied) -> None:
    for number in range(FREE):
        guess = {"name": f"guess {number}", "password": "guess"}
        assert proxied.ask("POST", "/api/login", guess, X_Forwarded_For=f"203.0.113.{number}").status == 401
    again = proxied.ask("POST", "/api/login", {"name": "x", "password": "y"}, X_Forwarded_For="203.0.113.99")
    assert again.status == 429, "what a client claims counts for nothing: nginx adds where it really comes from"
    direct = proxied.page.ask("POST", "/api/login", {"name": "x", "password": "y"}, X_Forwarded_For="198.51.100.7")
    assert direct.status == 401, "another address, as the proxy tells it"


def test_body_that_is_as_large_as_a_photo_may_be_comes_through(proxied: Proxied) -> None:
    cookie = proxied.ask("POST", "/api/login", {"name": "ada", "password": PASSWORD}).headers["set-cookie"]
    client = http.client.HTTPSConnection("127.0.0.1", proxied.port, timeout=60, context=proxied.tls)
    headers = {"Cookie": cookie.partition(";")[0], "Content-Type": "image/jpeg"}
    client.request("POST", "/api/people/a/photos", b"x" * 25_000_000, headers)
    assert client.getresponse().status == 400, "no picture"
