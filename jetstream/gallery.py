"""faces/ to a classifier and back: enrol each photo once, learn the people, keep the result on disk.

Knows no camera, no track, no process, and no pixel.

A gallery belongs to one faces folder, one embedding network and one alignment. It is made again when any of them
changes; only photos with new content are embedded.
"""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream import galleryfile, photos, weights
from jetstream.config import Config
from jetstream.enrol import UNREADABLE, Look, Progress, look_at
from jetstream.errors import ModelError
from jetstream.galleryfile import Manifest, PhotoRecord, Stored
from jetstream.photos import Listing, Stamp
from jetstream.vision import align
from jetstream.vision.classifier import EMBEDDING_SIZE, Classifier
from jetstream.vision.embedder import Embedder
from jetstream.vision.mtcnn import Mtcnn


class Refused(NamedTuple):
    """A photo that teaches nothing: `no_face`, `unreadable` or `too_small`."""

    code: str
    file: str


@dataclass(frozen=True)
class PersonReport:
    """What a person's photos gave; `used` 0 means that this person can't be recognised."""

    name: str
    used: int
    refused: tuple[Refused, ...]
    several: tuple[str, ...]  # used photos with more than one face, of which the largest was taken


@dataclass(frozen=True)
class Report:
    """What became of a faces folder."""

    people: tuple[PersonReport, ...]
    bad_names: tuple[str, ...]  # folders that can't be a person's name
    strays: tuple[str, ...]  # pictures that lie in no person's folder
    embedded: int  # photos that went through the network this time


@dataclass(frozen=True)
class Gallery:
    """The people of one faces folder."""

    classifier: Classifier
    report: Report
    folder: Path


def train(
    faces_dir: Path, models_dir: Path, detector: Mtcnn, embedder: Embedder, progress: Progress | None = None
) -> Gallery:
    """Make the gallery of `faces_dir` and keep it under `models_dir`; a missing folder makes an empty one.

    `progress` hears the photo at work and the fraction done. Raises UserError where folders can't be read or written,
    ModelError where the embedder isn't built.
    """
    model = embedder_sha256(models_dir)
    listing = photos.list_photos(faces_dir)
    folder = gallery_dir(faces_dir, models_dir)
    with galleryfile.locked(folder):
        old = _usable(folder, model)
        stamps = _stamps(listing, old.manifest if old else None)
        looks = _known(old) if old else {}
        new = {stamp.sha256: photo for photo, stamp in zip(listing.photos, stamps, strict=True) if stamp.sha256}
        fresh = look_at({sha: photo for sha, photo in new.items() if sha not in looks}, detector, embedder, progress)
        records, embeddings = _records(listing, stamps, looks | fresh)
        classifier = Classifier.fit(embeddings, [record.person for record in records if record.row is not None])
        manifest = _manifest(model, listing, records)
        galleryfile.write(folder, manifest, {"embeddings": embeddings, **classifier.to_arrays()})
    embedded = sum(look.embedding is not None for look in fresh.values())
    return Gallery(classifier, _report(manifest, embedded), folder)


def load(faces_dir: Path, models_dir: Path) -> Gallery:
    """The gallery that `train` made, whether or not photos changed since.

    Raises ModelError where there is none, it is damaged, or another network or alignment made it.
    """
    folder = gallery_dir(faces_dir, models_dir)
    stored = galleryfile.read(folder)
    if not _is_made_by(stored.manifest, embedder_sha256(models_dir)):
        raise ModelError(f"{folder}: made by another network or alignment; run `jetstream train`")
    return Gallery(Classifier.from_arrays(stored.arrays), _report(stored.manifest, embedded=0), folder)


def ensure(
    faces_dir: Path, models_dir: Path, detector: Mtcnn, embedder: Embedder, progress: Progress | None = None
) -> Gallery:
    """`load` what is there and current, else `train`. Raises what these raise, but nothing for a damaged gallery."""
    if is_current(faces_dir, models_dir, embedder_sha256(models_dir)):
        return load(faces_dir, models_dir)
    return train(faces_dir, models_dir, detector, embedder, progress)


def is_current(faces_dir: Path, models_dir: Path, model_sha256: str) -> bool:
    """Whether a whole gallery is there that this network made from exactly these photos. Raises UserError."""
    stored = _usable(gallery_dir(faces_dir, models_dir), model_sha256)
    if stored is None:
        return False
    manifest, listing = stored.manifest, photos.list_photos(faces_dir)
    there = (set(listing.people), listing.bad_names, listing.strays)
    if there != (set(manifest.people), manifest.bad_names, manifest.strays):
        return False
    wanted = [(record.person, record.file, record.sha256) for record in manifest.photos]
    stamps = _stamps(listing, manifest)
    return wanted == [(p.person, p.file, s.sha256) for p, s in zip(listing.photos, stamps, strict=True)]


def open_classifier(config: Config) -> Classifier:
    """The people of `config.recognize.faces`, with its `max_distance` where that is set. Raises what `load` raises."""
    classifier = load(Path(config.recognize.faces), Path(config.models.dir)).classifier
    limit = config.recognize.max_distance
    return classifier if limit is None else classifier.with_gate(limit)


def changed_ns(config: Config) -> int:
    """When the gallery of `config` was written last, for comparison only; 0 where there is none."""
    manifest = gallery_dir(Path(config.recognize.faces), Path(config.models.dir)) / galleryfile.MANIFEST
    try:
        return manifest.stat().st_mtime_ns
    except OSError:
        return 0


def gallery_dir(faces_dir: Path, models_dir: Path) -> Path:
    """Where the gallery of `faces_dir` lies: readable by its name, told apart by its absolute path."""
    path = os.path.abspath(faces_dir)
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
    name = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in os.path.basename(path))
    return models_dir / "galleries" / f"{name[:40] or 'root'}-{digest}"


def embedder_sha256(models_dir: Path) -> str:
    """The embedding network's content hash. Raises ModelError where it isn't built."""
    path = weights.paths(models_dir).embedder
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: can't be read ({error.strerror}); run `jetstream models`") from None


def _usable(folder: Path, model: str) -> Stored | None:
    """The gallery in `folder` if it is whole and this network made it."""
    try:
        stored = galleryfile.read(folder)
        Classifier.from_arrays(stored.arrays)
    except ModelError:
        return None
    embeddings = stored.arrays.get("embeddings", np.empty(0))
    rows = [record.row for record in stored.manifest.photos if record.row is not None]
    whole = embeddings.shape == (len(rows), EMBEDDING_SIZE) and sorted(rows) == list(range(len(rows)))
    return stored if whole and _is_made_by(stored.manifest, model) else None


def _is_made_by(manifest: Manifest, model: str) -> bool:
    return manifest.model_sha256 == model and manifest.alignment == align.ALIGNMENT_VERSION


def _stamps(listing: Listing, manifest: Manifest | None) -> list[Stamp]:
    """One a photo; an empty hash where the photo can't be read."""
    known = {r.file: Stamp(r.size, r.changed_ns, r.sha256) for r in manifest.photos} if manifest else {}
    stamps = []
    for photo in listing.photos:
        try:
            stamps.append(photos.stamp(photo.path, known.get(photo.file)))
        except OSError:
            stamps.append(Stamp(0, 0, ""))
    return stamps


def _known(stored: Stored) -> dict[str, Look]:
    """Content hash to embedding. Refused photos are looked at again: that costs little, and detectors get better."""
    embeddings = stored.arrays["embeddings"]
    used = (record for record in stored.manifest.photos if record.row is not None)
    return {record.sha256: Look(record.faces, embeddings[record.row]) for record in used}


def _records(
    listing: Listing, stamps: Sequence[Stamp], looks: Mapping[str, Look]
) -> tuple[tuple[PhotoRecord, ...], NDArray[np.float32]]:
    """A record a photo, and the (N, 128) embeddings that their rows count."""
    records: list[PhotoRecord] = []
    embeddings: list[NDArray[np.float32]] = []
    for photo, stamp in zip(listing.photos, stamps, strict=True):
        look = looks.get(stamp.sha256, Look(0, refused=UNREADABLE))
        row = None if look.embedding is None else len(embeddings)
        if look.embedding is not None:
            embeddings.append(look.embedding)
        records.append(PhotoRecord(photo.person, photo.file, *stamp, faces=look.faces, row=row, refused=look.refused))
    return tuple(records), np.array(embeddings, np.float32).reshape(len(embeddings), EMBEDDING_SIZE)


def _manifest(model: str, listing: Listing, records: tuple[PhotoRecord, ...]) -> Manifest:
    used = Counter(record.person for record in records if record.row is not None)
    return Manifest(
        format=galleryfile.FORMAT,
        alignment=align.ALIGNMENT_VERSION,
        model_sha256=model,
        people={name: used[name] for name in listing.people},
        photos=records,
        bad_names=listing.bad_names,
        strays=listing.strays,
    )


def _report(manifest: Manifest, embedded: int) -> Report:
    refused: defaultdict[str, list[Refused]] = defaultdict(list)
    several: defaultdict[str, list[str]] = defaultdict(list)
    for record in manifest.photos:
        if record.refused:
            refused[record.person].append(Refused(record.refused, record.file))
        elif record.faces > 1:
            several[record.person].append(record.file)
    people = (
        PersonReport(name, used, tuple(refused[name]), tuple(several[name])) for name, used in manifest.people.items()
    )
    return Report(tuple(people), manifest.bad_names, manifest.strays, embedded)
