"""Sightings, their pictures, strangers and presence, as a program asks for them."""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jetstream.sightings import database
from tests.support.pages import PageSite, page_site
from tests.support.sightings import IDS, WALL_NS, at, face, pictures, record

ROUTES = ("/api/sightings", f"/api/sightings/{IDS[0]}", f"/api/sightings/{IDS[0]}/looks/0", "/api/strangers",
          "/api/presence", "/api/names")  # fmt: skip


@pytest.fixture
def page(tmp_path: Path) -> Iterator[PageSite]:
    """Ada, then two strangers, of whom one is grouped; with pictures."""
    cameras = [{"name": "a", "source": "demo", "area": "hall"}]
    with page_site(tmp_path, cameras=cameras) as page:
        seen = (face(IDS[0], "Ada"), face(IDS[1], track_id=2), face(IDS[2], track_id=3))
        frames = [at(second, *seen[: 1 + second // 4]) for second in range(12)]
        record(page.config, frames, pictures(page.config))
        with database.opened(Path(page.config.sightings.dir), write=True) as connection:
            connection.execute("UPDATE sightings SET stranger = 1 WHERE id = ?", (IDS[1],))
            connection.execute("INSERT INTO strangers (id, merged_into, first_ns) VALUES (1, NULL, 0), (2, 1, 0)")
        yield page


def change(page: PageSite, statement: str, *values: object) -> None:
    with database.opened(Path(page.config.sightings.dir), write=True) as connection:
        connection.execute(statement, values)


def ids(page: PageSite, query: str = "") -> list[int]:
    """Which of IDS are listed."""
    answer = page.ask("GET", f"/api/sightings?{query}")
    assert answer.status == 200, answer
    return [IDS.index(one["id"]) for one in answer.json["sightings"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [2, 1, 0]),
        ("person=Ada", [0]),
        ("unknown=true", [2, 1]),
        ("stranger=1", [1]),
        ("stranger=2", [1]),
        ("camera=a", [2, 1, 0]),
        ("camera=b", []),
        ("area=hall", [2, 1, 0]),
        ("area=cellar", []),
        ("zone=porch", []),
        (f"from={WALL_NS}", [2, 1, 0]),
        (f"to={WALL_NS + 10**9}", [0]),
        ("from=2026-11-28T21:06:40Z&to=2026-11-28T21:06:45Z", [1, 0]),
        ("from=2100-01-01", []),
        (f"to={'9' * 19}", [2, 1, 0]),
    ],
)
def test_sightings_are_found_by_what_is_asked(page: PageSite, query: str, expected: list[int]) -> None:
    assert ids(page, query) == expected


def test_long_list_comes_in_parts(page: PageSite) -> None:
    first = page.ask("GET", "/api/sightings?most=2").json
    then = page.ask("GET", f"/api/sightings?most=2&before={first['next']}").json

    assert [one["id"] for one in (*first["sightings"], *then["sightings"])] == list(IDS[::-1])
    assert then["next"] is None
    gone = page.ask("GET", "/api/sightings?before=none")
    assert (gone.status, "begin with the newest" in gone.json["error"]) == (404, True)


@pytest.mark.parametrize("query", ["most=201", "most=0", "stranger=0", "from=yesteryear", "unknown=x", "who=Ada"])
def test_what_cant_be_asked_is_one_sentence(page: PageSite, query: str) -> None:
    answer = page.ask("GET", f"/api/sightings?{query}")

    assert answer.status == 400
    assert len(answer.json["error"]) > 10


def test_sighting_says_why_and_what_was_corrected(page: PageSite) -> None:
    change(page, "INSERT INTO corrections VALUES (1, ?, ?, 'name', 'Bob', '/secret/place.jpg', NULL)", IDS[0], WALL_NS)
    found = page.ask("GET", f"/api/sightings/{IDS[0][-5:]}").json

    assert found["sighting"]["id"] == IDS[0]
    assert found["sighting"]["why"][0] | {"name": "Ada", "photo": "Ada/1.jpg"} == found["sighting"]["why"][0]
    assert found["looks"][0] == f"/api/sightings/{IDS[0]}/looks/0"
    assert found["corrections"] == [
        {"at": "2026-11-28T21:06:40.000Z", "correction": "name", "name": "Bob", "undone": None}
    ]
    assert page.ask("GET", "/api/sightings/ZZZZZZ").status == 404
    assert page.ask("GET", "/api/sightings/ab").status == 400


def test_look_is_the_picture_that_was_kept(page: PageSite) -> None:
    found = page.ask("GET", f"/api/sightings/{IDS[0]}").json
    kept = [(Path(page.config.sightings.dir) / file).read_bytes() for file in found["sighting"]["looks"]]

    for address, body in zip(found["looks"], kept, strict=True):
        answer = page.ask("GET", address)
        assert (answer.status, answer.headers["content-type"], answer.body) == (200, "image/jpeg", body)
        again = page.ask("GET", address, If_None_Match=answer.headers["etag"])
        assert (again.status, again.body) == (304, b""), "a browser that has it isn't sent it again"
    assert page.ask("GET", f"/api/sightings/{IDS[0]}/looks/{len(kept)}").status == 404
    assert page.ask("GET", f"/api/sightings/{IDS[0]}/looks/-1").status == 400


@pytest.mark.parametrize(
    "file",
    [
        "sightings.db",
        "../web/access.db",
        "looks/../sightings.db",
        "/etc/hostname",
        "looks/out",
        "looks/round",
        "looks/folder",
        "looks/pipe",
        "looks",
        "",
        "looks/a\0b",
        "looks/none.jpg",
        "x" * 5000,
    ],
)
def test_look_leads_to_nothing_but_pictures(page: PageSite, file: str) -> None:
    looks = Path(page.config.sightings.dir) / "looks"
    (looks / "folder").mkdir()
    (looks / "out").symlink_to("/etc/hostname")
    (looks / "round").symlink_to(looks / "round")
    os.mkfifo(looks / "pipe")
    change(page, "UPDATE looks SET file = ? WHERE n = (SELECT min(n) FROM looks)", file)
    found = page.ask("GET", f"/api/sightings/{IDS[0]}").json["sighting"]["looks"]

    answer = page.ask("GET", f"/api/sightings/{IDS[0]}/looks/{found.index(file)}")

    assert (answer.status, answer.json["error"]) == (404, "this picture is not there any more")


def test_strangers_have_their_best_pictures_and_come_in_parts(page: PageSite) -> None:
    change(page, "UPDATE sightings SET stranger = 3 WHERE id = ?", IDS[2])
    first = page.ask("GET", "/api/strangers?most=1").json
    then = page.ask("GET", f"/api/strangers?most=1&before={first['next']}").json

    (newest,), (other,) = first["strangers"], then["strangers"]
    assert (newest["number"], newest["newest"], then["next"]) == (3, IDS[2], None)
    assert (other["number"], other["aliases"], other["sightings"], other["cameras"]) == (1, [2], 1, ["a"])
    assert other["looks"] == [f"/api/sightings/{IDS[1]}/looks/0"]
    assert page.ask("GET", "/api/strangers?before=7").status == 400
    assert page.ask("GET", "/api/strangers?seen=2").json == {"strangers": [], "next": None}


def test_presence_and_names(page: PageSite) -> None:
    assert page.ask("GET", "/api/presence").json == {"people": [], "strangers": []}, "all are away since long"
    assert page.ask("GET", "/api/names").json == {
        "people": ["Ada"],
        "cameras": [{"name": "a", "area": "hall"}],
        "areas": ["hall"],
        "zones": [],
    }


def test_who_is_here_has_a_picture(page: PageSite) -> None:
    now_ns = time.time_ns()
    change(
        page,
        "UPDATE sightings SET state = 'open', begin_ns = ?, end_ns = ? WHERE id IN (?, ?)",
        *(now_ns - 10**9, now_ns, *IDS[:2]),
    )
    found = page.ask("GET", "/api/presence").json

    (ada,) = found["people"]
    assert (ada["name"], ada["state"], ada["area"], ada["sighting"]) == ("Ada", "here", "hall", IDS[0])
    assert page.ask("GET", ada["look"]).headers["content-type"] == "image/jpeg"
    assert found["strangers"] == [{"area": "hall", "count": 1}]


def test_before_the_first_sighting_lists_are_empty(tmp_path: Path) -> None:
    with page_site(tmp_path) as page:
        assert page.ask("GET", "/api/sightings").json == {"sightings": [], "next": None}
        assert page.ask("GET", "/api/strangers").json == {"strangers": [], "next": None}
        assert page.ask("GET", "/api/presence").json == {"people": [], "strangers": []}
        assert page.ask("GET", "/api/names").json["people"] == []
        assert page.ask("GET", f"/api/sightings/{IDS[0]}").status == 404
        assert page.ask("GET", f"/api/sightings/{IDS[0]}/looks/0").status == 404


def test_database_that_another_took_the_place_of_is_read_at_once(page: PageSite, tmp_path: Path) -> None:
    assert ids(page) == [2, 1, 0]
    os.rename(page.config.sightings.dir, tmp_path / "old")
    assert ids(page) == []
    record(page.config, [at(second, face(IDS[1], "Bob")) for second in range(3)])
    assert ids(page) == [1]


def test_locked_database_is_said_so(page: PageSite) -> None:
    with database.opened(Path(page.config.sightings.dir), write=True) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert ids(page) == [2, 1, 0], "who writes ahead keeps nobody waiting"
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN EXCLUSIVE")
        answer = page.ask("GET", "/api/sightings")
    assert (answer.status, "another program writes it" in answer.json["error"]) == (503, True)


def test_newer_database_is_said_so(page: PageSite) -> None:
    change(page, f"PRAGMA user_version = {database.VERSION + 1}")
    for path in ROUTES:
        answer = page.ask("GET", path)
        assert (answer.status, "made by a newer jetstream" in answer.json["error"]) == (503, True), path


@pytest.mark.parametrize(
    ("column", "value"),
    [("why", "[7]"), ("why", "["), ("begin_ns", "soon"), ("camera", b"\xff"), ("confidence", "")],
)
def test_row_that_nothing_wrote_is_said_to_be_damage(page: PageSite, column: str, value: object) -> None:
    change(page, f"UPDATE sightings SET {column} = ? WHERE id = ?", value, IDS[0])

    for path in ("/api/sightings", f"/api/sightings/{IDS[0]}"):
        answer = page.ask("GET", path)
        assert (answer.status, "damaged (" in answer.json["error"]) == (503, True), answer


def test_damaged_database_gets_a_sentence_whatever_is_damaged(page: PageSite) -> None:
    path = database.path_in(Path(page.config.sightings.dir))
    sound = path.read_bytes()
    rng = random.Random(1)
    statuses = set()
    for _ in range(60):
        damaged = bytearray(sound)
        for _ in range(rng.choice((1, 20, 2000))):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        for asked in ROUTES:
            answer = page.ask("GET", asked)
            statuses.add(answer.status)
            assert answer.status in (200, 400, 404, 503), (asked, answer)
            if answer.status != 200:
                assert len(answer.json["error"]) > 10
    path.write_bytes(b"no database" * 500)
    answer = page.ask("GET", "/api/sightings")
    assert (answer.status, "damaged" in answer.json["error"]) == (503, True)
    assert {200, 503} <= statuses
