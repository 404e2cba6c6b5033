"""Who is known, by other names, or no more: what people do with `faces/` besides putting photos in.

Moves and removes files of one faces folder and of recordings; learns nothing (`gallery` does, afterwards).
"""

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import msgspec

from jetstream import gallery, galleryfile, photos
from jetstream.errors import UserError
from jetstream.messages import Event, EventTrack


def folders_of(name: str, faces_dir: Path) -> list[Path]:
    """A person's folders: one, or two where the name is spelt with composed and with decomposed accents.

    Raises UserError when nobody has that name.
    """
    wanted = photos.check_name(name)
    found = [folder for folder in _folders(faces_dir) if unicodedata.normalize("NFC", folder.name).strip() == wanted]
    if not found:
        known = ", ".join(photos.list_photos(faces_dir).people) or "nobody"
        raise UserError(f"{name}: there is no such person in {faces_dir}; there are: {known}")
    return found


def rename(old: str, new: str, faces_dir: Path) -> None:
    """Give a person another name. Raises UserError when `new` is taken or can't be a name."""
    target = faces_dir / photos.check_name(new)
    sources = folders_of(old, faces_dir)
    if target.exists() and not any(target.samefile(source) for source in sources):
        raise UserError(f"{new}: there is a person of that name; to make one of both, use merge")
    _move_all(sources, target)


def merge(source: str, target: str, faces_dir: Path) -> None:
    """Give all photos of `source` to `target`; `source` is no person any more. Raises UserError."""
    (into, *_), sources = folders_of(target, faces_dir), folders_of(source, faces_dir)
    if any(into.samefile(folder) for folder in sources):
        raise UserError(f"{source}: is that person already")
    _move_all(sources, into)


def forget(name: str, faces_dir: Path, recordings: Path | None = None) -> list[Path]:
    """Remove a person's photos and folders, and the recordings in a folder that hold the person; what was removed.

    The gallery must be trained again after this, then `forget_earlier_version`; `traces` tells what is left.
    """
    folders = folders_of(name, faces_dir)  # nothing goes when there is no such person
    removed = recordings_with(name, recordings) if recordings else []
    for path in removed:
        path.unlink()
    for folder in folders:
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
            removed.append(path)
        folder.rmdir()
        removed.append(folder)
    return removed


def forget_earlier_version(faces_dir: Path, models_dir: Path) -> None:
    """Erase the gallery that `jetstream train --rollback` would go back to: forgotten people are in it."""
    gallery.drop_previous(faces_dir, models_dir)


def recordings_with(name: str, folder: Path) -> list[Path]:
    """Event files in a folder of recordings that hold the person's name, and the videos beside them."""
    found = []
    for events in sorted(folder.glob("*.jsonl")):
        if any(name in _names(track) for event in _events(events) for track in event.tracks):
            found += [path for path in (events, events.with_suffix(".mp4")) if path.exists()]
    return found


def traces(name: str, faces_dir: Path, models_dir: Path, recordings: Path | None = None) -> list[str]:
    """Where the person still is: recordings, photos, manifest, classifier. Empty after a complete `forget`."""
    wanted = photos.check_name(name)
    folder = gallery.gallery_dir(faces_dir, models_dir)
    left = [str(path) for path in recordings_with(name, recordings)] if recordings else []
    left += [str(photo.path) for photo in photos.list_photos(faces_dir).photos if photo.person == wanted]
    known: set[str] = set()  # archives that a manifest names
    for name in (galleryfile.MANIFEST, galleryfile.PREVIOUS):
        if not (folder / name).exists():
            continue
        manifest, arrays = galleryfile.read(folder, name)
        known.add(manifest.archive)
        if wanted in manifest.people or any(record.person == wanted for record in manifest.photos):
            left.append(str(folder / name))
        if wanted in arrays.get("names", ()):
            left.append(str(folder / manifest.archive))
    return left + [str(path) for path in folder.glob("*.npz") if path.name not in known]


def _folders(faces_dir: Path) -> Iterator[Path]:
    if faces_dir.is_dir():
        yield from sorted(
            path for path in faces_dir.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))
        )


def _move_all(sources: list[Path], target: Path) -> None:
    """Every file of `sources` into `target`, under a name that is free there; empty sources go."""
    target.mkdir(mode=0o700, exist_ok=True)
    for source in sources:
        if source.samefile(target):
            continue
        for path in sorted(source.iterdir()):
            free, number = target / path.name, 1
            while free.exists():
                number += 1
                free = target / f"{path.stem}-{number}{path.suffix}"
            os.rename(path, free)
        source.rmdir()


def _names(track: EventTrack) -> set[str | None]:
    """Whom a line names: who is shown, and whoever had a vote."""
    return {track.name, *(vote.name for vote in track.votes)}


def _events(path: Path) -> Iterator[Event]:
    with path.open("rb") as file:
        for line in file:
            try:
                yield msgspec.json.decode(line, type=Event)
            except msgspec.DecodeError:
                continue  # a line that a kill cut off
