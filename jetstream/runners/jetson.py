"""What a Jetson has and lacks for TensorRT and the GPU kernels, read from files below a root folder.

Knows no GPU and imports no package. On another machine there is nothing to say.
"""

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

ROOT = Path("/")
_LIBRARIES = Path("usr/lib/aarch64-linux-gnu")
# where the host's copy is mounted on JetPack 6 and 7, on 5, and on systems built by Yocto
_DLA_COMPILERS = (_LIBRARIES / "nvidia", _LIBRARIES / "tegra", Path("usr/lib"))
_RELEASE = re.compile(r"R(\d+) \(release\), REVISION: ([\d.]+)")


TensorRTState = Literal["works", "broken", "missing"]
OLDEST_PYTHON = (3, 10)
WITHOUT_DLA_COMPILER = 39  # the L4T release from which hosts have no libnvdla_compiler.so
_NO_DLA_COMPILER = (
    "this container has no libnvdla_compiler.so, or an empty one, without which older TensorRT can't be imported"
)
_PYTHON = sys.version_info[:2]


class JetPack(NamedTuple):
    """A release of NVIDIA's system for Jetsons, by the number that its L4T release begins with."""

    name: str
    python: tuple[int, int]  # of the system, the only one that its TensorRT is for
    tensorrt: str


JETPACKS = {
    32: JetPack("JetPack 4", (3, 6), "8.2"),
    35: JetPack("JetPack 5", (3, 8), "8.5"),
    36: JetPack("JetPack 6", (3, 10), "10.3"),
    38: JetPack("JetPack 7.0 or 7.1", (3, 12), "10.13"),
    39: JetPack("JetPack 7.2", (3, 12), "10.16"),
}


class Finding(NamedTuple):
    """One thing that was looked at: a topic, what was found, and whether it is as it should be."""

    topic: str
    found: str
    ok: bool = True


def findings(tensorrt: TensorRTState, root: Path = ROOT, python: tuple[int, int] = _PYTHON) -> Iterator[Finding]:
    """What there is to say of this Jetson; `tensorrt` is what this Python, `python`, found of TensorRT's module."""
    release = _release(root)
    if release is None and not model(root):
        return
    pack = JETPACKS.get(release[0]) if release else None
    yield _jetpack(root, release, pack)
    if pack is not None and pack.python >= OLDEST_PYTHON and tensorrt == "missing":
        yield _tensorrt(root, pack, python)
    if tensorrt != "works" and _is_container(root) and not _has_dla_compiler(root):
        yield Finding("DLA compiler", f"{_NO_DLA_COMPILER}: {_dla_remedy(release)}", ok=False)
    yield _compilers(root)


def model(root: Path = ROOT) -> str:
    """The board's name, or "" on another machine."""
    with contextlib.suppress(OSError):
        return (root / "proc/device-tree/model").read_text(errors="replace").strip("\0 \n")
    return ""


def _dla_remedy(release: tuple[int, str] | None) -> str:
    if release and release[0] >= WITHOUT_DLA_COMPILER:
        return "the host has none to mount, so take an image with JetPack 7.2's TensorRT"
    return "run it with NVIDIA's container runtime, on a host with nvidia-l4t-dla-compiler"


def _release(root: Path) -> tuple[int, str] | None:
    """The L4T release, such as (36, "4.3")."""
    with contextlib.suppress(OSError):
        if found := _RELEASE.search((root / "etc/nv_tegra_release").read_text(errors="replace")):
            return int(found[1]), found[2].rstrip(".")
    return None


def _jetpack(root: Path, release: tuple[int, str] | None, pack: JetPack | None) -> Finding:
    if release is None:
        inside = "; a container sees it when it is mounted from the host" if _is_container(root) else ""
        return Finding("JetPack", f"unknown: no release in /etc/nv_tegra_release{inside}", ok=False)
    number = f"L4T {release[0]}.{release[1]}"
    if pack is None:
        return Finding("JetPack", f"{number}, which jetstream doesn't know")
    if pack.python < OLDEST_PYTHON:
        found = f"{pack.name} ({number}): its Python {_dotted(pack.python)} is too old for jetstream, which needs 3.10"
        return Finding("JetPack", found, ok=False)
    return Finding(
        "JetPack", f"{pack.name} ({number}), with Python {_dotted(pack.python)} and TensorRT {pack.tensorrt}"
    )


def _tensorrt(root: Path, pack: JetPack, python: tuple[int, int]) -> Finding:
    """Why this Python finds no TensorRT."""
    folders = sorted((root / "usr/lib").glob("python3*/dist-packages/tensorrt"))
    if not folders:
        return Finding("JetPack's TensorRT", "not installed for Python (apt install python3-libnvinfer)", ok=False)
    if python != pack.python:
        found = f"is for Python {_dotted(pack.python)}, and this is {_dotted(python)}"
        remedy = f"make the virtual environment with python{_dotted(pack.python)} -m venv --system-site-packages"
    else:
        found = "this virtual environment doesn't see it"
        remedy = "make it with python3 -m venv --system-site-packages"
    return Finding("JetPack's TensorRT", f"{found}; {remedy}", ok=False)


def _compilers(root: Path) -> Finding:
    """What compiles PyCUDA and the kernels."""
    toolkits = root / "usr/local"
    if (toolkits / "cuda/bin/nvcc").exists():
        return Finding("CUDA toolkit", "has nvcc; `pip install pycuda` needs /usr/local/cuda/bin in PATH")
    if any(toolkits.glob("cuda*/lib64/libnvrtc.so*")) or any(toolkits.glob("cuda*/targets/*/lib/libnvrtc.so*")):
        return Finding(
            "CUDA toolkit", "no nvcc, so PyCUDA can't be compiled: take cuda-core; NVRTC compiles the kernels"
        )
    found = "no nvcc and no NVRTC: only kernels that were built before can be used"
    return Finding("CUDA toolkit", f"{found} (pip install nvidia-cuda-nvrtc-cu12)", ok=False)


def _is_container(root: Path) -> bool:
    return (root / ".dockerenv").exists() or (root / "run/.containerenv").exists()


def _has_dla_compiler(root: Path) -> bool:
    """An image may have an empty file, over which the host's should have been mounted."""
    for folder in _DLA_COMPILERS:
        with contextlib.suppress(OSError):
            if (root / folder / "libnvdla_compiler.so").stat().st_size:
                return True
    return False


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
