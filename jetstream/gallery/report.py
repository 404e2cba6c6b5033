"""What became of a faces folder: a manifest, told by person.

Knows no file and no embedding.
"""

from collections import defaultdict
from dataclasses import dataclass

from jetstream.gallery.store import Calibration, Manifest, PersonNotes, PhotoWarning


@dataclass(frozen=True)
class RefusedPhoto:
    """A photo that isn't learnt from: `no_face`, `unreadable`, `too_small`, `many_faces`, `blurred`, `extreme_pose`,
    `duplicate` of one of the same person, or `looks_like:<other person>`."""

    code: str
    file: str


@dataclass(frozen=True)
class PersonReport:
    """What a person's photos gave; `used` 0 means that this person can't be recognised."""

    name: str
    used: int
    refused: tuple[RefusedPhoto, ...]
    several: tuple[str, ...]  # used photos with more than one face, of which the largest was taken
    spread: float | None = None  # root mean square distance of the photos to their middle; None with one photo
    nearest: str | None = None  # the nearest other person
    distance: float | None = None  # between both middles
    warnings: tuple[PhotoWarning, ...] = ()


@dataclass(frozen=True)
class GalleryReport:
    """What became of a faces folder."""

    people: tuple[PersonReport, ...]
    bad_names: tuple[str, ...]  # folders that can't be a person's name
    strays: tuple[str, ...]  # pictures that lie in no person's folder
    embedded: int  # photos that went through the network this time
    unknown: PersonReport | None = None  # the strangers of `_unknown`; None where there is no such folder
    calibration: Calibration | None = None


def report_of(manifest: Manifest, embedded: int) -> GalleryReport:
    """`embedded`: photos that went through the network this time."""
    refused: defaultdict[str, list[RefusedPhoto]] = defaultdict(list)
    several: defaultdict[str, list[str]] = defaultdict(list)
    for record in manifest.photos:
        if record.refused:
            refused[record.person].append(RefusedPhoto(record.refused, record.file))
        elif record.faces > 1:
            several[record.person].append(record.file)
    notes = {note.name: note for note in manifest.notes}

    def report(name: str, used: int) -> PersonReport:
        note = notes.get(name) or PersonNotes(name, None, None, None, ())
        facts = (tuple(refused[name]), tuple(several[name]), note.spread, note.nearest, note.distance, note.warnings)
        return PersonReport(name, used, *facts)

    people = tuple(report(name, used) for name, used in manifest.people.items())
    learnt = sum(not record.person and record.spare is not None and not record.refused for record in manifest.photos)
    unknown = report("", learnt) if manifest.unknown else None
    return GalleryReport(people, manifest.bad_names, manifest.strays, embedded, unknown, manifest.calibration)
