"""What tests on a GPU share: whether there is one, and an engine built for it."""

import os
from pathlib import Path

import pytest

from jetstream.config.schema import Config, GpuConfig
from jetstream.errors import ModelError, UserError
from jetstream.networks import backends
from jetstream.networks.runner import open_tensorrt, recipe_for
from jetstream.runners.tensorrt import bindings, prepare
from jetstream.runners.tensorrt.runner import TensorRTRunner


def need(backend: str) -> None:
    """Skip the test, saying why, where the backend isn't here."""
    try:
        backends.choose(GpuConfig(backend=backend))
    except UserError as missing:
        pytest.skip(str(missing))


def engines_for(engines: Path, precision: str = "fp32") -> Config:
    return Config(gpu=GpuConfig(backend="tensorrt", precision=precision, engines_dir=str(engines)))


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
        (made,) = prepare.ensure([recipe], engines)
        if made.path is None:
            raise ModelError(made.reason)
    return open_tensorrt(path, config)
