"""Opens the networks that a config asks for, as context managers.

Knows the file and the backend of each network; knows no frame, no process and no gallery.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import msgspec

from jetstream import weights
from jetstream.config.schema import Config
from jetstream.errors import ModelError
from jetstream.networks import backends, embedders
from jetstream.networks.runner import NotBuiltError, open_runner
from jetstream.runners.base import UnavailableError
from jetstream.vision.detection.detector import Detector, DetectorIdentity
from jetstream.vision.detection.mtcnn import BATCH, Mtcnn, MtcnnDetector
from jetstream.vision.recognition.embedder import CpuEmbedder, Embedder

T = TypeVar("T")

log = logging.getLogger(__name__)


@contextmanager
def open_detector(config: Config) -> Iterator[Detector]:
    """The detector for the cameras' frames. Raises ModelError when a model isn't built or is damaged."""
    with DETECTORS[DETECTOR].for_frames(config) as detector:
        yield detector


@contextmanager
def open_picture_detector(config: Config) -> Iterator[Detector]:
    """The same detector for single pictures, which may be larger than the cameras' frames. Raises ModelError."""
    with DETECTORS[DETECTOR].for_pictures(config) as detector:
        yield detector


def for_photos(config: Config) -> Config:
    """The same detector with the published cascade's thresholds: a face missed in a photo may leave a person out."""
    detect = msgspec.structs.replace(config.detect, thresholds=(0.6, 0.7, 0.7), max_face_px=0.0)
    return msgspec.structs.replace(config, detect=detect)


def photo_detector_identity(config: Config) -> DetectorIdentity:
    """The identity of the detector for photos (`for_photos`). Raises ModelError where a model isn't built."""
    return DetectorIdentity(DETECTOR, DETECTORS[DETECTOR].sha256(for_photos(config)))


@contextmanager
def open_embedder(config: Config) -> Iterator[Embedder]:
    """The embedding network, which also cuts its chips where that works on the GPU.

    Raises ModelError when it isn't built or is damaged.
    """
    cv2.setNumThreads(1)
    entry = embedders.embedder_of(config)
    entry.check()
    with ExitStack() as stack:
        embedder: Embedder | None = None
        if backends.choose(config.gpu).best == "tensorrt":
            from jetstream.networks.gpu import open_gpu_embedder

            otherwise = "recognize: chips are cut on the CPU, not on the GPU (%s)"
            embedder = _entered(stack, open_gpu_embedder(config), otherwise)
        if embedder is None:
            runner = stack.enter_context(open_runner(entry.path, config, threads=config.recognize.threads))
            on_cpu = backends.choose(config.gpu).best == "cpu"
            batch = entry.cpu_batch if on_cpu and entry.cpu_batch else config.recognize.batch
            embedder = CpuEmbedder(runner, entry.spec, batch=batch)
        yield embedder


@contextmanager
def _mtcnn_for_frames(config: Config) -> Iterator[Detector]:
    """All of MTCNN on the GPU where that works, else network by network."""
    with ExitStack() as stack:
        detector: Detector | None = None
        if backends.choose(config.gpu).best == "tensorrt":
            from jetstream.networks.gpu import open_gpu_detector  # not imported without a GPU

            otherwise = "detect: not on the GPU from end to end (%s); its networks run one by one"
            detector = _entered(stack, open_gpu_detector(config), otherwise)
        if detector is None:
            detector = stack.enter_context(_mtcnn(config))
        yield detector


@contextmanager
def _mtcnn(config: Config) -> Iterator[Detector]:
    """MTCNN network by network."""
    cv2.setNumThreads(1)  # its pool spins, and on few cores takes from the other stages what it gains here
    settings = config.detect
    with ExitStack() as stack:
        pnet, rnet, onet = (
            stack.enter_context(open_runner(path, config, threads=settings.threads)) for path in _mtcnn_files(config)
        )
        assert settings.thresholds is not None  # config.with_preset filled it
        mtcnn = Mtcnn(
            pnet,
            rnet,
            onet,
            min_face_px=settings.min_face_px,
            max_face_px=settings.max_face_px or None,
            thresholds=settings.thresholds,
            factor=settings.factor,
            batch=BATCH if backends.choose(config.gpu).best == "cpu" else config.gpu.batch,
        )
        yield MtcnnDetector(mtcnn)


def _mtcnn_sha256(config: Config) -> str:
    """Digest of MTCNN's networks and thresholds, not of its sizes: a new `min_face_px` needs no new training."""
    contents = [_file_sha256(path) for path in _mtcnn_files(config)]
    return hashlib.sha256(msgspec.json.encode([contents, config.detect.thresholds])).hexdigest()


def _mtcnn_files(config: Config) -> tuple[Path, Path, Path]:
    files = weights.paths(Path(config.models.dir))
    return files.pnet, files.rnet, files.onet


class DetectorEntry(NamedTuple):
    """How a detector is opened for a config, and what identifies it."""

    for_frames: Callable[[Config], AbstractContextManager[Detector]]
    for_pictures: Callable[[Config], AbstractContextManager[Detector]]
    sha256: Callable[[Config], str]  # of its networks and of the settings that decide which faces it finds in photos


DETECTORS = {"mtcnn": DetectorEntry(_mtcnn_for_frames, _mtcnn, _mtcnn_sha256)}
"""Each passes tests/vision/detection/test_detector.py."""
DETECTOR = "mtcnn"


def _file_sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: can't be read ({error.strerror}); run `jetstream models`") from None


def _entered(stack: ExitStack, on_gpu: AbstractContextManager[T], otherwise: str) -> T | None:
    """What `on_gpu` opens, or None after the warning `otherwise`. `open_runner` logs that an engine isn't built."""
    try:
        return stack.enter_context(on_gpu)
    except NotBuiltError:
        return None
    except UnavailableError as reason:
        log.warning(otherwise, reason)
        return None
