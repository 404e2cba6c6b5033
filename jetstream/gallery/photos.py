"""The folder of known people, <name>/<photo>, as a list: who is in it, which photos, and whether they changed.

Knows no face and no gallery; opens photos only to hash them.
"""

import contextlib
import hashlib
import os
import stat
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

from jetstream.errors import UserError
from jetstream.video.images import SUFFIXES, natural_order

# Kinds that can't be read are listed all the same, so that somebody is told.
_PICTURES = frozenset({*SUFFIXES, ".heic", ".heif", ".avif", ".gif", ".jxl"})

# Joiners are format characters too, and belong to names in Persian, Hindi and others.
_JOINERS = "\u200c\u200d"
# Control, format (which turn text around on a screen), unpaired surrogates, line and paragraph separators.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


STRANGERS = "_unknown"
"""folder of faces that are nobody's, the one folder with a `_` in front that is looked into"""

State: TypeAlias = dict[str, tuple[int, int]]
"""Each person's folder, photo and stray picture by its name, and of a photo its size and st_ctime_ns"""


class Photo(NamedTuple):
    """One photo of one person."""

    person: str
    file: str  # as shown: relative to the folder, unprintable characters escaped
    path: Path


class PhotoListing(NamedTuple):
    """What a folder of known people holds."""

    people: tuple[str, ...]  # every person's folder, by name, with photos or without
    photos: tuple[Photo, ...]  # by person, then img2 before img10
    bad_names: tuple[str, ...]  # folders that can't be a person, as shown
    strays: tuple[str, ...]  # pictures beside the folders instead of in one
    unknown: tuple[Photo, ...] | None = None  # of strangers, person ""; None where there is no folder for them

    @property
    def everything(self) -> tuple[Photo, ...]:
        """The people's photos, then the strangers'."""
        return self.photos + (self.unknown or ())


class PhotoStamp(NamedTuple):
    """A photo's content, and what tells without reading that it's still the same."""

    size: int
    changed_ns: int  # st_ctime_ns: unlike the modification time nobody can set it back
    sha256: str


def list_photos(faces_dir: Path) -> PhotoListing:
    """Everybody in `faces_dir`; nobody where it is missing. Folders that start with `.` or `_` are left out, but for
    STRANGERS.

    Only <name>/<photo> counts, so folders in folders and loops of links are never walked. Two spellings of one name
    (composed and decomposed accents) are one person. Raises UserError where the folder can't be read.
    """
    people: dict[str, list[Photo]] = {}
    bad_names = []
    unknown = None
    try:
        if not faces_dir.exists():
            return PhotoListing((), (), (), ())
        for folder in sorted(path for path in faces_dir.iterdir() if path.is_dir()):
            if folder.name == STRANGERS:
                unknown = tuple(Photo("", _shown(f"{STRANGERS}/{path.name}"), path) for path in _pictures(folder))
            if folder.name.startswith((".", "_")):
                continue
            try:
                name = check_name(folder.name)
            except UserError:
                bad_names.append(_shown(folder.name))
                continue
            found = [Photo(name, _shown(f"{folder.name}/{path.name}"), path) for path in _pictures(folder)]
            people.setdefault(name, []).extend(found)
        strays = tuple(_shown(path.name) for path in _pictures(faces_dir))
    except OSError as error:
        where = error.filename or faces_dir
        raise UserError(f"{where}: can't be read as a folder of faces ({error.strerror}); check the path") from None
    names = tuple(sorted(people))
    known = tuple(photo for name in names for photo in people[name])
    return PhotoListing(names, known, tuple(bad_names), strays, unknown)


def state(faces_dir: Path, each: Callable[[], object] = lambda: None) -> State | None:
    """What tells without opening a photo whether anything changed; None where there is no such folder.

    `each` is called once a folder, since a walk over a network takes its time. What can't be read is told like what
    is not there: whoever learns from it says why.
    """
    try:
        with os.scandir(faces_dir) as entries:
            found = {entry.name: entry for entry in entries if not entry.name.startswith(".")}
    except OSError:
        return None if not os.path.exists(faces_dir) else {}
    seen: State = {}
    for name, entry in found.items():
        each()
        with contextlib.suppress(OSError):  # a link to itself
            if entry.is_dir():
                if not name.startswith("_") or name == STRANGERS:
                    seen[_shown(name)] = (0, 0)
                    seen.update(_photos_in(entry))
            elif _is_picture(name) and entry.is_file():
                seen[_shown(name)] = (0, 0)
    return seen


def check_name(name: str) -> str:
    """A person's name in composed Unicode (NFC), without blanks around it; it is also a folder's name.

    Raises UserError for what can't be both: nothing, a path separator, a leading `.` or `_`, control characters.
    """
    checked = unicodedata.normalize("NFC", name).strip()
    if not checked or checked.startswith((".", "_")) or any(_is_unsafe(character) for character in checked):
        raise UserError(
            f"{_shown(name)!r} can't be a person's name: use letters, spaces and the like, "
            "no / or \\, no control characters, and no . or _ in front"
        )
    return checked


def stamp(path: Path, known: PhotoStamp | None = None) -> PhotoStamp:
    """The photo's content hash, taken from `known` where size and change time say nothing changed. Raises OSError."""
    status = path.stat()
    if known and (known.size, known.changed_ns) == (status.st_size, status.st_ctime_ns):
        return known
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while piece := file.read(1 << 20):
            digest.update(piece)
    return PhotoStamp(status.st_size, status.st_ctime_ns, digest.hexdigest())


def _pictures(folder: Path) -> list[Path]:
    found = (path for path in folder.iterdir() if _is_picture(path.name))
    return sorted((path for path in found if path.is_file()), key=natural_order)


def _photos_in(folder: "os.DirEntry[str]") -> State:
    seen: State = {}
    with contextlib.suppress(OSError), os.scandir(folder.path) as entries:
        for entry in entries:
            if not _is_picture(entry.name):
                continue
            with contextlib.suppress(OSError):  # it went away between the two looks
                status = entry.stat()
                if stat.S_ISREG(status.st_mode):
                    seen[_shown(f"{folder.name}/{entry.name}")] = (status.st_size, status.st_ctime_ns)
    return seen


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in _PICTURES and not name.startswith(".")


def _is_unsafe(character: str) -> bool:
    if character in "/\\":
        return True
    return unicodedata.category(character) in _UNSAFE and character not in _JOINERS


def _shown(text: str) -> str:
    """`text` as it can be printed and stored: bytes that are no UTF-8 and control characters as escapes."""
    if text.isascii() and text.isprintable():  # nearly all, and there may be many
        return text
    escaped = (c.encode("unicode_escape").decode() if unicodedata.category(c) in _UNSAFE else c for c in text)
    return "".join(escaped)
