"""How long the database of sightings takes, at a million of them, to answer, to write, to erase and to delete.

    python -m benchmarks.bench_sightings_store

The database is drawn (`drawn_sightings`) and written by the project's own writer. Each question is asked in 30 forms:
"warm", of a connection that was asked all of them before; "new", of a new connection each, whose cache is empty (the
operating system's isn't). Parts run in the order given: those that delete come late, and
`copy` is last, since it makes the database one of a newer version.
"""

import argparse
import contextlib
import os
import shutil
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks import drawn_sightings, sighting_questions
from jetstream.config import load
from jetstream.ipc.local import LocalRing
from jetstream.ipc.rings import Rings
from jetstream.sightings import database, erasure, reader, retention
from jetstream.sightings.recorder import SightingRecorder
from jetstream.sightings.writer import OpenSighting, SightingQueue

FORMS = 30
CHANGED = 100  # sightings a transaction: at ten a second, 1,000 a second
WIDE, HIGH = 1280, 240
FPS = 2


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    asked.add_argument("--folder", type=Path, help="where the database is kept; without it, it is removed at the end")
    asked.add_argument("--sightings", type=int, default=1_000_000)
    asked.add_argument("--parts", default=",".join(MEASURES))
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        path = database.path_in(folder)
        if not path.exists():
            with printed(f"making {given.sightings}"):
                drawn_sightings.fill(folder, given.sightings, given.sightings // 10)
            print(f"{path.stat().st_size / 1e6:.0f} MB, {path.stat().st_size / given.sightings:.0f} bytes a sighting")
        for part in given.parts.split(","):
            print(f"\n{part}:", flush=True)
            MEASURES[part](folder)


@contextlib.contextmanager
def printed(what: str) -> Iterator[None]:
    begun_s, used_s = time.perf_counter(), time.process_time()
    yield
    took_s, used_s = time.perf_counter() - begun_s, time.process_time() - used_s
    print(f"{what}: {took_s:.2f} s, {used_s:.2f} of processor", flush=True)


def row(name: str, *times_s: list[float]) -> None:
    figures = (
        f"{statistics.median(some) * 1e3:8.1f} {sorted(some)[len(some) * 95 // 100] * 1e3:8.1f}" for some in times_s
    )
    print(f"{name:34} {' '.join(figures)}", flush=True)


def timed(call: Callable[..., object], *arguments: object) -> float:
    """Seconds that the call took."""
    begun_s = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - begun_s


def of(folder: Path) -> dict[str, sighting_questions.Question]:
    with database.opened(folder) as connection:
        most = connection.execute("SELECT max(n) FROM sightings").fetchone()[0]
        rows = [most * part // FORMS for part in range(1, FORMS + 1)]
        by_number = "SELECT id FROM sightings WHERE n >= ? ORDER BY n LIMIT 1"
        found = [connection.execute(by_number, (n,)).fetchone()[0] for n in rows]
        strangers = connection.execute("SELECT count(*) FROM strangers WHERE merged_into IS NULL").fetchone()[0]
    return sighting_questions.questions(found, strangers)


def queries(folder: Path) -> None:
    print(f"{'':34} {'warm, ms':>8} {'p95':>8} {'new, ms':>8} {'p95':>8}")
    row("open", [timed(lambda: database.connect(folder).close()) for _ in range(FORMS)])
    for name, ask in of(folder).items():
        forms = range(3 if name in sighting_questions.SCANS else FORMS)
        with database.opened(folder) as connection:
            for form in forms:
                ask(connection, form)
            warm_s = [timed(ask, connection, form) for form in forms]
        new_s = []
        for form in forms:
            with database.opened(folder) as connection:
                new_s.append(timed(ask, connection, form))
        row(name, warm_s, new_s)


def plans(folder: Path) -> None:
    """The steps of query plans that read a table from one end to the other, without an index in whose order it is."""
    for name, ask in of(folder).items():
        path = database.path_in(folder).absolute()
        with contextlib.closing(
            sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, factory=sighting_questions.PlannedConnection)
        ) as connection:
            ask(connection, 0)
            for step in connection.steps:
                if step.startswith(("SCAN sightings", "SCAN zones", "SCAN looks", "SCAN strangers", "SCAN changes")):
                    print(f"{name:34} {step}")


class DrawnCrowd:
    """1,000 open sightings at a time: of each hundred changed ones twenty are new, and twenty end."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(time.time_ns())
        self.drawn = iter(())
        self.open: list[OpenSighting] = []

    def put(self, queue: SightingQueue) -> None:
        for _ in range(20):
            sighting = next(self.drawn, None)
            if sighting is None:
                self.drawn = drawn_sightings.sightings(drawn_sightings.plan(20_000, self.rng), self.rng)
                sighting = next(self.drawn)
            sighting.state = "open"
            queue.put(sighting, "enter")
            self.open.append(sighting)
        for number in self.rng.integers(len(self.open), size=CHANGED - 40):
            self.open[number].end_ns += 1_000_000_000
            queue.put(self.open[number])
        for _ in range(20 if len(self.open) >= 1000 else 0):
            sighting = self.open.pop(int(self.rng.integers(len(self.open))))
            sighting.state = "ended"
            queue.put(sighting, "exit")


def writes(folder: Path) -> None:
    crowd, queue, took_s, used_s, written = DrawnCrowd(), SightingQueue(), [], [], 0
    with database.opened(folder, write=True) as connection:
        for _ in range(300):
            crowd.put(queue)
            written += len(queue)
            before_s = time.process_time()
            took_s.append(timed(queue.write, connection))
            used_s.append(time.process_time() - before_s)
    row(f"a transaction of {CHANGED}, ms", took_s)
    row("of processor", used_s)
    print(f"{written / sum(took_s):.0f} changed sightings a second, {written / sum(used_s):.0f} by processor time")


def log(folder: Path) -> None:
    """Largest size of the write-ahead log while 500 transactions are made, and its size after two more."""
    for name, reading in (("nobody reads", None), ("three follow", follow), ("a read transaction is held", hold)):
        ended = threading.Event()
        readers = [threading.Thread(target=reading, args=(folder, ended)) for _ in range(3)] if reading else []
        for reader_ in readers:
            reader_.start()
        crowd, queue, most = DrawnCrowd(), SightingQueue(), 0
        wal = Path(f"{database.path_in(folder)}-wal")
        with database.opened(folder, write=True) as connection:
            for transaction in range(502):
                if transaction == 500:
                    ended.set()
                    for reader_ in readers:
                        reader_.join()
                crowd.put(queue)
                queue.write(connection)
                most = max(most, wal.stat().st_size)
            print(f"{name:34} {most / 1e6:.1f} MB, then {wal.stat().st_size / 1e6:.1f} MB", flush=True)


def follow(folder: Path, ended: threading.Event) -> None:
    with database.opened(folder) as connection:
        seen = reader.newest_change(connection)
        while not ended.wait(0.01):
            for seq, *_ in reader.changes_after(connection, seen):
                seen = seq


def hold(folder: Path, ended: threading.Event) -> None:
    with database.opened(folder) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT n FROM sightings LIMIT 1").fetchone()
        ended.wait()


def recorder(folder: Path) -> None:
    """10,000 sightings an hour through the recorder, in memory's file system, so that the disk doesn't count."""
    ram = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    config = load.build(
        {"cameras": [{"name": drawn_sightings.CAMERAS[0], "source": "demo"}], "sightings": {"dir": str(ram)}},
        where="benchmark",
    )
    ring, picture = LocalRing(slots=4), np.random.default_rng(0).integers(0, 255, (HIGH, WIDE, 3), np.uint8)
    told = SightingRecorder(config, Rings({drawn_sightings.CAMERAS[0]: ring}))
    now_s = used_s = 0.0
    try:
        for number, tracked in enumerate(drawn_sightings.visits(10_000, 1.0, fps=FPS, visit_s=6.0)):
            ring.write(picture)
            now_s, before_s = tracked.frame.time_s, time.process_time()
            told.saw(tracked, now_s)
            used_s += time.process_time() - before_s
            if (number + 1) % (FPS * 600) == 0:
                minutes, used_ms = (number + 1) / FPS / 60, used_s / (number + 1) * 1e3
                print(f"{minutes:5.0f} min: {rss_mb():.1f} MB, {used_ms:.2f} ms of processor a frame", flush=True)
        told.close(ended=True, now_s=now_s)
    finally:
        shutil.rmtree(ram)


def rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def erase(folder: Path) -> None:
    with database.opened(folder) as connection:
        seen = {
            name: len(reader.find(connection, reader.SightingFilter(person=name)))
            for name in drawn_sightings.PEOPLE[:20]
        }
    who = min(seen, key=lambda name: abs(seen[name] - 3000))
    with printed(f"find {who}"):
        print(erasure.find([who], folder))
    with printed("which of three names are known"):
        erasure.named([who, "Nobody", "None"], [folder])
    with printed("rename"):
        erasure.rename(who, "Ada", folder)
    with printed("erase"):
        erasure.erase(["Ada"], folder)
    with printed("find Ada"):
        assert not erasure.find(["Ada"], folder)


def delete(folder: Path) -> None:
    with database.opened(folder, write=True) as connection:
        oldest = connection.execute("SELECT n, id FROM sightings ORDER BY begin_ns LIMIT 100000").fetchall()
        took_s = [
            timed(retention.delete, connection, folder, some)
            for some in (
                oldest[at : at + retention.MOST_AT_ONCE] for at in range(0, len(oldest), retention.MOST_AT_ONCE)
            )
        ]
    row(f"delete {retention.MOST_AT_ONCE}, ms", took_s)
    print(f"{len(oldest)}: {sum(took_s):.1f} s")


def copy(folder: Path) -> None:
    """What the next version of the schema will cost before its own step."""
    further = (*database.MIGRATIONS, "ALTER TABLE sightings ADD COLUMN note TEXT;")
    with (
        mock.patch.object(database, "MIGRATIONS", further),
        mock.patch.object(database, "VERSION", len(further)),
        printed("copy and migrate"),
        database.opened(folder, write=True),
    ):
        pass


MEASURES = {part.__name__: part for part in (queries, plans, writes, log, recorder, erase, delete, copy)}

if __name__ == "__main__":
    main()
