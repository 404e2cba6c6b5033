"""Opens the networks that a config asks for, as context managers.

Knows which file is which and which backend runs it; knows no frame, no process and no gallery.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2

from jetstream import weights
from jetstream.config import Config
from jetstream.runners import backends
from jetstream.runners.opening import open_runner
from jetstream.vision.embedder import Embedder
from jetstream.vision.mtcnn import BATCH, Mtcnn

__all__ = ["open_detector", "open_embedder", "open_runner"]


@contextmanager
def open_detector(config: Config) -> Iterator[Mtcnn]:
    """The MTCNN cascade. Raises ModelError when a model isn't built or is damaged."""
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
    """The embedding network. Raises ModelError when it isn't built or is damaged."""
    cv2.setNumThreads(1)
    path = weights.paths(Path(config.models.dir)).embedder
    with open_runner(path, config, threads=config.recognize.threads) as runner:
        yield Embedder(runner, batch=config.recognize.batch)
