"""Train the gallery of a config where photos, networks or alignment changed, before the stages start."""

import errno
import logging
import os
import pwd
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from jetstream.config.schema import Config
from jetstream.errors import ModelError, UserError
from jetstream.gallery import layout, photos, train
from jetstream.gallery.origin import GalleryOrigin, origin_of
from jetstream.gallery.other_files import NotTaken, not_taken
from jetstream.gallery.photo_faces import NO_ACCESS, UNREADABLE
from jetstream.gallery.report import GalleryReport, PersonReport, with_not_taken
from jetstream.networks.embedders import embedder_of
from jetstream.networks.open import for_photos, open_embedder, open_picture_detector
from jetstream.video import demo_film
from jetstream.video.images import why_unreadable

Progress = Callable[[str, float], None]
MOST_NAMED = 8
"""of the files of a person who can't be recognised"""

log = logging.getLogger(__name__)


def with_gallery(config: Config) -> Config:
    """The config with the network of its gallery named. The faces "demo" become a folder with a photo of the demo's
    one known person.

    Raises UserError for an unknown network, and where that folder can't be written.
    """
    if config.recognize.faces == "demo":
        config = _with_recognize(config, faces=str(_demo_faces(config)))
    return _with_recognize(config, model=embedder_of(config).spec.name)


def _demo_faces(config: Config) -> Path:
    folder = Path(config.models.dir) / "demo-faces"
    try:
        demo_film.write_faces(folder)
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}; set models.dir to a folder that can be written") from None
    return folder


def _with_recognize(config: Config, **changes: str) -> Config:
    return msgspec.structs.replace(config, recognize=msgspec.structs.replace(config.recognize, **changes))


def prepare_gallery(
    config: Config, progress: Progress | None = None, *, stay_rolled_back: bool = True
) -> GalleryReport:
    """Train if photos, networks or alignment changed, and report on the gallery. Logs people that can't be recognised.

    A version that was rolled back to stays until photos change, unless `stay_rolled_back` is false. Raises what
    `train.ensure` raises.
    """
    faces, models, origin = Path(config.recognize.faces), Path(config.models.dir), origin_of(config)
    try:
        known = train.current(faces, models, origin, stay_rolled_back=stay_rolled_back)
    except UserError as error:
        known = _known_before(error, faces, models, origin) if stay_rolled_back else None
        if known is None:
            raise
    if known is None:  # networks are opened only then: that takes longer than everything else here
        with open_picture_detector(for_photos(config)) as detector, open_embedder(config) as embedder:
            known = train.ensure(faces, models, detector, embedder, origin, progress, stay_rolled_back=stay_rolled_back)
    report, rate = known.report, config.recognize.false_accept_rate
    if report.calibration is not None and report.calibration.false_accept_rate != rate:
        report = replace(
            report, calibration=train.calibration(known.classifier.with_rate(rate), origin.embedder.background)
        )
    others = tuple(not_taken(faces))
    report = with_not_taken(report, others)
    if known.rolled_back:
        log.info("%s: the version rolled back to stays in use until photos change or `jetstream train` runs", faces)
    _warn_of(report, faces)
    left_out = sum(len(person.refused) for person in report.people if person.used)
    if report.embedded and left_out:
        log.info("%s: %d photos are not used; `jetstream people` lists them with the reason", faces, left_out)
    _warn_of_files(report, others, faces)
    return report


def check_learnt(config: Config) -> None:
    """Raise UserError unless the network of `config` has learnt the photos: a reload doesn't wait for that."""
    origin = origin_of(config)
    if train.current(Path(config.recognize.faces), Path(config.models.dir), origin) is None:
        name = origin.embedder.spec.name
        raise UserError(
            f'recognize.model: "{name}" has not learnt the photos yet; run '
            f"`jetstream train --set recognize.model={name}` beside this run, then reload again"
        )


def _known_before(error: UserError, faces: Path, models: Path, origin: GalleryOrigin) -> train.Gallery | None:
    """The gallery made when the faces folder could be read; None if there is none."""
    try:
        known = train.load(faces, models, origin)
    except ModelError:
        return None
    log.warning("%s; the people learnt before stay known (%s)", error, known.summary)
    return known


def _warn_of(report: GalleryReport, faces: Path) -> None:
    """Log what is wrong in the faces folder, and what to do."""
    closed = {photos.normal(folder) for folder, _ in report.unreadable}
    by_name = {person.name: person for person in (*report.people, *([report.unknown] if report.unknown else []))}
    if not any(person.used for person in report.people):
        log.warning("%s: no known people, so everyone will be unknown; put photos into %s/<name>/", faces, faces)
        if report.strays and not report.people:
            log.warning("%s: if this is one person's folder, name the folder above it with --faces", faces)
    for folder, why in report.unreadable:
        name, _, inside = folder.partition("/")
        person = by_name.get("" if name == photos.STRANGERS else photos.normal(name))
        count = 0 if person is None else person.counter_examples if inside else person.used
        known = f"{count} photos learnt before stay in use" if count else "left out"
        log.warning("%s/%s: can't be read (%s); %s, %s", faces, folder, why, known, _remedy(why))
    for person in report.people:
        if not person.used and person.name not in closed:
            log.warning("%s: no usable photo (%s); left out", person.name, refusals(person))
    for name, person in by_name.items():
        refused = sum(one.code == NO_ACCESS for one in person.refused)
        if (refused or person.kept) and (name or photos.STRANGERS) not in closed:
            log.warning(
                "%s/%s: %d photos can't be opened, %d of them learnt before; make them readable for user %s",
                *(faces, name or photos.STRANGERS, refused + person.kept, person.kept, _user()),
            )
    if report.strays:
        more = f" and {len(report.strays) - 1} more" if len(report.strays) > 1 else ""
        log.warning("%s: is in no person's folder; ignored%s", report.strays[0], more)
    for slip in layout.slips(faces):
        log.warning("%s", slip)
    for name in report.bad_names:
        if not photos.is_mistaken(name):
            log.warning("%s: not a valid name for a person; ignored, rename the folder", name)


def _remedy(why: str) -> str:
    """What to do about a folder that can't be read for the reason `why`."""
    if why in (os.strerror(errno.EACCES), os.strerror(errno.EPERM)):
        return f"make it readable for user {_user()} (chmod u+rX, chown)"
    return "check its disk"


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _warn_of_files(report: GalleryReport, others: Sequence[NotTaken], faces: Path) -> None:
    """Log how many files in the people's folders aren't photos and how many photos can't be read, each with the first
    and what to do about it."""
    if others:
        count = "1 file or folder" if len(others) == 1 else f"{len(others)} files or folders"
        first = f"{faces / others[0].file}: {others[0].why}"
        log.warning("%s: %s in people's folders left out as no photo (the first: %s)", faces, count, first)
    reports = [*report.people, *([report.unknown] if report.unknown else [])]
    unreadable = {refused.file for person in reports for refused in person.refused if refused.code == UNREADABLE}
    if unreadable:
        first_photo = next((photo for photo in photos.list_photos(faces).everything if photo.file in unreadable), None)
        if first_photo is not None and (why := why_unreadable(first_photo.path)):
            count = "1 photo" if len(unreadable) == 1 else f"{len(unreadable)} photos"
            log.warning("%s: %s can't be read (the first: %s)", faces, count, why)


def refusals(person: PersonReport) -> str:
    """The first files that aren't learnt from as text, such as `no_face a.jpg, too_small b.jpg`."""
    left_out = [f"{refused.code} {refused.file}" for refused in person.refused]
    left_out += [f"{other.code} {other.file}" for other in person.not_taken]
    more = f" and {len(left_out) - MOST_NAMED} more" if len(left_out) > MOST_NAMED else ""
    return f"{', '.join(left_out[:MOST_NAMED])}{more}" or "no photo"
