"""Erases people everywhere: photos, embeddings, sightings, recordings; then searches all of it for what is left."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jetstream.changes.naming import sighting_folders
from jetstream.config.schema import Config
from jetstream.errors import JetstreamError, PipelineError
from jetstream.gallery import audit, erasure, photos
from jetstream.gallery.erasure import SearchedFolders
from jetstream.gallery.person_traces import PersonTraces
from jetstream.sightings import erasure as sightings
from jetstream.sightings.erasure import SearchedSightings
from jetstream.web.tasks import EVALUATION


class ErasurePlan(NamedTuple):
    """What will be erased of some people."""

    names: Sequence[str]
    where: SearchedFolders
    found: PersonTraces
    sightings: Sequence[SearchedSightings]
    """of each folder of sightings"""
    report: Path
    """of how well people are told apart, which the page made, with pictures of them"""

    def __str__(self) -> str:
        """Such as `4 photos, 2 recordings, 3 sightings with 9 pictures`."""
        return self.with_sightings(self.found)

    def with_sightings(self, found: PersonTraces) -> str:
        """What was found, and the sightings."""
        return ", ".join(map(str, (found, *(one.traces for one in self.sightings if one.traces))))

    @property
    def who(self) -> str:
        return ", ".join(self.names)


class ErasureReport(NamedTuple):
    """What was erased."""

    gone: str
    """the counts"""
    verified: Sequence[Path]
    """folders that were searched afterwards and hold nothing of these people"""
    notes: Sequence[str]
    """sentences: what stays, and what wasn't searched"""


def plan(names: Sequence[str], config: Config, recordings: Path | None = None) -> ErasurePlan:
    """What `forget` would erase; `recordings`: a folder whose recordings of these people are erased, too.

    Raises UserError: there is no such person, or a folder can't be read.
    """
    checked = [photos.check_name(name) for name in names]  # as sightings have them
    searched = [sightings.search(checked, folder) for folder in sighting_folders(config)]
    seen = frozenset(name for one in searched for name in one.known)
    where = erasure.folders_in_use(config, recordings)._replace(seen=seen)
    return ErasurePlan(checked, where, erasure.find(checked, where), searched, Path(config.web.dir) / EVALUATION)


def forget(planned: ErasurePlan, train: Callable[[], object], *, by: str = "") -> ErasureReport:
    """Erase, call `train`, which trains the gallery on what is left, and search for what still holds these people.

    `by`: who did it on the page. Raises UserError before anything is erased; PipelineError: something is left, and how
    to go on.
    """
    names, where = planned.names, planned.where
    folders = [one.traces.folder for one in planned.sightings]
    erased = erasure.forget(names, where)
    logs = [sightings.erase(names, one.traces.folder, one).log for one in planned.sightings]
    with contextlib.suppress(OSError):  # said below
        planned.report.unlink()
    gone = planned.with_sightings(erased)
    for name in names:
        audit.add(where.models, "forget", name, erased.photos, by=by)
    try:
        train()
        erasure.forget_earlier_version(where)
    except JetstreamError as error:
        raise PipelineError(
            f"{planned.who}: erased: {gone}, but the embeddings are still there, because of this: {error}; "
            "then run `jetstream forget` again with the same names"
        ) from None
    left: list[object] = [*erasure.remains(names, where)]
    left += [f"{folder} ({traces})" for folder in folders if (traces := sightings.find(names, folder))]
    left += [
        f"{log} (another program reads the database; end it and run `jetstream forget` again)" for log in logs if log
    ]
    left += [planned.report] if os.path.lexists(planned.report) else []
    if left:
        raise PipelineError(f"{planned.who}: erased: {gone}; still in {'; '.join(map(str, left))}")
    verified = [*erasure.verified(erased, where), *(one.traces.folder for one in planned.sightings if one.traces)]
    return ErasureReport(gone, verified, tuple(_notes(planned, erased)))


def _notes(planned: ErasurePlan, erased: PersonTraces) -> Iterator[str]:
    yield from erased.what_stays()
    yield from erasure.not_searched(planned.where)
    for one in planned.sightings:
        yield from erasure.kept_by_restores(one.traces.folder)
