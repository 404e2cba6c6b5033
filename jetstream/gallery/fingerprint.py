"""Digests of photos: whether the photos in a folder are those that a gallery was made from.

Opens a photo only to hash it, and only if its size or change time is new.
"""

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from jetstream.errors import ModelError
from jetstream.gallery import photos, store
from jetstream.gallery.photos import PhotoListing, PhotoStamp
from jetstream.gallery.store import Manifest


def current_digest(faces_dir: Path, folder: Path) -> str:
    """A digest of the people and photos in `faces_dir` now.

    `folder` is its gallery, whose stamps save reading most photos. Raises UserError where `faces_dir` can't be read.
    """
    known: dict[str, PhotoStamp] = {}
    for name in (store.PREVIOUS, store.MANIFEST):
        with contextlib.suppress(OSError, ModelError):
            known |= stamps_of(store.read_manifest(folder, name))
    listing = photos.list_photos(faces_dir)
    found = zip(listing.everything, stamps(listing, known), strict=True)
    unknown = () if listing.unknown is None else (photos.STRANGERS,)
    return _digest(
        {*listing.people, *unknown}, listing.bad_names, listing.strays, [(p.person, p.file, s.sha256) for p, s in found]
    )


def manifest_digest(manifest: Manifest) -> str:
    """The digest of the people and photos that the gallery was made from."""
    found = [(record.person, record.file, record.sha256) for record in manifest.photos]
    return _digest(_folders(manifest), manifest.bad_names, manifest.strays, found)


def manifest_state(manifest: Manifest) -> photos.State:
    """The value of `photos.state` for the photos that the gallery was made from."""
    folders = {record.file.partition("/")[0] for record in manifest.photos}  # as spelt on disk: perhaps not in NFC
    folders |= {name for name, used in manifest.people.items() if not used} | (_folders(manifest) - {*manifest.people})
    return {
        **dict.fromkeys((*folders, *manifest.bad_names, *manifest.strays), (0, 0)),
        **{record.file: (record.size, record.changed_ns) for record in manifest.photos},
    }


def stamps_of(manifest: Manifest) -> dict[str, PhotoStamp]:
    """The stamps of the photos when the gallery was made, by file."""
    return {record.file: PhotoStamp(record.size, record.changed_ns, record.sha256) for record in manifest.photos}


def stamps(listing: PhotoListing, known: Mapping[str, PhotoStamp]) -> list[PhotoStamp]:
    """A stamp for each photo in `listing.everything`; its hash is empty where the photo can't be read.

    `known` has earlier stamps by file: a photo with the same size and change time isn't read again.
    """
    found = []
    for photo in listing.everything:
        try:
            found.append(photos.stamp(photo.path, known.get(photo.file)))
        except OSError:
            found.append(PhotoStamp(0, 0, ""))
    return found


def _folders(manifest: Manifest) -> set[str]:
    return {*manifest.people, *((photos.STRANGERS,) if manifest.unknown else ())}


def _digest(
    people: set[str], bad_names: Sequence[str], strays: Sequence[str], found: Sequence[tuple[str, str, str]]
) -> str:
    return hashlib.sha256(msgspec.json.encode([sorted(people), bad_names, strays, found])).hexdigest()
