"""What is in people's folders but is no photo: films, pictures of formats that aren't read, notes, folders.

A gallery doesn't depend on it. Decodes nothing.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jetstream.errors import UserError
from jetstream.gallery.photos import (
    COUNTER_EXAMPLES,
    STRANGERS,
    check_name,
    is_folder,
    is_learnt,
    is_photo,
    is_system,
    shown,
)
from jetstream.video.picture_files import kind_of_file, natural_order, why_no_picture

_SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini"})
"""What Windows leaves in folders, in lower case."""


@dataclass(frozen=True)
class NotTaken:
    """A file or folder in a person's folder that is no photo. `code` is `folder`, `hidden`, `video`, `format` (a format
    of pictures that isn't read), or `no_picture`."""

    person: str  # "": in STRANGERS
    code: str
    file: str  # for display, as of `Photo`
    why: str  # and what to do


def not_taken(faces_dir: Path, *, is_gallery: bool = True) -> Iterator[NotTaken]:
    """What isn't a photo in the folders of people and strangers: files, hidden pictures, and folders.

    Leaves out what operating systems leave there. A folder that can't be read is passed over (`layout` tells).
    """
    with contextlib.suppress(OSError):
        for folder in sorted(path for path in faces_dir.iterdir() if is_learnt(path, is_gallery=is_gallery)):
            with contextlib.suppress(OSError, UserError):
                person = "" if folder.name == STRANGERS else check_name(folder.name)
                yield from _in(folder, folder.name, person)
            inside = folder / COUNTER_EXAMPLES
            with contextlib.suppress(OSError, UserError):
                if folder.name != STRANGERS and is_folder(inside):
                    yield from _in(inside, f"{folder.name}/{inside.name}", check_name(folder.name))


def _in(folder: Path, name: str, person: str) -> Iterator[NotTaken]:
    """What isn't a photo in `folder`, which `name` leads to from the faces folder. Raises OSError."""
    for path in sorted(folder.iterdir(), key=natural_order):
        if name == folder.name and person and path.name == COUNTER_EXAMPLES and is_folder(path):
            continue
        code, why = _why_not_taken(path)
        if code:
            yield NotTaken(person, code, shown(f"{name}/{path.name}"), why)


def _why_not_taken(path: Path) -> tuple[str, str]:
    """The code of what is no photo, and why, with what to do; both empty for a photo and for a system's file."""
    kind = kind_of_file(path)
    if _is_of_a_system(path.name) or (path.name.startswith(".") and not kind.is_picture):
        return "", ""
    if path.name.startswith("."):
        return "hidden", "hidden; rename it without the . at the beginning"
    if os.path.isdir(path):  # unlike pathlib's, false where a link can't be followed
        if path.name != COUNTER_EXAMPLES and path.name.casefold().strip("_- ") == COUNTER_EXAMPLES.strip("_"):
            return "folder", f"isn't read; for looks that aren't this person, rename it to {COUNTER_EXAMPLES}"
        return "folder", "a folder in a person's folder isn't read; move its photos one folder up"
    if not os.path.isfile(path):
        return "no_picture", "no file, perhaps a link to nothing; correct or remove it"
    if is_photo(path.name, path):
        return "", ""
    return {"video": "video", "foreign": "format"}.get(kind.family, "no_picture"), why_no_picture(kind)


def _is_of_a_system(name: str) -> bool:
    """Whether an operating system or a file server made it. Nobody misses a photo there."""
    return is_system(name) or name.casefold() in _SYSTEM_FILES
