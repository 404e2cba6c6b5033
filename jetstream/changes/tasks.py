"""What the page can have done, a function a task; each does what a command does."""

import contextlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

import cv2
import msgspec

from jetstream import files
from jetstream.changes import forgetting, naming
from jetstream.config.schema import Config
from jetstream.enroll import enroll
from jetstream.enroll.enroll import EnrollRequest
from jetstream.errors import SourceError, UserError
from jetstream.gallery import audit, counter_examples, people, photo_files, photos
from jetstream.gallery.counter_examples import LookJudge
from jetstream.gallery.photo_faces import REMEDIES
from jetstream.gallery.prepare import prepare_gallery, with_gallery
from jetstream.sighting import FoundSighting, Sighting
from jetstream.sightings import correction, database, reader, search, stranger_merges
from jetstream.sightings.correction import CorrectedSighting
from jetstream.sightings.reader import SightingFilter
from jetstream.video.folder import shrunk
from jetstream.video.frames import Image
from jetstream.video.images import read_image
from jetstream.web import tasks
from jetstream.web.tasks import CorrectionReport, Report

Progress = Callable[[str, float], None]

PHOTOS_OF_A_STRANGER: Final = 6
"""of so many sightings of a stranger, the newest ones, the gallery learns the pictures; it learns from no more of them
than it would keep of an enrolment"""
THUMBNAIL: Final = (cv2.IMWRITE_JPEG_QUALITY, 80)
JPEG: Final = (cv2.IMWRITE_JPEG_QUALITY, 95)


class TaskWorker:
    """Does tasks with one config. Its networks stay open from one task to the next."""

    def __init__(self, config: Config, progress: Progress) -> None:
        self.config = with_gallery(config)
        self.progress = progress
        self.by = ""
        """who asked"""
        self._opened = contextlib.ExitStack()
        self.judge = self._opened.enter_context(LookJudge(self.config))

    def do(self, task: tasks.Task, by: str) -> Any:
        """The answer, a struct or a list of them. Raises JetstreamError: why it can't be done."""
        self.by = by
        return _FUNCTIONS[type(task)](self, task)

    def audit(self, what: audit.What, name: str, count: int | None = None) -> None:
        audit.add(Path(self.config.models.dir), what, name, count, by=self.by)

    def close(self) -> None:
        self._opened.close()


def _correct(worker: TaskWorker, task: tasks.CorrectionTask) -> CorrectionReport:
    config = worker.config
    ids = [*task.sightings]
    learnt_from = set(ids)
    for number in task.strangers:
        found = _of_stranger(config, number)
        ids += [sighting.id for sighting in found]
        learnt_from |= {sighting.id for sighting in found[:PHOTOS_OF_A_STRANGER]}

    def make(id_: str) -> CorrectedSighting:
        return correction.correct(config, id_, task.verdict, task.name, worker.judge if id_ in learnt_from else None)

    return _each(worker, dict.fromkeys(ids), make)


def _undo(worker: TaskWorker, task: tasks.UndoTask) -> CorrectionReport:
    return _each(worker, task.sightings, lambda id_: correction.undo(worker.config, id_))


def _each(worker: TaskWorker, ids: Collection[str], make: Callable[[str], CorrectedSighting]) -> CorrectionReport:
    """Correct each sighting. One that can't be is told in the notes. Raises UserError: none can."""
    done, notes = [], dict[str, None]()
    for place, id_ in enumerate(ids):
        worker.progress("sightings", place / len(ids))
        try:
            made = make(id_)
        except UserError as error:
            notes[str(error)] = None
            continue
        worker.audit("correct", made.sighting.name or made.sighting.machine_name or "")
        done.append(made)
        if made.note:
            notes[f"{made.sighting.id}: {made.note}"] = None
    if not done:
        raise UserError(next(iter(notes), "name at least one sighting or stranger"))
    photos_changed = sum(made.photo is not None for made in done)
    return CorrectionReport(tuple(made.sighting for made in done), photos_changed, tuple(notes))


def _of_stranger(config: Config, number: int) -> list[Sighting]:
    """The sightings of a stranger, the newest first. Raises UserError: there are none."""
    with database.opened(Path(config.sightings.dir)) as connection:
        found = reader.find(connection, SightingFilter(stranger=number, most=tasks.MOST_AT_ONCE))
    if not found:
        raise UserError(f"stranger {number}: has no sightings any more")
    return found[::-1]


def _merge_strangers(worker: TaskWorker, task: tasks.StrangerMergeTask) -> Report:
    stranger_merges.request(Path(worker.config.sightings.dir), task.numbers)
    worker.audit("correct", "")
    return Report()


def _add_photo(worker: TaskWorker, task: tasks.PhotoTask) -> tasks.PhotoReport:
    name = photos.check_new_name(task.name)
    folder = photo_files.folder_of(name, people.faces_folder(worker.config))
    with files.in_memory(task.picture) as path:
        image = _image(path, task.file or "picture")
    # written anew: without the place and time that a phone stores in its photos
    content = cv2.imencode(".jpg", image, JPEG)[1].tobytes()
    if refused := worker.judge.why_useless(content):
        raise UserError(f"{task.file or 'picture'}: {REMEDIES.get(refused, refused)}")
    (written,) = photo_files.write(folder, [photo_files.stem_of(Path(task.file).stem)], [content])
    worker.audit("enroll", name, 1)
    return tasks.PhotoReport(f"{folder.name}/{written.name}")


def _image(path: Path, shown: str) -> Image:
    """(H, W, 3) uint8 BGR. Raises UserError: no picture that can be read; `shown` is what it is called."""
    try:
        return read_image(path)
    except SourceError as error:
        raise UserError(str(error).replace(str(path), shown)) from None


def _remove_photo(worker: TaskWorker, task: tasks.PhotoRemovalTask) -> Report:
    faces = people.faces_folder(worker.config)
    photo = next((one for one in photos.list_photos(faces).everything if one.file == task.photo), None)
    if photo is None:
        raise UserError(f"{task.photo}: there is no such photo")
    counter_examples.undo(photo.path)
    worker.audit("unlearn", photo.person, 1)
    return Report()


def _thumbnail(worker: TaskWorker, task: tasks.ThumbnailTask) -> bytes:
    faces = Path(worker.config.recognize.faces)
    found = [one.path for one in photos.of_person(faces, task.photo.partition("/")[0]) if one.file == task.photo]
    if not found:
        raise UserError(f"{task.photo}: there is no such photo")
    small = shrunk(_image(found[0], task.photo), task.longest_px, task.longest_px)
    return cv2.imencode(".jpg", small, THUMBNAIL)[1].tobytes()


def _enroll(worker: TaskWorker, task: tasks.EnrollmentTask) -> tasks.EnrollmentReport:
    request = EnrollRequest(task.name, [f"{enroll.TRACK}{task.camera}/{task.track}"], seconds=task.seconds)
    enroll.check(request, worker.config)
    said = [""]
    taken = enroll.enroll(request, worker.config, lambda _, share: worker.progress(said[-1], share), said.append)
    worker.audit("enroll", task.name, len(taken.taken))
    return tasks.EnrollmentReport(tuple(photo.file for photo in taken.taken), taken.seen, taken.refused)


def _rename(worker: TaskWorker, task: tasks.RenameTask) -> Report:
    return _links(task.old, naming.rename(task.old, task.new, worker.config, by=worker.by))


def _merge(worker: TaskWorker, task: tasks.MergeTask) -> Report:
    return _links(task.source, naming.merge(task.source, task.target, worker.config, by=worker.by))


def _links(old: str, broken: list[Path]) -> Report:
    kept = f"recordings made until now keep the name {old}"
    return Report((kept, *(f"{link}: a link into the folder of {old}; it may lead nowhere now" for link in broken)))


def _forget(worker: TaskWorker, task: tasks.ForgetTask) -> tasks.ErasureAnswer:
    config = worker.config
    recordings = Path(config.record.dir) if task.recordings and config.record.dir else None
    planned = forgetting.plan([task.name], config, recordings)
    done = forgetting.forget(
        planned, lambda: prepare_gallery(config, worker.progress, stay_rolled_back=False), by=worker.by
    )
    return tasks.ErasureAnswer(done.gone, tuple(map(str, done.verified)), tuple(done.notes))


def _search(worker: TaskWorker, task: tasks.SearchTask) -> list[FoundSighting]:
    with files.in_memory(task.picture) as path:
        _image(path, "picture")  # what is none is refused before networks are opened
        try:
            face = search.embedding_of(path, worker.judge)
        except UserError as error:
            raise UserError(str(error).replace(str(path), "picture")) from None
    with database.opened(Path(worker.config.sightings.dir)) as connection:
        return search.search(connection, face, worker.config, from_ns=task.from_ns, most=task.most)


def _evaluate(worker: TaskWorker, _: tasks.EvaluationTask) -> Report:
    from jetstream.evaluation import html_report
    from jetstream.evaluation.comparison import evaluate_one

    result, context = evaluate_one(worker.config, None, None, worker.progress)
    folder = Path(worker.config.web.dir)
    files.make_private(folder / tasks.EVALUATION)
    html_report.write(folder / tasks.EVALUATION, result, context)
    return Report(result.notes)


_FUNCTIONS: Final[Mapping[type[msgspec.Struct], Callable[[TaskWorker, Any], Any]]] = {
    tasks.CorrectionTask: _correct,
    tasks.UndoTask: _undo,
    tasks.StrangerMergeTask: _merge_strangers,
    tasks.PhotoTask: _add_photo,
    tasks.PhotoRemovalTask: _remove_photo,
    tasks.EnrollmentTask: _enroll,
    tasks.ThumbnailTask: _thumbnail,
    tasks.RenameTask: _rename,
    tasks.MergeTask: _merge,
    tasks.ForgetTask: _forget,
    tasks.SearchTask: _search,
    tasks.EvaluationTask: _evaluate,
}
