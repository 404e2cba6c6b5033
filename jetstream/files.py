"""Files that appear whole or not at all, even when the power fails.

Knows no format. What an interrupted write leaves is a hidden file beside the target.
"""

import errno
import os
import secrets
import stat
from pathlib import Path

from jetstream.errors import UserError


def replace(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write `path`, or put new content in its place, and have it on the disk before returning.

    `mode` is the new file's, less the umask. Raises OSError; what was there before is then still there.
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
    """Raises UserError unless it is a file that only its owner can read, who is this user or root."""
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path}: not a file; name the file of the secret")
    if status.st_mode & 0o077:
        raise UserError(
            f"{path}: others can read it (mode {status.st_mode & 0o777:04o}); run `chmod 600 {path}`, "
            "and replace what is in it if somebody may have"
        )
    if status.st_uid not in (os.getuid(), 0):
        raise UserError(f"{path}: another user's; make it this user's with chown")
