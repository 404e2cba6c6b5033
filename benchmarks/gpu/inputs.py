"""The inputs of the GPU benchmarks: real pictures, in page-locked rings, and configs for them."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from jetstream import weights
from jetstream.config import schema as configuration
from jetstream.config.schema import CameraConfig, Config, DetectConfig, GpuConfig, ModelsConfig, RecognizeConfig
from jetstream.errors import RingError
from jetstream.gpu.device import Device
from jetstream.ipc.ring import Ring, segment_name
from jetstream.ipc.segment import SHARED_MEMORY
from jetstream.picture_format import AnyPicture, GpuPicture, Nv12Picture, PictureFormat, PicturePlace, packed
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.vision.detection.detections import Detections, Picture
from jetstream.vision.detection.detector import DetectorInput
from jetstream.vision.detection.mtcnn import Mtcnn
from tests.support import defaults
from tests.support.nv12 import nv12_of

REPOSITORY = Path(__file__).resolve().parents[2]
MODELS = REPOSITORY / "models"
THRESHOLDS = (0.7, 0.7, 0.5)  # the preset "fast"
NOTHING = np.empty((0, 4), np.float32)
SIZES = {"720p": (720, 1280), "1080p": (1080, 1920), "4K": (2160, 3840)}


class Options(NamedTuple):
    """What all sections share."""

    data: Path
    engines: Path
    seconds: float  # of each measured stretch of the pipeline
    embed_batch: int  # recognize.batch that the embedder's engine was built for
    peer_python: str  # empty: no peers
    peer_path: Path | None
    fed: tuple[tuple[int, float], ...] = ()  # cameras, and frames a second of each; none: the usual ones


def pictures(folder: Path) -> list[Picture]:
    """All of the folder, BGR, by name."""
    files = sorted(folder.glob("*.jpg"))
    if not files:
        raise SystemExit(f"{folder}: no *.jpg there; name a folder of pictures, video frames as f*.jpg")
    return [_read(file) for file in files]


def frames(folder: Path, size: tuple[int, int], most: int = 64) -> list[Picture]:
    """The folder's video frames (f*.jpg) at this size (rows, columns)."""
    rows, columns = size
    some = [_read(file) for file in sorted(folder.glob("f*.jpg"))[:most]] or pictures(folder)[:most]
    return [
        image
        if image.shape[:2] == size
        else np.asarray(cv2.resize(image, (columns, rows), interpolation=cv2.INTER_CUBIC), np.uint8)
        for image in some
    ]


def config_of(
    options: Options,
    precision: str,
    *,
    size: tuple[int, int] = (1080, 1920),
    cameras: int = 8,
    backend: str = "tensorrt",
) -> Config:
    """`cameras` cameras of this size (rows, columns), every frame searched."""
    rows, columns = size
    named = tuple(CameraConfig(name=f"c{i}", source="0", max_width=columns, max_height=rows) for i in range(cameras))
    return configuration.with_preset(
        Config(
            cameras=named,
            models=ModelsConfig(dir=str(MODELS)),
            detect=DetectConfig(thresholds=THRESHOLDS, search="always", batch=8),
            recognize=RecognizeConfig(batch=options.embed_batch),
            gpu=GpuConfig(backend=backend, precision=precision, engines_dir=str(options.engines)),
        )
    )


@contextmanager
def in_ring(images: Sequence[AnyPicture]) -> Iterator[list[AnyPicture]]:
    """The pictures where cameras leave theirs, so that a GPU copies them at full speed."""
    rows, columns = (max(image.shape[side] for image in images) for side in (0, 1))
    sizes = {"slots": max(len(images), 2), "max_width": columns, "max_height": rows}
    with ExitStack() as stack:
        name = segment_name(f"bench{columns}")
        try:
            ring = stack.enter_context(Ring.create(name, **sizes))
        except RingError as error:
            print(f"({error}; a temporary folder holds the frames instead)\n", flush=True)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            ring = stack.enter_context(Ring.create(name, **sizes, directory=folder))
        views = [ring.view(ring.write(image)) for image in images]
        yield [view.picture for view in views if view is not None]


def as_nv12(images: Sequence[Picture]) -> list[Nv12Picture]:
    """The pictures as a decoder gives them."""
    return [nv12_of(image, PictureFormat.NV12_709) for image in images]


@contextmanager
def on_card(pictures: Sequence[Nv12Picture], device: Device) -> Iterator[list[GpuPicture]]:
    """The pictures where NVDEC leaves them, in this process's memory."""
    with device.current():
        stream, found = device.stream(), []
        for picture in pictures:
            there = packed(picture.shape, device.allocate(picture.nbytes), picture.format)
            device.upload(there.luma, np.ascontiguousarray(picture.luma), stream)
            device.upload(there.chroma, np.ascontiguousarray(picture.chroma), stream)
            stream.synchronize()
            found.append(there)
    yield found
    with device.current():
        for one in found:
            device.free(one.luma)


def looks(images: Sequence[PicturePlace], batch: int) -> list[list[DetectorInput]]:
    """As many batches as there are pictures; neighbours differ by one picture."""
    count = len(images)
    return [[DetectorInput(images[(i + j) % count], NOTHING, True) for j in range(batch)] for i in range(count)]


@contextmanager
def reference(threads: int = 8) -> Iterator[Mtcnn]:
    """The CPU cascade with the same settings, in float32."""
    with ExitStack() as stack:
        nets = [stack.enter_context(OnnxRunner(path, threads=threads)) for path in weights.paths(MODELS)[:3]]
        yield defaults.mtcnn(*nets, thresholds=THRESHOLDS)


def reference_answers(images: Sequence[Picture]) -> list[Detections]:
    with reference() as mtcnn:
        return [mtcnn.detect([image])[0] for image in images]


def free_shared_memory() -> int:
    """Bytes."""
    return shutil.disk_usage(SHARED_MEMORY).free


def _read(file: Path) -> Picture:
    image = cv2.imread(str(file))
    if image is None:
        raise SystemExit(f"{file}: not a picture; remove it from the folder")
    return np.asarray(image, np.uint8)
