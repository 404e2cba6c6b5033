"""Erases files and folders without following a link, and says where an original or another name of a file stays.

Knows no person and no gallery.
"""

import contextlib
import glob
import os
import shutil
import stat
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, NoReturn, TypeAlias

from jetstream.errors import UserError

_Inode: TypeAlias = tuple[int, int]
"""st_dev and st_ino"""
BEFORE_RESTORE: Final = "before-restore"
"""in the name of what a restore has replaced"""
SEARCH_S: Final = 5.0
"""longest search for the other names of files with hard links"""


class Original(NamedTuple):
    """What stays on the disk after `erased` is erased: the file behind a link, or another name of the same file."""

    erased: Path
    where: tuple[Path, ...]  # may be empty where the names of a file weren't found
    sentence: str


def check_no_link(folder: Path, option: str) -> None:
    """Raises UserError where `folder`, named by `option`, is a link itself."""
    if folder.is_symlink():
        real = os.path.realpath(folder)
        raise UserError(
            f"{folder}: is a link to {real}, and nothing is erased or moved through a link; nothing was changed, "
            f"name the folder itself: {option} {real}"
        )


def files_in(path: Path) -> list[Path]:
    """Every file and link at or below `path`, in order; links are not followed.

    Raises UserError where a folder can't be read, or where another disk is mounted below `path`.
    """
    if path.is_symlink() or not path.is_dir():
        return [path]
    found: list[Path] = []
    device = path.lstat().st_dev
    for root, folders, names in os.walk(path, onerror=_refuse):
        for name in folders:
            inside = Path(root, name)
            try:
                status = inside.lstat()
            except OSError as error:
                _refuse(error)
            if stat.S_ISLNK(status.st_mode):
                found.append(inside)
            elif status.st_dev != device:
                raise UserError(f"{inside}: another disk is mounted there; nothing was changed, unmount it first")
        found += [Path(root, name) for name in names]
    for file in found:
        try:
            file.lstat()
        except OSError as error:  # the right to enter the folder, which listing doesn't need
            _refuse(error)
    return sorted(found)


def erase(path: Path) -> None:
    """Remove a file, a link, or a folder with everything in it. What a link leads to stays. Raises OSError."""
    if path.is_symlink() or not path.is_dir():
        path.unlink()
    else:
        shutil.rmtree(path)  # goes by descriptors: a folder replaced by a link meanwhile isn't followed


def kept_by_restores(folder: Path) -> list[Path]:
    """What restores have kept of `folder`, beside it."""
    return sorted(folder.parent.glob(f"{glob.escape(folder.name)}.{BEFORE_RESTORE}-*"))


def originals(erased: Collection[Path], files: Collection[Path], near: Iterable[Path]) -> list[Original]:
    """What stays when `erased` are erased, whose `files_in` are `files`; ask before that.

    `near` are folders to search for hard links.
    """
    goes = [os.path.join(os.path.realpath(path.parent), path.name) for path in erased]
    behind = [original for path in files if path.is_symlink() for original in _behind(path, goes)]
    return behind + _other_names(files, near)


def links_into(paths: Collection[Path], folder: Path) -> list[Path]:
    """The links below `folder` that lead to one of `paths` or into it, except those that lie in one of them."""
    real = [os.path.realpath(path) for path in paths if not path.is_symlink()]
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if Path(root, name) not in paths]
        for link in (Path(root, name) for name in (*folders, *names)):
            if link.is_symlink() and any(is_within(os.path.realpath(link), path) for path in real):
                found.append(link)
    return sorted(found)


def is_within(path: str, folder: str) -> bool:
    """Whether the absolute `path` is `folder` or lies in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _refuse(error: OSError) -> NoReturn:
    raise UserError(
        f"{error.filename}: can't be read ({error.strerror}), so nobody can say what would be erased; nothing was "
        "changed, make it readable"
    )


def _behind(link: Path, goes: Collection[str]) -> Iterator[Original]:
    """The file or folder that a link leads to, if there is one and it stays."""
    target = os.path.realpath(link)
    if os.path.lexists(target) and not any(is_within(target, path) for path in goes):
        yield Original(link, (Path(target),), f"{target} stays: {link} is only a link to it")


def _other_names(files: Collection[Path], near: Iterable[Path]) -> list[Original]:
    """The names outside `files` of those that have several (hard links)."""
    status = {path: path.lstat() for path in files}
    several = {path: (s.st_dev, s.st_ino) for path, s in status.items() if stat.S_ISREG(s.st_mode) and s.st_nlink > 1}
    named = Counter(several.values())
    missing = {key: status[path].st_nlink - named[key] for path, key in several.items()}
    first = {key: path for path, key in reversed(several.items()) if missing[key]}
    found: dict[_Inode, set[Path]] = {key: set() for key in first}
    known = {os.path.realpath(path) for path in several}
    for path, key in _search(near, first.keys(), lambda: all(len(found[key]) == missing[key] for key in found)):
        if (real := os.path.realpath(path)) not in known:
            known.add(real)
            found[key].add(path)
    return [
        Original(path, tuple(sorted(found[key])), _said(path, sorted(found[key]), missing[key] - len(found[key]), key))
        for key, path in first.items()
    ]


def _search(
    near: Iterable[Path], wanted: Collection[_Inode], is_done: Callable[[], bool]
) -> Iterator[tuple[Path, _Inode]]:
    """Files below the folders `near` that are one of `wanted`, for at most SEARCH_S or until `is_done`."""
    until_s = time.monotonic() + SEARCH_S
    inodes = {inode for _, inode in wanted}
    waiting = list(reversed(list(near)))
    while waiting and not is_done() and time.monotonic() < until_s:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif entry.inode() in inodes:
                    status = entry.stat(follow_symlinks=False)
                    if (key := (status.st_dev, status.st_ino)) in wanted:
                        yield Path(entry.path), key


def _said(path: Path, found: Sequence[Path], missing: int, key: _Inode) -> str:
    places = [str(name) for name in found]
    if missing:
        count = "another name" if missing == 1 else f"{missing} other names"
        places.append(f"{count} (run `find {_mount_point(path)} -xdev -inum {key[1]}`)")
    stay = "stays" if len(found) + missing == 1 else "stay"
    return f"{' and '.join(places)} {stay}: the same file as {path} (a hard link)"


def _mount_point(path: Path) -> str:
    folder = os.path.dirname(os.path.realpath(path))
    while not os.path.ismount(folder):
        folder = os.path.dirname(folder)
    return folder
