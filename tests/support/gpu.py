"""What tests on a GPU share: whether there is one, and an engine built for it."""

import os
from pathlib import Path
from typing import Any

import pytest

from jetstream.config.schema import CameraConfig, Config, DetectConfig, GpuConfig
from jetstream.errors import ModelError, UserError
from jetstream.networks import backends
from jetstream.networks.runner import open_tensorrt, recipe_for
from jetstream.runners.tensorrt import bindings, prepare
from jetstream.runners.tensorrt.runner import TensorRTRunner

THRESHOLDS = (0.7, 0.7, 0.5)
BINDINGS: Any = os.environ.get("JETSTREAM_BINDINGS", "auto")  # the `gpu.bindings` of all tests but those of `device`


def need(backend: str) -> None:
    """Skip the test, saying why, where the backend isn't here."""
    try:
        backends.choose(GpuConfig(backend=backend, bindings=BINDINGS))
    except UserError as missing:
        pytest.skip(str(missing))


def engines_for(engines: Path, precision: str = "fp32") -> Config:
    return Config(gpu=_gpu(precision, engines))


def cascade_config(folder: Path, precision: str = "fp32", **detect: Any) -> Config:
    """Of four cameras of 1280 x 720 px, whose detection runs on the GPU."""
    cameras = tuple(CameraConfig(name=f"c{number}", source="0", max_width=1280, max_height=720) for number in range(4))
    return Config(
        cameras=cameras,
        detect=DetectConfig(**{"thresholds": THRESHOLDS, "batch": 4, **detect}),
        gpu=_gpu(precision, folder),
    )


def _gpu(precision: str, engines: Path) -> GpuConfig:
    return GpuConfig(backend="tensorrt", bindings=BINDINGS, precision=precision, engines_dir=str(engines))


def kept_engines(otherwise: Path) -> Path:
    """Builds take minutes: JETSTREAM_ENGINES names a folder that lasts longer than a test run."""
    folder = Path(os.environ.get("JETSTREAM_ENGINES", otherwise))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def built_and_opened(path: Path, engines: Path) -> TensorRTRunner:
    """The network in TensorRT, in float32. Raises ModelError where the file is at fault."""
    engines = kept_engines(engines)
    config = engines_for(engines)
    recipe = recipe_for(path, config, bindings.version())
    if not (engines / recipe.file).exists():
        (made,) = prepare.ensure([recipe], engines, bindings=BINDINGS)
        if made.path is None:
            raise ModelError(made.reason)
    return open_tensorrt(path, config)
