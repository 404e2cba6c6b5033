"""Opens a config's device-resident path: the GPU with jetstream's kernels, the engines, detector and embedder.

Builds and compiles nothing: `jetstream build`, `run` and `replay` do, ahead of time.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from jetstream import weights
from jetstream.config.schema import CameraConfig, Config, engines_dir
from jetstream.gpu import cubin_cache, pnet
from jetstream.gpu.cascade import Cascade, logit
from jetstream.gpu.cascade_graph import CascadeSettings
from jetstream.gpu.detector import GpuDetector
from jetstream.gpu.device import CudaDevice, Device
from jetstream.gpu.embedder import GpuEmbedder
from jetstream.gpu.engine_net import EngineNet
from jetstream.gpu.structs import SearchSettings
from jetstream.networks.embedders import embedder_of
from jetstream.networks.runner import load_engine_of
from jetstream.runners import cuda_driver
from jetstream.runners.base import UnavailableError
from jetstream.vision.detection.mtcnn import AFTER_PNET_IOU
from jetstream.vision.detection.proposals import CELL_PX


@contextmanager
def open_device(config: Config) -> Iterator[CudaDevice]:
    """The GPU of this config. Raises UnavailableError where the GPU, CUDA's bindings or the kernels are missing."""
    capability = cuda_driver.gpu(config.gpu.device).capability
    kernels = cubin_cache.load(engines_dir(config), capability)
    device = CudaDevice(config.gpu.device, kernels, config.gpu.bindings)
    try:
        yield device
    finally:
        device.close()


@contextmanager
def open_net(path: Path, config: Config, device: Device) -> Iterator[EngineNet]:
    """A network's engine on the device. Raises UnavailableError, also where it isn't built, and ModelError."""
    engine = load_engine_of(path, config)
    with device.current():
        net = EngineNet(engine, device)
    try:
        yield net
    finally:
        with device.current():
            net.close()


@contextmanager
def open_gpu_detector(config: Config) -> Iterator[GpuDetector]:
    """The cascade, with memory for `detect.batch` pictures of the largest cameras. Raises UnavailableError."""
    files = weights.paths(Path(config.models.dir))
    with ExitStack() as stack:
        device = stack.enter_context(open_device(config))
        rnet, onet = (stack.enter_context(open_net(path, config, device)) for path in (files.rnet, files.onet))
        tile = cubin_cache.tile_cells(cuda_driver.gpu(config.gpu.device).capability)
        with device.current():
            cascade = Cascade(device, rnet, onet, pnet.weights(files.pnet), settings_of(config, tile))
            stack.callback(_close, device, cascade)
            try:
                cascade.reserve([(camera.max_height, camera.max_width) for camera in _largest(config)])
            except RuntimeError as error:
                raise UnavailableError(str(error)) from None
        yield GpuDetector(device, cascade)


@contextmanager
def open_gpu_embedder(config: Config) -> Iterator[GpuEmbedder]:
    """The embedder that cuts its own chips. Raises UnavailableError, also where it isn't built, and ModelError."""
    with ExitStack() as stack:
        device = stack.enter_context(open_device(config))
        entry = embedder_of(config)
        net = stack.enter_context(open_net(entry.path, config, device))
        with device.current():
            embedder = GpuEmbedder(device, net, entry.spec)
        stack.callback(_close, device, embedder)
        yield embedder


def settings_of(config: Config, tile_cells: int) -> CascadeSettings:
    """The cascade's settings for this config."""
    detect = config.detect
    assert detect.thresholds is not None  # config.with_preset filled it
    smallest = CELL_PX / detect.max_face_px if detect.max_face_px else 0.0
    search = SearchSettings(CELL_PX / detect.min_face_px, smallest, detect.factor, tile_cells)
    first, second, third = (logit(threshold) for threshold in detect.thresholds)
    return CascadeSettings(search, (first, second, third), AFTER_PNET_IOU, detect.batch)


def _largest(config: Config) -> list[CameraConfig]:
    """The largest cameras, as many as fit in a batch, which holds at most one frame of each camera."""
    by_size = sorted(config.cameras, key=lambda camera: camera.max_width * camera.max_height, reverse=True)
    return by_size[: config.detect.batch]


def _close(device: Device, what: Cascade | GpuEmbedder) -> None:
    with device.current():
        what.close()
