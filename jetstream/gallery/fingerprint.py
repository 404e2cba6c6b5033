"""The photos that a gallery was made from, and those that are there: the same or not?

Opens photos only to hash them, and only those whose size or time is new.
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


def there(faces_dir: Path, folder: Path) -> str:
    """A digest of who and what is in `faces_dir`; `folder` is its gallery, which spares most photos the reading."""
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


def made_from(manifest: Manifest) -> str:
    """The digest of those that the gallery was made from."""
    found = [(record.person, record.file, record.sha256) for record in manifest.photos]
    return _digest(_folders(manifest), manifest.bad_names, manifest.strays, found)


def state_of(manifest: Manifest) -> photos.State:
    """What `photos.state` told of the photos that the gallery was made from."""
    folders = {record.file.partition("/")[0] for record in manifest.photos}  # as spelt there, by Unicode's other forms
    folders |= {name for name, used in manifest.people.items() if not used} | (_folders(manifest) - {*manifest.people})
    return {
        **dict.fromkeys((*folders, *manifest.bad_names, *manifest.strays), (0, 0)),
        **{record.file: (record.size, record.changed_ns) for record in manifest.photos},
    }


def stamps_of(manifest: Manifest) -> dict[str, PhotoStamp]:
    """The photos' stamps when the gallery was made, by file."""
    return {record.file: PhotoStamp(record.size, record.changed_ns, record.sha256) for record in manifest.photos}


def stamps(listing: PhotoListing, known: Mapping[str, PhotoStamp]) -> list[PhotoStamp]:
    """One a photo; an empty hash where the photo can't be read."""
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
