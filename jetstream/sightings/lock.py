"""One writer a folder: a lock that the kernel releases when its process ends, however that happens."""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

from jetstream.errors import BusyError

Reader = Literal["told", "mqtt", "alerts", "clips"]
"""who handles the changes of sightings one after another: `publish` tells them, the others bear the names of stages"""
READERS: Final[Mapping[Reader, str]] = {
    "told": "tells of the sightings there",
    "mqtt": "tells an MQTT broker of the sightings there",
    "alerts": "sends the alerts of the sightings there",
    "clips": "makes the clips of the sightings there",
}
_HOLDERS: Final = {
    "writer.lock": "writes sightings there; give each pipeline its own sightings.dir",
    "outbox.lock": "sends alerts there; give each pipeline its own sightings.dir",
    "grouper.lock": "groups strangers there; try again when it has ended",
    **{f"{name}.lock": f"{does}; give each pipeline its own sightings.dir" for name, does in READERS.items()},
}
"""what the process that holds a lock does, and what to do"""


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
            raise BusyError(f"{path.parent}: process {owner or 'unknown'} {_HOLDERS[path.name]}") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
