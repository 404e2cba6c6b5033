"""Digests of photos: whether the photos in a folder are those that a gallery was made from.

Opens a photo only to hash it, and only if its size or change time is new. Where a photo or a person's folder can't be
read, what the gallery knows of it counts.
"""

import contextlib
import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from jetstream.errors import ModelError
from jetstream.gallery import layout, photos, store
from jetstream.gallery.photo_faces import UNREADABLE
from jetstream.gallery.photos import Photo, PhotoListing, PhotoStamp
from jetstream.gallery.store import Manifest
from jetstream.video.images import READERS


def current_digest(faces_dir: Path, folder: Path) -> str:
    """A digest of the people and photos in `faces_dir` now.

    `folder` is its gallery, whose stamps save reading most photos. Raises UserError where `faces_dir` can't be read.
    """
    known: dict[str, PhotoStamp] = {}
    for name in (store.PREVIOUS, store.MANIFEST):
        with contextlib.suppress(OSError, ModelError):
            known |= stamps_of(store.read_manifest(folder, name))
    unreadable = layout.unreadable(faces_dir)
    listing = photos.list_photos(faces_dir)
    with contextlib.suppress(OSError, ModelError):
        listing = with_kept(listing, faces_dir, unreadable, store.read_manifest(folder))
    found = list(zip(listing.everything, stamps(listing, known), strict=True))
    unknown = () if listing.unknown is None else (photos.STRANGERS,)
    return _digest(
        {*listing.people, *unknown},
        listing.bad_names,
        listing.strays,
        [(p.person, p.file, s.sha256) for p, s in found],
        {*unreadable, *(p.file for p, s in found if not s.is_read)},
    )


def with_kept(listing: PhotoListing, faces_dir: Path, unreadable: Collection[str], manifest: Manifest) -> PhotoListing:
    """`listing`, with those photos in the folders `unreadable` that the gallery of `manifest` was made from."""
    kept = [
        Photo(record.person, record.file, faces_dir / record.file, record.counter_example)
        for record in manifest.photos
        if _is_in(record.file, unreadable)
    ]
    listed = {photo.file for photo in listing.everything}
    kept = [photo for photo in kept if photo.file not in listed]
    strangers = tuple(photo for photo in kept if not photo.person)
    unknown = None if listing.unknown is None else (*listing.unknown, *strangers)
    people = [photo for photo in kept if photo.person in listing.people]
    known, against = (
        tuple(sorted((*listed, *(p for p in people if p.is_counter_example is is_one)), key=lambda photo: photo.person))
        for is_one, listed in ((False, listing.photos), (True, listing.counter_examples))
    )
    return listing._replace(photos=known, unknown=unknown, counter_examples=against)


def manifest_digest(manifest: Manifest) -> str:
    """The digest of the people and photos that the gallery was made from."""
    found = [(record.person, record.file, record.sha256) for record in manifest.photos]
    unread = {*manifest.unreadable, *(record.file for record in manifest.photos if record.kept)}
    return _digest(_folders(manifest), manifest.bad_names, manifest.strays, found, unread)


def fits(manifest: Manifest, digest: str) -> bool:
    """Whether training on the photos with this digest would give what the gallery has: the same photos, and none of
    them was unreadable when fewer formats were read."""
    may_read_more = manifest.readers != READERS and any(record.refused == UNREADABLE for record in manifest.photos)
    return digest == manifest_digest(manifest) and not may_read_more


def manifest_state(manifest: Manifest) -> photos.State:
    """The value of `photos.state` for the photos that the gallery was made from."""
    folders = {_folder(record.file) for record in manifest.photos}  # as spelt on disk: perhaps not in NFC
    folders |= {name for name, used in manifest.people.items() if not used} | (_folders(manifest) - {*manifest.people})
    return {
        **dict.fromkeys((*folders, *manifest.bad_names, *manifest.strays), (0, 0)),
        **{
            record.file: (record.size, record.changed_ns)
            for record in manifest.photos
            if not _is_in(record.file, manifest.unreadable)
        },
    }


def stamps_of(manifest: Manifest) -> dict[str, PhotoStamp]:
    """The stamps of the photos when the gallery was made, by file."""
    return {
        record.file: PhotoStamp(record.size, record.changed_ns, record.sha256, not record.kept)
        for record in manifest.photos
    }


def stamps(listing: PhotoListing, known: Mapping[str, PhotoStamp]) -> list[PhotoStamp]:
    """A stamp for each photo in `listing.everything`.

    `known` has earlier stamps by file: a photo with the same size and change time isn't read again, and one that can't
    be read now keeps its hash.
    """
    found = []
    for photo in listing.everything:
        try:
            found.append(photos.stamp(photo.path, known.get(photo.file)))
        except OSError as error:
            found.append(_unread(photo.path, None if isinstance(error, FileNotFoundError) else known.get(photo.file)))
    return found


def _unread(path: Path, known: PhotoStamp | None) -> PhotoStamp:
    """The stamp of a photo that can't be read; its hash is the `known` one unless the file has another size now."""
    try:
        status = path.stat()
    except OSError:
        return known._replace(is_read=False) if known else PhotoStamp(0, 0, "", is_read=False)
    sha256 = known.sha256 if known and known.size == status.st_size else ""
    return PhotoStamp(status.st_size, status.st_ctime_ns, sha256, is_read=False)


def _folder(file: str) -> str:
    return file.partition("/")[0]


def _is_in(file: str, folders: Collection[str]) -> bool:
    """Whether a photo lies in one of `folders`: a person's, or that of a person's counter-examples."""
    return _folder(file) in folders or file.rpartition("/")[0] in folders


def _folders(manifest: Manifest) -> set[str]:
    return {*manifest.people, *((photos.STRANGERS,) if manifest.unknown else ())}


def _digest(
    people: set[str],
    bad_names: Sequence[str],
    strays: Sequence[str],
    found: Sequence[tuple[str, str, str]],
    unread: set[str],
) -> str:
    parts = [sorted(people), bad_names, strays, found, *([sorted(unread)] if unread else [])]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
