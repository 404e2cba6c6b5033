"""A gallery on disk: one .npz of arrays and one manifest.json that names it, written so that one whole gallery is there
at any moment.

Knows no photo, no network and no classifier.

The archive's name carries its content's hash; the manifest, replaced last and in one step, names the archive. Whatever
interrupts a write leaves the old manifest with its old archive. Personal data: files are 0600, folders 0700.
"""

import fcntl
import hashlib
import io
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from jetstream import atomic
from jetstream.errors import ModelError, UserError

FORMAT = 1
MANIFEST = "manifest.json"
PRIVATE = 0o600
_LOCK = "lock"


class PhotoRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of one photo: a row of the archive's `embeddings`, or a reason."""

    person: str
    file: str
    size: int
    changed_ns: int
    sha256: str
    faces: int  # found in it; the largest counts
    row: int | None
    refused: str | None


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a gallery was made from."""

    format: int
    alignment: int  # align.ALIGNMENT_VERSION
    model_sha256: str  # of the embedder
    people: dict[str, int]  # photos used
    photos: tuple[PhotoRecord, ...]
    bad_names: tuple[str, ...]
    strays: tuple[str, ...]
    archive: str = ""  # `write` fills in these two
    archive_sha256: str = ""


class _Version(msgspec.Struct, frozen=True):
    format: int


class Stored(NamedTuple):
    """A gallery as read."""

    manifest: Manifest
    arrays: dict[str, NDArray[Any]]


def write(folder: Path, manifest: Manifest, arrays: Mapping[str, NDArray[Any]]) -> Manifest:
    """Replace the gallery in `folder`, which the caller has `locked`; the manifest as stored.

    Raises UserError where it can't be written; the old gallery is then still there.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    manifest = msgspec.structs.replace(manifest, archive=f"gallery-{digest[:16]}.npz", archive_sha256=digest)
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    try:
        atomic.replace(folder / manifest.archive, buffer.getvalue(), mode=PRIVATE)
        atomic.replace(folder / MANIFEST, text, mode=PRIVATE)
        for path in folder.iterdir():
            if path.name not in (MANIFEST, manifest.archive, _LOCK):
                path.unlink()  # older archives, and what an interrupted write left: faces of people since deleted
    except OSError as error:
        raise UserError(f"{folder}: can't be written ({error.strerror}); make it writable and free space") from error
    return manifest


def read(folder: Path) -> Stored:
    """The gallery in `folder`. Raises ModelError where there is none, it is damaged, or of another version."""
    try:
        manifest = read_manifest(folder)
        if not (folder / manifest.archive).exists():
            manifest = read_manifest(folder)  # replaced between the two looks
        content = (folder / manifest.archive).read_bytes()
    except OSError as error:
        raise ModelError(f"{folder}: no gallery ({error.strerror}); run `jetstream train`") from None
    if hashlib.sha256(content).hexdigest() != manifest.archive_sha256:
        raise ModelError(f"{folder / manifest.archive}: damaged (its sha256 is wrong); run `jetstream train`")
    return Stored(manifest, _arrays(folder / manifest.archive, content))


def read_manifest(folder: Path) -> Manifest:
    """The manifest alone. Raises OSError where there is none, ModelError where it is damaged or of another version."""
    path = folder / MANIFEST
    text = path.read_bytes()
    try:
        version = msgspec.json.decode(text, type=_Version).format
        if version != FORMAT:
            raise ModelError(f"{path}: gallery format {version}, expected {FORMAT}; run `jetstream train`")
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: damaged ({error}); run `jetstream train`") from None
    if Path(manifest.archive).name != manifest.archive or not manifest.archive:
        raise ModelError(f"{path}: damaged (archive {manifest.archive!r}); run `jetstream train`")
    return manifest


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make `folder` if it is missing and keep other writers out; waits for one that is at work. Raises UserError."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.mkdir(exist_ok=True, mode=0o700)
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    except OSError as error:
        raise UserError(f"{folder}: can't be written ({error.strerror}); make its folder writable") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _arrays(path: Path, content: bytes) -> dict[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path}: damaged ({error}); run `jetstream train`") from None
