"""Atomic writes, files that only their owner can read, and the check that a file with a secret is private.

Knows no format. An interrupted write leaves at most a hidden file beside the target.
"""

import contextlib
import errno
import functools
import logging
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from jetstream.errors import UserError

_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)
"""errors of fsync on a disk that can't flush a folder, such as CIFS"""

log = logging.getLogger(__name__)


def is_there(path: str) -> bool:
    """Whether a file, a folder or a link has this name; false for a text that can't be a name."""
    try:
        return os.path.lexists(path)
    except ValueError:  # such as for a NUL byte
        return False


def replace(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write `path` in one step, in place of an existing file, and flush it to the disk before returning.

    After a crash or a power failure, the old or the new content is there, whole. `mode` applies less the umask. A link
    is replaced itself; what it leads to stays. Raises OSError; the old file is unchanged then.
    """
    if not path.name:  # such as `.`
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            if not mode & 0o077:
                warn_if_open(file.fileno(), path)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    _flush_folder(path.parent)


def _link_new(path: Path, content: bytes, mode: int) -> None:
    """Give a name to a file that has none before it is whole."""
    with open(os.open(path.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        if not mode & 0o077:
            warn_if_open(file.fileno(), path)
        folder = os.open("/proc/self/fd", os.O_RDONLY)
        try:  # with src_dir_fd: without, Python calls link(2), which takes the link in /proc itself
            os.link(str(file.fileno()), path, src_dir_fd=folder, follow_symlinks=True)
        finally:
            os.close(folder)


def _flush_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(folder)


def create(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a new file in one step and flush it to the disk: a process that is killed leaves all of it or nothing.

    Raises OSError; FileExistsError: something has this name.
    """
    try:
        _link_new(path, content, mode)
    except FileExistsError:
        raise
    except OSError:  # a disk without files that have no name, such as NFS and CIFS; or it is full, which is told then
        if is_there(str(path)):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        replace(path, content, mode=mode)
        return
    try:
        _flush_folder(path.parent)
    except OSError:
        path.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def in_memory(content: bytes) -> Iterator[Path]:
    """A file with this content for what reads files only; nothing of it is left, also where this process is killed."""
    with open(os.memfd_create("content", os.MFD_CLOEXEC), "wb") as file:
        file.write(content)
        file.flush()
        yield Path(f"/proc/self/fd/{file.fileno()}")


def make_private(path: Path) -> None:
    """Make a file that only its owner can read, and its folder. One that is there stays, and gets that mode. Raises
    OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        keep_private(descriptor, path)
    finally:
        os.close(descriptor)


def identity(path: Path) -> tuple[int, int] | None:
    """Which file has this name now: disk and inode; None: none has. An open file stays the one that was opened."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def keep_private(descriptor: int, path: Path) -> None:
    """Make an open file readable by its owner only. Where its disk refuses that, log one warning for the folder."""
    try:
        os.fchmod(descriptor, 0o600)
    except OSError as error:
        _warn_without_modes(path.parent, error.strerror, os.fstat(descriptor).st_mode & 0o777)
    else:
        warn_if_open(descriptor, path)


def warn_if_open(descriptor: int, path: Path) -> None:
    """Log one warning for the folder if others can read an open file that was made for its owner only."""
    mode = os.fstat(descriptor).st_mode & 0o777
    if mode & 0o077:
        _warn_without_modes(path.parent, "ignored", mode)


@functools.lru_cache(maxsize=256)  # so that each folder is said once
def _warn_without_modes(folder: Path, why: str, mode: int) -> None:
    """A disk without file modes (FAT, NTFS, CIFS) gives every file that of its mount."""
    meaning = "which its owner alone can read"
    if mode & 0o077:
        meaning = (
            "which others on this machine may read; mount it with uid= and umask=077 (FAT, NTFS), or with uid=, "
            "file_mode=0600 and dir_mode=0700 (CIFS)"
        )
    log.warning(
        "%s: this disk doesn't take file modes (chmod: %s); everything is written nevertheless, with mode %04o, %s",
        *(folder, why, mode, meaning),
    )


def check_private(path: Path, status: os.stat_result) -> None:
    """Raises UserError unless `status` is of a regular file that only its owner can read: this user or root."""
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path}: not a file; name the file with the secret")
    if status.st_mode & 0o077:
        raise UserError(
            f"{path}: others can read it (mode {status.st_mode & 0o777:04o}); run `chmod 600 {path}`, "
            "and replace the secret in it if somebody may have read it; where the disk takes no modes (FAT, NTFS, "
            "CIFS), keep it on another disk"
        )
    if status.st_uid not in (os.getuid(), 0):
        raise UserError(f"{path}: belongs to another user; make it this user's with chown")
