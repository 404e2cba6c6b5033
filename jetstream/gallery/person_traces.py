"""What exists of some people outside the gallery: the files that are erased with them, and what stays behind links.

Erases nothing and reads no gallery.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jetstream.gallery import photos, removal
from jetstream.gallery.people import person_folders
from jetstream.gallery.removal import Original
from jetstream.recording import library as recordings


class PersonTraces(NamedTuple):
    """What exists of some people outside the gallery."""

    folders: list[Path]
    photos: int  # without links
    recordings: list[Path] | None  # event files; None: they stay
    kept: Mapping[Path, int]  # how many other recordings hold them, by folders that aren't erased from
    files: Sequence[Path] = ()  # everything in `folders`, and all files of `recordings`
    links: int = 0  # among the files in `folders`
    others: Sequence[Path] = ()  # those files in `folders` that are neither photos nor links
    originals: Sequence[Original] = ()  # what stays behind links and hard links
    broken: Sequence[Path] = ()  # links elsewhere in the faces folder that will lead nowhere

    def __str__(self) -> str:
        """The counts as text, such as `4 photos, 2 recordings`."""
        words = counted(self.photos, "photo")
        words += f", {counted(len(self.others), 'other file')}" if self.others else ""
        words += f", {counted(self.links, 'link')}" if self.links else ""
        if self.recordings is None:
            return f"{words}, no recordings"
        return f"{words}, {counted(len(self.recordings), 'recording')}"

    def what_goes(self) -> Iterator[str]:
        """A line for each file that is erased, and for each link that will lead nowhere."""
        for path in self.files:
            note = " (a link)" if path.is_symlink() else " (not a photo)" if path in self.others else ""
            yield f"{path}{note}"
        for link in self.broken:
            yield f"{link}: a link to one of these; it stays, and will lead nowhere"

    def what_stays(self) -> Iterator[str]:
        """A line for each original that stays, and for each folder whose recordings hold them and stay."""
        yield from (f"{original.sentence}; to erase it too, remove it by hand" for original in self.originals)
        for folder, count in self.kept.items():
            hold, them = ("holds", "it") if count == 1 else ("hold", "them")
            yield (
                f"{folder}: {counted(count, 'recording')} still {hold} this name; to erase {them}, run "
                f"`jetstream forget` with --recordings {os.path.realpath(folder) if folder.is_symlink() else folder}"
            )


def traces_of(
    folders: list[Path],
    faces_dir: Path,
    recorded: list[Path] | None,
    kept: Mapping[Path, int],
    archives: Sequence[Path],
) -> PersonTraces:
    """What is erased with these people's `folders`, the recordings of the event files `recorded`, and the gallery's
    `archives`. Raises UserError where a folder can't be read.
    """
    in_folders = [path for folder in folders for path in removal.files_in(folder)]
    in_recordings = [path for events in recorded or () for path in (events, *recordings.beside(events))]
    links = [path for path in in_folders if path.is_symlink()]
    listing = photos.list_photos(faces_dir)
    learnt = {photo.path for photo in (*listing.photos, *listing.counter_examples)}
    others = [path for path in in_folders if path not in learnt and path not in links]
    near = [faces_dir, faces_dir.parent, *{events.parent for events in recorded or ()}, Path(os.path.expanduser("~"))]
    stay = removal.originals([*folders, *in_recordings, *archives], [*in_folders, *in_recordings, *archives], near)
    return PersonTraces(
        folders=folders,
        photos=len(in_folders) - len(links) - len(others),
        recordings=recorded,
        kept=kept,
        files=[*in_folders, *in_recordings],
        links=len(links),
        others=others,
        originals=[_with_namesakes(original, folders, faces_dir) for original in stay],
        broken=removal.links_into(folders, faces_dir),
    )


def _with_namesakes(original: Original, folders: Collection[Path], faces_dir: Path) -> Original:
    """`original`, with the other people's folders that lead to it."""
    real = [os.path.realpath(path) for path in original.where]
    also = [
        str(folder)
        for folder in person_folders(faces_dir)
        if folder not in folders and any(removal.is_within(path, os.path.realpath(folder)) for path in real)
    ]
    if not also:
        return original
    return original._replace(sentence=f"{original.sentence}, and {', '.join(also)} still shows it")


def counted(count: int, what: str) -> str:
    """`1 photo`, `2 photos`."""
    return f"{count} {what}{'s' * (count != 1)}"
