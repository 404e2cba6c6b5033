"""Train the gallery of a config where photos, networks or alignment changed, before the stages start."""

import errno
import logging
import os
import pwd
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec

from jetstream.config.schema import Config
from jetstream.errors import ModelError, UserError
from jetstream.gallery import layout, photos, train
from jetstream.gallery.photo_faces import NO_ACCESS
from jetstream.gallery.report import GalleryReport, PersonReport
from jetstream.networks.open import for_photos, open_embedder, open_picture_detector, photo_detector_identity
from jetstream.video import demo_film
from jetstream.vision.detection.detector import DetectorIdentity

Progress = Callable[[str, float], None]

log = logging.getLogger(__name__)


def with_demo_faces(config: Config) -> Config:
    """The config; for `recognize.faces = "demo"`, with a folder that holds the photo of the demo's one known person."""
    if config.recognize.faces != "demo":
        return config
    folder = Path(config.models.dir) / "demo-faces"
    try:
        demo_film.write_faces(folder)
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}; set models.dir to a folder that can be written") from None
    return msgspec.structs.replace(config, recognize=msgspec.structs.replace(config.recognize, faces=str(folder)))


def prepare_gallery(
    config: Config, progress: Progress | None = None, *, stay_rolled_back: bool = True
) -> GalleryReport:
    """Train if photos, networks or alignment changed, and report on the gallery. Logs people that can't be recognised.

    A version that was rolled back to stays until photos change, unless `stay_rolled_back` is false. Raises what
    `train.ensure` raises.
    """
    faces, models, found_by = Path(config.recognize.faces), Path(config.models.dir), photo_detector_identity(config)
    try:
        known = train.current(faces, models, found_by, stay_rolled_back=stay_rolled_back)
    except UserError as error:
        known = _known_before(error, faces, models, found_by) if stay_rolled_back else None
        if known is None:
            raise
    if known is None:  # networks are opened only then: that takes longer than everything else here
        with open_picture_detector(for_photos(config)) as detector, open_embedder(config) as embedder:
            known = train.ensure(
                faces, models, detector, embedder, found_by, progress, stay_rolled_back=stay_rolled_back
            )
    report, rate = known.report, config.recognize.false_accept_rate
    if report.calibration is not None and report.calibration.false_accept_rate != rate:
        report = replace(report, calibration=train.calibration(known.classifier.with_rate(rate)))
    if known.rolled_back:
        log.info("%s: the version rolled back to stays in use until photos change or `jetstream train` runs", faces)
    _warn_of(report, faces)
    left_out = sum(len(person.refused) for person in report.people if person.used)
    if report.embedded and left_out:
        log.info("%s: %d photos are not used; `jetstream people` lists them with the reason", faces, left_out)
    return report


def _known_before(error: UserError, faces: Path, models: Path, found_by: DetectorIdentity) -> train.Gallery | None:
    """The gallery made when the faces folder could be read; None if there is none."""
    try:
        known = train.load(faces, models, found_by)
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
        person = by_name.get("" if folder == photos.STRANGERS else photos.normal(folder))
        known = f"{person.used} photos learnt before stay in use" if person and person.used else "left out"
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
    for name in report.strays:
        log.warning("%s: is in no person's folder; ignored", name)
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


def refusals(person: PersonReport) -> str:
    """The refused photos as text, such as `no_face a.jpg, too_small b.jpg`."""
    return ", ".join(f"{refused.code} {refused.file}" for refused in person.refused) or "no photo"
