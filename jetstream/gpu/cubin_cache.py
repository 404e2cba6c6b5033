"""The GPU's kernels, compiled once for a compute capability and kept beside the engines.

A file's name has a hash of all that made it (source, options, GPU), so a changed source makes a new file. It is a
`sealed_file`, so damage is noticed before the driver reads it. `jetstream build`, `run` and `replay` compile; stages
only `load`.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from jetstream.gpu import compilers
from jetstream.runners.base import UnavailableError
from jetstream.runners.tensorrt import sealed_file
from jetstream.runners.tensorrt.engine_cache import EngineFile

KERNELS = Path(__file__).parent / "kernels"
# one translation unit, in this order: each uses what those before it define
NAMES = ("common.cu", "pictures.cu", "pnet.cu", "nms.cu", "cascade.cu", "chips.cu")
MAGIC = b"jetstream kernels 1\n"
SUFFIX = ".cubin"
OLDEST, NEWEST = (5, 3), (12, 9)
# a tile of 16 wants 71 KiB of shared memory: from 7.0 on a block may have them, but on Turing
BIG_TILE, TURING = (7, 0), (7, 5)


def sources() -> str:
    """All kernels in one text; compilers report the file's own lines. Raises UnavailableError: a file is missing."""
    try:
        return "".join(f'#line 1 "{name}"\n{(KERNELS / name).read_text()}\n' for name in NAMES)
    except OSError as error:
        raise UnavailableError(f"{error.filename}: {error.strerror}; jetstream's installation is incomplete") from None


def compile_source(source: str, capability: str) -> bytes:
    """A cubin for a compute capability such as "9.0", by the first compiler here that can.

    Raises UnavailableError: no compiler is installed, none supports the GPU, the source is wrong (with the first
    error's file and line), or the kernels don't support the GPU.
    """
    options = _options(capability)
    reasons = []
    for compiler in compilers.found():
        try:
            return compilers.compile_by(compiler, source, options)
        except UnavailableError as reason:
            reasons.append(str(reason))
    # CUDA 12 supports all of them but 11.0, CUDA 13 none below 7.5
    remedy = f"pip install nvidia-cuda-nvrtc{'' if capability.startswith('11.') else '-cu12'}"
    if not reasons:
        raise UnavailableError(
            f"no nvcc and no NVRTC to compile the GPU kernels with (CUDA toolkit's nvcc, or {remedy})"
        )
    is_source_wrong = any("error" in reason for reason in reasons)
    raise UnavailableError("; ".join(reasons) + ("" if is_source_wrong else f" (try {remedy})"))


def file_name(source: str, capability: str) -> str:
    """Such as "kernels-sm_90-0123456789abcdef.cubin". Raises UnavailableError where the kernels don't support it."""
    made_of = msgspec.json.encode((MAGIC.decode(), source, _options(capability)))
    return f"kernels-{_architecture(capability)}-{hashlib.sha256(made_of).hexdigest()[:16]}{SUFFIX}"


def ensure(folder: Path, capability: str, source: str | None = None) -> Path:
    """The kernels' file, compiled first where it is missing or damaged (seconds). Raises UnavailableError."""
    source = source or sources()
    path = folder / file_name(source, capability)
    if not _is_whole(path):
        cubin = compile_source(source, capability)
        seal = sealed_file.Seal(length=len(cubin), sha256=sealed_file.checksum(cubin))
        try:
            sealed_file.write(path, MAGIC, seal, cubin)
        except OSError as error:
            raise UnavailableError(f"{folder}: {error.strerror}") from None
    return path


def load(folder: Path, capability: str, source: str | None = None) -> bytes:
    """The cubin, checked. Raises UnavailableError where it isn't there or is damaged."""
    path = folder / file_name(source or sources(), capability)
    if not path.exists():
        raise UnavailableError(f"no kernels for this GPU in {folder} yet (`jetstream build` makes them)")
    try:
        return _read(path)
    except UnavailableError as reason:
        raise UnavailableError(f"{reason} (`jetstream build` makes them)") from None


def is_there(folder: Path, capability: str, source: str | None = None) -> bool:
    """Whether the kernels are compiled and undamaged. Raises UnavailableError where they don't support the GPU."""
    return _is_whole(folder / file_name(source or sources(), capability))


def scan(folder: Path, capabilities: Sequence[str] = ()) -> Iterator[EngineFile]:
    """Every file of kernels in the folder, by name, and those for `capabilities` that are missing: for `doctor`."""
    wanted = []
    for capability in capabilities:
        with contextlib.suppress(UnavailableError):
            wanted.append(file_name(sources(), capability))
    there = sorted(folder.glob(f"kernels-*{SUFFIX}"))
    for path in there:
        yield _found(path, wanted)
    for name in wanted:
        if name not in (path.name for path in there):
            yield EngineFile(name, "missing", "`jetstream build` makes it", 0.0)


def _found(path: Path, wanted: Sequence[str]) -> EngineFile:
    megabytes = path.stat().st_size / 1e6
    try:
        _read(path)
    except UnavailableError as reason:
        return EngineFile(path.name, "bad", str(reason).removeprefix(f"{path}: "), megabytes)
    if path.name in wanted:
        return EngineFile(path.name, "ready", f"{megabytes:.2f} MB", megabytes)
    return EngineFile(path.name, "stale", "for another jetstream or GPU", megabytes)


def _read(path: Path) -> bytes:
    seal, cubin = sealed_file.parts(path, MAGIC, sealed_file.Seal, "kernels")
    sealed_file.check(path, seal, cubin)
    return cubin


def _is_whole(path: Path) -> bool:
    try:
        _read(path)
    except UnavailableError:
        return False
    return True


def _options(capability: str) -> tuple[str, ...]:
    """Options of both compilers."""
    if not OLDEST <= _number(capability) <= NEWEST:
        raise UnavailableError(f"compute capability {capability}: the GPU kernels are made for 5.3 to 12")
    tile = f"-DJETSTREAM_TILE={tile_cells(capability)}"
    return f"-arch={_architecture(capability)}", "--std=c++14", "--fmad=true", tile


def tile_cells(capability: str) -> int:
    """Side of the tile that one block of P-Net's kernel computes, in P-Net's cells."""
    number = _number(capability)
    return 16 if number >= BIG_TILE and number != TURING else 8


def _architecture(capability: str) -> str:
    major, minor = _number(capability)
    return f"sm_{major}{minor}"


def _number(capability: str) -> tuple[int, int]:
    major, _, minor = capability.partition(".")
    return int(major), int(minor)
