"""Renames and merges people: moves files of a faces folder.

Doesn't train: the caller does that afterwards.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.gallery import photos
from jetstream.recording.library import normal


def faces_folder(config: Config) -> Path:
    """The faces folder of a config, to be changed. Raises UserError for the demo's."""
    if config.recognize.faces == "demo":
        raise UserError("recognize.faces: the demo's faces are made by the demo; name a folder with --faces")
    return Path(config.recognize.faces)


def folders_of(name: str, faces_dir: Path) -> list[Path]:
    """A person's folders: one, or two if the name is spelt with composed and with decomposed accents.

    Raises UserError when there is no such person or the folder can't be read.
    """
    wanted = photos.check_name(name)
    people = photos.list_photos(faces_dir).people  # raises with a clear sentence where a folder can't be read
    found = [folder for folder in person_folders(faces_dir) if normal(folder.name) == wanted]
    if not found:
        raise UserError(f"{name}: there is no such person in {faces_dir}; there are: {', '.join(people) or 'nobody'}")
    return found


def rename(old: str, new: str, faces_dir: Path) -> None:
    """Give a person another name. Raises UserError when `new` is taken or not valid, or a file can't be changed."""
    target = faces_dir / photos.check_name(new)
    sources = folders_of(old, faces_dir)
    with changing(faces_dir):
        if not target.exists():
            os.rename(sources.pop(0), target)  # in one step
        elif not any(target.samefile(source) for source in sources):
            raise UserError(f"{new}: there is a person with that name; to make the two one person, use merge")
        _move_all(sources, target)


def merge(source: str, target: str, faces_dir: Path) -> None:
    """Move all photos of `source` to `target`, and remove `source`.

    Raises UserError when either doesn't exist, both are the same, or a file can't be changed.
    """
    (into, *_), sources = folders_of(target, faces_dir), folders_of(source, faces_dir)
    with changing(faces_dir):
        if any(into.samefile(folder) for folder in sources):
            raise UserError(f"{source}: is the same person already; name two people")
        _move_all(sources, into)


def person_folders(faces_dir: Path) -> Iterator[Path]:
    """Every person's folder, including those whose name isn't valid for a person."""
    if faces_dir.is_dir():
        yield from sorted(
            path for path in faces_dir.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))
        )


@contextlib.contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Turn an OSError into a UserError that names the file."""
    try:
        yield
    except OSError as error:
        where = os.fsdecode(error.filename) if error.filename else folder
        raise UserError(
            f"{where}: can't be changed ({error.strerror}); fix that, for example make {folder} writable, "
            "and run it again"
        ) from None


def _move_all(sources: list[Path], target: Path) -> None:
    """Move every file of `sources` into `target`, under a name that is free there, and remove the empty folders."""
    for source in sources:
        if source.samefile(target):
            continue
        for path in sorted(source.iterdir()):
            free, number = target / path.name, 1
            while free.exists():
                number += 1
                free = target / f"{path.stem}-{number}{path.suffix}"
            os.rename(path, free)
        remove(source)


def remove(path: Path) -> None:
    """Remove a file, a link, or an empty folder."""
    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
