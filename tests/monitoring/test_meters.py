"""What is read from the machine: real processes and folders, and NVIDIA's library as far as a stand-in can be it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jetstream.messages import Status
from jetstream.monitoring import meters
from jetstream.monitoring.meters import Meters, disk_use
from jetstream.monitoring.nvml import GpuUse, Nvml
from jetstream.runtime.proc import process_use

STAND_IN = """
#include <string.h>
struct rates { unsigned gpu, memory; };
struct memory { unsigned long long total, free, used; };
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 3; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned place, void **device) { *device = (void *)(1L + place); return place == 2; }
int nvmlDeviceGetName(void *device, char *name, unsigned size) { strncpy(name, "stand-in", size); return 0; }
int nvmlDeviceGetUtilizationRates(void *device, struct rates *rates) {
    if (device == (void *)2L) return 3;
    rates->gpu = 37; return 0;
}
int nvmlDeviceGetMemoryInfo(void *device, struct memory *memory) {
    memory->total = 80; memory->used = 5L << 32; return 0;
}
"""


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nvml")
    (folder / "nvml.c").write_text(STAND_IN)
    library = folder / "libnvidia-ml.so.1"
    try:
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, folder / "nvml.c"], check=True)
    except FileNotFoundError:
        pytest.skip("needs a C compiler")
    return library


def test_gpus_say_what_they_can(stand_in: Path) -> None:
    """The second one has no rates, the third no handle."""
    used = 5 << 32
    assert Nvml(str(stand_in)).use() == (
        GpuUse(0, "stand-in", 0.37, used, 80),
        GpuUse(1, "stand-in", None, used, 80),
    )


def test_gpus_are_not_asked_for_before_the_first_read(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that hangs would keep the process from ever being there."""
    opened = []

    def open_nvml() -> Nvml:
        opened.append(Nvml(str(stand_in)))
        return opened[-1]

    monkeypatch.setattr(meters, "Nvml", open_nvml)
    read = Meters("")
    assert not opened
    for _ in range(2):
        assert [gpu.number for gpu in read.read(Status(os.getpid(), 0, 0, ())).gpus] == [0, 1]
    assert len(opened) == 1


def test_machine_without_the_library_has_no_gpu_to_tell_of(tmp_path: Path) -> None:
    assert Nvml(str(tmp_path / "libnvidia-ml.so.1")).use() == ()


def test_process_is_told_with_memory_processor_time_and_descriptors() -> None:
    busy = "x = bytearray(50_000_000); f = open('/dev/null'); import time; t = time.process_time()\n"
    busy += "while time.process_time() - t < 0.2: pass\nprint(flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", busy], **pipes) as process:  # type: ignore[call-overload]
        process.stdout.readline()
        use = process_use(process.pid)
        process.stdin.close()

    assert use is not None
    assert use.memory_bytes > 50_000_000
    assert 0.15 < use.cpu_s < 10
    assert use.descriptors >= 4
    assert process_use(process.pid) is None


def test_recordings_are_summed_without_links_and_folders(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(bytes(1000))
    (tmp_path / "a.jsonl").write_bytes(bytes(24))
    (tmp_path / "more").mkdir()
    (tmp_path / "link").symlink_to(sys.executable)

    use = disk_use(tmp_path)

    assert use is not None
    assert use.recordings_bytes == 1024
    assert 0 < use.free_bytes < use.size_bytes
    assert use.size_bytes == os.statvfs(tmp_path).f_blocks * os.statvfs(tmp_path).f_frsize
    assert disk_use(tmp_path / "gone") is None
