"""The cache of built engines: the name and content of their files, and what happens to a bad one.

Knows no TensorRT: an engine is bytes. A file's name has a hash of everything that made it (network, its content,
TensorRT, GPU, precision, sizes), so a change makes a new file and a stale one is never loaded. It is a `sealed_file`
whose header also holds the network's inputs and outputs.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from jetstream.errors import ModelError
from jetstream.runners.base import TensorSpec, UnavailableError
from jetstream.runners.tensorrt import sealed_file

MAGIC = b"jetstream engine 3\n"
SUFFIX, NEW, BAD = ".engine", ".new", ".bad"
OLD_S = 24 * 3600.0

Precision = Literal["fp16", "fp32"]
Shape = tuple[int, ...]


class Profile(NamedTuple):
    """Sizes of a network's one input, batch first: from `smallest` to `largest`, tuned for `usual`."""

    smallest: Shape
    usual: Shape
    largest: Shape

    @property
    def is_fixed(self) -> bool:
        return self.smallest == self.largest

    def __str__(self) -> str:
        sizes = [self.largest] if self.is_fixed else [self.smallest, self.largest]
        return " to ".join("x".join(map(str, size)) for size in sizes)


def fixed(*shape: int) -> Profile:
    return Profile(shape, shape, shape)


class EngineRecipe(msgspec.Struct, frozen=True):
    """Everything that an engine depends on."""

    network: str
    onnx: str  # path; moving a model makes no other engine, so it is not part of `key`
    onnx_sha256: str
    tensorrt: str  # module and version
    gpu: str  # name and compute capability
    precision: Precision
    profiles: tuple[Profile, ...]

    @property
    def key(self) -> str:
        """The first 16 hexadecimal digits of the sha256 of all fields but `network` and `onnx`."""
        parts = (MAGIC.decode(), self.onnx_sha256, self.tensorrt, self.gpu, self.precision, self.profiles)
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]

    @property
    def file(self) -> str:
        return f"{self.network}-{self.precision}-{self.key}{SUFFIX}"


class EngineTensor(msgspec.Struct, frozen=True):
    """A `TensorSpec` as a header holds it."""

    name: str
    dtype: Literal["float32", "float16", "uint8", "int8", "int32", "int64"]
    shape: tuple[int | None, ...]

    @property
    def spec(self) -> TensorSpec:
        return TensorSpec(self.name, np.dtype(self.dtype), self.shape)


class EngineHeader(sealed_file.Seal, frozen=True, kw_only=True):
    """What the engine was made of, and its inputs and outputs."""

    made_by: EngineRecipe
    inputs: tuple[EngineTensor, ...]
    outputs: tuple[EngineTensor, ...]


class Engine(NamedTuple):
    """The bytes that TensorRT loads, and the inputs and outputs of the network that they were built from.

    The loaded engine reports sizes that its profiles fix, "embedding (2, 128)", where the network takes any.
    """

    plan: bytes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class EngineFile(NamedTuple):
    """A file as `scan` sees it; `state` "stale": of another model, TensorRT, GPU, precision or sizes."""

    file: str
    state: Literal["ready", "stale", "bad", "missing"]  # only the kernels' file is reported as missing
    reason: str
    megabytes: float


def recipe(onnx: Path, *, tensorrt: str, gpu: str, precision: Precision, profiles: tuple[Profile, ...]) -> EngineRecipe:
    """The recipe for an ONNX file. Raises ModelError where the file is missing."""
    try:
        content = onnx.read_bytes()
    except OSError:
        raise ModelError(f"{onnx}: no such model; run `jetstream models` to build it") from None
    return EngineRecipe(onnx.stem, str(onnx), hashlib.sha256(content).hexdigest(), tensorrt, gpu, precision, profiles)


def write(
    path: Path,
    made_by: EngineRecipe,
    plan: bytes,
    inputs: Sequence[TensorSpec] = (),
    outputs: Sequence[TensorSpec] = (),
) -> None:
    """Write the engine's file, which appears complete or not at all. Raises OSError."""
    header = EngineHeader(
        made_by=made_by,
        inputs=_tensors(inputs),
        outputs=_tensors(outputs),
        length=len(plan),
        sha256=sealed_file.checksum(plan),
    )
    sealed_file.write(path, MAGIC, header, plan)


def read(path: Path, wanted: EngineRecipe) -> Engine:
    """The engine, checked. Raises UnavailableError, saying what is wrong with the file."""
    header, plan = _parts(path)
    if header.made_by.key != wanted.key:
        raise UnavailableError(f"{path}: {_difference(header.made_by, wanted)}")
    sealed_file.check(path, header, plan)
    return Engine(plan, tuple(one.spec for one in header.inputs), tuple(one.spec for one in header.outputs))


def set_aside(path: Path) -> Path | None:
    """Rename a bad file to *.bad, to examine it; one is kept for each network. None where the folder is read-only."""
    bad = path.parent / f"{path.name.partition(SUFFIX)[0]}{SUFFIX}{BAD}"
    try:
        os.replace(path, bad)
    except OSError:
        return None
    return bad


def new_path(path: Path) -> Path:
    """The path of an engine until it has passed its test."""
    return path.with_name(f"{path.name}.{os.getpid()}{NEW}")


def sweep(folder: Path) -> None:
    """Remove files that killed builds left, after a day."""
    with contextlib.suppress(OSError):
        for left in folder.glob(f"*{NEW}"):
            if time.time() - left.stat().st_mtime > OLD_S:
                left.unlink(missing_ok=True)


def scan(folder: Path, wanted: tuple[EngineRecipe, ...]) -> list[EngineFile]:
    """Every engine in the folder, by name. Reads them whole: for `doctor`, not for a start."""
    by_file = {one.file: one for one in wanted}
    found = []
    for path in sorted(folder.glob(f"*{SUFFIX}*")):
        if path.suffix in (SUFFIX, BAD):
            state, reason = _state(path, by_file.get(path.name))
            found.append(EngineFile(path.name, state, reason, path.stat().st_size / 1e6))
    return found


def _state(path: Path, wanted: EngineRecipe | None) -> tuple[Literal["ready", "stale", "bad"], str]:
    if path.suffix == BAD:
        return "bad", "set aside; remove it at any time"
    try:
        header, _ = _parts(path)
        read(path, wanted or header.made_by)
    except UnavailableError as error:
        return "bad", str(error).removeprefix(f"{path}: ")
    if wanted is None:
        made_by = header.made_by
        return "stale", f"for {made_by.tensorrt}, {made_by.gpu}, {', '.join(map(str, made_by.profiles))}"
    return "ready", ", ".join(map(str, wanted.profiles))


def _tensors(specs: Sequence[TensorSpec]) -> tuple[EngineTensor, ...]:
    found = [{"name": spec.name, "dtype": str(spec.dtype), "shape": spec.shape} for spec in specs]
    return msgspec.convert(found, tuple[EngineTensor, ...])


def _parts(path: Path) -> tuple[EngineHeader, bytes]:
    return sealed_file.parts(path, MAGIC, EngineHeader, "an engine")


def _difference(found: EngineRecipe, wanted: EngineRecipe) -> str:
    """The first difference of two recipes, such as "built with tensorrt 10.3, found tensorrt 10.7"."""
    if found.tensorrt != wanted.tensorrt:
        return f"built with {found.tensorrt}, found {wanted.tensorrt}"
    if found.gpu != wanted.gpu:
        return f"built for {found.gpu}, found {wanted.gpu}"
    return "built for another model, precision or size"
