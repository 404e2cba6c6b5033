"""What people change on the page: who sightings show, people and their photos.

Another process does it: `task_runner`.
"""

from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from jetstream.sighting import Correction, FoundSighting
from jetstream.web import tasks
from jetstream.web.access import Caller
from jetstream.web.routes import FileAnswer, MissingError, Nothing, Route
from jetstream.web.site import Site
from jetstream.web.task_runner import TaskStatus
from jetstream.web.tasks import CorrectionReport, PersonName, PhotoReport, Report

MOST_PICTURE_BYTES: Final = 25_000_000
REPORT_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""of a report, which has its pictures and its style in itself, and no script"""
_Id = Annotated[str, Meta(min_length=4, max_length=64)]
_Ids = Annotated[tuple[_Id, ...], Meta(max_length=tasks.MOST_AT_ONCE)]


class SightingCorrection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who sightings show."""

    verdict: Correction
    """name: the person `name`; not: not the person whose name it got; ignore: a stranger who shall get no name"""
    sightings: _Ids = ()
    """ids"""
    strangers: Annotated[tuple[Annotated[int, Meta(ge=1, lt=2**31)], ...], Meta(max_length=50)] = ()
    """numbers: all sightings of these"""
    name: PersonName | None = None


class SomeSightings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sightings: Annotated[_Ids, Meta(min_length=1)]
    """ids"""


class SomeStrangers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    numbers: Annotated[tuple[Annotated[int, Meta(ge=1, lt=2**31)], ...], Meta(min_length=2, max_length=50)]


class PhotoUpload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: PersonName
    body: bytes
    file: Annotated[str, Meta(max_length=200)] = ""
    """what the picture is called"""


class OnePhoto(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    photo: Annotated[str, Meta(max_length=500)]
    """relative to the folder of faces, such as Ada/1.jpg"""


class NameChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    old: PersonName
    new: PersonName


class TwoPeople(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source: PersonName
    target: PersonName


class ForgottenPerson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: PersonName
    recordings: bool = False
    """also recordings that show the person"""


class LiveFace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A face that a camera shows."""

    name: PersonName
    camera: Annotated[str, Meta(max_length=200)]
    track: Annotated[int, Meta(ge=0, lt=2**53)]
    seconds: Annotated[float, Meta(ge=1, le=120)] = 20.0
    """how long to look at most"""


class SearchedFace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The face in a picture."""

    body: bytes
    from_ns: Annotated[int, Meta(ge=0, lt=2**62)] | None = None
    most: Annotated[int, Meta(ge=1, le=100)] = 20


class OneTask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]


def correct(site: Site, said: SightingCorrection, caller: Caller) -> CorrectionReport:
    """Say who sightings show. The gallery learns from their pictures."""
    task = tasks.CorrectionTask(said.sightings, said.strangers, said.verdict, said.name)
    return site.tasks.run(task, caller.name, CorrectionReport)


def undo(site: Site, some: SomeSightings, caller: Caller) -> CorrectionReport:
    """Take the newest correction of sightings back, and the photo that it gave."""
    return site.tasks.run(tasks.UndoTask(some.sightings), caller.name, CorrectionReport)


def merge_strangers(site: Site, some: SomeStrangers, caller: Caller) -> Report:
    """Say that strangers are one person. They get one number within seconds, while jetstream runs."""
    return site.tasks.run(tasks.StrangerMergeTask(some.numbers), caller.name, Report)


def add_photo(site: Site, new: PhotoUpload, caller: Caller) -> PhotoReport:
    """Add a picture to a person's photos, where a face in it can be learnt. The person may be new."""
    return site.tasks.run(tasks.PhotoTask(new.name, new.file, new.body), caller.name, PhotoReport)


def remove_photo(site: Site, one: OnePhoto, caller: Caller) -> Report:
    """Remove a photo of a person."""
    return site.tasks.run(tasks.PhotoRemovalTask(one.photo), caller.name, Report)


def rename(site: Site, new: NameChange, caller: Caller) -> Report:
    """Give a person another name, in their sightings, too."""
    return site.tasks.run(tasks.RenameTask(new.old, new.new), caller.name, Report)


def merge(site: Site, two: TwoPeople, caller: Caller) -> Report:
    """Make two people one: `source` becomes `target`."""
    return site.tasks.run(tasks.MergeTask(two.source, two.target), caller.name, Report)


def forget(site: Site, one: ForgottenPerson, caller: Caller) -> TaskStatus:
    """Begin to erase a person everywhere. The task's answer says what was erased, and what was searched afterwards."""
    return site.tasks.start(tasks.ForgetTask(one.name, one.recordings), caller.name)


def enroll(site: Site, face: LiveFace, caller: Caller) -> TaskStatus:
    """Begin to take photos of a face that a camera shows."""
    return site.tasks.start(tasks.EnrollmentTask(face.name, face.camera, face.track, face.seconds), caller.name)


def evaluate(site: Site, _: Nothing, caller: Caller) -> TaskStatus:
    """Begin to measure how well the people are told apart: see /api/evaluation afterwards."""
    return site.tasks.start(tasks.EvaluationTask(), caller.name)


def evaluation(site: Site, _: Nothing, __: Caller) -> FileAnswer:
    """The newest report of how well the people are told apart, as HTML."""
    try:
        body = (Path(site.config.web.dir) / tasks.EVALUATION).read_bytes()
    except OSError:
        raise MissingError("there is no report yet; People, Evaluate makes one") from None
    return FileAnswer(body, "text/html", REPORT_POLICY)


def search(site: Site, face: SearchedFace, caller: Caller) -> list[FoundSighting]:
    """Sightings of the face in a picture, the likeliest first."""
    return site.tasks.run(tasks.SearchTask(face.body, face.from_ns, face.most), caller.name, list[FoundSighting])


def task(site: Site, one: OneTask, _: Caller) -> TaskStatus:
    """How far a task is."""
    status = site.tasks.status(one.id)
    if status is None:
        raise MissingError("there is no such task")
    return status


def stop_task(site: Site, one: OneTask, _: Caller) -> Nothing:
    """End a task now. What it did stays."""
    if not site.tasks.stop(one.id):
        raise MissingError("there is no such task, or it has ended")
    return Nothing()


ROUTES: tuple[Route, ...] = (
    Route("POST", "/api/sightings/correct", "sort", correct, SightingCorrection, CorrectionReport),
    Route("POST", "/api/sightings/undo", "sort", undo, SomeSightings, CorrectionReport),
    Route("POST", "/api/strangers/merge", "sort", merge_strangers, SomeStrangers, Report),
    Route("POST", "/api/people/{name}/photos", "sort", add_photo, PhotoUpload, PhotoReport, MOST_PICTURE_BYTES),
    Route("POST", "/api/photos/remove", "sort", remove_photo, OnePhoto, Report),
    Route("POST", "/api/people/rename", "sort", rename, NameChange, Report),
    Route("POST", "/api/people/merge", "sort", merge, TwoPeople, Report),
    Route("POST", "/api/people/forget", "rule", forget, ForgottenPerson, TaskStatus),
    Route("POST", "/api/people/enroll", "sort", enroll, LiveFace, TaskStatus),
    Route("POST", "/api/people/evaluate", "sort", evaluate, gives=TaskStatus),
    Route("GET", "/api/evaluation", "look", evaluation, gives=FileAnswer),
    Route("POST", "/api/search", "look", search, SearchedFace, list[FoundSighting], MOST_PICTURE_BYTES),
    Route("GET", "/api/tasks/{id}", "look", task, OneTask, TaskStatus),
    Route("POST", "/api/tasks/{id}/stop", "sort", stop_task, OneTask),
)
