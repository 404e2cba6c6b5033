"""The input sizes that TensorRT builds an engine for.

TensorRT 8.5 takes 18 to 32 s to build R-Net for a fixed size and 98 to 113 s for a range (on an H100), and a fixed size
runs faster. So batches are padded to few fixed sizes, in one engine with one optimisation profile each:

- R-Net: `gpu.batch` crops, 4 times and 16 times as many; O-Net: a quarter of each, since R-Net refuses nine in ten. The
  device-resident cascade takes the batch that all cameras' candidates together need.
- The embedder, a hundred times their arithmetic: 2 (a face and its mirror image), 8, 32 ... up to `recognize.batch`, so
  that a Jetson does not compute 32 faces where there is one.
- P-Net alone has a range: every level of the pyramid of every camera has its own size. From a cell to the largest level
  of the largest camera, one picture at a time, tuned for the largest, which takes half of the time.

Another backend runs the other sizes, such as a photo larger than the cameras' frames (`TensorRTRunner`).
"""

import math
from pathlib import Path

from jetstream.config.schema import CameraConfig, Config
from jetstream.networks.embedders import of_file
from jetstream.runners.tensorrt.engine_cache import Profile, fixed

CELL_PX = 12  # P-Net's smallest picture
STEP = 4  # from one batch size to the next


def profiles_of(network: str, config: Config) -> tuple[Profile, ...]:
    """The input sizes of `pnet`, `rnet`, `onet` or an embedder, whose file is `network`.onnx, under this config."""
    if network == "pnet":
        return (_levels(config),)
    refiners = {"rnet": (config.gpu.batch, 24), "onet": (max(config.gpu.batch // STEP, 1), 48)}
    if network not in refiners:
        side_px = of_file(network, Path(config.models.dir)).spec.template.side_px
        return tuple(fixed(count, 3, side_px, side_px) for count in batches(config.recognize.batch))
    most, side_px = refiners[network]
    return tuple(fixed(most * STEP**step, 3, side_px, side_px) for step in range(3))


def batches(most: int) -> tuple[int, ...]:
    """The batch sizes 2, 8, 32 ... and `most`."""
    sizes = []
    size = 2
    while size < most:
        sizes.append(size)
        size *= STEP
    return (*sizes, most)


def _levels(config: Config) -> Profile:
    cameras = config.cameras or (CameraConfig(name="any", source="any"),)
    # a camera's frames are scaled down to its largest size, and the first level has a cell in the smallest face
    scale = CELL_PX / config.detect.min_face_px
    rows, columns = (
        max(CELL_PX, math.ceil(side_px * scale) + 1)
        for side_px in (
            max(camera.max_height for camera in cameras),
            max(camera.max_width for camera in cameras),
        )
    )
    largest = (1, 3, rows, columns)
    return Profile((1, 3, CELL_PX, CELL_PX), largest, largest)
