"""Opens a network with the best backend that works for a config, or with the next where that one can't run it.

Builds nothing: `jetstream build`, `run` and `replay` do, ahead of time, since it takes minutes.
"""

import functools
import logging
from pathlib import Path

from jetstream.config.schema import Config, engines_dir
from jetstream.networks import backends
from jetstream.networks.profiles import profiles_of
from jetstream.runners import cuda_driver
from jetstream.runners.base import Runner, UnavailableError
from jetstream.runners.tensorrt import bindings, engine_cache
from jetstream.runners.tensorrt.engine_cache import Engine, EngineRecipe
from jetstream.runners.tensorrt.runner import TensorRTRunner

NAMES = {"tensorrt": "TensorRT", "onnxruntime": "ONNX Runtime's CUDA provider", "cpu": "ONNX Runtime on the CPU"}

WELL_IN_FP16 = frozenset(("onet", "embedder"))
"""Networks whose errors in half precision stay small in what is made of their answers.

P-Net's and R-Net's don't: their boxes are cut to whole pixels for the next network, so that an error of 0.001 moves a
crop by a pixel, O-Net's score by 0.3, and another candidate may win. SFace's numbers were off by 2.6 % of the largest,
on an H200 with TensorRT 8.5. Of added networks nobody knows.
"""

log = logging.getLogger(__name__)


class NotBuiltError(UnavailableError):
    """No engine is built yet."""


def open_runner(path: Path, config: Config, *, threads: int = 1) -> Runner:
    """The network in `path` (pnet.onnx, rnet.onnx, onet.onnx or embedder.onnx); `threads` is the number of CPU threads.

    With `gpu.backend` "auto" the log says once which backend is used and why, but not on a machine without an NVIDIA
    GPU. Raises ModelError where the file is missing or damaged, UserError where the config's backend can't run here.
    """
    from jetstream.runners.onnxrt import OnnxRunner  # a caller that only chooses a backend needn't import ONNX Runtime

    choice = backends.choose(config.gpu)
    for backend, following in zip(choice.order, choice.order[1:], strict=False):
        try:
            if backend == "tensorrt":
                runner: Runner = open_tensorrt(path, config, threads=threads)
            else:
                runner = OnnxRunner(path, threads=threads, device=config.gpu.device)
        except NotBuiltError as reason:
            _say(logging.INFO, f"{reason}; until then {NAMES[following]} runs what lacks one")
        except UnavailableError as reason:
            _say(logging.WARNING, f"{path.stem}: {NAMES[backend]} can't run it ({reason}); {NAMES[following]} does")
        else:
            if config.gpu.backend == "auto":
                _say(logging.INFO, said(choice, backend))
            return runner
    if choice.has_gpu and config.gpu.backend == "auto" and choice.best == "cpu":
        _say(logging.INFO, said(choice, "cpu"))
    return OnnxRunner(path, threads=threads)


def open_tensorrt(path: Path, config: Config, *, threads: int = 1) -> TensorRTRunner:
    """The network's engine, which must be built. Raises UnavailableError, NotBuiltError among them, and ModelError."""
    from jetstream.runners.onnxrt import OnnxRunner

    engine = load_engine_of(path, config)
    outside = functools.partial(OnnxRunner, path, threads=threads)
    return TensorRTRunner(engine, device=config.gpu.device, bindings=config.gpu.bindings, outside=outside)


def load_engine_of(path: Path, config: Config) -> Engine:
    """The network's engine from its file; a damaged file is set aside. Raises as `open_tensorrt`."""
    folder = engines_dir(config)
    if not any(folder.glob(f"{path.stem}-*{engine_cache.SUFFIX}")):  # saves the import of TensorRT
        raise NotBuiltError(f"no engines for TensorRT in {folder} yet (`jetstream build` makes them)")
    recipe = recipe_for(path, config, bindings.version())
    file = folder / recipe.file
    if not file.exists():
        raise NotBuiltError(
            f"no engines for this TensorRT, GPU and config in {folder} yet (`jetstream build` makes them)"
        )
    try:
        return engine_cache.read(file, recipe)
    except UnavailableError:
        engine_cache.set_aside(file)
        raise


def recipe_for(path: Path, config: Config, tensorrt: str) -> EngineRecipe:
    """The recipe of this config's engine of the network. Raises ModelError, and UnavailableError without a GPU."""
    return engine_cache.recipe(
        path,
        tensorrt=tensorrt,
        gpu=str(cuda_driver.gpu(config.gpu.device)),
        precision=config.gpu.precision if path.stem in WELL_IN_FP16 else "fp32",
        profiles=profiles_of(path.stem, config),
    )


def said(choice: backends.BackendChoice, backend: backends.Backend) -> str:
    """The log line about `backend`."""
    return f"gpu.backend auto: {NAMES[backend]} ({choice.why if backend == choice.best else 'the best that works'})"


@functools.cache
def _say(level: int, line: str) -> None:
    """Log a line once per process: four networks have the same reason."""
    log.log(level, "%s", line)
