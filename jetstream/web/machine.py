"""GPUs, and the room that recordings, clips and sightings take, as the page shows them.

A read may hang with a driver or a network folder, so it is done in a thread of its own, only when somebody asks, and
who asks gets what was read last.
"""

import contextlib
import shutil
import sqlite3
import threading
import time
from pathlib import Path
from typing import Final

import msgspec

from jetstream.clips import library
from jetstream.config.schema import Config
from jetstream.errors import JetstreamError
from jetstream.monitoring.meters import disk_use
from jetstream.monitoring.nvml import Nvml
from jetstream.sightings import database
from jetstream.sightings.retention import bytes_of_looks

READ_EVERY_S: Final = 10.0
FIRST_WAIT_S: Final = 0.05
"""how long who asks first waits for the first reading"""


class GpuView(msgspec.Struct, frozen=True):
    """An NVIDIA GPU; null: its driver doesn't say."""

    name: str
    busy: float | None
    """0..1, share of time in which it ran something"""
    used_bytes: int | None
    memory_bytes: int | None


class DiskView(msgspec.Struct, frozen=True):
    """A folder that grows, and its disk."""

    what: str
    """`recordings`, `clips` or `sightings`"""
    dir: str
    used_bytes: int
    """that the folder takes"""
    free_bytes: int
    """of its disk"""
    size_bytes: int


class MachineView(msgspec.Struct, frozen=True):
    """What was read of the machine."""

    gpus: tuple[GpuView, ...] = ()
    disks: tuple[DiskView, ...] = ()
    age_s: float | None = None
    """since it was read; null: not yet"""


class MachineReader:
    """Shared by the threads that answer."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._nvml: Nvml | None = None
        self._last, self._read_s = MachineView(), 0.0
        self._is_there = threading.Event()
        self._reading = threading.Lock()

    def latest(self) -> MachineView:
        """What was read last. Begins to read anew where that is some seconds ago."""
        now_s = time.monotonic()
        if (not self._read_s or now_s - self._read_s > READ_EVERY_S) and self._reading.acquire(blocking=False):
            threading.Thread(target=self._read, name="machine", daemon=True).start()
        self._is_there.wait(FIRST_WAIT_S)
        age_s = time.monotonic() - self._read_s if self._read_s else None
        return msgspec.structs.replace(self._last, age_s=age_s)

    def _read(self) -> None:
        try:
            self._nvml = self._nvml or Nvml()
            gpus = tuple(GpuView(one.name, one.busy, one.used_bytes, one.memory_bytes) for one in self._nvml.use())
            self._last, self._read_s = MachineView(gpus, tuple(_disks(self._config))), time.monotonic()
        finally:
            self._is_there.set()
            self._reading.release()


def _disks(config: Config) -> list[DiskView]:
    found = []
    if config.record.dir and (use := disk_use(Path(config.record.dir))) is not None:
        found.append(DiskView("recordings", config.record.dir, use.recordings_bytes, use.free_bytes, use.size_bytes))
    if config.clips.dir:
        folder = Path(config.clips.dir)
        with contextlib.suppress(OSError):  # not there yet, or not to be read
            disk = shutil.disk_usage(folder)
            found.append(DiskView("clips", str(folder), library.bytes_in(folder), disk.free, disk.total))
    if config.sightings.enabled:
        folder = Path(config.sightings.dir)
        with contextlib.suppress(OSError, JetstreamError, sqlite3.Error):  # not there yet, or not to be read
            disk = shutil.disk_usage(folder)
            file_bytes = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
            with database.opened(folder) as connection:
                found.append(
                    DiskView("sightings", str(folder), file_bytes + bytes_of_looks(connection), disk.free, disk.total)
                )
    return found
