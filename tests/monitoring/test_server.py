"""The HTTP server, asked by real clients, good and bad."""

import errno
import http.client
import socket
import time
import urllib.request
from collections.abc import Iterator

import pytest

from jetstream.config import load
from jetstream.errors import UserError
from jetstream.monitoring import server
from jetstream.monitoring.address import check_endpoint
from jetstream.monitoring.meters import Readings
from jetstream.monitoring.server import MOST_CLIENTS, LastStatus, serving
from tests.support.command import free_port
from tests.support.statuses import beat, status
from tests.support.waiting import PATIENCE_S


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(server._Handler, "timeout", 0.5)
    port = free_port()
    data = {"metrics": {"endpoint": f"http://127.0.0.1:{port}"}, "cameras": [{"name": "door", "source": "demo"}]}
    config = load.build(data, where="test")
    told = LastStatus(config)
    now_ns = time.monotonic_ns()
    told.last = (status(beat("track", levels={"newest door": now_ns}), turn_ns=now_ns), Readings())
    with serving(config.metrics, told):
        yield port


def asked(port: int, path: str, method: str = "GET", accept: str = "") -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request(method, path, headers={"Accept": accept} if accept else {})
    answer = connection.getresponse()
    return answer.status, answer.headers["Content-Type"], answer.read()


def test_pages_are_there_and_others_are_not(port: int) -> None:
    assert asked(port, "/healthz")[0] == asked(port, "/readyz?x=1")[0] == asked(port, "/")[0] == 200
    assert asked(port, "/healthz")[2].startswith(b"ok\nreported 0.")
    assert asked(port, "/etc/passwd")[0] == asked(port, "/metrics/../x")[0] == 404
    assert asked(port, "/metrics", "HEAD")[::2] == (200, b"")
    assert asked(port, "/metrics", "POST")[0] == 501


def test_prometheus_gets_the_format_it_asks_for(port: int) -> None:
    assert asked(port, "/metrics")[1].startswith("text/plain")
    _, kind, body = asked(port, "/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_clients_that_say_nothing_or_nonsense_are_left_and_others_are_answered(port: int) -> None:
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(MOST_CLIENTS + 4)]
    with socket.create_connection(("127.0.0.1", port)) as rude:
        rude.sendall(b"\0\xff" * 40_000)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE_S) as answer:
            assert answer.status == 200
    for connection in silent:
        connection.close()


def test_endpoint_that_another_program_has_is_one_sentence(port: int) -> None:
    settings = load.build({"metrics": {"endpoint": f"http://127.0.0.1:{port}"}}, where="test").metrics

    with pytest.raises(UserError, match=r"metrics\.endpoint: http://127\.0\.0\.1:\d+: Address already in use; choose"):
        check_endpoint(settings)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "[::]", "example.org"])
def test_other_machines_may_ask_only_where_that_is_said(host: str) -> None:
    data = {"metrics": {"endpoint": f"http://{host}:5571"}}

    with pytest.raises(
        UserError, match=r"other machines could read it without a password; use http://127\.0\.0\.1:PORT"
    ):
        load.build(data, where="test")
    data["metrics"]["remote"] = True  # type: ignore[assignment]
    assert load.build(data, where="test").metrics.remote


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:0", "http://127.0.0.1:70000"])
def test_port_that_is_none_is_refused(endpoint: str) -> None:
    with pytest.raises(UserError, match="expected a port from 1 to 65535"):
        load.build({"metrics": {"endpoint": endpoint}}, where="test")


def test_ipv6_loopback_is_loopback() -> None:
    endpoint = f"http://[::1]:{free_port()}"
    settings = load.build({"metrics": {"endpoint": endpoint}}, where="test").metrics
    with socket.socket(socket.AF_INET6) as probe:
        if probe.connect_ex(("::1", 1)) == errno.EADDRNOTAVAIL:
            pytest.skip("this machine has no IPv6")

    check_endpoint(settings)
