"""The file of a backup: where it may be, and that it appears whole, for its owner alone.

Knows no archive.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from jetstream import files
from jetstream.backup.content import used_folders
from jetstream.config.schema import Config
from jetstream.errors import BusyError, UserError
from jetstream.gallery.removal import is_within


def check_target(config: Config, target: Path, *, replace: bool) -> None:
    """Raises UserError where a backup can't or mustn't be written there."""
    if os.path.isdir(target):  # unlike Path's, false where there is no right to look
        raise UserError(f"{target}: is a folder; name a file in it, such as {target / 'jetstream.tar'}")
    if os.path.lexists(target) and not replace:
        raise UserError(f"{target}: is there already; name another file, or add --replace")
    place = os.path.realpath(target)
    for folder in used_folders(config):
        if is_within(place, os.path.realpath(folder)):
            raise UserError(f"{target}: lies in {folder}, which the backup holds; name a file outside of it")


@contextlib.contextmanager
def appearing(target: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A file beside `target`, and its path, that takes its name at the end. After a kill it stays, hidden, and the next
    backup to `target` uses it again. Raises OSError; BusyError: another process writes it."""
    partial = target.with_name(f".{target.name}.partial")
    descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "r+b") as file:
        _take(descriptor, partial, target)
        try:
            file.truncate(0)
            files.keep_private(descriptor, target)
            yield file, partial
            file.flush()
            os.fsync(descriptor)
            os.replace(partial, target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    with contextlib.suppress(OSError):
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _take(descriptor: int, partial: Path, target: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = partial.exists() and os.path.samestat(partial.lstat(), os.fstat(descriptor))
    except BlockingIOError:
        is_ours = False
    if not is_ours:  # it may have got its name between the two
        raise BusyError(f"{target}: another `jetstream backup` writes it; wait for its end, or name another file")
