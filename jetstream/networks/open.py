"""Opens the networks that a config asks for, as context managers.

Knows which file is which and which backend runs it; knows no frame, no process and no gallery.
"""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import cv2

from jetstream import weights
from jetstream.config.schema import Config
from jetstream.networks import backends
from jetstream.networks.runner import NotBuiltError, open_runner
from jetstream.runners.base import UnavailableError
from jetstream.vision.detection.detector import CpuDetector, Detector
from jetstream.vision.detection.mtcnn import BATCH, Mtcnn
from jetstream.vision.recognition.embedder import CpuEmbedder, Embedder

T = TypeVar("T")

log = logging.getLogger("jetstream")

__all__ = ["open_detector", "open_embedder", "open_mtcnn", "open_runner"]


@contextmanager
def open_detector(config: Config) -> Iterator[Detector]:
    """The cascade as the detect stage asks it: on the GPU from end to end where that works, else net by net.

    Raises ModelError when a model isn't built or is damaged.
    """
    with ExitStack() as stack:
        detector: Detector | None = None
        if backends.choose(config.gpu).best == "tensorrt":
            from jetstream.networks.gpu import open_gpu_detector  # without a GPU nothing of it is imported

            otherwise = "detect: not on the GPU from end to end (%s); its networks run one by one"
            detector = _entered(stack, open_gpu_detector(config), otherwise)
        if detector is None:
            detector = CpuDetector(stack.enter_context(open_mtcnn(config)))
        yield detector


@contextmanager
def open_mtcnn(config: Config) -> Iterator[Mtcnn]:
    """The MTCNN cascade, picture by picture. Raises ModelError when a model isn't built or is damaged."""
    cv2.setNumThreads(1)  # its pool spins, and on few cores takes from the other stages what it gains here
    settings = config.detect
    files = weights.paths(Path(config.models.dir))
    with ExitStack() as stack:
        pnet, rnet, onet = (
            stack.enter_context(open_runner(path, config, threads=settings.threads))
            for path in (files.pnet, files.rnet, files.onet)
        )
        assert settings.thresholds is not None  # config.with_preset filled it
        yield Mtcnn(
            pnet,
            rnet,
            onet,
            min_face_px=settings.min_face_px,
            max_face_px=settings.max_face_px or None,
            thresholds=settings.thresholds,
            factor=settings.factor,
            batch=BATCH if backends.choose(config.gpu).best == "cpu" else config.gpu.batch,
        )


@contextmanager
def open_embedder(config: Config) -> Iterator[Embedder]:
    """The embedding network, which also cuts its chips where that works on the GPU.

    Raises ModelError when it isn't built or is damaged.
    """
    cv2.setNumThreads(1)
    path = weights.paths(Path(config.models.dir)).embedder
    with ExitStack() as stack:
        embedder: Embedder | None = None
        if backends.choose(config.gpu).best == "tensorrt":
            from jetstream.networks.gpu import open_gpu_embedder

            otherwise = "recognize: chips aren't cut on the GPU (%s); the CPU does"
            embedder = _entered(stack, open_gpu_embedder(config), otherwise)
        if embedder is None:
            runner = stack.enter_context(open_runner(path, config, threads=config.recognize.threads))
            embedder = CpuEmbedder(runner, batch=config.recognize.batch)
        yield embedder


def _entered(stack: ExitStack, on_gpu: AbstractContextManager[T], otherwise: str) -> T | None:
    """What runs on the GPU, or None after the warning `otherwise`; of engines not built open_runner tells."""
    try:
        return stack.enter_context(on_gpu)
    except NotBuiltError:
        return None
    except UnavailableError as reason:
        log.warning(otherwise, reason)
        return None
