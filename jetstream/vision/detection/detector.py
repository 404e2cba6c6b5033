"""The contract of a face detector: batches of pictures in, their faces out, at most two batches under way.

Knows no camera, no device and no network. tests/vision/detection/test_detector.py holds every detector to it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from jetstream.picture_format import GpuPicture, PicturePlace
from jetstream.vision.boxes import Boxes
from jetstream.vision.detection.detections import Detections, Picture

Ticket: TypeAlias = Any
"""A batch under way, as its detector represents it."""

_NO_BOXES = np.empty((0, 4), np.float32)


class DetectorIdentity(NamedTuple):
    """Which detector it is. Two with the same identity find the same faces in a photo."""

    name: str
    sha256: str  # of its networks and of the settings that decide which faces it finds in photos


class DetectorInput(NamedTuple):
    """One picture of a batch."""

    # (H, W, 3) uint8 BGR, or NV12; may lie in a ring where the detector `reads_in_place`, and on its `gpu`
    image: PicturePlace
    known: Boxes  # (N, 4) float32 xyxy px: where faces were last
    search: bool  # True: search the whole picture; False: check only `known`


class DetectorOutput(NamedTuple):
    """The answer to one picture."""

    faces: Detections
    thumbnail: NDArray[np.uint8] | None = None  # motion.thumbnail(image), where the detector `gives_thumbnails`


class GpuSampler(Protocol):
    """Samples pictures that lie on a GPU."""

    @property
    def number(self) -> int:
        """Of the GPU."""
        ...

    def thumbnail(self, picture: GpuPicture) -> NDArray[np.uint8]:
        """`motion.thumbnail` of a picture on this GPU. Raises what `Detector.collect` raises."""
        ...


class Detector(Protocol):
    """Finds faces. For one thread; each ticket is collected once, oldest first."""

    reads_in_place: bool
    """Reads pictures where they lie until `collect` returns: check then that they have not been overwritten."""
    gives_thumbnails: bool
    """Every DetectorOutput has its thumbnail."""

    @property
    def gpu(self) -> GpuSampler | None:
        """The GPU on which pictures may lie; None: none."""
        ...

    def submit(self, inputs: Sequence[DetectorInput]) -> Ticket:
        """Begin a batch of pictures of any sizes; at most two may be under way (submit, submit, collect, submit ...).

        Without `search` no face is found that overlaps none of `known`. May raise what `collect` raises.
        """

    def collect(self, ticket: Ticket) -> list[DetectorOutput]:
        """Wait for the oldest batch; one answer an input, in their order.

        Raises ModelError where a picture needs more memory than the device has, RuntimeError where the device failed.
        """


def faces_in(detector: Detector, image: Picture) -> Detections:
    """The faces of one whole picture, (H, W, 3) uint8 BGR. No batch may be under way. Raises what `collect` raises."""
    (found,) = detector.collect(detector.submit([DetectorInput(image, _NO_BOXES, search=True)]))
    return found.faces
