"""The faces folder, <name>/<photo>: lists its people and photos, and detects changes.

Knows no face and no gallery; opens photos only to hash them, and other files to see whether they are photos.
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
from jetstream.gallery.stranger_names import means_strangers
from jetstream.video.picture_files import SUFFIXES, kind_of_file, natural_order
from jetstream.visible import TURNING, visible

# A name that promises a picture is enough: whatever is wrong with the file, the report then names it.
_PICTURES = frozenset({*SUFFIXES, ".jxl"})

# Control characters, format characters (which can reverse text on a screen), unpaired surrogates, line and paragraph
# separators.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

# Of ext4, Windows, macOS, and Synology and QNAP file servers.
_SYSTEM_FOLDERS = frozenset(
    {"lost+found", "$recycle.bin", "system volume information", "__macosx", "@eadir", "@recycle", "@recently-snapshot"}
    | {"#recycle", "#snapshot"}
)

STRANGERS = "_unknown"
"""The folder of strangers' faces. It is the only folder of a faces folder that starts with `_` and is read."""

COUNTER_EXAMPLES = "_not"
"""The folder, in a person's folder, of looks that aren't this person: it goes where the person's folder goes."""

State: TypeAlias = dict[str, tuple[int, int]]
"""Each person's folder, photo, counter-example and stray picture, by name; the values are a photo's size and
st_ctime_ns, else zeros."""


class Photo(NamedTuple):
    """One photo of one person."""

    person: str
    file: str  # for display: relative to the faces folder, unprintable characters escaped
    path: Path
    is_counter_example: bool = False  # it shows somebody who is not this person


class PhotoListing(NamedTuple):
    """The content of a faces folder."""

    people: tuple[str, ...]  # sorted names of all people, with photos or without
    photos: tuple[Photo, ...]  # by person, then img2 before img10
    bad_names: tuple[str, ...]  # folders whose name can't be a person's, for display
    strays: tuple[str, ...]  # pictures beside the people's folders
    unknown: tuple[Photo, ...] | None = None  # the strangers', with person ""; None where there is no STRANGERS folder

    counter_examples: tuple[Photo, ...] = ()  # in the same order as the photos

    @property
    def everything(self) -> tuple[Photo, ...]:
        """The people's photos, then the strangers', then the counter-examples."""
        return self.photos + (self.unknown or ()) + self.counter_examples


class PhotoStamp(NamedTuple):
    """A photo's content hash, and its size and change time, which show without reading that it is unchanged.

    Where a photo can't be read now, the hash is the one that it had before, or empty.
    """

    size: int
    changed_ns: int  # st_ctime_ns: unlike the modification time, a program can't set it back
    sha256: str
    is_read: bool = True


def list_photos(faces_dir: Path, *, is_gallery: bool = True) -> PhotoListing:
    """The people and photos in `faces_dir`; empty where it is missing.

    Leaves out folders that start with `.` or `_`, except STRANGERS. Only <name>/<photo> and
    <name>/COUNTER_EXAMPLES/<photo> count: other nested folders and loops of links are not followed. Two spellings of
    one name (composed and decomposed accents) are one person. A person whose folder can't be read has no photos here
    (`layout.unreadable` tells why). Names that are meant for STRANGERS are bad names, unless this is no gallery but a
    set of test photos. Raises UserError where `faces_dir` can't be read.
    """
    people: dict[str, list[Photo]] = {}
    counter_examples: dict[str, list[Photo]] = {}
    bad_names = []
    unknown = None
    try:
        if not faces_dir.exists():
            return PhotoListing((), (), (), ())
        os.stat(f"{faces_dir}/.")  # the right to enter it, without which each folder would seem to be unreadable
        for folder in sorted(path for path in faces_dir.iterdir() if is_folder(path)):
            if folder.name == STRANGERS:
                unknown = tuple(Photo("", _shown(f"{STRANGERS}/{path.name}"), path) for path in _photos(folder))
            if is_gallery and is_mistaken(folder.name):
                bad_names.append(_shown(folder.name))
            if folder.name == STRANGERS or not is_learnt(folder, is_gallery=is_gallery):
                continue
            try:
                name = check_name(folder.name)
            except UserError:
                bad_names.append(_shown(folder.name))
                continue
            found = [Photo(name, _shown(f"{folder.name}/{path.name}"), path) for path in _photos(folder)]
            people.setdefault(name, []).extend(found)
            counter_examples.setdefault(name, []).extend(_counter_examples(name, folder))
        strays = tuple(_shown(path.name) for path in _pictures(faces_dir))
    except OSError as error:
        where = str(error.filename or faces_dir).removesuffix("/.")
        raise UserError(f"{where}: can't be read as a folder of faces ({error.strerror}); check the path") from None
    names = tuple(sorted(people))
    known, against = (
        tuple(photo for name in names for photo in of_name[name]) for of_name in (people, counter_examples)
    )
    return PhotoListing(names, known, tuple(bad_names), strays, unknown, against)


def of_person(faces_dir: Path, name: str) -> list[Photo]:
    """The photos and counter-examples of one person, in any spelling of their name; none where there is no such person.

    Reads no other folder, and none outside `faces_dir`: what can't be a person's name has no photos.
    """
    try:
        checked = check_name(name)
    except UserError:
        return []
    folders = [faces_dir / spelling for spelling in dict.fromkeys((checked, unicodedata.normalize("NFD", checked)))]
    folders = [folder for folder in folders if is_folder(folder) and is_learnt(folder)]
    found = [
        Photo(checked, _shown(f"{folder.name}/{path.name}"), path) for folder in folders for path in _photos(folder)
    ]
    return found + [photo for folder in folders for photo in _counter_examples(checked, folder)]


def loose(folder: Path) -> list[Photo]:
    """The pictures in `folder` itself, as photos of nobody in particular. Raises OSError."""
    return [Photo("", _shown(path.name), path) for path in _pictures(folder)]


def state(faces_dir: Path, each: Callable[[], object] = lambda: None) -> State | None:
    """Names, sizes and change times in `faces_dir`, to detect changes; None where it is missing.

    A file is opened only if its name promises no picture, and once for each version of it. `each` is called for each
    folder, because a network folder can be slow. What can't be read is left out: training reports why.
    """
    try:
        with os.scandir(faces_dir) as entries:
            found = {entry.name: entry for entry in entries if not entry.name.startswith(".")}
    except OSError:
        return None if not os.path.exists(faces_dir) else {}
    seen: State = {}
    for name, entry in found.items():
        each()
        with contextlib.suppress(OSError):  # such as a link to itself
            if entry.is_dir():
                if _is_learnt_name(name):
                    seen[_shown(name)] = (0, 0)
                    seen.update(_photos_in(entry, entry.name))
                    if name != STRANGERS:
                        inside = f"{entry.name}/{COUNTER_EXAMPLES}"
                        seen.update(_photos_in(os.path.join(entry.path, COUNTER_EXAMPLES), inside))
            elif entry.is_file() and is_photo(name, entry):
                seen[_shown(name)] = (0, 0)
    return seen


def normal(name: str) -> str:
    """A name in composed Unicode (NFC), without invisible marks and blanks around it."""
    return visible(unicodedata.normalize("NFC", name)).strip()


def check_name(name: str) -> str:
    """`name` in composed Unicode (NFC), without invisible marks, and blanks around it; the name of the person's folder.

    Raises UserError for an empty name, a path separator, a leading `.` or `_`, and control characters.
    """
    checked = normal(name)
    if not checked or checked.startswith((".", "_")) or any(_is_unsafe(character) for character in checked):
        raise UserError(
            f"{_shown(name)!r} can't be a person's name: use letters, spaces and similar characters, "
            "no / or \\, no control characters, and no . or _ at the beginning"
        )
    return checked


def check_new_name(name: str) -> str:
    """`check_name`, for a person who gets this name now. Raises UserError also for a name meant for strangers."""
    if name.strip() == STRANGERS or is_mistaken(name):
        raise UserError(
            f"{_shown(name)!r} can't be a person's name: people without a name need no folder; to keep a face from "
            f"being taken for somebody, put photos of it into the folder {STRANGERS} beside the people's, then run "
            "`jetstream train`"
        )
    return check_name(name)


def stamp(path: Path, known: PhotoStamp | None = None) -> PhotoStamp:
    """The photo's stamp: `known` if its size and change time are the same, else with a new hash. Raises OSError."""
    status = path.stat()
    if known and known.is_read and (known.size, known.changed_ns) == (status.st_size, status.st_ctime_ns):
        return known
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while piece := file.read(1 << 20):
            digest.update(piece)
    return PhotoStamp(status.st_size, status.st_ctime_ns, digest.hexdigest())


def is_photo(name: str, path: "os.PathLike[str]") -> bool:
    """Whether a path is a photo if it is a file: a picture by its name or by its content, not hidden."""
    if name.startswith("."):
        return False
    return os.path.splitext(name)[1].lower() in _PICTURES or kind_of_file(Path(path)).is_picture


def is_learnt(path: Path, *, is_gallery: bool = True) -> bool:
    """Whether `path` in a faces folder is the folder of a person or of STRANGERS, by its name."""
    return is_folder(path) and _is_learnt_name(path.name, is_gallery=is_gallery)


def _is_learnt_name(name: str, *, is_gallery: bool = True) -> bool:
    ignored = name.startswith((".", "_")) or is_system(name) or (is_gallery and is_mistaken(name))
    return name == STRANGERS or not ignored


def is_mistaken(name: str) -> bool:
    """Whether a folder's name is one that is meant for STRANGERS but isn't that, such as `unknown` or `_Unknown`."""
    return name != STRANGERS and means_strangers(name)


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder or leads to one; true for a link that can't be followed for want of rights."""
    try:
        return path.is_dir()
    except OSError:
        return path.is_symlink()


def is_system(name: str) -> bool:
    """Whether a disk or a file server made the folder of this name, such as `lost+found`."""
    return name.casefold() in _SYSTEM_FOLDERS


def _counter_examples(name: str, folder: Path) -> list[Photo]:
    inside = folder / COUNTER_EXAMPLES
    return [Photo(name, _shown(f"{folder.name}/{inside.name}/{path.name}"), path, True) for path in _photos(inside)]


def _photos(folder: Path) -> list[Path]:
    """The pictures of one person; none where the folder can't be read."""
    try:
        return _pictures(folder)
    except OSError:
        return []


def _pictures(folder: Path) -> list[Path]:
    found = (path for path in folder.iterdir() if is_photo(path.name, path))
    return sorted((path for path in found if _is_file(path)), key=natural_order)


def _is_file(path: Path) -> bool:
    """Whether `path` is a file; true for a link that can't be followed for want of rights, so that somebody is told."""
    with contextlib.suppress(OSError):
        try:
            return path.is_file()
        except OSError:
            return path.is_symlink()
    return False


def _photos_in(folder: "str | os.DirEntry[str]", name: str) -> State:
    """The photos of a folder that `name` leads to from the faces folder; none where it can't be read."""
    seen: State = {}
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # removed meanwhile
                status = entry.stat()
                if stat.S_ISREG(status.st_mode) and is_photo(entry.name, entry):
                    seen[_shown(f"{name}/{entry.name}")] = (status.st_size, status.st_ctime_ns)
    return seen


def _is_unsafe(character: str) -> bool:
    if character in "/\\":
        return True
    kind = unicodedata.category(character)
    return kind in _UNSAFE and (kind != "Cf" or character in TURNING)  # else a script needs it


def _shown(text: str) -> str:
    """`text` in a form that can be printed and stored: bytes that are no UTF-8 and control characters as escapes."""
    if text.isascii() and text.isprintable():  # the fast path for nearly all of perhaps many names
        return text
    escaped = (c.encode("unicode_escape").decode() if unicodedata.category(c) in _UNSAFE else c for c in text)
    return "".join(escaped)


shown = _shown
