"""A page whose database has sightings of today and before, with real pictures of faces."""

import time
from pathlib import Path

import numpy as np

from jetstream.sightings import database, ids
from tests.support.pages import PageSite
from tests.support.sightings import WALL_NS, Portraits, at, face, record
from tests.support.stage_messages import config_of

COLLINS, HOPPER = "Eileen Collins", "Grace Hopper"
ADA, STRANGER, CAMERA = "Ada", 1, "a"
SEEN = tuple(ids.encoded(WALL_NS // 1_000_000, number) for number in range(4))
"""Eileen Collins, who is here; a stranger; Grace Hopper, corrected; Eileen Collins in zone porch"""


def fill(page: PageSite, models: Path, images: dict[str, np.ndarray], now_ns: int | None = None) -> None:
    """Four sightings of the last minutes with pictures."""
    portraits = Portraits(config_of(models), images)
    names = ((COLLINS, COLLINS), (HOPPER, None), (HOPPER, HOPPER), (COLLINS, COLLINS))
    portraits.seen(page.config, *((who, id_, name) for (who, name), id_ in zip(names, SEEN, strict=True)))
    now_ns = time.time_ns() if now_ns is None else now_ns
    with database.opened(Path(page.config.sightings.dir), write=True) as connection:
        for number, id_ in enumerate(SEEN):
            begin_ns = now_ns - (30 + 70 * number) * 10**9
            connection.execute(
                "UPDATE sightings SET begin_ns = ?, end_ns = ? WHERE id = ?", (begin_ns, begin_ns + 29 * 10**9, id_)
            )
        connection.execute("UPDATE sightings SET state = 'open' WHERE id = ?", (SEEN[0],))
        connection.execute("UPDATE sightings SET stranger = 1 WHERE id = ?", (SEEN[1],))
        connection.execute("INSERT INTO strangers (id, first_ns) VALUES (1, 0)")
        connection.execute("UPDATE sightings SET verdict = 'name', corrected = 'Ada' WHERE id = ?", (SEEN[2],))
        connection.execute(
            "INSERT INTO corrections (sighting_id, at_ns, verdict, name) VALUES (?, ?, 'name', 'Ada')",
            (SEEN[2], now_ns),
        )
        connection.execute(
            "INSERT INTO zones SELECT n, 'porch', begin_ns, begin_ns FROM sightings WHERE id = ?", (SEEN[3],)
        )


def add_earlier(page: PageSite, count: int, now_ns: int | None = None) -> None:
    """Sightings without pictures, one each half hour. They end what is open, so they come before `fill`."""
    now_ns = time.time_ns() if now_ns is None else now_ns
    earlier = [ids.encoded(1000 + number, number) for number in range(count)]
    frames = [
        at(100 * number + second, face(id_, "Ada" if number % 3 else None))
        for number, id_ in enumerate(earlier)
        for second in range(3)
    ]
    record(page.config, frames)
    with database.opened(Path(page.config.sightings.dir), write=True) as connection:
        for number, id_ in enumerate(earlier):
            begin_ns = now_ns - (1800 * (number + 1)) * 10**9
            connection.execute(
                "UPDATE sightings SET begin_ns = ?, end_ns = ? WHERE id = ?", (begin_ns, begin_ns + 10**10, id_)
            )
