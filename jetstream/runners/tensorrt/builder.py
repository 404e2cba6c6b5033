"""An ONNX network to the bytes of a TensorRT engine, with any TensorRT from 8.5 on.

Knows no cache and no GPU memory. Runs in `build_process`, because TensorRT may hang or crash.
"""

import contextlib
import ctypes
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jetstream import files
from jetstream.errors import ModelError
from jetstream.runners.base import UnavailableError
from jetstream.runners.tensorrt import bindings
from jetstream.runners.tensorrt.engine_cache import Precision, Profile

WORKSPACE_BYTES = 512 * 2**20  # scratch memory of a kernel at most: a Jetson has little, and the networks need little
# a stub library that only satisfies the linker has no such function
_OWN_VERSION = {"libcudnn.so.8": "cudnnGetVersion", "libcublas.so.11": "cublasGetVersion_v2"}


def build(
    onnx: Path, *, precision: Precision, profiles: tuple[Profile, ...], timing_cache: Path | None = None
) -> bytes:
    """The engine. Raises ModelError: the network can't be read. UnavailableError: TensorRT can't build it."""
    tensorrt, log = bindings.load(), bindings.logger()
    builder = _made(lambda: tensorrt.Builder(log), log)
    network = _parse(builder, tensorrt, log, onnx, precision)
    config = _configure(builder, tensorrt, precision)
    name = network.get_input(0).name
    for profile in profiles:
        sizes = builder.create_optimization_profile()
        sizes.set_shape(name, *profile)
        if config.add_optimization_profile(sizes) < 0:
            raise UnavailableError(f"TensorRT refuses the sizes {profile} ({log.reason})")
    _begin_timing_cache(config, tensorrt, timing_cache)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise UnavailableError(f"TensorRT can't build it ({log.reason})")
    _keep_timing_cache(config, tensorrt, timing_cache)
    return bytes(engine)


def is_strongly_typed(tensorrt: Any) -> bool:
    """Whether the network's own types decide the precision (TensorRT 11, RTX), and no builder flag does."""
    return not hasattr(tensorrt.BuilderFlag, "FP16")


def _made(make: Any, log: Any) -> Any:
    try:
        return make()
    except TypeError:  # raised by pybind11 for a null pointer
        raise UnavailableError(f"TensorRT can't start ({log.reason})") from None


def _parse(builder: Any, tensorrt: Any, log: Any, onnx: Path, precision: Precision) -> Any:
    from jetstream.runners.tensorrt import fp16, prelu

    content = prelu.fuse(onnx.read_bytes())
    if precision == "fp16" and is_strongly_typed(tensorrt):
        content = fp16.convert(content)
    network = builder.create_network(_creation_flags(tensorrt))
    parser = tensorrt.OnnxParser(network, log)
    if not parser.parse(content) or not network.num_outputs:
        reason = parser.get_error(0).desc() if parser.num_errors else log.reason
        raise ModelError(f"{onnx}: TensorRT can't read it ({reason}); run `jetstream models` to rebuild it")
    return network


def _creation_flags(tensorrt: Any) -> int:
    """TensorRT 8 needs EXPLICIT_BATCH; later versions have no other mode, and 11 has no such flag."""
    flags = tensorrt.NetworkDefinitionCreationFlag
    wanted = ["EXPLICIT_BATCH"] if _major(tensorrt) < 10 and hasattr(flags, "EXPLICIT_BATCH") else []
    if is_strongly_typed(tensorrt) and hasattr(flags, "STRONGLY_TYPED"):
        wanted.append("STRONGLY_TYPED")
    return sum(1 << int(getattr(flags, name)) for name in wanted)


def _major(tensorrt: Any) -> int:
    # RTX counts from 1, and is as new as 10
    return int(tensorrt.__version__.split(".")[0]) if tensorrt.__name__ == "tensorrt" else 11


def _configure(builder: Any, tensorrt: Any, precision: Precision) -> Any:
    config = builder.create_builder_config()
    config.set_memory_pool_limit(tensorrt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    if precision == "fp16" and not is_strongly_typed(tensorrt):
        config.set_flag(tensorrt.BuilderFlag.FP16)
    if precision == "fp32":
        config.clear_flag(tensorrt.BuilderFlag.TF32)  # on by default, and no better than fp16
    if _major(tensorrt) < 10 and not _has_cuda_libraries():
        config.set_tactic_sources(0)  # else it takes kernels from cuDNN and cuBLAS, and crashes on stub libraries
    return config


def _has_cuda_libraries() -> bool:
    for library, function in _OWN_VERSION.items():
        try:
            getattr(ctypes.CDLL(library), function)
        except (OSError, AttributeError):
            return False
    return True


def _begin_timing_cache(config: Any, tensorrt: Any, path: Path | None) -> None:
    if path is None or _has_no_timings(tensorrt):
        return
    config.set_timing_cache(_timings(config, path), False)


def _keep_timing_cache(config: Any, tensorrt: Any, path: Path | None) -> None:
    if path is None or _has_no_timings(tensorrt):
        return
    kept = config.create_timing_cache(bytes(config.get_timing_cache().serialize()))
    with _alone(path.with_suffix(".lock")):
        kept.combine(_timings(config, path), False)  # other builds have written meanwhile
        files.replace(path, bytes(kept.serialize()))


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """No other build is in this block meanwhile; without locks, as on some network disks, timings may be lost."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _timings(config: Any, path: Path) -> Any:
    """The timing cache in the file; empty where it is damaged or of another version or GPU."""
    try:
        timings = path.read_bytes()
    except OSError:
        timings = b""
    return config.create_timing_cache(timings) or config.create_timing_cache(b"")


def _has_no_timings(tensorrt: Any) -> bool:
    return str(tensorrt.__name__) != "tensorrt"  # RTX does not time kernels
