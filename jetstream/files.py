"""Atomic writes, and the check that a file with a secret is private.

Knows no format. An interrupted write leaves at most a hidden file beside the target.
"""

import errno
import os
import secrets
import stat
from pathlib import Path

from jetstream.errors import UserError


def replace(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write `path` in one step, in place of an existing file, and flush it to the disk before returning.

    After a crash or a power failure, the old or the new content is there, whole. `mode` applies less the umask. Raises
    OSError; the old file is unchanged then.
    """
    if not path.name:  # such as `.`
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def check_private(path: Path, status: os.stat_result) -> None:
    """Raises UserError unless `status` is of a regular file that only its owner can read: this user or root."""
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path}: not a file; name the file with the secret")
    if status.st_mode & 0o077:
        raise UserError(
            f"{path}: others can read it (mode {status.st_mode & 0o777:04o}); run `chmod 600 {path}`, "
            "and replace the secret in it if somebody may have read it"
        )
    if status.st_uid not in (os.getuid(), 0):
        raise UserError(f"{path}: belongs to another user; make it this user's with chown")
