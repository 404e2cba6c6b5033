"""A page with a sighting that has clips, of a film whose frames bear their numbers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jetstream.sightings import database
from tests.support.numbered_films import numbered_film
from tests.support.pages import PageSite, page_site
from tests.support.played import WALL_NS, PlayedCamera
from tests.support.sightings import IDS, at, face, record

FPS = 10
BEGIN_S = 15.0
"""when the first sighting begins, in the film's time"""
LATER_S = 18.0
"""when the second one does"""


def film_of(folder: Path, **film: Any) -> Path:
    """30 s."""
    return numbered_film(folder / "film.mp4", [number / FPS for number in range(300)], **film)


@contextmanager
def clip_site(folder: Path, name: str | None = "Ada", **clips: Any) -> Iterator[tuple[PageSite, PlayedCamera]]:
    """Two sightings at `hall` in the database, and a camera that makes clips: none yet."""
    camera = PlayedCamera(folder, **{"pre_s": 4, "post_s": 2, **clips})
    with page_site(folder, cameras=["hall"], clips={"dir": camera.settings.dir}) as page:
        frames = [at(second, face(IDS[0], name), face(IDS[1]), camera="hall") for second in range(3)]
        record(page.config, frames)
        with database.opened(Path(page.config.sightings.dir), write=True) as connection:
            for id_, begin_s in ((IDS[0], BEGIN_S), (IDS[1], LATER_S)):
                begin_ns = WALL_NS + round(begin_s * 1e9)
                times = (begin_ns, begin_ns + 3 * 10**9, id_)
                connection.execute("UPDATE sightings SET begin_ns = ?, end_ns = ? WHERE id = ?", times)
        yield page, camera


def play(camera: PlayedCamera, film: Path) -> None:
    """The first sighting begins; its clip stays open."""
    camera.play(film, BEGIN_S + 0.6)
    camera.enter(IDS[0], BEGIN_S)
    camera.play_on(BEGIN_S + 4.6)


def leave(camera: PlayedCamera) -> None:
    """It ended after 3 s; its clip has ended."""
    camera.leave(IDS[0], BEGIN_S + 3.0)
    camera.play_on()
