"""One writer a folder: a lock that the kernel releases when its process ends, however that happens."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from jetstream.errors import BusyError


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock `path` for the length of a `with` block. Raises BusyError: another process has it; OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            raise BusyError(
                f"{path.parent}: process {owner or 'unknown'} writes sightings there; give each pipeline its own "
                "sightings.dir"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
