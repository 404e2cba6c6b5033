"""`jetstream doctor`: reports driver, GPU, TensorRT, JetPack, engines, kernels, shared memory, codecs and cameras.

Changes nothing. A missing part is a line of the report, never an error.
"""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from jetstream import __version__
from jetstream.config import parts
from jetstream.config.schema import Config, engines_dir
from jetstream.errors import JetstreamError
from jetstream.gpu import compilers, cubin_cache
from jetstream.networks import backends, build, devices
from jetstream.networks.embedders import embedder_of
from jetstream.networks.runner import NAMES
from jetstream.runners import cuda_bindings, cuda_driver, jetson, onnxrt
from jetstream.runners.base import UnavailableError
from jetstream.runners.tensorrt import bindings, engine_cache, prepare
from jetstream.runners.tensorrt.build_protocol import BindingsProbe
from jetstream.runners.tensorrt.engine_cache import EngineFile
from jetstream.video import gstreamer_process

SHM = Path("/dev/shm")
CODECS = ("h264", "hevc", "mjpeg", "mpeg4")


class MachineFact(msgspec.Struct, frozen=True):
    """One line of the report: `found` is what was found, or why it is missing."""

    topic: str
    found: str
    ok: bool = True


class DoctorReport(msgspec.Struct, frozen=True):
    """The whole report, which `--json` prints."""

    facts: tuple[MachineFact, ...]
    engines: tuple[EngineFile, ...]
    kernels: tuple[EngineFile, ...]
    backend: str  # that `jetstream run` would use with this config
    why: str


def examine(config: Config) -> DoctorReport:
    """Examine the machine for `config`. Takes some seconds with TensorRT: a child process tries to import it."""
    probe = _probe()
    backend, why = _choice(config, probe)
    facts = (
        *_machine(),
        *_gpu(config),
        *_packages(config, probe),
        *_jetson(probe),
        _embedder(config),
        *_compilers(),
        _shared_memory(),
        *_codecs(),
        _gstreamer(),
        *_cameras(),
    )
    return DoctorReport(facts, tuple(_engines(config, probe)), tuple(_kernels(config, probe)), backend, why)


def _probe() -> BindingsProbe:
    """What can be imported; nothing is tried where nothing is installed."""
    if bindings.is_installed() or any(map(cuda_bindings.is_installed, cuda_bindings.ORDER)):
        return prepare.probe()
    pycuda, cuda_core = map(cuda_bindings.missing, cuda_bindings.ORDER)
    return BindingsProbe(
        tensorrt_missing="TensorRT isn't installed", pycuda_missing=pycuda, cuda_core_missing=cuda_core
    )


def lines(report: DoctorReport) -> Iterator[str]:
    """The report as text, a fact per line; a `-` marks what is missing."""
    width = max(len(fact.topic) for fact in report.facts)
    for fact in report.facts:
        yield f"{fact.topic:{width}}  {'' if fact.ok else '- '}{fact.found}"
    for one in report.engines:
        yield f"{'engine':{width}}  {one.file}: {one.state} ({one.reason})"
    if not report.engines:
        remedy = " yet (`jetstream build` makes them)" if report.backend == "tensorrt" else ""
        yield f"{'engines':{width}}  - none{remedy}"
    for one in report.kernels:
        yield f"{'kernels':{width}}  {'- ' if one.state == 'missing' else ''}{one.file}: {one.state} ({one.reason})"
    yield f"{'backend':{width}}  {report.backend}: {report.why}"


def _choice(config: Config, probe: BindingsProbe) -> tuple[str, str]:
    try:
        choice = backends.choose(config.gpu)
    except JetstreamError as error:
        return config.gpu.backend, str(error)
    if choice.best == "tensorrt" and (missing := probe.tensorrt_missing or _bindings_missing(config, probe)):
        return choice.order[1], missing
    if config.gpu.backend != "auto":
        return choice.best, f'set by gpu.backend = "{config.gpu.backend}"'
    return choice.best, f"auto uses {NAMES[choice.best]}: {choice.why}"


def _machine() -> Iterator[MachineFact]:
    system = os.uname()
    yield MachineFact("jetstream", f"{__version__}, Python {sys.version.split()[0]}, {system.sysname} {system.machine}")
    if board := jetson.model():
        yield MachineFact("Jetson", board)


def _gpu(config: Config) -> Iterator[MachineFact]:
    yield _driver()
    try:
        found = cuda_driver.gpus()
    except UnavailableError as reason:
        yield MachineFact("GPU", str(reason), ok=False)
        return
    wanted = parts.devices(config)
    for number, gpu in enumerate(found):
        used = "" if number not in wanted else ", the one used" if len(wanted) == 1 else ", used"
        yield MachineFact(f"GPU {number}", f"{gpu}, {gpu.memory_bytes / 2**30:.0f} GiB{used}")
    key = "gpu.devices" if config.gpu.devices else "gpu.device"
    for number in wanted:
        if number >= len(found):
            yield MachineFact(f"GPU {number}", f"isn't there, and {key} names it", ok=False)


def _driver() -> MachineFact:
    try:
        newest = cuda_driver.cuda_version()
    except UnavailableError as reason:
        return MachineFact("driver", str(reason), ok=False)
    version = ""
    with contextlib.suppress(OSError):
        words = Path("/proc/driver/nvidia/version").read_text()
        version = next(iter(re.findall(r"\b\d+\.\d+(?:\.\d+)?\b", words)), "")
    return MachineFact("driver", f"{version or 'installed'}, runs CUDA up to {newest}")


def _packages(config: Config, probe: BindingsProbe) -> Iterator[MachineFact]:
    yield MachineFact("TensorRT", probe.tensorrt or probe.tensorrt_missing, bool(probe.tensorrt))
    yield MachineFact("PyCUDA", probe.pycuda or probe.pycuda_missing, bool(probe.pycuda))
    yield MachineFact("cuda-core", probe.cuda_core or probe.cuda_core_missing, bool(probe.cuda_core))
    yield _bindings(config, probe)
    names = [name.removesuffix("ExecutionProvider") for name in onnxrt.providers()]
    yield MachineFact("onnxruntime", f"{onnxrt.version()}, providers {', '.join(names)}")


def _bindings(config: Config, probe: BindingsProbe) -> MachineFact:
    """Which package calls CUDA, and why."""
    try:
        choice = cuda_bindings.chosen(config.gpu.bindings, probe.cuda_missing)
    except UnavailableError as reason:
        return MachineFact("bindings", str(reason), ok=False)
    remedy = cuda_bindings.too_new(probe.cuda_core) if choice.bindings == "cuda-core" else ""
    return MachineFact("bindings", f"{cuda_bindings.NAMES[choice.bindings]} ({choice.why}){remedy}")


def _bindings_missing(config: Config, probe: BindingsProbe) -> str:
    try:
        cuda_bindings.chosen(config.gpu.bindings, probe.cuda_missing)
    except UnavailableError as reason:
        return str(reason)
    return ""


def _jetson(probe: BindingsProbe) -> Iterator[MachineFact]:
    state: jetson.TensorRTState = "works" if probe.tensorrt else "broken" if bindings.is_installed() else "missing"
    for finding in jetson.findings(state):
        yield MachineFact(*finding)


def _embedder(config: Config) -> MachineFact:
    """The network that compares faces, and for whom its names can't be relied on."""
    try:
        entry = embedder_of(config)
    except JetstreamError as error:
        return MachineFact("embedder", str(error), ok=False)
    return MachineFact("embedder", f"{entry.spec.name}{f'; {entry.caveat}' if entry.caveat else ''}")


def _compilers() -> Iterator[MachineFact]:
    installed = list(compilers.found())
    for kind in ("nvcc", "NVRTC"):
        versions = [
            f"{name.removeprefix(kind).strip()} ({path})".strip()
            for name, path, _ in installed
            if name.startswith(kind)
        ]
        yield MachineFact(kind, ", ".join(versions) or "not found", bool(versions))


def _shared_memory() -> MachineFact:
    try:
        size = os.statvfs(SHM)
    except OSError as error:
        return MachineFact(str(SHM), error.strerror or str(error), ok=False)
    total, free = (blocks * size.f_frsize / 2**20 for blocks in (size.f_blocks, size.f_bavail))
    return MachineFact(str(SHM), f"{free:,.0f} of {total:,.0f} MiB free")


def _codecs() -> Iterator[MachineFact]:
    try:
        import av
    except ImportError as error:
        yield MachineFact("FFmpeg", f"PyAV can't be imported ({error})", ok=False)
        return
    yield MachineFact("FFmpeg", f"{av.ffmpeg_version_info}, PyAV {av.__version__}")
    for mode, what in (("r", "decodes"), ("w", "encodes")):
        able = [name for name in CODECS if _has_codec(av, name, mode)]
        lacks = [name for name in CODECS if name not in able]
        yield MachineFact(what, ", ".join(able) + (f"; not {', '.join(lacks)}" if lacks else ""), "h264" in able)


def _has_codec(av: Any, name: str, mode: str) -> bool:
    try:
        av.codec.Codec(name, mode)
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def _gstreamer() -> MachineFact:
    version = gstreamer_process.version()
    missing = f"{gstreamer_process.PROGRAM} not found; `gst:` sources need the package gstreamer1.0-tools"
    return MachineFact("GStreamer", version or missing, version is not None)


def _cameras() -> Iterator[MachineFact]:
    devices = sorted(Path("/dev").glob("video*"))
    if not devices:
        yield MachineFact("camera", "no /dev/video*", ok=False)
    for device in devices:
        name = ""
        with contextlib.suppress(OSError):
            name = Path(f"/sys/class/video4linux/{device.name}/name").read_text().strip()
        able = os.access(device, os.R_OK | os.W_OK)
        denied = "" if able else ", no access: add your user to the group video"
        yield MachineFact("camera", f"{device} {name}{denied}", able)


def _engines(config: Config, probe: BindingsProbe) -> list[EngineFile]:
    folder = engines_dir(config)
    wanted: tuple[engine_cache.EngineRecipe, ...] = ()
    with contextlib.suppress(UnavailableError, JetstreamError):
        wanted = build.recipes(config, probe.tensorrt) if probe.tensorrt else ()
    return engine_cache.scan(folder, wanted) if folder.is_dir() else []


def _kernels(config: Config, probe: BindingsProbe) -> Iterator[EngineFile]:
    """The kernel files in the engines folder, and those that TensorRT could use but that are missing."""
    wanted: tuple[str, ...] = ()
    with contextlib.suppress(UnavailableError):
        wanted = devices.capabilities(config) if probe.tensorrt else ()
    return cubin_cache.scan(engines_dir(config), wanted)
