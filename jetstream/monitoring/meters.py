"""What heartbeats don't report, read from the machine: memory and processor time of each process, GPUs, the disk of the
recordings.

A read can hang with a driver or a network folder, so it is done in the work loop of a process that may be killed.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from jetstream.messages import Status
from jetstream.monitoring.nvml import GpuUse, Nvml
from jetstream.runtime.proc import ProcessUse, process_use


class DiskUse(NamedTuple):
    """Of the folder of recordings and its disk."""

    recordings_bytes: int
    free_bytes: int  # for this user
    size_bytes: int


class Readings(NamedTuple):
    processes: Mapping[str, ProcessUse] = MappingProxyType({})
    gpus: tuple[GpuUse, ...] = ()
    disk: DiskUse | None = None


class Meters:
    """`record_dir`: "" where nothing is recorded."""

    def __init__(self, record_dir: str) -> None:
        self._record_dir = Path(record_dir) if record_dir else None
        self._nvml: Nvml | None = None

    def read(self, status: Status) -> Readings:
        self._nvml = self._nvml or Nvml()  # not before: it may hang with the driver, and the process is to start
        pids = {process.process: process.beat.pid for process in status.processes if process.beat}
        pids = {"supervisor": status.pid, **pids}
        found = {name: process_use(pid) for name, pid in pids.items()}
        return Readings(
            processes={name: use for name, use in found.items() if use is not None},
            gpus=self._nvml.use(),
            disk=disk_use(self._record_dir) if self._record_dir is not None else None,
        )


def disk_use(folder: Path) -> DiskUse | None:
    """None: the folder can't be read."""
    try:
        disk = shutil.disk_usage(folder)
        with os.scandir(folder) as items:
            recordings = sum(size for item in items if (size := _size(item)) is not None)
    except OSError:
        return None
    return DiskUse(recordings, disk.free, disk.total)


def _size(item: "os.DirEntry[str]") -> int | None:
    """Bytes of a file; None: it is none, or was deleted meanwhile."""
    try:
        return item.stat(follow_symlinks=False).st_size if item.is_file(follow_symlinks=False) else None
    except OSError:
        return None
