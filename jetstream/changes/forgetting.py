"""Erases people everywhere: photos, embeddings, sightings, clips, alerts, recordings, what an MQTT broker holds; then
searches all of it for what is left."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jetstream.alerts import alert_file
from jetstream.alerts import erasure as alerts
from jetstream.changes.naming import sighting_folders
from jetstream.clips import erasure as clip_erasure
from jetstream.clips.library import StoredClip
from jetstream.config.schema import Config, run_dir
from jetstream.errors import JetstreamError, PipelineError
from jetstream.gallery import audit, erasure, photos
from jetstream.gallery.erasure import SearchedFolders
from jetstream.gallery.person_traces import PersonTraces, counted
from jetstream.mqtt.clearing import ClearedBroker, clear
from jetstream.runtime.run_dir import RunDir
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
    clips: Path | None
    """folder of clips"""
    report: Path
    """of how well people are told apart, which the page made, with pictures of them"""
    configs: Sequence[Config] = ()
    """that may have told a broker: this one, and the one of a pipeline that runs with other sightings"""

    def __str__(self) -> str:
        """Such as `4 photos, 2 recordings, 3 sightings with 9 pictures`."""
        return self.with_sightings(self.found)

    def with_sightings(self, found: PersonTraces) -> str:
        """What was found, the sightings and their clips."""
        clips = len(self.clips_of(self.ids))
        traces = (one.traces for one in self.sightings if one.traces)
        return ", ".join(map(str, (found, *traces, *([counted(clips, "clip")] if clips else []))))

    @property
    def ids(self) -> frozenset[str]:
        """Of the sightings."""
        return frozenset(id_ for one in self.sightings for id_ in one.traces.ids)

    def clips_of(self, ids: frozenset[str]) -> list[StoredClip]:
        """The clips of some sightings."""
        return clip_erasure.find(ids, self.clips) if self.clips is not None and ids else []

    @property
    def who(self) -> str:
        return ", ".join(self.names)


class ErasureReport(NamedTuple):
    """What was erased."""

    gone: str
    """the counts"""
    verified: Sequence[Path | str]
    """folders, and brokers, that were searched afterwards and hold nothing of these people"""
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
    clips = Path(config.clips.dir) if config.clips.dir else None
    found, report = erasure.find(checked, where), Path(config.web.dir) / EVALUATION
    running = RunDir(run_dir(config))
    theirs = [running.running_config()] if len(searched) > 1 else []
    return ErasurePlan(checked, where, found, searched, clips, report, (config, *theirs))


def forget(planned: ErasurePlan, train: Callable[[], object], *, by: str = "") -> ErasureReport:
    """Erase, call `train`, which trains the gallery on what is left, and search for what still holds these people.

    `by`: who did it on the page. Raises UserError before anything is erased; PipelineError: something is left, and how
    to go on.
    """
    names, where = planned.names, planned.where
    folders = [one.traces.folder for one in planned.sightings]
    erased = erasure.forget(names, where)
    gone = planned.with_sightings(erased)
    ids = planned.ids
    _erase_clips(planned, ids)  # before the sightings, by which they are found
    traces = [sightings.erase(names, one.traces.folder, one) for one in planned.sightings]
    ids |= {id_ for one in traces for id_ in one.ids}
    _erase_clips(planned, ids)  # those that were begun meanwhile
    logs = [*(one.log for one in traces), *(alerts.erase(names, folder) for folder in folders)]
    with contextlib.suppress(OSError):  # said below
        planned.report.unlink()
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
    brokers = [clear(names, config) for config in planned.configs]
    left: list[object] = [*erasure.remains(names, where)]
    left += [f"{broker.address} ({', '.join(broker.left)})" for broker in brokers if broker.left]
    left += [f"{folder} ({found})" for folder in folders if (found := sightings.find(names, folder))]
    left += [alert_file.path_in(folder) for folder in folders if alerts.is_left(names, folder)]
    left += [
        f"{log} (another program reads the database; end it and run `jetstream forget` again)" for log in logs if log
    ]
    left += [clip.video for clip in planned.clips_of(ids)]
    left += [planned.report] if os.path.lexists(planned.report) else []
    if left:
        raise PipelineError(f"{planned.who}: erased: {gone}; still in {'; '.join(map(str, left))}")
    verified: list[Path | str] = [*erasure.verified(erased, where)]
    verified += [one.traces.folder for one in planned.sightings if one.traces]
    verified += [broker.address for broker in brokers if broker.address and not broker.note]
    verified += [planned.clips] if planned.clips is not None and ids else []
    return ErasureReport(gone, verified, tuple(_notes(planned, erased, brokers)))


def _erase_clips(planned: ErasurePlan, ids: frozenset[str]) -> None:
    if planned.clips is not None and ids:
        clip_erasure.erase(ids, planned.clips)


def _notes(planned: ErasurePlan, erased: PersonTraces, brokers: Sequence[ClearedBroker]) -> Iterator[str]:
    yield from (broker.note for broker in brokers if broker.note)
    yield from erased.what_stays()
    yield from erasure.not_searched(planned.where)
    for one in planned.sightings:
        yield from erasure.kept_by_restores(one.traces.folder)
