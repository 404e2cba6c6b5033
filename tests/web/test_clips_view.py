"""Clips of sightings, as a program asks for them."""

import http.client
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from jetstream.clips.clip_info import info_of
from jetstream.clips.library import StoredClip
from jetstream.clips.retention import erase
from jetstream.sightings import database
from jetstream.web import file_parts
from jetstream.web.machine import MachineReader
from tests.support.page_clips import clip_site, film_of, leave, play
from tests.support.pages import Answer, PageSite, page_site
from tests.support.played import PlayedCamera
from tests.support.sightings import IDS
from tests.support.waiting import wait_until

LIST = f"/api/sightings/{IDS[0]}/clips"
SECRET = b"the secret"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film_of(tmp_path_factory.mktemp("film"))


@pytest.fixture
def site(tmp_path: Path, film: Path) -> Iterator[tuple[PageSite, PlayedCamera]]:
    """A clip that is open."""
    with clip_site(tmp_path, "Zoë 李/x") as (page, camera):
        play(camera, film)
        yield page, camera


@pytest.fixture
def ended(site: tuple[PageSite, PlayedCamera]) -> tuple[PageSite, StoredClip]:
    page, camera = site
    leave(camera)
    (clip,) = camera.stored()
    return page, clip


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory, film: Path) -> Iterator[tuple[PageSite, StoredClip]]:
    """A clip that no test changes."""
    with clip_site(tmp_path_factory.mktemp("lasting"), "Zoë 李/x") as (page, camera):
        play(camera, film)
        leave(camera)
        (clip,) = camera.stored()
        (clip.video.parents[1] / "secret").write_bytes(SECRET)
        yield page, clip


def told(page: PageSite) -> dict[str, str]:
    """The one clip in the list."""
    (found,) = page.ask("GET", LIST).json["clips"]
    return dict(found)


def test_sighting_has_its_clips_with_what_is_known_of_them(ended: tuple[PageSite, StoredClip]) -> None:
    page, clip = ended

    assert page.ask("GET", f"/api/sightings/{IDS[0][-6:]}/clips").json == {
        "is_enabled": True,
        "clips": [
            {
                "address": f"{LIST}/{clip.video.name}",
                "file_name": "hall-20260921T141330Z-Zoë_李_x.mp4",
                "state": "ended",
                "begin": clip.info.begin,
                "end": clip.info.end,
                "pre_s": 4.5,
                "short": "",
                "missing": 0,
                "n_bytes": clip.video.stat().st_size,
                "sightings": [IDS[0]],
            }
        ],
    }
    assert page.ask("GET", f"/api/sightings/{IDS[1]}/clips").json == {"is_enabled": True, "clips": []}
    assert page.ask("GET", "/api/sightings/ZZZZZZ/clips").status == 404


def test_clip_is_sent_whole_with_its_name_and_kept_by_no_cache(lasting: tuple[PageSite, StoredClip]) -> None:
    page, clip = lasting
    answer = page.ask("GET", told(page)["address"])

    assert (answer.status, answer.body) == (200, clip.video.read_bytes())
    expected = {
        "content-type": "video/mp4",
        "accept-ranges": "bytes",
        "cache-control": "private, no-store",
        "x-content-type-options": "nosniff",
        "content-disposition": 'inline; filename="hall-20260921T141330Z-Zoe___x.mp4"; '
        f"filename*=UTF-8''{quote('hall-20260921T141330Z-Zoë_李_x.mp4')}",
    }
    assert expected.items() <= answer.headers.items()
    head = page.ask("HEAD", told(page)["address"])
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(answer.body)))
    again = page.ask("GET", told(page)["address"], If_None_Match=answer.headers["etag"])
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    ("asked", "first", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, None),
        ("BYTES= 100-199 ", 100, 200),
        ("bytes=100-99999999", 100, None),
        ("bytes=-1", -1, None),
        ("bytes=-100", -100, None),
        ("bytes=-99999999", 0, None),
    ],
)
def test_range_of_a_clip(lasting: tuple[PageSite, StoredClip], asked: str, first: int, end: int | None) -> None:
    page, clip = lasting
    content = clip.video.read_bytes()
    answer = page.ask("GET", told(page)["address"], Range=asked)

    start = first % len(content)
    body = content[start:end]
    assert (answer.status, answer.body) == (206, body)
    assert answer.headers["content-range"] == f"bytes {start}-{start + len(body) - 1}/{len(content)}"
    assert answer.headers["content-length"] == str(len(body))
    head = page.ask("HEAD", told(page)["address"], Range=asked)
    assert (head.status, head.headers["content-range"]) == (206, answer.headers["content-range"])


def test_player_gets_the_beginning_of_what_it_asks_for(
    lasting: tuple[PageSite, StoredClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_parts, "PLAYER_BYTES", 1000)
    page, clip = lasting
    address, content = told(page)["address"], clip.video.read_bytes()
    player = page.ask("GET", address, Range="bytes=100-", Sec_Fetch_Dest="video")

    assert (player.status, player.body) == (206, content[100:1100])
    assert player.headers["content-range"] == f"bytes 100-1099/{len(content)}"
    assert page.ask("GET", address, Range="bytes=100-", Sec_Fetch_Dest="document").body == content[100:]


@pytest.mark.parametrize("asked", ["bytes=9999999-", "bytes=9999999-9999999", "bytes=-0"])
def test_range_beyond_the_end_says_how_long_the_clip_is(lasting: tuple[PageSite, StoredClip], asked: str) -> None:
    page, clip = lasting
    answer = page.ask("GET", told(page)["address"], Range=asked)

    assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{clip.n_bytes}")
    assert "none that were asked for" in answer.json["error"]


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,5-9", "bytes=9-5", "bytes=", "bytes=-", "bytes=a-b", "pages=1-2", "bytes=0x1-2", "9" * 5000]
)
def test_what_is_no_single_range_gets_the_whole(lasting: tuple[PageSite, StoredClip], asked: str) -> None:
    page, clip = lasting
    answer = page.ask("GET", told(page)["address"], Range=asked)

    assert (answer.status, len(answer.body)) == (200, clip.n_bytes)


def test_range_of_another_version_gets_the_whole(ended: tuple[PageSite, StoredClip]) -> None:
    page, clip = ended
    address = told(page)["address"]
    tag = page.ask("HEAD", address).headers["etag"]

    assert page.ask("GET", address, Range="bytes=5-9", If_Range=tag).status == 206
    for other in ('"another"', f"W/{tag}", "Sat, 28 Nov 2026 21:06:40 GMT"):
        assert page.ask("GET", address, Range="bytes=5-9", If_Range=other).status == 200
    clip.video.write_bytes(b"another")
    answer = page.ask("GET", address, Range="bytes=5-9", If_Range=tag)
    assert (answer.status, answer.body) == (200, b"another")


@pytest.mark.parametrize(
    "name",
    ["../../secret", "../hall/CLIP.mp4", "CLIP.json", "CLIP", "/etc/passwd", "clock.json", ".", "..", "CLIP.mp4/",
     "CLIP.mp4\0", "CLIP.mp4\n", ".CLIP.mp4", "20260101T000000.000Z.mp4", "x" * 150],
)  # fmt: skip
def test_name_leads_to_nothing_but_a_clip_of_the_sighting(lasting: tuple[PageSite, StoredClip], name: str) -> None:
    page, clip = lasting
    answer = page.ask("GET", f"{LIST}/{quote(name.replace('CLIP', clip.video.stem), safe='')}")

    assert answer.status in (400, 404), answer
    assert len(answer.json["error"]) > 5
    other = page.ask("GET", f"/api/sightings/{IDS[1]}/clips/{clip.video.name}")
    assert (other.status, other.json["error"]) == (404, "this clip is not there any more"), "it is of another sighting"


@pytest.mark.parametrize("what", ["a link", "a folder", "a pipe", "a folder that is a link", "another camera"])
def test_what_is_no_clip_is_not_sent(ended: tuple[PageSite, StoredClip], tmp_path: Path, what: str) -> None:
    page, clip = ended
    address = told(page)["address"]
    folder = clip.video.parent
    (tmp_path / "secret").write_bytes(SECRET)
    if what == "a folder that is a link":
        os.rename(folder, tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
    elif what == "another camera":
        with database.opened(Path(page.config.sightings.dir), write=True) as connection:
            connection.execute("UPDATE sightings SET camera = '../clips/hall'")
    else:
        clip.video.unlink()
        {"a link": lambda: clip.video.symlink_to(tmp_path / "secret"), "a folder": clip.video.mkdir}.get(
            what, lambda: os.mkfifo(clip.video)
        )()

    answer = page.ask("GET", address)
    assert (answer.status, answer.json["error"]) == (404, "this clip is not there any more")


def test_address_of_an_open_clip_stays_as_it_is_while_it_grows(site: tuple[PageSite, PlayedCamera]) -> None:
    page, camera = site
    before = told(page)
    first = page.ask("GET", before["address"])
    camera.play_on(camera.now_s + 3)
    after = told(page)

    assert (before["state"], before["end"], after["state"]) == ("open", None, "open")
    assert after["n_bytes"] > before["n_bytes"] == len(first.body)
    again = page.ask("GET", before["address"])
    assert (again.body, again.headers["etag"]) == (first.body, first.headers["etag"])
    tail = page.ask("GET", before["address"], Range="bytes=-10", If_Range=first.headers["etag"])
    assert (tail.status, tail.body) == (206, first.body[-10:])
    leave(camera)
    gone = page.ask("GET", before["address"])
    assert (gone.status, "ask for the clips of the sighting again" in gone.json["error"]) == (404, True)
    assert page.ask("GET", told(page)["address"]).status == 200


@pytest.mark.parametrize("part", ["1-99", "1-99\n", "x", "1", "-", "9" * 20 + "-1", "1-2-3", "../x"])
def test_part_that_was_never_told_gets_a_sentence(lasting: tuple[PageSite, StoredClip], part: str) -> None:
    page, clip = lasting
    answer = page.ask("GET", f"{LIST}/{clip.video.name}?part={quote(part)}")

    assert answer.status in (400, 404)
    assert len(answer.json["error"]) > 5


def test_clip_that_vanishes_while_it_is_sent_is_sent_to_its_end(ended: tuple[PageSite, StoredClip]) -> None:
    page, clip = ended
    address = told(page)["address"]
    with clip.video.open("ab") as file:
        file.truncate(30_000_000)  # so that it waits for its reader
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=20)
    connection.request("GET", address, headers={"Range": "bytes=0-29999999"})
    answer = connection.getresponse()
    begin = answer.read(1000)
    erase(clip)

    assert len(begin + answer.read()) == 30_000_000
    connection.close()
    gone = page.ask("GET", address)
    assert (gone.status, gone.json["error"]) == (404, "this clip is not there any more")
    assert page.ask("GET", LIST).json["clips"] == []


def test_clip_that_is_cut_off_while_it_is_sent_ends_the_answer_and_nothing_else(
    ended: tuple[PageSite, StoredClip],
) -> None:
    page, clip = ended
    address = told(page)["address"]
    os.truncate(clip.video, 30_000_000)
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=20)
    connection.request("GET", address)
    answer = connection.getresponse()
    answer.read(1000)
    os.truncate(clip.video, 10_000)

    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    connection.close()
    assert len(page.ask("GET", address).body) == 10_000


def test_files_are_closed_whether_read_or_not(ended: tuple[PageSite, StoredClip]) -> None:
    page, clip = ended
    address = told(page)["address"]

    def is_open() -> bool:
        links = (os.path.realpath(f"/proc/self/fd/{one}") for one in os.listdir("/proc/self/fd"))
        return str(clip.video) in links

    asked: list[dict[str, str]] = [{}, {"Range": "bytes=5-9"}, {"Range": "bytes=99999999-"}, {"If_None_Match": '"x"'}]
    for method in ("GET", "HEAD"):
        for headers in asked:
            page.ask(method, address, **headers)
    page.ask("GET", address, If_None_Match=page.ask("HEAD", address).headers["etag"])
    os.truncate(clip.video, 30_000_000)
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=20)
    connection.request("GET", address)
    connection.getresponse().read(1000)
    assert is_open()
    connection.close()
    wait_until(lambda: not is_open())


def test_disk_that_hangs_keeps_nobody_else_waiting(
    ended: tuple[PageSite, StoredClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    page, _ = ended
    address, hangs = told(page)["address"], threading.Event()
    monkeypatch.setattr(file_parts.FileResponse, "_read", lambda *_: hangs.wait(60) and b"")
    connections = [http.client.HTTPConnection("127.0.0.1", page.port, timeout=20) for _ in range(60)]
    try:
        for connection in connections:
            connection.request("GET", address)
            assert connection.getresponse().status == 200
        page.server.turn()
        assert page.ask("GET", LIST).status == 200
    finally:
        hangs.set()
        for connection in connections:
            connection.close()


def test_server_ends_though_a_player_has_paused(
    ended: tuple[PageSite, StoredClip], caplog: pytest.LogCaptureFixture
) -> None:
    page, clip = ended
    address = told(page)["address"]
    os.truncate(clip.video, 30_000_000)
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=20)
    connection.request("GET", address)
    connection.getresponse().read(1000)
    page.server.stop()
    connection.close()

    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_clip_needs_a_session(ended: tuple[PageSite, StoredClip]) -> None:
    page, _ = ended
    address = told(page)["address"]
    page.add_user("ada", "correct horse", "look")

    def asked(**headers: str) -> Answer:
        return page.ask("GET", address, Range="bytes=0-9", **headers)

    assert (asked().status, asked(Cookie="jetstream=guess").status) == (401, 401)
    assert asked(Cookie=page.logged_in("ada", "correct horse")).status == 206


def test_forgotten_sighting_has_no_clip_even_before_its_file_is_erased(ended: tuple[PageSite, StoredClip]) -> None:
    page, _ = ended
    address = told(page)["address"]
    with database.opened(Path(page.config.sightings.dir), write=True) as connection:
        connection.execute("DELETE FROM sightings WHERE id = ?", (IDS[0],))

    assert (page.ask("GET", address).status, page.ask("GET", LIST).status) == (404, 404)


def test_without_a_folder_of_clips_there_are_none(tmp_path: Path) -> None:
    with clip_site(tmp_path) as (page, _):
        assert page.ask("GET", LIST).json == {"is_enabled": True, "clips": []}, "the folder is not there yet"
    with page_site(tmp_path, cameras=["hall"]) as page:
        assert page.ask("GET", LIST).json == {"is_enabled": False, "clips": []}
        assert page.ask("GET", f"{LIST}/20260921T141330.500Z.mp4").status == 404


def test_damaged_description_hides_its_clip_alone(ended: tuple[PageSite, StoredClip]) -> None:
    page, clip = ended
    address = told(page)["address"]
    info_of(clip.video).write_bytes(b"{")

    assert page.ask("GET", LIST).json["clips"] == []
    assert page.ask("GET", address).status == 404


def test_room_of_clips_is_told(ended: tuple[PageSite, StoredClip]) -> None:
    page, clip = ended
    reader = MachineReader(page.config)
    wait_until(lambda: bool(reader.latest().disks), 20)

    disk = next(one for one in reader.latest().disks if one.what == "clips")
    assert (disk.dir, disk.used_bytes) == (page.config.clips.dir, clip.n_bytes)
