"""Slips in a faces folder that aren't about a photo: folders that can't be read, that aren't people, or seem to be two.

Opens no photo.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from jetstream.gallery import photos
from jetstream.gallery.photos import COUNTER_EXAMPLES, STRANGERS


def unreadable(faces_dir: Path) -> dict[str, str]:
    """The folders of people, of their counter-examples or of strangers that can't be read, for display, and why. Empty
    where `faces_dir` can't."""
    found = {}
    try:
        folders = [path for path in sorted(faces_dir.iterdir()) if photos.is_learnt(path)]
    except OSError:
        return {}
    for folder in folders:
        inside = folder / COUNTER_EXAMPLES
        if why := _why_unreadable(folder):
            found[photos.shown(folder.name)] = why
        elif folder.name != STRANGERS and photos.is_folder(inside) and (why := _why_unreadable(inside)):
            found[photos.shown(f"{folder.name}/{inside.name}")] = why
    return found


def _why_unreadable(folder: Path) -> str:
    """Empty where it can be read."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                entry.stat(follow_symlinks=False)  # needs the right to enter, which listing doesn't
                break
    except OSError as error:
        return error.strerror or "unknown error"
    return ""


def slips(faces_dir: Path) -> Iterator[str]:
    """A sentence for each folder that is ignored, or not what it seems: where, what, and what to do."""
    try:
        os.stat(f"{faces_dir}/.")  # the right to enter it
        entries = sorted(faces_dir.iterdir())
    except OSError:
        return
    spelt = defaultdict(list)
    for path in entries:
        name, where = path.name, f"{faces_dir}/{photos.shown(path.name)}"
        if path.is_symlink() and not os.path.exists(path):
            yield f"{where}: a link that leads nowhere, or to a disk that isn't mounted; ignored, correct or remove it"
        elif not photos.is_folder(path) or name == STRANGERS or photos.is_system(name):
            continue
        elif name == COUNTER_EXAMPLES:
            yield f"{where}: it is nobody's, so it is ignored; put looks that aren't a person into <name>/{name}"
        elif photos.is_mistaken(name):
            yield (
                f"{where}: this name is no person's, so the folder is ignored; for faces that must stay unknown, "
                f"rename it to {faces_dir}/{STRANGERS}"
            )
        elif not name.startswith((".", "_")):
            spelt["".join(letter for letter in name.casefold() if letter.isalnum())].append(photos.shown(name))
    for names in spelt.values():
        if len({photos.normal(name) for name in names}) > 1:
            yield (
                f"{faces_dir}: {' and '.join(names)} are {len(names)} people with nearly the same name; if they are "
                "one, run `jetstream merge`"
            )
