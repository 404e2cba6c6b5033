"""What the detect stage asks of a detector: batches of pictures in, their faces out, two batches under way at most.

Knows no camera and no device. `CpuDetector` is Mtcnn in this form.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.boxes import Boxes
from jetstream.vision.detection.mtcnn import Detections, Mtcnn, Picture

Ticket: TypeAlias = Any
"""a batch under way, as its detector knows it"""


class DetectorInput(NamedTuple):
    """One picture to look at."""

    image: Picture  # (H, W, 3) uint8 BGR; may lie in a ring, when the detector `reads_in_place`
    known: Boxes  # (N, 4) float32 xyxy px: where faces were last
    search: bool  # the whole picture, or only `known`


class DetectorOutput(NamedTuple):
    """What a detector says of one picture."""

    faces: Detections
    thumbnail: NDArray[np.uint8] | None = None  # motion.thumbnail(image), where the detector made it on its way


class Detector(Protocol):
    """For one thread; each ticket is collected once, oldest first."""

    reads_in_place: bool
    """Takes pictures where they lie, at once or until `collect`: check after `collect` that they were still there."""
    gives_thumbnails: bool
    """Each DetectorOutput has its thumbnail."""

    def submit(self, looks: Sequence[DetectorInput]) -> Ticket:
        """Begin; at most two batches may be under way (submit, submit, collect, submit, collect ...)."""

    def collect(self, ticket: Ticket) -> list[DetectorOutput]:
        """Wait for the oldest batch; its answers in the order of its looks."""


class CpuDetector:
    """Mtcnn as a Detector. Whoever collects waits for all of the work, so two batches gain nothing."""

    reads_in_place = False  # the picture is sampled again and again until the end
    gives_thumbnails = False

    def __init__(self, mtcnn: Mtcnn) -> None:
        self._mtcnn = mtcnn

    def submit(self, looks: Sequence[DetectorInput]) -> Ticket:
        """Only remembers."""
        return looks

    def collect(self, ticket: Ticket) -> list[DetectorOutput]:
        """Searches the ones together and verifies the others together."""
        looks: Sequence[DetectorInput] = ticket
        wide, kept = ([look for look in looks if look.search == search] for search in (True, False))
        searched = iter(self._mtcnn.detect([look.image for look in wide], [look.known for look in wide]))
        verified = iter(self._mtcnn.verify([look.image for look in kept], [look.known for look in kept]))
        return [DetectorOutput(next(searched if look.search else verified)) for look in looks]
