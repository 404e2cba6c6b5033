"""How long the page's answers about sightings take, by HTTP, at a million sightings of 5,000 people.

    python -m benchmarks.bench_page [--folder DIR] [--sightings N] [--people N]

The database is drawn (`drawn_sightings`) and written by the project's own writer; then 300 people and 60 strangers are
there now, and 500 people have just left. The page's own server answers, in this process; each question is asked in 30
forms over one connection.
"""

import argparse
import http.client
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from benchmarks import drawn_sightings
from benchmarks.drawn_sightings import CAMERAS, NOW_NS, name_of, zones_of
from jetstream.config import load
from jetstream.config.schema import Config
from jetstream.ipc.local import LocalRing
from jetstream.ipc.rings import Rings
from jetstream.sightings import database
from jetstream.sightings.writer import SightingQueue
from jetstream.web.frames import NewestFrames
from jetstream.web.server import serving
from jetstream.web.site import Site

FORMS: Final = 30
PORT: Final = 25571
HERE: Final = 300
STRANGERS_HERE: Final = 60
LEFT: Final = 500
DAY_NS: Final = 86_400_000_000_000


class TimedAnswer(NamedTuple):
    """An answer, how long it took by the clock, and how much time of processor."""

    body: bytes
    took_s: float
    used_s: float


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    asked.add_argument("--folder", type=Path, help="where the database is kept; without it, it is removed at the end")
    asked.add_argument("--sightings", type=int, default=1_000_000)
    asked.add_argument("--people", type=int, default=5_000)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        if not database.path_in(folder).exists():
            drawn_sightings.fill(folder, given.sightings, given.sightings // 10, people=given.people)
        put_now(folder, given.people)
        measure(folder, given.people)


def put_now(folder: Path, people: int) -> None:
    """Who is here, and who has just left."""
    rng = np.random.default_rng(time.time_ns())
    queue, now_ns = SightingQueue(), time.time_ns()
    drawn = drawn_sightings.sightings(drawn_sightings.plan(20_000, rng, people), rng)
    for number, sighting in zip(range(HERE + STRANGERS_HERE + LEFT), drawn, strict=False):
        is_here = number < HERE + STRANGERS_HERE
        is_stranger = HERE <= number < HERE + STRANGERS_HERE
        sighting.name = None if is_stranger else name_of(number * 7 % people)
        sighting.end_ns = now_ns + 3600 * 10**9 if is_here else now_ns - 60 * 10**9
        sighting.begin_ns = now_ns - 120 * 10**9
        sighting.state = "open" if is_here else "ended"
        queue.put(sighting, "enter")
    with database.opened(folder, write=True) as connection:
        connection.execute("UPDATE sightings SET state = 'ended' WHERE state = 'open'")
        queue.write(connection)


def measure(folder: Path, people: int) -> None:
    config = config_with(folder)
    site = Site(config, NewestFrames(config, Rings({CAMERAS[0]: LocalRing(slots=4)})))
    with serving(config.web, site):
        client = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        with database.opened(folder) as connection:
            most = connection.execute("SELECT max(n) FROM sightings").fetchone()[0]
            ids = [
                connection.execute("SELECT id FROM sightings WHERE n = ?", (most - part * most // FORMS,)).fetchone()[0]
                for part in range(FORMS)
            ]
        print("| question | median, ms | p95 | of processor | kB |\n| --- | --- | --- | --- | --- |")
        for name, path_of in questions(people, ids).items():
            row(client, name, path_of)
        walk(client, "all strangers, 200 at a time", "strangers", 200)
        walk(client, "all sightings of a person, 200 at a time", "sightings?person=Person%20000", 200)


def config_with(folder: Path) -> Config:
    return load.build(
        {
            "cameras": [
                {"name": name, "source": "demo", "area": f"area {number // 5}"} for number, name in enumerate(CAMERAS)
            ],
            "sightings": {"dir": str(folder)},
            "web": {"endpoint": f"http://127.0.0.1:{PORT}", "dir": str(folder / "web")},
        },
        where="benchmark",
    )


def questions(people: int, ids: list[str]) -> dict[str, Callable[[int], str]]:
    """By name: what gives the address for each form."""

    def person(i: int) -> str:
        return f"Person%20{i * 167 % people:03}"

    def day(i: int) -> str:
        from_ns = NOW_NS - (i * 23 % 700 + 2) * DAY_NS
        return f"from={from_ns}&to={from_ns + DAY_NS}"

    return {
        "the newest 50 sightings": lambda i: "sightings",
        "the newest 200": lambda i: "sightings?most=200",
        "the next 200": lambda i: f"sightings?most=200&before={ids[i]}",
        "a day": lambda i: f"sightings?{day(i)}",
        "a day, 200": lambda i: f"sightings?most=200&{day(i)}",
        "of a person; on a day": lambda i: f"sightings?person={person(i)}" + (f"&{day(i)}" if i % 2 else ""),
        "of a stranger": lambda i: f"sightings?stranger={i * 997 % 20_000 + 1}",
        "strangers, on a day": lambda i: f"sightings?unknown=1&{day(i)}",
        "of a camera": lambda i: f"sightings?camera={CAMERAS[i]}",
        "of an area of five cameras": lambda i: f"sightings?area=area%20{i % 8}",
        "of an area, on a day": lambda i: f"sightings?area=area%20{i % 8}&{day(i)}",
        "of a person in an area": lambda i: f"sightings?person={person(i)}&area=area%20{i % 8}",
        "of a zone; on a day": lambda i: f"sightings?zone={zones_of(i)[0]}" + (f"&{day(i)}" if i % 2 else ""),
        "one, by its id": lambda i: f"sightings/{ids[i]}",
        "strangers, the newest 50": lambda i: "strangers",
        "strangers, the newest 200": lambda i: "strangers?most=200",
        "strangers seen twice, 50": lambda i: "strangers?seen=2",
        "presence": lambda i: "presence",
        "names": lambda i: "names",
    }


def row(client: http.client.HTTPConnection, name: str, path_of: Callable[[int], str]) -> None:
    asked(client, path_of(0))
    told([asked(client, path_of(form)) for form in range(FORMS)], name)


def walk(client: http.client.HTTPConnection, name: str, path: str, most: int) -> None:
    """Each part of a list, to its end."""
    before, parts, mark = "", list[TimedAnswer](), "&" if "?" in path else "?"
    while before is not None:
        parts.append(asked(client, f"{path}{mark}most={most}" + (f"&before={before}" if before else "")))
        before = json.loads(parts[-1].body)["next"]
    told(parts, f"{name}, {len(parts)} parts")


def told(answers: Sequence[TimedAnswer], name: str) -> None:
    took_ms = sorted(answer.took_s * 1e3 for answer in answers)
    used_ms = statistics.median(answer.used_s * 1e3 for answer in answers)
    size = statistics.median(len(answer.body) / 1e3 for answer in answers)
    late_ms = took_ms[len(took_ms) * 95 // 100]
    print(f"| {name} | {statistics.median(took_ms):.1f} | {late_ms:.1f} | {used_ms:.1f} | {size:.0f} |", flush=True)


def asked(client: http.client.HTTPConnection, path: str) -> TimedAnswer:
    """Server and client are in one process, so the time of processor is that of both."""
    begun_s, used_s = time.perf_counter(), time.process_time()
    client.request("GET", f"/api/{path}")
    answer = client.getresponse()
    body = answer.read()
    assert answer.status == 200, body
    return TimedAnswer(body, time.perf_counter() - begun_s, time.process_time() - used_s)


if __name__ == "__main__":
    main()
