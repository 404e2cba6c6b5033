"""CUDA source to a cubin, by nvcc or else NVRTC, each in a process with a time limit.

Knows no kernel, no cache and no GPU.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jetstream.gpu import nvrtc
from jetstream.runners.base import UnavailableError

LIMIT_S = 300.0  # a desktop core takes some seconds, a Jetson Nano's ten times that
ANSWER_S = 10.0
_ERROR = re.compile(r"\berror\b|\bfatal\b|no such file", re.IGNORECASE)  # the last: nvcc lacks gcc
_UNKNOWN_GPU = re.compile(r"gpu.architecture", re.IGNORECASE)


class Compiler(NamedTuple):
    """`command` takes options that nvcc and NVRTC share, then `-o CUBIN SOURCE`."""

    name: str  # "nvcc 13.0"
    path: str
    command: tuple[str, ...]


def found() -> Iterator[Compiler]:
    """Every compiler of this machine, nvcc first. NVRTC is searched for only when the caller asks for the next one."""
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path=str(nvrtc.TOOLKITS / "cuda" / "bin"))
    if nvcc:
        yield Compiler(f"nvcc {_release(nvcc)}".strip(), nvcc, (nvcc, "-cubin", "-O3"))
    command = (sys.executable, "-m", nvrtc.__name__)
    for version, _, path in (line.partition(" ") for line in _said(command).splitlines()):
        yield Compiler(f"NVRTC {version}", path, (*command, path))


def compile_by(compiler: Compiler, source: str, options: Sequence[str], limit_s: float = LIMIT_S) -> bytes:
    """The cubin. Raises UnavailableError with the compiler's first error; the source's own name file and line."""
    with tempfile.TemporaryDirectory(prefix="jetstream-kernels-") as folder:
        text, cubin = Path(folder, "kernels.cu"), Path(folder, "kernels.cubin")
        text.write_text(source)
        status, said = _run([*compiler.command, *options, "-o", str(cubin), str(text)], compiler, limit_s)
        if status == 0 and cubin.exists():
            return cubin.read_bytes()
    raise UnavailableError(f"{compiler.name}: {_first_error(said) or f'it ended with {status} and gave no reason'}")


def _run(command: Sequence[str], compiler: Compiler, limit_s: float) -> tuple[int, str]:
    """Exit code and output. In a session of its own: nvcc's child processes do the work, and are killed with it."""
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise UnavailableError(f"{compiler.name}: {compiler.path} can't be run ({error.strerror})") from None
    with child:
        try:
            said, _ = child.communicate(timeout=limit_s)
        except (subprocess.TimeoutExpired, KeyboardInterrupt) as reason:
            os.killpg(child.pid, signal.SIGKILL)
            if isinstance(reason, KeyboardInterrupt):
                raise
            raise UnavailableError(f"{compiler.name}: no answer in {limit_s:g} s") from None
    return child.returncode, said


def _first_error(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    first = next((line for line in lines if _ERROR.search(line)), lines[-1] if lines else "")
    return "it doesn't support this GPU" if _UNKNOWN_GPU.search(first) else first


def _release(nvcc: str) -> str:
    """The release of nvcc, such as "13.0"; empty where its output has none."""
    release = re.search(r"release ([\d.]+)", _said((nvcc, "--version")))
    return release[1] if release else ""


def _said(command: Sequence[str]) -> str:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=False).stdout
    return ""
