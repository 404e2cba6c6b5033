"""Erases the clips of some sightings, whoever else is in them, and searches for what is left."""

from collections.abc import Collection
from pathlib import Path

from jetstream.clips import library, retention
from jetstream.clips.library import StoredClip
from jetstream.errors import UserError


def find(ids: Collection[str], folder: Path) -> list[StoredClip]:
    """The clips of these sightings. Raises UserError: the folder can't be read."""
    try:
        return library.of_sightings(folder, ids)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}; make it readable and writable") from None


def erase(ids: Collection[str], folder: Path) -> int:
    """Erase them; how many. One that is being written isn't written any more. Raises UserError: one can't be erased."""
    found = find(ids, folder)
    try:
        for clip in found:
            retention.erase(clip)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}; make it writable and run the command again") from None
    return len(found)
