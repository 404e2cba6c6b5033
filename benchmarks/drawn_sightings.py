"""Draws sightings for benchmarks: a database of them, made by the project's own writer, and tracked frames.

Strangers come at any time of two years, which is harder than in life: what one query reads lies far apart.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from jetstream.messages import FrameRef, NameCandidate, Tracked, TrackedFace
from jetstream.sightings import database, ids
from jetstream.sightings.database import transaction
from jetstream.sightings.look_embedding import packed
from jetstream.sightings.writer import OpenSighting, SightingQueue

NOW_NS: Final = 1_795_900_000_000_000_000
"""2026-11-28T21:06:40Z, the end of the two years"""
SPAN_NS: Final = 730 * 86_400_000_000_000
PEOPLE: Final = tuple(f"Person {number:03}" for number in range(300))
"""of the databases that `bench_sightings_store` makes"""
CAMERAS: Final = tuple(f"camera{number:02}" for number in range(40))
STRANGERS: Final = 20_000
MOST_OF_STRANGER: Final = 200
NETWORK: Final = "0123456789abcdef"
DIMENSIONS: Final = 128
GALLERY: Final = "5f" * 32
AT_ONCE: Final = 2000


class DrawnPlan(NamedTuple):
    """Who is seen, and when: all arrays (N,), in order of begin."""

    people: np.ndarray  # number of the person; -1: a stranger
    strangers: np.ndarray  # number of the stranger, from 1; 0: none
    begins_ns: np.ndarray
    lengths_ns: np.ndarray


def zones_of(camera: int) -> tuple[str, ...]:
    """The zones of a camera: two of its own, and one that several share."""
    return (f"door{camera:02}", f"desk{camera:02}", "entrance") if camera % 4 == 0 else (f"door{camera:02}",)


def plan(count: int, rng: np.random.Generator, people: int = len(PEOPLE)) -> DrawnPlan:
    """Strangers with 1 to 200 sightings each, most with few; the rest are people, some seen far more often."""
    seen = np.exp(rng.uniform(0, np.log(MOST_OF_STRANGER), STRANGERS * count // 1_000_000)).astype(int)
    strangers = np.repeat(np.arange(1, len(seen) + 1), seen)[: count * 4 // 5]
    weights = 1 / np.arange(5, people + 5) ** 0.5
    known = rng.choice(people, count - len(strangers), p=weights / weights.sum())
    order = rng.permutation(count)
    lengths_s = np.minimum(np.exp(rng.normal(np.log(20), 1.2, count)), 3600.0)
    lengths_s[:: max(1, count // 500)] = 86_400 * 1.5  # a picture on a wall, say
    return DrawnPlan(
        np.concatenate([np.full(len(strangers), -1), known])[order],
        np.concatenate([strangers, np.zeros(len(known), int)])[order],
        np.sort(NOW_NS - 60_000_000_000 - rng.integers(0, SPAN_NS, count)),
        (lengths_s * 1e9).astype(np.int64),
    )


def sightings(drawn: DrawnPlan, rng: np.random.Generator) -> Iterator[OpenSighting]:
    """The planned sightings, all ended."""
    for person, begin_ns, length_ns in zip(
        drawn.people.tolist(), drawn.begins_ns.tolist(), drawn.lengths_ns.tolist(), strict=True
    ):
        camera = int(rng.integers(len(CAMERAS)))
        end_ns = min(begin_ns + length_ns, NOW_NS)
        yield OpenSighting(
            id=ids.encoded(begin_ns // 1_000_000, int.from_bytes(rng.bytes(10), "big")),
            camera=CAMERAS[camera],
            area=f"area {camera // 5}",
            name=name_of(person),
            begin_ns=begin_ns,
            end_ns=end_ns,
            begin_s=begin_ns * 1e-9,
            end_s=end_ns * 1e-9,
            gallery=GALLERY,
            confidence=0.95 if person >= 0 else 0.0,
            why=candidates(name_of(person), rng),
            zones={zone: begin_ns for zone in zones_of(camera) if rng.random() < 0.5},
            state="ended",
        )


def name_of(person: int) -> str | None:
    """None: a stranger."""
    return f"Person {person:03}" if person >= 0 else None


def candidates(name: str | None, rng: np.random.Generator) -> tuple[NameCandidate, ...]:
    """The one that was chosen, and two others."""
    others = (PEOPLE[int(number)] for number in rng.integers(len(PEOPLE), size=2))
    chosen = NameCandidate(name, 5.1234, 9, None if name is None else f"{name}/1.jpg", 0.31)
    return (chosen, *(NameCandidate(other, 0.5432, 1, f"{other}/2.jpg", 0.52) for other in others if other != name))


def fill(folder: Path, count: int, looks: int, *, seed: int = 0, people: int = len(PEOPLE)) -> None:
    """Make a database of `count` sightings, the newest `looks` // 2 of them with two looks each, but no files."""
    rng = np.random.default_rng(seed)
    drawn = plan(count, rng, people)
    numbers = iter(drawn.strangers.tolist())
    row = itertools.count(1)
    found = sightings(drawn, rng)
    with database.opened(folder, write=True) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # the disk is measured elsewhere
        queue = SightingQueue()
        while some := list(itertools.islice(found, AT_ONCE)):
            for sighting in some:
                queue.put(sighting, "exit")
            queue.write(connection)
            groups = [(next(numbers) or None, next(row)) for _ in some]
            with transaction(connection):  # as the grouper does later
                connection.executemany("UPDATE sightings SET stranger = ? WHERE n = ?", groups)
        _add_strangers(folder, drawn)
        _add_looks(folder, count, looks, rng)


def _add_strangers(folder: Path, drawn: DrawnPlan) -> None:
    """The numbers of strangers; one in twenty goes on under another one."""
    newest = int(drawn.strangers.max())
    with database.opened(folder, write=True) as connection, transaction(connection):
        rows = [(number, None, NOW_NS - SPAN_NS) for number in range(1, newest + 1)]
        merged = [(newest + alias, 20 * alias, NOW_NS) for alias in range(1, newest // 20 + 1)]
        connection.executemany("INSERT INTO strangers (id, merged_into, first_ns) VALUES (?, ?, ?)", rows + merged)


def _add_looks(folder: Path, count: int, looks: int, rng: np.random.Generator) -> None:
    with database.opened(folder, write=True) as connection, transaction(connection):
        for number in range(looks):
            n = count - number // 2
            embedding = rng.standard_normal(DIMENSIONS, np.float32)
            connection.execute(
                "INSERT INTO looks (sighting, file, taken_ns, quality, turned, landmarks, bytes, network, embedding) "
                "SELECT n, 'looks/2026-11-28/' || id || ?, begin_ns, ?, 0.1, ?, 9000, ?, ? FROM sightings WHERE n = ?",
                (
                    f"-{number % 2}.jpg",
                    float(rng.random()),
                    "[" + ",".join(["71.25"] * 10) + "]",
                    NETWORK,
                    packed(embedding / np.linalg.norm(embedding)),
                    n,
                ),
            )


def visits(per_hour: int, hours: float, *, fps: float, visit_s: float) -> Iterator[Tracked]:
    """Frames of one camera where a face appears every 3600 / `per_hour` s and stays `visit_s`; every fourth of a
    person with a name."""
    rng = np.random.default_rng(1)
    every_s = 3600 / per_hour
    number, faces, ended = 0, {}, []
    for frame in range(round(hours * 3600 * fps)):
        time_s = frame / fps
        while number * every_s <= time_s:
            name = PEOPLE[number % len(PEOPLE)] if number % 4 == 0 else None
            random = int.from_bytes(rng.bytes(10), "big")
            faces[number] = (time_s, ids.encoded(int(time_s * 1000), random), name, candidates(name, rng))
            number += 1
        gone = [key for key, (since_s, *_) in faces.items() if time_s - since_s > visit_s]
        ended = [faces.pop(key)[1] for key in gone]
        yield Tracked(
            frame=FrameRef(CAMERAS[0], frame, round((1000 + time_s) * 1e9), NOW_NS + round(time_s * 1e9), time_s, True),
            faces=tuple(_face(key, time_s, *values) for key, values in faces.items()),
            ended=tuple(ended),
        )


def _face(
    track_id: int, time_s: float, since_s: float, sighting: str, name: str | None, votes: tuple[NameCandidate, ...]
) -> TrackedFace:
    left = 20.0 * (track_id % 60)
    return TrackedFace(
        track_id=track_id,
        state="confirmed",
        box=(left, 100.0, left + 80.0, 200.0),
        score=0.99,
        landmarks=(left + 20, 130.0, left + 60, 130.0, left + 40, 150.0, left + 25, 170.0, left + 55, 170.0),
        name=name,
        confidence=0.9 if name else 0.0,
        age_s=time_s - since_s,
        votes=votes,
        sighting=sighting,
    )
