"""What the page asks to be changed or searched, and the answers: lines of JSON between the page's process and the one
that does it (see `task_runner`).
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from jetstream.sighting import Correction, Sighting

MOST_AT_ONCE: Final = 200
EVALUATION: Final = "evaluation.html"
"""the newest report, in `web.dir`"""
PersonName = Annotated[str, Meta(min_length=1, max_length=200)]


class Task(msgspec.Struct, frozen=True):
    """Something to do."""


class CorrectionTask(Task, frozen=True, tag="correct"):
    """Say who sightings show. Answer: CorrectionReport."""

    sightings: tuple[str, ...]
    """ids"""
    strangers: tuple[int, ...]
    """numbers: all sightings of these"""
    verdict: Correction
    name: str | None = None
    """with "name" alone"""


class UndoTask(Task, frozen=True, tag="undo"):
    """Take the newest correction of sightings back. Answer: CorrectionReport."""

    sightings: tuple[str, ...]


class StrangerMergeTask(Task, frozen=True, tag="merge-strangers"):
    """Say that strangers, by number, are one person. Answer: Report."""

    numbers: tuple[int, ...]


class PhotoTask(Task, frozen=True, tag="photo"):
    """Add a picture to a person's photos. Answer: PhotoReport."""

    name: str
    file: str
    """what the picture was called"""
    picture: bytes


class PhotoRemovalTask(Task, frozen=True, tag="remove-photo"):
    """Remove a photo, such as "Ada/1.jpg". Answer: Report."""

    photo: str


class EnrollmentTask(Task, frozen=True, tag="enroll"):
    """Take photos of a face that a camera shows. Answer: EnrollmentReport."""

    name: str
    camera: str
    track: int
    seconds: float


class ThumbnailTask(Task, frozen=True, tag="thumbnail"):
    """Make a small picture of a photo. Answer: JPEG."""

    photo: str
    """relative to the folder of faces"""
    longest_px: int


class RenameTask(Task, frozen=True, tag="rename"):
    """Give a person another name. Answer: Report."""

    old: str
    new: str


class MergeTask(Task, frozen=True, tag="merge"):
    """Make two people one. Answer: Report."""

    source: str
    target: str


class ForgetTask(Task, frozen=True, tag="forget"):
    """Erase a person. Answer: ErasureAnswer."""

    name: str
    recordings: bool
    """also those that show the person"""


class SearchTask(Task, frozen=True, tag="search"):
    """Search sightings for the face in a picture. Answer: a list of FoundSighting."""

    picture: bytes
    from_ns: int | None = None
    most: int = 20


class EvaluationTask(Task, frozen=True, tag="evaluate"):
    """Measure how well the people are told apart. Answer: Report."""


AnyTask = (
    CorrectionTask
    | UndoTask
    | StrangerMergeTask
    | PhotoTask
    | PhotoRemovalTask
    | EnrollmentTask
    | ThumbnailTask
    | RenameTask
    | MergeTask
    | ForgetTask
    | SearchTask
    | EvaluationTask
)


class TaskRequest(msgspec.Struct, frozen=True):
    """A line to the process."""

    task: AnyTask
    by: str
    """who asked, for the audit"""


class CorrectionReport(msgspec.Struct, frozen=True):
    """What became of some sightings."""

    sightings: tuple[Sighting, ...]
    photos: int
    """pictures that the gallery learns from, or that were taken back"""
    notes: tuple[str, ...] = ()


class PhotoReport(msgspec.Struct, frozen=True):
    """A new photo."""

    photo: str
    """relative to the folder of faces"""


class EnrollmentReport(msgspec.Struct, frozen=True):
    """What an enrolment took."""

    photos: tuple[str, ...]
    """relative to the folder of faces"""
    seen: int
    """face samples"""
    refused: dict[str, int]
    """samples that weren't taken, by reason"""


class ErasureAnswer(msgspec.Struct, frozen=True):
    """What was erased of a person."""

    gone: str
    verified: tuple[str, ...]
    """folders that were searched afterwards and hold nothing of the person"""
    notes: tuple[str, ...]


class Report(msgspec.Struct, frozen=True):
    """What is to be said of a change."""

    notes: tuple[str, ...] = ()


class TaskProgress(msgspec.Struct, frozen=True, tag="progress"):
    """A line from the process: it goes on."""

    what: str
    share: float
    """done, 0 to 1"""


class TaskAnswer(msgspec.Struct, frozen=True, tag="answer"):
    """A line from the process: it is done."""

    answer: msgspec.Raw


class TaskRefusal(msgspec.Struct, frozen=True, tag="refusal"):
    """A line from the process: it can't be done, and why."""

    error: str


TaskLine = TaskProgress | TaskAnswer | TaskRefusal
