"""Chooses the backend of a config, and builds the engines and kernels that it needs ahead of time.

Knows the files of `weights` and the backends of `runners`; opens no network itself.
"""

import logging
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from jetstream import weights
from jetstream.config import parts
from jetstream.config.schema import Config, PipelineConfig, engines_dir
from jetstream.errors import ModelError, UserError
from jetstream.gpu import cubin_cache
from jetstream.networks import backends, devices
from jetstream.networks.embedders import embedder_of
from jetstream.networks.profiles import profiles_of
from jetstream.networks.runner import NAMES, recipe_for, said
from jetstream.runners import cuda_bindings, cuda_driver
from jetstream.runners.base import UnavailableError
from jetstream.runners.tensorrt import prepare as engine_preparation
from jetstream.runners.tensorrt.build_pool import Progress
from jetstream.runners.tensorrt.engine_cache import EngineRecipe
from jetstream.runners.tensorrt.prepare import PreparedEngine

PROBE_S = engine_preparation.PATIENT.probe_s
"""time that `build_missing` may take before it first reports progress"""
COLUMNS = ("network", "precision", "sizes", "state", "s", "largest difference")

log = logging.getLogger(__name__)


class KernelBuild(NamedTuple):
    """The compiled kernels of `gpu`: how long compiling took, or the reason why there are none."""

    capability: str
    seconds: float = 0.0  # 0: they were compiled already
    reason: str = ""


class BuildReport(NamedTuple):
    """The engines and kernels of a config."""

    folder: Path
    engines: list[PreparedEngine]
    kernels: tuple[KernelBuild, ...]  # one for each compute capability of the GPUs

    @property
    def is_whole(self) -> bool:
        return all(one.path for one in self.engines) and not any(one.reason for one in self.kernels)


def prepare(config: Config, progress: Progress | None = None, *, later: bool = False) -> Config:
    """The config to run: `gpu.backend` decided, the engines it needs built and tested, so that stages only load.

    `later`: missing engines are left to the sidecar `build`, which the config has only where it has work to do.

    Logs which backend and why, except on a machine without an NVIDIA GPU. Raises UserError where the backend that the
    config names can't run here.
    """
    choice = backends.choose(config.gpu)
    if choice.best != "tensorrt":
        if choice.has_gpu and config.gpu.backend == "auto":
            log.info("%s", said(choice, choice.best))
        return _with_gpu(config, backend=choice.best)
    following = choice.order[1]
    try:
        built = _prepare_all(config, progress, build=not later)
    except UnavailableError as reason:
        if config.gpu.backend == "tensorrt":
            raise UserError(f'gpu.backend: "tensorrt" can\'t run here: {reason}; set it to "auto"') from None
        log.warning("gpu.backend auto: %s (%s)", NAMES[following], reason)
        return _with_gpu(config, backend=following)
    _warn(built, following)
    missing = list(dict.fromkeys(one.recipe.network for one in built.engines if one.is_missing))
    if not missing:
        config = _without_build(config)
    if not missing and not any(one.path for one in built.engines):
        return _with_gpu(config, backend=following)
    log.info("networks: %s, %s, on %s", *_what(built.engines), _gpus(config))
    if missing:
        log.info(
            "%s: the engines are built during the run; until then %s runs these networks",
            ", ".join(missing),
            NAMES[following],
        )
    return _with_gpu(config, backend="tensorrt", engines_dir=str(built.folder))


def build_missing(config: Config, progress: Progress) -> int:
    """Build, at low priority, the engines that a prepared config still lacks; how many were built.

    `progress` is called at least once a second from the first build on; what it raises ends all builds.
    """
    following = backends.choose(config.gpu).order[1]
    try:
        tensorrt, bindings = _found(config)
        wanted = recipes(config, tensorrt)
    except UnavailableError as reason:
        log.warning("no engines can be built (%s); %s goes on", reason, NAMES[following])
        return 0
    folder = engines_dir(config)
    made = [
        one
        for device, of_model in _by_device(config, wanted)
        for one in engine_preparation.ensure(
            [recipe for recipe in of_model if not (folder / recipe.file).exists()],
            folder,
            device=device,
            bindings=bindings,
            progress=progress,
            command=engine_preparation.BACKGROUND,
        )
    ]
    _warn_of_engines(made, following)
    return sum(one.path is not None for one in made)


def build(config: Config, progress: Progress | None = None) -> BuildReport:
    """Build and test every engine that the config needs, and compile the kernels.

    Raises ModelError, with the reason, where nothing can be built here.
    """
    try:
        choice = backends.choose(_with_gpu(config, backend="auto").gpu)
        if "tensorrt" in choice.missing:
            raise UnavailableError(choice.missing["tensorrt"])
        built = _prepare_all(config, progress)
    except UnavailableError as reason:
        raise ModelError(f"no engines can be built here: {reason}; the networks run without them") from None
    _warn(built, choice.order[1])
    return built


def rows(built: BuildReport) -> Iterator[tuple[str, ...]]:
    """Rows of `jetstream build`'s table, in the order of COLUMNS: one for each engine and one for the kernels."""
    for one in built.engines:
        sizes = ", ".join(map(str, one.recipe.profiles))
        error = f"{one.error:.1e}" if one.path else ""
        yield _name(one, built.engines), one.recipe.precision, sizes, *_state(one.path is None, one.seconds), error
    for kernels in built.kernels:
        yield "kernels", "", f"for {kernels.capability}", *_state(bool(kernels.reason), kernels.seconds), ""


def _name(one: PreparedEngine, engines: Sequence[PreparedEngine]) -> str:
    """The network, and the GPU where the engines are for several models."""
    several = len({other.recipe.gpu for other in engines}) > 1
    return f"{one.recipe.network} on {one.recipe.gpu.partition(',')[0]}" if several else one.recipe.network


def _state(has_failed: bool, seconds: float) -> tuple[str, str]:
    if has_failed:
        return "failed", ""
    return ("built", f"{seconds:.0f}") if seconds else ("already built", "")


def recipes(config: Config, tensorrt: str) -> tuple[EngineRecipe, ...]:
    """The recipe of each network's engine, for each model of GPU and each part of the cameras: P-Net's sizes are those
    of the largest of them. Raises ModelError without models, UnavailableError without a GPU."""
    files = weights.paths(Path(config.models.dir))
    networks = files.pnet, files.rnet, files.onet, embedder_of(config).path
    # a recipe takes the hash of a file, so those that can't differ are not made
    apart = {(str(cuda_driver.gpu(own.gpu.device)), profiles_of("pnet", own)): own for own in parts.of_networks(config)}
    found = [recipe_for(path, own, tensorrt) for own in apart.values() for path in networks]
    return tuple({recipe.file: recipe for recipe in found}.values())


def _by_device(config: Config, wanted: Sequence[EngineRecipe]) -> Iterator[tuple[int, list[EngineRecipe]]]:
    """The recipes for each model of GPU, and the number of the first GPU of that model, which builds and tests them."""
    for model, (first, *_) in devices.models(config).items():
        yield first, [recipe for recipe in wanted if recipe.gpu == model]


def _prepare_all(config: Config, progress: Progress | None, *, build: bool = True) -> BuildReport:
    capabilities = devices.capabilities(config)
    tensorrt, bindings = _found(config)
    wanted = recipes(config, tensorrt)
    folder, trouble = engine_preparation.writable(engines_dir(config))
    if trouble:
        folder = _without_writing(engines_dir(config), wanted, capabilities, folder, trouble)
    supplied = [
        one
        for device, of_model in _by_device(config, wanted)
        for one in engine_preparation.ensure(
            of_model,
            folder,
            device=device,
            bindings=bindings,
            build=build,
            progress=progress,
            level=_level_of_lines(),
        )
    ]
    return BuildReport(folder, supplied, tuple(_kernels(folder, capability) for capability in capabilities))


def _found(config: Config) -> tuple[str, cuda_bindings.Bindings]:
    """TensorRT's version, and the bindings of CUDA to build with. Raises UnavailableError where one is missing."""
    found = engine_preparation.probe()
    if found.tensorrt_missing:
        raise UnavailableError(found.tensorrt_missing)
    return found.tensorrt, cuda_bindings.chosen(config.gpu.bindings, found.cuda_missing).bindings


def _level_of_lines() -> int:
    """Of the log lines about single builds, which a terminal shows as bars."""
    return logging.DEBUG if sys.stderr is not None and sys.stderr.isatty() else logging.INFO


def _kernels(folder: Path, capability: str) -> KernelBuild:
    began_s = time.monotonic()
    try:
        if cubin_cache.is_there(folder, capability):
            return KernelBuild(capability)
        cubin_cache.ensure(folder, capability)
    except UnavailableError as reason:
        return KernelBuild(capability, reason=str(reason))
    return KernelBuild(capability, time.monotonic() - began_s)


def _has_kernels(folder: Path, capability: str) -> bool:
    """Whether no kernels are missing; also true where there are none for such a GPU."""
    try:
        return cubin_cache.is_there(folder, capability)
    except UnavailableError:
        return True


def _without_writing(
    folder: Path, wanted: Sequence[EngineRecipe], capabilities: Sequence[str], temporary: Path, trouble: str
) -> Path:
    """The folder to use where `folder` can't be written: `folder` itself if it holds all engines and the kernels.

    Else `temporary`, with a copy of the engines if all are there.
    """
    has_engines = all((folder / one.file).exists() for one in wanted)
    if has_engines and all(_has_kernels(folder, capability) for capability in capabilities):
        return folder
    if has_engines:  # they took minutes to build
        for one in wanted:
            shutil.copyfile(folder / one.file, temporary / one.file)
    log.warning("%s; engines are kept in %s, which the machine may clear: set gpu.engines_dir", trouble, temporary)
    return temporary


def _warn(built: BuildReport, following: backends.Backend) -> None:
    _warn_of_engines(built.engines, following)
    for reason in dict.fromkeys(one.reason for one in built.kernels if one.reason):
        lost = "only the networks run on the GPU, with TensorRT"
        log.warning("the GPU's kernels can't be compiled (%s); %s", reason, lost)


def _warn_of_engines(engines: Sequence[PreparedEngine], following: backends.Backend) -> None:
    for one in engines:
        for note in one.notes:
            again = "is built again" if one.is_missing else "built again"
            log.warning("%s: an engine was set aside and %s: %s", _name(one, engines), again, note)
        if one.reason:
            log.warning("%s: no TensorRT engine (%s); %s runs it", _name(one, engines), one.reason, NAMES[following])


def _what(supplied: Sequence[PreparedEngine]) -> tuple[str, str]:
    recipe = supplied[0].recipe
    precisions = sorted({one.recipe.precision for one in supplied})
    return recipe.tensorrt, " and ".join(precisions)


def _gpus(config: Config) -> str:
    """The config's GPUs, with their numbers where several are named."""
    if not config.gpu.devices:
        return str(cuda_driver.gpu(config.gpu.device))
    return " and ".join(
        f"{model} (GPU {', '.join(map(str, numbers))})" for model, numbers in devices.models(config).items()
    )


def _with_gpu(config: Config, **changes: str) -> Config:
    return msgspec.structs.replace(config, gpu=msgspec.structs.replace(config.gpu, **changes))


def _without_build(config: Config) -> Config:
    """The config without the sidecar `build`, which would have nothing to do."""
    without = tuple(dict.fromkeys((*config.pipeline.without, "build")))
    pipeline: PipelineConfig = msgspec.structs.replace(config.pipeline, without=without)
    return msgspec.structs.replace(config, pipeline=pipeline)


def prepare_models(config: Config, progress: Progress | None = None) -> None:
    folder = Path(config.models.dir)
    if not weights.is_built(folder):
        log.info("building the models in %s, once", folder)
        weights.build(folder, progress)
