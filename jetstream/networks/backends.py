"""Which backend runs the networks, and why: the order of preference, and what each needs.

Knows no engine and no model. On a machine without an NVIDIA driver the choice costs one failed `dlopen`.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

from jetstream.config.schema import Config, GpuConfig
from jetstream.errors import UserError
from jetstream.runners import cuda_bindings, cuda_driver
from jetstream.runners.base import UnavailableError
from jetstream.runners.tensorrt import bindings

Backend = Literal["tensorrt", "onnxruntime", "cpu"]
ORDER: tuple[Backend, ...] = ("tensorrt", "onnxruntime", "cpu")


class BackendChoice(NamedTuple):
    """The backends that work here, best first. Where one can't run a network, the next in `order` does."""

    order: tuple[Backend, ...]
    missing: dict[Backend, str]  # a clause for each of the others: why it can't run
    has_gpu: bool

    @property
    def best(self) -> Backend:
        return self.order[0]

    @property
    def why(self) -> str:
        """What is missing for a better backend, or "the best there is"."""
        before = ORDER[: ORDER.index(self.best)]
        better = [self.missing[backend] for backend in before if backend in self.missing]
        return "; ".join(dict.fromkeys(better)) if better else "the best there is"


def choose(settings: GpuConfig) -> BackendChoice:
    """The choice for `gpu.backend`. Raises UserError where the config names a backend that can't run here."""
    if settings.backend == "cpu":
        return BackendChoice(("cpu",), {}, has_gpu=False)
    missing: dict[Backend, str] = {}
    needs: dict[Backend, Callable[[GpuConfig], None]] = {"tensorrt": _need_tensorrt, "onnxruntime": _need_cuda_provider}
    for backend, need in needs.items():
        try:
            need(settings)
        except UnavailableError as reason:
            missing[backend] = str(reason)
    if settings.backend in missing:
        raise UserError(
            f'gpu.backend: "{settings.backend}" can\'t run here: {missing[settings.backend]}; see `jetstream doctor`, '
            'or set it to "auto"'
        )
    first = 0 if settings.backend == "auto" else ORDER.index(settings.backend)
    order = tuple(backend for backend in ORDER[first:] if backend not in missing)
    return BackendChoice(order, missing, has_gpu=_has_gpu())


def takes_nv12(config: Config) -> bool:
    """Whether frames are best kept as NV12: in the live pace, where `detect` copies them to the GPU as they are.

    Not where video is recorded: `record` would convert every frame, for twice the time that `capture` saves. Asks no
    GPU; where it then doesn't work, `detect` reads BGR, to which each reader converts the frames.
    """
    return keeps_on_gpu(config) and not (config.record.dir and config.record.video != "none")


def keeps_on_gpu(config: Config) -> bool:
    """Whether frames that a GPU decoded stay there: in the live pace, where `detect` reads them on a GPU. Asks no GPU;
    where it doesn't work, `detect` asks for the frames in shared memory."""
    settings = config.gpu
    return (
        config.pipeline.pace == "live"
        and config.detect.detector == "mtcnn"
        and settings.backend in ("auto", "tensorrt")
        and bindings.is_installed()
        and any(map(cuda_bindings.is_installed, cuda_bindings.candidates(settings.bindings)))
        and cuda_driver.is_installed()
    )


def _has_gpu() -> bool:
    try:
        return bool(cuda_driver.gpus())
    except UnavailableError:
        return False


def _need_tensorrt(settings: GpuConfig) -> None:
    cuda_driver.gpu(settings.device)
    if not bindings.is_installed():
        raise UnavailableError("TensorRT isn't installed")
    cuda_bindings.require_installed(settings.bindings)


def _need_cuda_provider(settings: GpuConfig) -> None:
    cuda_driver.gpu(settings.device)
    from jetstream.runners import onnxrt  # not imported without a GPU: it takes as long as all other imports

    if onnxrt.CUDA not in onnxrt.providers():
        raise UnavailableError("this onnxruntime has no CUDA provider (onnxruntime-gpu has)")
