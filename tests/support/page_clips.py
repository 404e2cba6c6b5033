"""A page with a sighting that has clips, of a film whose frames bear their numbers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.numbered_films import numbered_film
from tests.support.pages import PageSite, page_site
from tests.support.played import PlayedCamera
from tests.support.sightings import IDS, at, face, record

FPS = 10
BEGIN_S = 15.0
"""when the sighting begins, in the film's time"""


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
        yield page, camera


def play(camera: PlayedCamera, film: Path, ids: Sequence[str] = IDS[:1]) -> None:
    """Have them seen from BEGIN_S on; their clip stays open."""
    camera.play(film, BEGIN_S + 0.6)
    for id_ in ids:
        camera.enter(id_, BEGIN_S)
    camera.play_on(BEGIN_S + 4.6)


def leave(camera: PlayedCamera, ids: Sequence[str] = IDS[:1]) -> None:
    """They were seen for 3 s; their clip has ended."""
    for id_ in ids:
        camera.leave(id_, BEGIN_S + 3.0)
    camera.play_on()
