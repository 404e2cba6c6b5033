"""A folder of recordings: the people in each one, and the files that belong to it.

Reads the names in event files and no video; deletes nothing.
"""

import contextlib
import os
import unicodedata
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from jetstream.errors import GARBLED, UserError
from jetstream.recording.events_file import is_open
from jetstream.visible import visible


class _VoteNames(msgspec.Struct):
    name: str | None = None


class _TrackNames(msgspec.Struct):
    name: str | None = None
    votes: tuple[_VoteNames, ...] = ()


class _EventNames(msgspec.Struct):
    """The part of an event that names people, in every version of its schema."""

    tracks: tuple[_TrackNames, ...] = ()


_DECODER = msgspec.json.Decoder(_EventNames)


def check_finished(folder: Path) -> None:
    """Raises UserError if there is no such folder, or a recording in it is being written: its files can't be deleted,
    and its next line may name anybody."""
    if not os.path.isdir(folder):  # Path.is_dir raises in a folder without access
        raise UserError(f"{folder}: no such folder of recordings; nothing was erased, name the one of record.dir")
    with _reading(folder):
        for events in _events_in(folder):
            if is_open(events):
                raise UserError(f"{events}: is being recorded; nothing was erased, stop the pipeline (or replay) first")


def people_in(folder: Path) -> dict[Path, set[str]]:
    """Each event file of a folder with the `normal` names in it. Raises UserError if one can't be read."""
    with _reading(folder):
        return {events: _names_in(events) for events in _events_in(folder)}


def of(names: Collection[str], folder: Path) -> list[Path]:
    """The event files that name one of these people. Raises UserError if one can't be read."""
    wanted = set(map(normal, names))
    return [events for events, who in people_in(folder).items() if who & wanted]


def beside(events: Path) -> list[Path]:
    """The other files of a recording: those with the name of its event file and another suffix."""
    return sorted(
        path for path in events.parent.iterdir() if path.stem == events.stem and path != events and not path.is_dir()
    )


def normal(name: str) -> str:
    """A name in the form of `photos.check_name`, for searching."""
    return visible(unicodedata.normalize("NFC", name)).strip()


@contextlib.contextmanager
def _reading(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or folder
        raise UserError(f"{where}: can't be opened ({error.strerror}); make it readable and writable") from None


def _events_in(folder: Path) -> list[Path]:
    """Raises OSError where the folder can't be read; `glob` would find nothing there."""
    return sorted(path for path in folder.iterdir() if path.suffix == ".jsonl" and path.is_file())


def _names_in(events: Path) -> set[str]:
    """All names that were shown or were candidates in a vote."""
    names: set[str] = set()
    with events.open("rb") as file:
        for line in file:
            names |= names_in_line(line)
    return set(map(normal, names))


def names_in_line(line: bytes) -> set[str]:
    """The names in an event line; none in an invalid line, such as an incomplete last one."""
    try:
        tracks = _DECODER.decode(line).tracks
    except GARBLED:
        return set()
    names = {name for track in tracks for name in (track.name, *(vote.name for vote in track.votes))}
    return {name for name in names if name is not None}
