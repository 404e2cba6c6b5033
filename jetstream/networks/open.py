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
from jetstream.errors import UserError
from jetstream.networks import backends, cards, embedders
from jetstream.networks.runner import NotBuiltError, open_runner
from jetstream.runners.base import UnavailableError
from jetstream.vision.detection.detector import Detector, DetectorIdentity
from jetstream.vision.detection.mtcnn import BATCH, Mtcnn, MtcnnDetector
from jetstream.vision.detection.yunet import YunetDetector
from jetstream.vision.recognition.embedder import CpuEmbedder, Embedder

T = TypeVar("T")

log = logging.getLogger(__name__)


@contextmanager
def open_detector(config: Config) -> Iterator[Detector]:
    """The detector for the cameras' frames. Raises ModelError when a model isn't built or is damaged."""
    with detector_entry(config).for_frames(config) as detector:
        yield detector


@contextmanager
def open_picture_detector(config: Config) -> Iterator[Detector]:
    """The same detector for single pictures, which may be larger than the cameras' frames. Raises ModelError."""
    with detector_entry(config).for_pictures(config) as detector:
        yield detector


def for_photos(config: Config) -> Config:
    """The same detector with the published cascade's thresholds: a face missed in a photo may leave a person out."""
    detect = msgspec.structs.replace(config.detect, thresholds=(0.6, 0.7, 0.7), max_face_px=0.0)
    return msgspec.structs.replace(config, detect=detect)


def photo_detector_identity(config: Config) -> DetectorIdentity:
    """The identity of the detector for photos (`for_photos`). Raises ModelError where a model isn't built."""
    return DetectorIdentity(config.detect.detector, detector_entry(config).sha256(for_photos(config)))


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
            batch = 1 if on_cpu and entry.card.one_by_one else config.recognize.batch
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
    contents = [cards.file_sha256(path, "run `jetstream models`") for path in _mtcnn_files(config)]
    return hashlib.sha256(msgspec.json.encode([contents, config.detect.thresholds])).hexdigest()


def _mtcnn_files(config: Config) -> tuple[Path, Path, Path]:
    files = weights.paths(Path(config.models.dir))
    return files.pnet, files.rnet, files.onet


@contextmanager
def _added(config: Config) -> Iterator[Detector]:
    """A detector that a user added, on ONNX Runtime."""
    from jetstream.runners.onnxrt import OnnxRunner  # not imported where TensorRT runs everything

    cv2.setNumThreads(1)
    card, settings = _detector_card(config), config.detect
    files = cards.files_of(settings.detector, Path(config.models.dir))
    cards.check_file(files.onnx, card.sha256, files.card)
    assert settings.thresholds is not None
    assert card.layout
    with OnnxRunner(files.onnx, threads=settings.threads) as network:
        yield YunetDetector(
            network,
            card.layout,
            min_face_px=settings.min_face_px,
            max_face_px=settings.max_face_px or None,
            least_score=settings.thresholds[2],
        )


def _added_sha256(config: Config) -> str:
    card = _detector_card(config)
    files = cards.files_of(config.detect.detector, Path(config.models.dir))
    cards.check_file(files.onnx, card.sha256, files.card)
    return hashlib.sha256(msgspec.json.encode([card.sha256, config.detect.thresholds])).hexdigest()


def _detector_card(config: Config) -> cards.ModelCard:
    name, models_dir = config.detect.detector, Path(config.models.dir)
    if name not in cards.names(models_dir):
        raise UserError(
            f'detect.detector: there is no detector "{name}" in {models_dir}; set it to "mtcnn", or add it with '
            "`jetstream models add`"
        )
    card = cards.stored(name, models_dir)
    if card.kind != "detector":
        raise UserError(f'detect.detector: "{name}" is an {card.kind}; name a detector, such as "mtcnn"')
    return card


class DetectorEntry(NamedTuple):
    """How a detector is opened for a config, and what identifies it."""

    for_frames: Callable[[Config], AbstractContextManager[Detector]]
    for_pictures: Callable[[Config], AbstractContextManager[Detector]]
    sha256: Callable[[Config], str]  # of its networks and of the settings that decide which faces it finds in photos


DETECTORS = {
    "mtcnn": DetectorEntry(_mtcnn_for_frames, _mtcnn, _mtcnn_sha256),
    "yunet": DetectorEntry(_added, _added, _added_sha256),
    "scrfd": DetectorEntry(_added, _added, _added_sha256),
}
"""The built-in detector, and what opens an added one, by the layout in its card. Each passes
tests/vision/detection/test_detector.py."""


def detector_entry(config: Config) -> DetectorEntry:
    """How the detector of `config` is opened. Raises UserError for an unknown name and for a damaged card."""
    if config.detect.detector == "mtcnn":
        return DETECTORS["mtcnn"]
    return DETECTORS[_detector_card(config).layout]


def _entered(stack: ExitStack, on_gpu: AbstractContextManager[T], otherwise: str) -> T | None:
    """What `on_gpu` opens, or None after the warning `otherwise`. `open_runner` logs that an engine isn't built."""
    try:
        return stack.enter_context(on_gpu)
    except NotBuiltError:
        return None
    except UnavailableError as reason:
        log.warning(otherwise, reason)
        return None
