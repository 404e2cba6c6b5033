"""Who is known, by other names, or no more: what people do with `faces/` besides putting photos in.

Moves and removes files of one faces folder and of recordings; learns nothing (`gallery` does, afterwards).
"""

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from jetstream.errors import ModelError, UserError
from jetstream.gallery import photos, store, train
from jetstream.recording import library as recordings


class PersonTraces(NamedTuple):
    """What there is of some people besides what was learnt of them."""

    folders: list[Path]
    photos: int
    recordings: list[Path] | None  # event files; None: they were not looked for

    def __str__(self) -> str:
        """`4 photos, 2 recordings`"""
        words = f"{self.photos} photo{'s' * (self.photos != 1)}"
        if self.recordings is None:
            return f"{words}, no recordings (--recordings names their folder)"
        return f"{words}, {len(self.recordings)} recording{'s' * (len(self.recordings) != 1)}"


def folders_of(name: str, faces_dir: Path) -> list[Path]:
    """A person's folders: one, or two where the name is spelt with composed and with decomposed accents.

    Raises UserError when nobody has that name.
    """
    wanted = photos.check_name(name)
    there = photos.list_photos(faces_dir).people  # it says why a folder can't be read
    found = [folder for folder in _folders(faces_dir) if recordings.normal(folder.name) == wanted]
    if not found:
        raise UserError(f"{name}: there is no such person in {faces_dir}; there are: {', '.join(there) or 'nobody'}")
    return found


def rename(old: str, new: str, faces_dir: Path) -> None:
    """Give a person another name. Raises UserError when `new` is taken or no name, or nothing can be written."""
    target = faces_dir / photos.check_name(new)
    sources = folders_of(old, faces_dir)
    with _changing(faces_dir):
        if not target.exists():
            os.rename(sources.pop(0), target)  # in one step
        elif not any(target.samefile(source) for source in sources):
            raise UserError(f"{new}: there is a person of that name; to make one of both, use merge")
        _move_all(sources, target)


def merge(source: str, target: str, faces_dir: Path) -> None:
    """Give all photos of `source` to `target`; `source` is no person any more. Raises UserError."""
    (into, *_), sources = folders_of(target, faces_dir), folders_of(source, faces_dir)
    with _changing(faces_dir):
        if any(into.samefile(folder) for folder in sources):
            raise UserError(f"{source}: is that person already")
        _move_all(sources, into)


def find(names: Collection[str], faces_dir: Path, models_dir: Path, recorded: Path | None = None) -> PersonTraces:
    """What `forget` would erase.

    Raises UserError for a name that is in no photo's folder, no version of the gallery and no recording, and where
    a folder is missing or a recording is still being made.
    """
    wanted = {photos.check_name(name) for name in names}
    if not faces_dir.is_dir():  # a disk that went away, or photos that nobody could say are gone
        raise UserError(f"{faces_dir}: no such folder of faces; bring it back or, where all photos are gone, make it")
    listing = photos.list_photos(faces_dir)
    if recorded is not None:
        recordings.check_finished(recorded)
    heard = {} if recorded is None else recordings.people_in(recorded)
    for missing in sorted(wanted.difference(listing.people, _learnt(faces_dir, models_dir), *heard.values())):
        where = f"{faces_dir}, in what was learnt" + (f", in {recorded}" if recorded is not None else "")
        raise UserError(
            f"{missing}: there is no such person in {where}; there are: {', '.join(listing.people) or 'nobody'}"
        )
    return PersonTraces(
        folders=[folder for folder in _folders(faces_dir) if recordings.normal(folder.name) in wanted],
        photos=sum(photo.person in wanted for photo in listing.photos),
        recordings=None if recorded is None else [path for path, who in heard.items() if who & wanted],
    )


def forget(names: Collection[str], faces_dir: Path, models_dir: Path, recorded: Path | None = None) -> PersonTraces:
    """Remove some people's photos and folders, and the recordings in a folder that hold any of them; what there was.

    The gallery must be trained again after this, then `forget_earlier_version`; `traces` tells what is left. Whatever
    interrupts this, it can be repeated. Raises what `find` raises, and then nothing has gone, and UserError where
    something can't be removed.
    """
    found = find(names, faces_dir, models_dir, recorded)
    for events in found.recordings or ():
        with _changing(events.parent):
            for path in recordings.beside(events):
                path.unlink()
            events.unlink()  # last: without it nobody knows whom the videos show
    with _changing(faces_dir):
        for folder in found.folders:
            for path in sorted(folder.rglob("*"), reverse=True):
                _remove(path)
            _remove(folder)
    return found


def forget_earlier_version(faces_dir: Path, models_dir: Path) -> None:
    """Erase the gallery that `jetstream train --rollback` would go back to: forgotten people are in it."""
    train.drop_previous(faces_dir, models_dir)


def traces(names: Collection[str], faces_dir: Path, models_dir: Path, recorded: Path | None = None) -> list[str]:
    """Where these people still are: recordings, photos, manifest, classifier. Empty after a complete `forget`."""
    wanted = set(map(recordings.normal, names))
    folder = train.gallery_dir(faces_dir, models_dir)
    left = [str(path) for path in recordings.of(wanted, recorded)] if recorded is not None else []
    left += [str(photo.path) for photo in photos.list_photos(faces_dir).photos if photo.person in wanted]
    known: set[str] = set()  # archives that a manifest names
    for version in (store.MANIFEST, store.PREVIOUS):
        if not (folder / version).exists():
            continue
        try:
            manifest, arrays = store.read(folder, version)
        except ModelError:  # damaged: nobody can tell who is in it
            left.append(str(folder / version))
            continue
        known.add(manifest.archive)
        if wanted & _people_of(manifest):
            left.append(str(folder / version))
        if wanted.intersection(map(str, arrays.get("names", ()))):
            left.append(str(folder / manifest.archive))
    return left + [str(path) for path in folder.glob("*.npz") if path.name not in known]


def _folders(faces_dir: Path) -> Iterator[Path]:
    if faces_dir.is_dir():
        yield from sorted(
            path for path in faces_dir.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))
        )


@contextlib.contextmanager
def _changing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = os.fsdecode(error.filename) if error.filename else folder
        raise UserError(
            f"{where}: can't be changed ({error.strerror}); mend that, such as by making {folder} writable, "
            "and run it again"
        ) from None


def _move_all(sources: list[Path], target: Path) -> None:
    """Every file of `sources` into `target`, under a name that is free there; empty sources go."""
    for source in sources:
        if source.samefile(target):
            continue
        for path in sorted(source.iterdir()):
            free, number = target / path.name, 1
            while free.exists():
                number += 1
                free = target / f"{path.stem}-{number}{path.suffix}"
            os.rename(path, free)
        _remove(source)


def _remove(path: Path) -> None:
    """A file, a link, or an empty folder."""
    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def _learnt(faces_dir: Path, models_dir: Path) -> set[str]:
    """Who is in the gallery in use or in the one before it, with photos there or without."""
    folder = train.gallery_dir(faces_dir, models_dir)
    names: set[str] = set()
    for version in (store.MANIFEST, store.PREVIOUS):
        with contextlib.suppress(OSError, ModelError):  # training replaces one that is damaged, and keeps none
            names |= _people_of(store.read_manifest(folder, version))
    return names


def _people_of(manifest: store.Manifest) -> set[str]:
    return {*manifest.people, *(record.person for record in manifest.photos if record.person)}
