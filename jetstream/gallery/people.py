"""Renames and merges people: moves files of a faces folder, never through a link and never over another file.

Doesn't train: the caller does that afterwards.
"""

import contextlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.gallery import layout, photos, removal
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


def rename(old: str, new: str, faces_dir: Path) -> list[Path]:
    """Give a person another name; a folder that is a link is renamed itself. Returns the links that led into it.

    Raises UserError when `new` is taken or not valid, a link or a file is in the way, or a file can't be changed.
    """
    target = faces_dir / photos.check_new_name(new)
    removal.check_no_link(faces_dir, "--faces")
    sources = folders_of(old, faces_dir)
    with changing(faces_dir):
        _check_readable(sources, faces_dir)
        is_there = os.path.lexists(target)
        if is_there and not any(_is_same(target, source) for source in sources):
            raise UserError(f"{new}: {_what_is(target)}")
        if len(sources) > 1:
            _check_folders(sources, target if is_there else sources[0])
        broken = removal.links_into(sources, faces_dir)
        if not is_there or (len(sources) == 1 and sources[0].name != target.name):  # such as another case
            os.rename(sources.pop(0), target)  # in one step
        _move_all(sources, target)
    return broken


def merge(source: str, target: str, faces_dir: Path) -> list[Path]:
    """Move all files of `source` to `target`, and remove `source`. Returns the links that led into its folder.

    Raises UserError when either doesn't exist or is a link, both are the same, or a file can't be changed.
    """
    removal.check_no_link(faces_dir, "--faces")
    (into, *_), sources = folders_of(target, faces_dir), folders_of(source, faces_dir)
    with changing(faces_dir):
        if normal(target) == normal(source):
            raise UserError(f"{source}: is the same person already; name two people")
        _check_folders(sources, into)
        _check_readable([*sources, into], faces_dir)
        broken = removal.links_into(sources, faces_dir)
        _move_all(sources, into)
    return broken


def person_folders(faces_dir: Path) -> Iterator[Path]:
    """Every person's folder, including links to one, links that lead nowhere, and names that aren't a person's."""
    if faces_dir.is_dir():
        yield from sorted(
            path for path in faces_dir.iterdir() if _is_folder(path) and not path.name.startswith((".", "_"))
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


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir() or (path.is_symlink() and not path.exists())
    except OSError:  # a link into a folder without access
        return True


def _is_same(path: Path, other: Path) -> bool:
    """Whether both are one directory entry, such as two spellings on a disk that doesn't distinguish them."""
    return os.path.samestat(path.lstat(), other.lstat())


def _what_is(path: Path) -> str:
    """Why nobody can get the name of `path`, and what to do."""
    if not path.is_symlink() and path.is_dir():
        return "there is a person with that name; to make the two one person, use merge"
    kind = "link" if path.is_symlink() else "file"
    return f"there is a {kind} of that name, {path}; move it away, or use another name"


def _check_folders(sources: Sequence[Path], target: Path) -> None:
    """Raises UserError where one of these is a link: nothing is moved through one."""
    for path in (*sources, target):
        if path.is_symlink():
            raise UserError(
                f"{path}: is a link to {os.path.realpath(path)}, and nothing is moved through a link; nothing was "
                "changed, copy the photos into one folder by hand and remove the link"
            )


def _check_readable(folders: Sequence[Path], faces_dir: Path) -> None:
    """Raises UserError where one can't be read: under another name, what is known of its photos would be lost."""
    closed = layout.unreadable(faces_dir)
    for folder in (path for person in folders for path in (person, person / photos.COUNTER_EXAMPLES)):
        if why := closed.get(photos.shown(str(folder.relative_to(faces_dir)))):
            raise UserError(f"{folder}: can't be read ({why}); nothing was changed, make it readable first")


def _move_all(sources: list[Path], target: Path) -> None:
    """Move every file of `sources` into `target`, under a name that is free there, and remove the empty folders."""
    for source in sources:
        if source.samefile(target):
            continue
        inside, same = source / photos.COUNTER_EXAMPLES, target / photos.COUNTER_EXAMPLES
        if all(path.is_dir() and not path.is_symlink() for path in (inside, same)):
            _move_all([inside], same)
        moved: dict[Path, Path] = {}
        for path in sorted(source.iterdir()):
            moved[path] = _free(target, path, moved.values())
        for path, free in moved.items():
            os.rename(path, free)
            if free.is_symlink():
                _lead_as_before(free, path, moved)
        source.rmdir()


def _free(target: Path, path: Path, taken: Collection[Path]) -> Path:
    free, number = target / path.name, 1
    while os.path.lexists(free) or free in taken:  # a link that leads nowhere would be overwritten too
        number += 1
        free = target / f"{path.stem}-{number}{path.suffix}"
    return free


def _lead_as_before(link: Path, before: Path, moved: Mapping[Path, Path]) -> None:
    """Correct a link, moved from `before`, to a file that was moved with it. Other links lead where they led."""
    leads_to = Path(os.path.normpath(before.parent / os.readlink(link)))
    if leads_to in moved:
        link.unlink()
        link.symlink_to(moved[leads_to].name)
