"""The report on a trained gallery, by person, made from its manifest.

Knows no file and no embedding.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jetstream.gallery.other_files import NotTaken
from jetstream.gallery.photo_faces import REMEDIES
from jetstream.gallery.selection import ALIKE, CLOSE, ONE_PHOTO, WIDE, used_counter_examples
from jetstream.gallery.store import Calibration, Manifest, PersonNotes, PhotoWarning
from jetstream.vision.recognition.curation import (
    BLURRED,
    COVERED,
    DUPLICATE,
    EXTREME_POSE,
    LOOKS_LIKE,
    SAME_PICTURE,
)


@dataclass(frozen=True)
class RefusedPhoto:
    """A photo that the gallery isn't trained on. `code` is `no_face`, `no_access` (can't be opened), `unreadable`
    (damaged), `too_small`, `many_faces`, `blurred`, `extreme_pose`, `duplicate` (of a photo of the same person), or
    `looks_like:<other person>`; of a counter-example, `looks_like:<the person>`."""

    code: str
    file: str


@dataclass(frozen=True)
class PersonReport:
    """The result of training for one person; with `used` 0 this person can't be recognised."""

    name: str
    used: int  # photos
    refused: tuple[RefusedPhoto, ...]
    several: tuple[str, ...]  # used photos with more than one face, of which the largest was taken
    spread: float | None = None  # root mean square distance of the embeddings to their mean; None with one photo
    nearest: str | None = None  # the nearest other person
    distance: float | None = None  # between the mean embeddings of both
    warnings: tuple[PhotoWarning, ...] = ()
    kept: int = 0  # photos that can't be read now; what was known of them before is used
    not_taken: tuple[NotTaken, ...] = ()  # what else is in the folder
    counter_examples: int = 0  # looks in use that aren't this person


@dataclass(frozen=True)
class GalleryReport:
    """The result of training on a faces folder."""

    people: tuple[PersonReport, ...]
    bad_names: tuple[str, ...]  # folders that can't be a person's name
    strays: tuple[str, ...]  # pictures that are in no person's folder
    embedded: int  # photos that were embedded in this training
    unknown: PersonReport | None = None  # the strangers in `_unknown`; None where there is no such folder
    calibration: Calibration | None = None
    unreadable: tuple[tuple[str, str], ...] = ()  # folders of people that can't be read, and why


def report_of(manifest: Manifest, embedded: int) -> GalleryReport:
    """The report on a manifest. `embedded` is the number of photos that were embedded in this training."""
    refused: defaultdict[str, list[RefusedPhoto]] = defaultdict(list)
    several: defaultdict[str, list[str]] = defaultdict(list)
    for record in manifest.photos:
        if record.refused:
            refused[record.person].append(RefusedPhoto(record.refused, record.file))
        elif record.faces > 1 and not record.counter_example:
            several[record.person].append(record.file)
    notes = {note.name: note for note in manifest.notes}
    kept = Counter(record.person for record in manifest.photos if record.kept and record.sha256)
    against = Counter(record.person for record in used_counter_examples(manifest.photos))

    def report(name: str, used: int) -> PersonReport:
        note = notes.get(name) or PersonNotes(name, None, None, None, ())
        facts = (tuple(refused[name]), tuple(several[name]), note.spread, note.nearest, note.distance, note.warnings)
        return PersonReport(name, used, *facts, kept=kept[name], counter_examples=against[name])

    people = tuple(report(name, used) for name, used in manifest.people.items())
    learnt = sum(not record.person and record.spare is not None and not record.refused for record in manifest.photos)
    unknown = report("", learnt) if manifest.unknown else None
    facts = (manifest.bad_names, manifest.strays, embedded, unknown, manifest.calibration)
    return GalleryReport(people, *facts, unreadable=tuple(manifest.unreadable.items()))


def with_not_taken(report: GalleryReport, not_taken: Sequence[NotTaken]) -> GalleryReport:
    """The report, with what else is in the folders now: a gallery doesn't depend on that, so its manifest has none."""

    def told(person: PersonReport) -> PersonReport:
        return replace(person, not_taken=tuple(other for other in not_taken if other.person == person.name))

    unknown = None if report.unknown is None else told(report.unknown)
    return replace(report, people=tuple(map(told, report.people)), unknown=unknown)


def words(warning: PhotoWarning) -> str:
    """A warning as text, such as `1.jpg: the same picture as Bob/2.jpg`."""
    code, _, about = warning.code.partition(":")
    text = {
        ONE_PHOTO: "only one photo",
        WIDE: "photos differ much: two people, or wrong photos?",
        ALIKE: "photos are all alike: add photos in other light, from other days",
        CLOSE: f"hard to distinguish from {about}",
        LOOKS_LIKE: f"looks like {about}",
        SAME_PICTURE: f"the same picture as {about}",
        COVERED: "the face is covered: a mask, sunglasses, a hand? Add a photo without",
        BLURRED: "blurred, but there is no better photo",
        EXTREME_POSE: "a profile, but there is no better photo",
    }.get(code, warning.code)
    return text if warning.file is None else f"{warning.file.partition('/')[2]}: {text}"


def refusal(code: str) -> str:
    """Why training left a photo out, by its code, and what to do."""
    kind, _, about = code.partition(":")
    return {
        BLURRED: "blurred; there are sharper ones",
        EXTREME_POSE: "a profile; there are better ones",
        DUPLICATE: "shows what another photo shows",
        LOOKS_LIKE: f"looks like {about}; see that it is in the right folder",
        **REMEDIES,
    }.get(kind, code)
