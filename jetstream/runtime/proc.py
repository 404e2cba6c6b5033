"""Memory and processor time of a process, read from /proc (proc(5))."""

import os
from pathlib import Path
from typing import NamedTuple

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MACHINE_BYTES = PAGE_BYTES * os.sysconf("SC_PHYS_PAGES")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class ProcessMemory(NamedTuple):
    resident_bytes: int  # with what it shares, such as the rings
    shared_bytes: int

    @property
    def own_bytes(self) -> int:
        return self.resident_bytes - self.shared_bytes


class ProcessUse(NamedTuple):
    memory_bytes: int  # resident, with what it shares
    cpu_s: float  # since the process was started
    descriptors: int


def process_memory(pid: int) -> ProcessMemory | None:
    """Memory of a process; None if it has ended."""
    try:
        _, resident, shared = (Path("/proc") / str(pid) / "statm").read_text().split()[:3]
    except (OSError, ValueError):
        return None
    return ProcessMemory(int(resident) * PAGE_BYTES, int(shared) * PAGE_BYTES)


def process_age_s(pid: int) -> float | None:
    """Seconds since a process was started; None if it has ended."""
    try:
        words = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
        since_boot_s = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, ValueError):
        return None
    return max(0.0, since_boot_s - int(words[19]) * TICK_S)


def process_use(pid: int) -> ProcessUse | None:
    """Memory and processor time of a process; None if it has ended."""
    folder, memory = Path("/proc") / str(pid), process_memory(pid)
    try:
        # the name before may hold anything, so count from its closing bracket; utime and stime
        words = (folder / "stat").read_text().rpartition(")")[2].split()
        descriptors = len(os.listdir(folder / "fd"))
    except OSError:
        return None
    if memory is None:
        return None
    return ProcessUse(memory.resident_bytes, (int(words[11]) + int(words[12])) * TICK_S, descriptors)
