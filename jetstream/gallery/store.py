"""A gallery on disk: one .npz of arrays and one manifest.json that names it. One complete gallery exists at any time.

Knows no photo, no network and no classifier.

The archive's name contains its content's hash. The manifest names the archive, and is replaced last and in one step, so
an interrupted write leaves the old manifest with its old archive. The version before is kept, with its own manifest,
until the next one is written or a person is forgotten. Personal data: files have mode 0600, folders 0700.
"""

import contextlib
import fcntl
import hashlib
import io
import os
import re
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from jetstream import files
from jetstream.config.galleries import MANIFEST as MANIFEST  # of whoever reads a gallery
from jetstream.errors import GARBLED, ModelError, UserError
from jetstream.vision.recognition.quality import Quality

FORMAT = 2
PREVIOUS = "manifest.previous.json"
PRIVATE = 0o600
DAMAGED = (
    *(ValueError, TypeError, OSError, EOFError, KeyError, RuntimeError, MemoryError, OverflowError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)
"""The exceptions that zipfile and numpy raise for bytes that are no archive of arrays."""
LOCK = "lock"
_OURS = re.compile(r"gallery-[0-9a-f]{16}\.npz|manifest\.previous\.json|\.(gallery-|manifest\.).*\.[0-9a-f]{8}")
"""names that a writer gives: archives, the version before, and files whose writing was interrupted"""


class PhotoRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One photo: its row of the archive's `embeddings`, which the classifier is trained on, or why it has none.

    An embedded photo that isn't trained on, because it is refused, a stranger's or a counter-example, has a row of
    `spare` instead.
    """

    person: str  # "": a stranger
    file: str
    size: int
    changed_ns: int
    sha256: str
    faces: int  # number of faces found; the largest is used
    row: int | None
    refused: str | None
    spare: int | None = None
    quality: Quality | None = None  # where it was embedded
    kept: bool = False  # it couldn't be read, and this is what was known before
    counter_example: bool = False  # it shows somebody who is not `person`


class PhotoWarning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`code` never changes between versions; `file` is set where it is about one photo."""

    code: str
    file: str | None = None


class PersonNotes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Distances among a person's photos and to other people."""

    name: str
    spread: float | None  # root mean square distance of the embeddings to their mean; None with one photo
    nearest: str | None  # the nearest other person
    distance: float | None  # between the mean embeddings
    warnings: tuple[PhotoWarning, ...]


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the thresholds were calibrated, and their effect on the gallery's own photos. Shares are 0..1, or None where
    there was nothing to measure."""

    svm: str  # kind and settings
    strangers: int  # number of invented faces that the thresholds were calibrated on
    false_accept_rate: float  # FPIR for which the shares were measured
    own_known: float | None  # share of photos, each left out, nearest to their person and within the threshold
    own_strangers: float | None  # share of photos within another person's threshold, with their person left out


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The photos that a gallery was made from, and what was made of them."""

    format: int
    alignment: int  # align.ALIGNMENT_VERSION
    model_sha256: str  # of the embedder's network
    people: dict[str, int]  # photos used
    photos: tuple[PhotoRecord, ...]
    bad_names: tuple[str, ...]
    strays: tuple[str, ...]
    notes: tuple[PersonNotes, ...] = ()
    unknown: bool = False  # whether there was a folder for strangers
    calibration: Calibration | None = None
    unreadable: dict[str, str] = {}  # folders of people that couldn't be read, and why
    archive: str = ""  # `write` fills in these two
    archive_sha256: str = ""
    rolled_back_at: str = ""  # `fingerprint.current_digest` of the photos when this version was rolled back to
    # manifests of before 2026-11-28 name no detector: MTCNN was the only one
    detector: str = "mtcnn"
    detector_sha256: str = ""  # DetectorIdentity.sha256; "": not recorded, any of this name
    readers: str = ""  # `images.READERS`; "": those of before that, which read fewer formats


class _GalleryVersion(msgspec.Struct, frozen=True):
    format: int


class StoredGallery(NamedTuple):
    """A gallery as read from disk."""

    manifest: Manifest
    arrays: dict[str, NDArray[Any]]


def write(folder: Path, manifest: Manifest, arrays: Mapping[str, NDArray[Any]]) -> Manifest:
    """Replace the gallery in `folder`, which the caller has `locked`; returns the manifest as stored.

    Raises UserError when it can't be written; the old gallery stays then.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    manifest = msgspec.structs.replace(manifest, archive=f"gallery-{digest[:16]}.npz", archive_sha256=digest)
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    try:
        files.replace(folder / manifest.archive, buffer.getvalue(), mode=PRIVATE)
        _keep(folder, manifest)
        files.replace(folder / MANIFEST, text, mode=PRIVATE)
        _sweep(folder)
    except OSError as error:
        raise UserError(f"{folder}: can't be written ({error.strerror}); make it writable and free space") from error
    return manifest


def swap(folder: Path, previous: Manifest) -> None:
    """Make `previous` the manifest in use, and the one in use the previous one. The caller has `locked` the folder.

    Raises UserError when it can't be written; one complete version is in use then.
    """
    try:
        current = (folder / MANIFEST).read_bytes() if (folder / MANIFEST).exists() else None
        files.replace(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(previous), indent=1), mode=PRIVATE)
        if current is not None:
            files.replace(folder / PREVIOUS, current, mode=PRIVATE)
    except OSError as error:
        raise UserError(f"{folder}: can't be written ({error.strerror}); make it writable and free space") from error


def drop_previous(folder: Path) -> None:
    """Erase the version before the one in use. The caller has `locked` the folder. Raises UserError."""
    _drop(folder, PREVIOUS)


def drop(folder: Path) -> None:
    """Erase the whole gallery. The caller has `locked` the folder. Raises UserError."""
    _drop(folder, MANIFEST, PREVIOUS)


def _drop(folder: Path, *manifests: str) -> None:
    try:
        for name in manifests:
            (folder / name).unlink(missing_ok=True)
        _sweep(folder)
    except OSError as error:
        raise UserError(f"{folder}: can't be erased ({error.strerror}); make it writable") from error


def read(folder: Path, name: str = MANIFEST) -> StoredGallery:
    """The gallery in `folder`, or with `name` PREVIOUS the version before it.

    Raises ModelError when there is none, it is damaged, or has another format version.
    """
    try:
        manifest = read_manifest(folder, name)
        while not (content := _archive(folder / manifest.archive)):
            replaced = read_manifest(folder, name)  # an archive is removed after its manifest was replaced twice
            if replaced.archive == manifest.archive:
                raise ModelError(f"{folder / manifest.archive}: missing or empty; run `jetstream train`")
            manifest = replaced
    except OSError as error:
        raise ModelError(f"{folder}: no gallery ({error.strerror}); run `jetstream train`") from None
    if hashlib.sha256(content).hexdigest() != manifest.archive_sha256:
        raise ModelError(f"{folder / manifest.archive}: damaged (its sha256 is wrong); run `jetstream train`")
    return StoredGallery(manifest, parse_archive(folder / manifest.archive, content))


def read_manifest(folder: Path, name: str = MANIFEST) -> Manifest:
    """The manifest alone. Raises OSError where there is none, ModelError where it is damaged or of another version."""
    return parse_manifest((folder / name).read_bytes(), folder / name)


def parse_manifest(text: bytes, path: Path) -> Manifest:
    """A manifest's content. Raises ModelError where it is damaged or of another version."""
    try:
        version = msgspec.json.decode(text, type=_GalleryVersion).format
        if version != FORMAT:
            raise ModelError(f"{path}: gallery format {version}, expected {FORMAT}; run `jetstream train`")
        manifest = msgspec.json.decode(text, type=Manifest)
    except GARBLED as error:
        raise ModelError(f"{path}: damaged ({error}); run `jetstream train`") from None
    if Path(manifest.archive).name != manifest.archive or not manifest.archive:
        raise ModelError(f"{path}: damaged (archive {manifest.archive!r}); run `jetstream train`")
    return manifest


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the write lock of `folder`, which is made if missing; waits for another writer.

    Raises UserError where it can't be written, or is a link: nothing is replaced or erased through one.
    """
    if folder.is_symlink():
        raise UserError(f"{folder}: is a link, and nothing is erased through a link; remove it, a gallery is made anew")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.mkdir(exist_ok=True, mode=0o700)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    except OSError as error:
        raise UserError(f"{folder}: can't be written ({error.strerror}); make its folder writable") from None
    try:
        with contextlib.suppress(OSError):  # not every network folder has locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _keep(folder: Path, new: Manifest) -> None:
    """Make the version in use the previous one, unless `new` is the same."""
    try:
        current = read_manifest(folder)
    except (OSError, ModelError):
        return  # no version to keep
    if current.archive_sha256 != new.archive_sha256:
        files.replace(folder / PREVIOUS, (folder / MANIFEST).read_bytes(), mode=PRIVATE)


def _sweep(folder: Path) -> None:
    """Remove older archives and the files of interrupted writes, which may contain people deleted since.

    Other files stay: they are not ours.
    """
    kept = set()
    for name in (MANIFEST, PREVIOUS):
        with contextlib.suppress(OSError, ModelError):
            kept |= {name, read_manifest(folder, name).archive}
    for path in folder.iterdir():
        if path.name not in kept and _OURS.fullmatch(path.name) and (path.is_symlink() or not path.is_dir()):
            path.unlink()


def _archive(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def parse_archive(path: Path, content: bytes) -> dict[str, NDArray[Any]]:
    """The arrays in an archive's content, never unpickled. Raises ModelError, which names `path`, for a damaged one."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except DAMAGED as error:
        raise ModelError(f"{path}: damaged ({error}); run `jetstream train`") from None
