"""What each combination of filters finds, beside a plain search through all sightings."""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jetstream.sightings import database, reader
from jetstream.sightings.database import LONG_NS
from jetstream.sightings.reader import SightingFilter
from jetstream.sightings.writer import OpenSighting, SightingQueue
from tests.support.sightings import WALL_NS

HOUR_NS = 3_600_000_000_000


def drawn(count: int) -> Iterator[OpenSighting]:
    """Sightings over some days: some last longer than LONG_NS, and each is in up to three zones."""
    rng = random.Random(7)
    for number in range(count):
        begin_ns = WALL_NS + rng.randrange(100 * HOUR_NS)
        length_ns = rng.choice([10**10, HOUR_NS, LONG_NS, LONG_NS + 1, 3 * LONG_NS])
        yield OpenSighting(
            id=f"{number:026}",
            camera=rng.choice("ab"),
            area="hall",
            name=rng.choice([None, None, "Ada", "Bob"]),
            begin_ns=begin_ns,
            end_ns=begin_ns + length_ns,
            begin_s=0.0,
            end_s=length_ns * 1e-9,
            zones={zone: begin_ns + rng.randrange(length_ns) for zone in rng.sample(["door", "desk", "till"], 2)},
            state=rng.choice(["ended", "ended", "ended", "merged"]),
        )


def fits(one: OpenSighting, wanted: dict[str, Any]) -> bool:
    return (
        one.state != "merged"
        and wanted.get("person") in (None, one.name)
        and not ("unknown" in wanted and one.name is not None)
        and not ("stranger" in wanted and (one.name is not None or one.camera != "b"))
        and wanted.get("camera") in (None, one.camera)
        and ("cameras" not in wanted or one.camera in wanted["cameras"])
        and (wanted.get("zone") is None or wanted["zone"] in one.zones)
        and one.end_ns >= wanted.get("from_ns", 0)
        and one.begin_ns < wanted.get("to_ns", 2**62)
    )


@pytest.mark.parametrize("most", [None, 7])
def test_every_combination_finds_what_a_plain_search_finds(tmp_path: Path, most: int | None) -> None:
    sightings = list(drawn(300))
    queue = SightingQueue()
    for sighting in sightings:
        queue.put(sighting)
    with database.opened(tmp_path, write=True) as connection:
        queue.write(connection)
        connection.execute("UPDATE sightings SET stranger = 1 WHERE camera = 'b'")
        asked: dict[str, Any] = {
            "person": "Ada",
            "stranger": 1,
            "unknown": True,
            "camera": "a",
            "cameras": ("a", "c"),
            "zone": "door",
            "from_ns": WALL_NS + 40 * HOUR_NS,
            "to_ns": WALL_NS + 50 * HOUR_NS,
        }
        for names in itertools.chain.from_iterable(itertools.combinations(asked, size) for size in range(9)):
            wanted = {name: asked[name] for name in names}
            expected = sorted((one for one in sightings if fits(one, wanted)), key=lambda one: one.begin_ns)

            found = reader.find(connection, SightingFilter(most=most, **wanted))

            assert [one.id for one in found] == [one.id for one in expected][-(most or 300) :], names


@pytest.mark.parametrize(
    "wanted", [{}, {"zone": "door"}, {"cameras": ("a", "b")}, {"from_ns": WALL_NS + 10**9}, {"stranger": 1}]
)
def test_parts_of_a_list_make_the_whole_though_many_began_at_once(tmp_path: Path, wanted: dict[str, Any]) -> None:
    queue = SightingQueue()
    for number, sighting in enumerate(drawn(100)):
        sighting.begin_ns, sighting.state = WALL_NS + number % 3, "ended"
        queue.put(sighting)
    with database.opened(tmp_path, write=True) as connection:
        queue.write(connection)
        connection.execute("UPDATE sightings SET stranger = 1 WHERE camera = 'b'")
        whole = [one.id for one in reader.find(connection, SightingFilter(**wanted))][::-1]
        parts: list[str] = []
        while True:
            asked = SightingFilter(most=7, before=parts[-1] if parts else None, **wanted)
            part = [one.id for one in reader.find(connection, asked)][::-1]
            if not part:
                break
            parts += part

        assert len(whole) > 14
        assert parts == whole
        with pytest.raises(reader.NoSightingError):
            reader.find(connection, SightingFilter(before="none"))


def test_zone_goes_along_when_a_sighting_turns_out_to_begin_earlier(tmp_path: Path) -> None:
    one, other = itertools.islice((sighting for sighting in drawn(300) if "door" in sighting.zones), 2)
    one.state = other.state = "open"
    one.begin_ns, other.begin_ns, one.zones["door"] = WALL_NS + 10, WALL_NS + 20, WALL_NS + 15
    with database.opened(tmp_path, write=True) as connection:
        queue = SightingQueue()
        queue.put(one)
        queue.put(other)
        queue.write(connection)
        other.begin_ns, other.zones["door"] = WALL_NS, WALL_NS + 5
        queue.put(other)
        queue.write(connection)

        found = reader.find(connection, SightingFilter(zone="door", most=1))

        assert [sighting.id for sighting in found] == [one.id]
        assert connection.execute(
            "SELECT first_ns, begin_ns FROM zones WHERE sighting = ? AND zone = 'door'", (other.n,)
        ).fetchone() == (WALL_NS + 5, WALL_NS)
