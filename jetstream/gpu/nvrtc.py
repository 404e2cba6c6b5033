"""NVRTC as a command, for machines without nvcc: `python -m jetstream.gpu.nvrtc LIBRARY OPTIONS -o CUBIN SOURCE`.

Without arguments it lists the libraries, one a line, such as "12.9 /folder/libnvrtc.so.12". It runs as a process of its
own: a native call may hang or crash, and a library that is loaded already hides where another is.
"""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

TOOLKITS = Path("/usr/local")  # where CUDA's installer puts cuda, cuda-12.9, ...
NAMES = ("libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2")


def libraries() -> Iterator[tuple[str, str]]:
    """(version, path) of every NVRTC that can be loaded, one a version: the loader's own, CUDA toolkits', pip's."""
    versions = set()
    for folder in ("", *(str(path) for path in sorted(TOOLKITS.glob("cuda*/lib64"), reverse=True)), *_wheels()):
        for name in NAMES:
            with contextlib.suppress(OSError):
                path = os.path.join(folder, name)
                version = _version(ctypes.CDLL(path))
                if version not in versions:
                    versions.add(version)
                    yield version, path


def main(arguments: Sequence[str]) -> int:
    """Exit code: 1, with the compiler's log on standard error, where the source doesn't compile."""
    if not arguments:
        for found in libraries():
            print(*found)
        return 0
    path, *options, _, cubin, source = arguments
    nvrtc = ctypes.CDLL(path)
    if not hasattr(nvrtc, "nvrtcGetCUBIN"):
        print("it makes no cubin; 11.1 and newer do", file=sys.stderr)
        return 1
    program = ctypes.c_void_p()
    text = Path(source).read_bytes()
    _ask(nvrtc, nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, os.path.basename(source).encode(), 0, None, None))
    flags = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    if nvrtc.nvrtcCompileProgram(program, len(flags), flags):
        print(_get(nvrtc, program, "ProgramLog").rstrip(b"\0").decode(errors="replace"), file=sys.stderr)
        return 1
    Path(cubin).write_bytes(_get(nvrtc, program, "CUBIN"))
    return 0


def _version(nvrtc: ctypes.CDLL) -> str:
    major, minor = ctypes.c_int(), ctypes.c_int()
    nvrtc.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return f"{major.value}.{minor.value}"


def _get(nvrtc: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    _ask(nvrtc, nvrtc[f"nvrtcGet{what}Size"](program, ctypes.byref(size)))
    content = ctypes.create_string_buffer(size.value)
    _ask(nvrtc, nvrtc[f"nvrtcGet{what}"](program, content))
    return content.raw


def _ask(nvrtc: ctypes.CDLL, status: int) -> None:
    if status:
        nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
        sys.exit(f"error: NVRTC fails ({nvrtc.nvrtcGetErrorString(status).decode()})")


def _wheels() -> Iterator[str]:
    """Where pip puts NVIDIA's libraries."""
    for entry in sys.path:
        yield from (str(path) for path in sorted(Path(entry).glob("nvidia/*/lib")) if path.is_dir())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
