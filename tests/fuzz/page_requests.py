"""Random requests to the page: every route of its table with what it takes and what it doesn't, and damaged ones."""

import json
import random
import socket
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from jetstream.web.routes import Route, table
from tests.fuzz.mutate import mutated
from tests.support.sightings import IDS

TEXTS = (
    *("", "a", "Ada", "Bob", "_unknown", ".", "..", "con", "demo", *IDS, "1970-01-01T00:00", "4294967296", "-1"),
    *("../../web/access.db", "/etc/passwd", "..%2f..%2fweb%2faccess.db", "Ada/1.jpg", "Ada/../../c.toml", "~"),
    *("Ada\r\nSet-Cookie: jetstream=x", "\u202egpj.adA", "\u200b", "A\u0000da", "\ufeffAda", "😀" * 60, "x" * 5000),
    *("<script>alert(1)</script>", "' OR 1=1 --", "${HOME}", "%s%n", "\x1b[2J", "\uff21da", "e\u0301", "{}", "null"),
)
ODD_HEADERS = ("Origin: null", "Host: [", "Cookie: =;;", "Authorization: Bearer \xff", "X-Forwarded-For: ,")
NUMBERS = (0, 1, -1, 2, 50, 200, 2**31, 2**53, 2**63, -(2**63), 2**70, 0.5, 1e308, 1e-308, True)
STARTS_LONG = ("/api/people/evaluate", "/api/people/forget", "/api/people/enroll")
"""each starts a process that learns or looks for a while, so few of them"""

LONGEST_HEAD = 12_000
"""of a longer one the server closes the connection, whether or not the answer was read"""


class PageRequest(NamedTuple):
    route: Route | None
    data: bytes

    def __str__(self) -> str:
        return f"{self.data[:400]!r}"


def page_requests(seed: int, cookies: Sequence[str]) -> Iterator[PageRequest]:
    """For ever. A damaged one, without a route, is to be the last on its connection."""
    dice, routes = random.Random(seed), table()
    samples = [_request(dice, route, dice.choice(cookies)) for route in routes for _ in range(2)]
    damaged = mutated(samples, seed)
    while True:
        if dice.random() < 0.2:
            yield PageRequest(None, next(damaged))
            continue
        route = dice.choice(routes)
        if route.path in STARTS_LONG and dice.random() < 0.97:
            continue
        data = _request(dice, route, dice.choice(cookies))
        if data.index(b"\r\n\r\n") < LONGEST_HEAD:
            yield PageRequest(route, data)


def _request(dice: random.Random, route: Route, cookie: str) -> bytes:
    fields = {field.encode_name: field for field in msgspec.structs.fields(route.takes)}
    parts = [
        quote(str(_value(dice)), safe=dice.choice(("", "/.:"))) if part.startswith("{") else part
        for part in route.path.split("/")
    ]
    asked = {name: _value(dice) for name in fields if name != "body" and dice.random() < 0.5}
    if dice.random() < 0.1:
        asked[str(_value(dice))] = _value(dice)
    body, path = b"", "/".join(parts)
    if route.method == "GET" or route.most_bytes:
        path += "?" + "&".join(f"{quote(name)}={quote(str(value))}" for name, value in asked.items())
    if route.most_bytes:
        body = dice.choice((b"", b"\xff\xd8\xff", dice.randbytes(200)))
    elif route.method != "GET":
        body = dice.choice((json.dumps(asked).encode(),) * 8 + (b"", b"[" * 20_000, b'{"name":' * 3000, b"\xff", b"0"))
    head = [f"{route.method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    if dice.random() < 0.95 and route.path != "/api/logout":  # the others go on with their cookies
        head.append(f"Cookie: {cookie}")
    if dice.random() < 0.97:
        head.append("Content-Type: " + ("image/jpeg" if route.most_bytes else "application/json"))
    if dice.random() < 0.1:
        head.append(dice.choice(ODD_HEADERS))
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def _value(dice: random.Random, depth: int = 0) -> Any:
    kind = dice.random()
    if kind < 0.6 or depth > 3:
        return dice.choice(TEXTS)
    if kind < 0.8:
        return dice.choice(NUMBERS)
    if kind < 0.9:
        return dice.choice((None, [], {}, "demo"))
    return [_value(dice, depth + 1) for _ in range(dice.choice((1, 2, 300)) if depth == 0 else 1)]


class PageClient:
    """Sends requests and reads the status of each answer."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def status(self, request: PageRequest) -> int:
        """0: the server closed the connection without an answer, as it may where a request was damaged."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=60)
        try:
            self._socket.sendall(request.data)
            if request.route is None:
                self._socket.shutdown(socket.SHUT_WR)
            status, keeps = self._answer(self._socket)
        except ConnectionError:
            status, keeps = 0, False
        if request.route is None or not keeps:
            self._socket.close()
            self._socket = None
        return status

    @staticmethod
    def _answer(client: socket.socket) -> tuple[int, bool]:
        with client.makefile("rb") as answer:
            words = answer.readline().split()
            if len(words) < 2:
                return 0, False
            length, keeps = 0, True
            while (line := answer.readline().strip().lower()) != b"":
                name, _, value = line.partition(b":")
                length = int(value) if name == b"content-length" else length
                keeps = keeps and line != b"connection: close"
            answer.read(length)
            return int(words[1]), keeps
