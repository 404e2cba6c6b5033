"""Trains a classifier from a faces folder and stores it as a gallery; loads a gallery and rolls back to the one before.

Knows no camera, no track, no process and no pixel.

A gallery belongs to one faces folder, one detector, one embedding network and one alignment. It is trained again when
any of them changes; only photos with new content are embedded.
"""

import logging
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from jetstream.config.galleries import gallery_dir
from jetstream.config.schema import Config
from jetstream.errors import ModelError, UserError
from jetstream.gallery import audit, fingerprint, layout, photos, selection, store, strangers
from jetstream.gallery.origin import GalleryOrigin, origin_of, warn_unusable
from jetstream.gallery.photo_faces import PhotoFace, Progress, find_faces
from jetstream.gallery.photos import PhotoListing, PhotoStamp
from jetstream.gallery.report import GalleryReport, report_of
from jetstream.gallery.selection import PhotoSelection
from jetstream.gallery.store import Calibration, Manifest, StoredGallery
from jetstream.gallery.stored_classifier import TRAINED_RATE, as_asked, classifier_of
from jetstream.networks.embedders import EmbedderEntry, name_of
from jetstream.video.images import READERS
from jetstream.vision.detection.detector import Detector
from jetstream.vision.recognition import align
from jetstream.vision.recognition.classifier import Classifier
from jetstream.vision.recognition.counter_examples import CounterLooks
from jetstream.vision.recognition.embedder import Embedder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gallery:
    """A trained gallery: the people of one faces folder."""

    classifier: Classifier
    report: GalleryReport
    folder: Path
    files: tuple[str, ...] = ()  # of each row that the classifier was trained on, relative to the faces folder
    sha256: str = ""  # of its archive
    rolled_back: bool = False  # this version was rolled back to, and no photo has changed since
    counter_files: tuple[str, ...] = ()  # of each counter-example that the classifier knows

    @property
    def summary(self) -> str:
        return f"{len(self.classifier.names)} people, {len(self.files)} photos, {self.sha256[:12]}"


def train(
    faces_dir: Path,
    models_dir: Path,
    detector: Detector,
    embedder: Embedder,
    origin: GalleryOrigin,
    progress: Progress | None = None,
) -> Gallery:
    """Train the gallery of `faces_dir` and store it under `models_dir`; a missing faces folder gives an empty gallery.

    `origin` names the networks. `progress` gets the current photo and the fraction done. Raises UserError if
    a folder can't be read or written.
    """
    with store.locked(origin.folder(faces_dir, models_dir)):
        return _train(faces_dir, models_dir, detector, embedder, origin, progress)


def _train(
    faces_dir: Path,
    models_dir: Path,
    detector: Detector,
    embedder: Embedder,
    origin: GalleryOrigin,
    progress: Progress | None,
) -> Gallery:
    unreadable = layout.unreadable(faces_dir)
    listing = photos.list_photos(faces_dir)
    folder = origin.folder(faces_dir, models_dir)
    known: dict[str, PhotoStamp] = {}
    looks: dict[str, PhotoFace] = {}
    for name in (store.PREVIOUS, store.MANIFEST):
        if old := _usable(folder, origin, name):
            known |= fingerprint.stamps_of(old.manifest)
            looks |= selection.stored_faces(old)
        elif (folder / name).exists():
            warn_unusable(folder, origin, name)
    if old is not None:
        listing = fingerprint.with_kept(listing, faces_dir, unreadable, old.manifest)
    stamps = fingerprint.stamps(listing, known)
    new = {stamp.sha256: photo for photo, stamp in zip(listing.everything, stamps, strict=True) if stamp.sha256}
    fresh = find_faces({sha: photo for sha, photo in new.items() if sha not in looks}, detector, embedder, progress)
    made = selection.select(listing, stamps, looks | fresh, origin.space)
    embeddings = made.arrays["embeddings"]
    classifier = learn(
        embeddings, made.persons, made.negatives, origin.embedder, TRAINED_RATE, counter_examples=made.counter_looks
    )
    manifest = _manifest(origin, listing, made, calibration(classifier, origin.embedder.background))
    manifest = msgspec.structs.replace(manifest, unreadable=unreadable)
    before = _people(folder)
    manifest = store.write(folder, manifest, {**made.arrays, **classifier.to_arrays()})
    audit.add_changes(models_dir, before, manifest.people)
    embedded = sum(look.embedding is not None for look in fresh.values())
    return _as_gallery(classifier, manifest, embedded, folder)


def _people(folder: Path) -> dict[str, int]:
    """The people of the gallery in use, with their number of photos; empty if there is none."""
    try:
        return store.read_manifest(folder).people
    except (OSError, ModelError):
        return {}


def learn(
    embeddings: NDArray[np.float32],
    persons: Sequence[str],
    negatives: NDArray[np.float32],
    embedder: EmbedderEntry,
    false_accept_rate: float,
    *,
    counter_examples: CounterLooks | None = None,
) -> Classifier:
    """A classifier of (N, D) embeddings of photos, their N `persons`, and (K, D) embeddings of strangers' photos.

    The thresholds are calibrated on invented strangers, for `false_accept_rate` (FPIR).
    """
    return Classifier.fit(
        embeddings,
        persons,
        embedder.spec.space,
        background=strangers.faces(embedder.background),
        negatives=negatives,
        counter_examples=counter_examples,
        false_accept_rate=false_accept_rate,
    )


def load(faces_dir: Path, models_dir: Path, origin: GalleryOrigin) -> Gallery:
    """The gallery that `train` made, whether or not photos changed since.

    Raises ModelError where there is none, it is damaged, or another detector, embedding network or alignment made it.
    """
    folder = origin.folder(faces_dir, models_dir)
    stored = store.read(folder)
    if not origin.has_made(stored.manifest):
        raise ModelError(f"{folder}: made by another detector, embedding network or alignment; run `jetstream train`")
    return _gallery_of(stored, folder, origin)


def ensure(
    faces_dir: Path,
    models_dir: Path,
    detector: Detector,
    embedder: Embedder,
    origin: GalleryOrigin,
    progress: Progress | None = None,
    *,
    stay_rolled_back: bool = True,
) -> Gallery:
    """Load the gallery if it is current, else train it. Raises what `load` and `train` raise; a damaged gallery is
    trained again."""
    known = current(faces_dir, models_dir, origin, stay_rolled_back=stay_rolled_back)
    if known is not None:
        return known
    with store.locked(origin.folder(faces_dir, models_dir)):
        # the process that held the lock may have trained it, or rolled back
        known = current(faces_dir, models_dir, origin, stay_rolled_back=stay_rolled_back)
        return known or _train(faces_dir, models_dir, detector, embedder, origin, progress)


def current(
    faces_dir: Path, models_dir: Path, origin: GalleryOrigin, *, stay_rolled_back: bool = True
) -> Gallery | None:
    """The complete gallery that these networks made from exactly these photos, or that was rolled back to when the
    folder held exactly these photos; None where there is none. No network is opened.

    Raises UserError where the folder can't be read.
    """
    folder = origin.folder(faces_dir, models_dir)
    stored = _usable(folder, origin)
    if stored is None:
        return None
    digest = fingerprint.current_digest(faces_dir, folder)
    is_rolled_back = stay_rolled_back and digest == stored.manifest.rolled_back_at
    return _gallery_of(stored, folder, origin) if is_rolled_back or fingerprint.fits(stored.manifest, digest) else None


def roll_back(faces_dir: Path, models_dir: Path, origin: GalleryOrigin) -> Gallery:
    """Go back to the version before the one in use, which becomes the one to go back to. It stays until photos change.

    Raises UserError where there is none that the current networks made.
    """
    folder = origin.folder(faces_dir, models_dir)
    with store.locked(folder):
        current, stored = _usable(folder, origin), _usable(folder, origin, store.PREVIOUS)
        # a training that was killed may have left one version under both names
        if stored is None or (current and current.manifest.archive == stored.manifest.archive):
            raise UserError(f"{faces_dir}: there is no earlier version to roll back to; `jetstream train` makes one")
        digest = fingerprint.current_digest(faces_dir, folder)
        at = "" if fingerprint.fits(stored.manifest, digest) else digest
        manifest = msgspec.structs.replace(stored.manifest, rolled_back_at=at)
        store.swap(folder, manifest)
    return _gallery_of(StoredGallery(manifest, stored.arrays), folder, origin)


def drop_previous(folder: Path) -> None:
    """Erase the version before the one in use, and with it everyone who is only in that one. Raises UserError."""
    with store.locked(folder):
        store.drop_previous(folder)


def open_gallery(config: Config) -> Gallery:
    """The gallery of `config.recognize.faces`, with thresholds for its `false_accept_rate`, or with its `max_distance`
    where that is set. Raises what `load` raises."""
    known = load(Path(config.recognize.faces), Path(config.models.dir), origin_of(config))
    return replace(known, classifier=as_asked(known.classifier, config))


def written(config: Config) -> tuple[int, int]:
    """A value that changes whenever the gallery of `config` is written, for comparison only."""
    manifest = _folder(config) / store.MANIFEST
    try:
        status = manifest.stat()
    except OSError:
        return 0, 0
    return status.st_ino, status.st_mtime_ns  # the inode too: two writes may have the same time


def manifest(config: Config) -> Manifest:
    """What the gallery of `config` was made from, without its embeddings. Raises OSError: there is none; ModelError."""
    return store.read_manifest(_folder(config))


def learnt_from(config: Config) -> photos.State | None:
    """The value of `photos.state` for the photos that the gallery of `config` was made from; None without a gallery."""
    folder = _folder(config)
    try:
        manifest = store.read_manifest(folder)
        if manifest.rolled_back_at:  # then the photos in the folder are those of the other version
            manifest = store.read_manifest(folder, store.PREVIOUS)
    except (OSError, ModelError):
        return None
    return fingerprint.manifest_state(manifest)


def _folder(config: Config) -> Path:
    return gallery_dir(Path(config.recognize.faces), Path(config.models.dir), name_of(config))


def _gallery_of(stored: StoredGallery, folder: Path, origin: GalleryOrigin) -> Gallery:
    manifest = stored.manifest
    return _as_gallery(classifier_of(stored, origin), manifest, 0, folder)


def _as_gallery(classifier: Classifier, manifest: Manifest, embedded: int, folder: Path) -> Gallery:
    return Gallery(
        classifier,
        report_of(manifest, embedded),
        folder,
        _files(manifest),
        manifest.archive_sha256,
        rolled_back=bool(manifest.rolled_back_at),
        counter_files=tuple(record.file for record in selection.used_counter_examples(manifest.photos)),
    )


def _usable(folder: Path, origin: GalleryOrigin, name: str = store.MANIFEST) -> StoredGallery | None:
    """The gallery in `folder` if it is complete and these networks made it."""
    try:
        stored = store.read(folder, name)
        classifier_of(stored, origin)
    except ModelError:
        return None
    return stored if selection.is_whole(stored, origin.space) and origin.has_made(stored.manifest) else None


def _manifest(origin: GalleryOrigin, listing: PhotoListing, made: PhotoSelection, calibrated: Calibration) -> Manifest:
    used = Counter(made.persons)
    return Manifest(
        format=store.FORMAT,
        alignment=align.ALIGNMENT_VERSION,
        model_sha256=origin.embedder_sha256,
        people={name: used[name] for name in listing.people},
        photos=made.records,
        bad_names=listing.bad_names,
        strays=listing.strays,
        notes=made.notes,
        unknown=listing.unknown is not None,
        calibration=calibrated,
        detector=origin.detector.name,
        detector_sha256=origin.detector.sha256,
        readers=READERS,
    )


def calibration(classifier: Classifier, background: str) -> Calibration:
    """The effect of the thresholds of `classifier`, made with this `background`, on the photos that it learnt from."""
    measured = classifier.measure(strangers.SIZE if background else 0)
    shares = (None if math.isnan(share) else round(share, 4) for share in (measured.own_known, measured.own_strangers))
    return Calibration(classifier.how, measured.strangers, classifier.false_accept_rate, *shares)


def _files(manifest: Manifest) -> tuple[str, ...]:
    rows = {record.row: record.file for record in manifest.photos if record.row is not None}
    return tuple(rows[row] for row in sorted(rows))
