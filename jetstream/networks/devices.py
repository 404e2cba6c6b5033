"""The GPUs of `gpu.devices`: whether they are there, and of which models, since an engine is built for a model."""

import logging
from collections.abc import Mapping

from jetstream.config import parts
from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.runners import cuda_driver
from jetstream.runners.base import UnavailableError

log = logging.getLogger(__name__)


def check_devices(config: Config) -> None:
    """Log which GPUs of `gpu.devices` stay idle, or why all do. Raises UserError for one that isn't there."""
    numbers, backend = config.gpu.devices, config.gpu.backend
    if not numbers:
        return
    if backend == "cpu":
        _say_idle(config, 'gpu.backend is "cpu"')
        return
    try:
        there = len(cuda_driver.gpus())
    except UnavailableError as reason:
        if backend == "auto":  # another one is refused as such
            _say_idle(config, str(reason))
        return
    for number in numbers:
        if number >= there:
            raise UserError(
                f"gpu.devices: there is no GPU {number}: this machine has {there}, numbered from 0; name those that "
                "`jetstream doctor` lists"
            )
    if idle := numbers[len(config.cameras) :]:
        log.warning("gpu.devices: no camera is left for GPU %s", ", ".join(map(str, idle)))


def _say_idle(config: Config, why: str) -> None:
    processes = parts.detect_parts(config)
    log.warning(
        "gpu.devices: %s, so the networks run on the CPU; %d processes share the cameras all the same", why, processes
    )


def models(config: Config) -> Mapping[str, tuple[int, ...]]:
    """The numbers of the config's GPUs by their model, the name and compute capability of which an engine depends on.
    Raises UnavailableError for one that isn't there."""
    found: dict[str, tuple[int, ...]] = {}
    for number in sorted({config.gpu.device, *parts.devices(config)}):
        model = str(cuda_driver.gpu(number))
        found[model] = (*found.get(model, ()), number)
    return found


def capabilities(config: Config) -> tuple[str, ...]:
    """The compute capabilities of the config's GPUs, each once: kernels are compiled for them. Raises as `models`."""
    return tuple(dict.fromkeys(cuda_driver.gpu(first).capability for first, *_ in models(config).values()))
