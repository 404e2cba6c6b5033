"""Train the gallery of a config where photos, networks or alignment changed, before the stages start."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec

from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.gallery import train
from jetstream.gallery.report import GalleryReport, PersonReport
from jetstream.networks.open import for_photos, open_embedder, open_picture_detector, photo_detector_identity
from jetstream.video import demo_film

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
    known = train.current(faces, models, found_by, stay_rolled_back=stay_rolled_back)
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
    if not any(person.used for person in report.people):
        log.warning("%s: no known people, so everyone will be unknown; put photos into %s/<name>/", faces, faces)
    for person in report.people:
        if not person.used:
            log.warning("%s: no usable photo (%s); left out", person.name, refusals(person))
    left_out = sum(len(person.refused) for person in report.people if person.used)
    if report.embedded and left_out:
        log.info("%s: %d photos are not used; `jetstream people` lists them with the reason", faces, left_out)
    for name in report.strays:
        log.warning("%s: is in no person's folder; ignored", name)
    for name in report.bad_names:
        log.warning("%s: not a valid name for a person; ignored, rename the folder", name)
    return report


def refusals(person: PersonReport) -> str:
    """The refused photos as text, such as `no_face a.jpg, too_small b.jpg`."""
    return ", ".join(f"{refused.code} {refused.file}" for refused in person.refused) or "no photo"
