"""The cascade on the GPU as a Detector.

Knows no frame and no ring: pictures are copied from where they are, while the batch before them is computed.
"""

import logging
from collections.abc import Sequence

from jetstream.gpu.cascade import BatchTicket, Cascade
from jetstream.gpu.device import Device, in_use
from jetstream.gpu.plane_sampler import PlaneSampler
from jetstream.gpu.results import CascadeResult
from jetstream.vision.boxes import square
from jetstream.vision.detection.detections import Detections
from jetstream.vision.detection.detector import DetectorInput, DetectorOutput
from jetstream.vision.detection.mtcnn import beside, joined, not_found

log = logging.getLogger(__name__)


class GpuDetector:
    """A `vision.detection.detector.Detector`."""

    reads_in_place = True
    gives_thumbnails = True

    def __init__(self, device: Device, cascade: Cascade) -> None:
        """The caller closes both."""
        self._device, self._cascade = device, cascade
        self.gpu = PlaneSampler(device)
        self.clipped = 0
        """Number of candidates left out so far, because their picture had more than the kernels take."""

    def submit(self, inputs: Sequence[DetectorInput]) -> BatchTicket:
        """Start a batch. Raises ModelError where the GPU has too little memory for pictures of this size."""
        with in_use(self._device, "detect"):
            return self._cascade.submit(inputs)

    def collect(self, ticket: BatchTicket) -> list[DetectorOutput]:
        """Wait for the batch. Raises what `submit` raises, and RuntimeError where the GPU failed.

        After a RuntimeError this process can't use the GPU any more.
        """
        with in_use(self._device, "detect"):
            results = self._cascade.collect(ticket)
            self._count(results)
            faces = self._tried_again(ticket.inputs, [result.faces for result in results])
        return [DetectorOutput(found, result.thumbnail) for found, result in zip(faces, results, strict=True)]

    def _tried_again(self, inputs: Sequence[DetectorInput], found: list[Detections]) -> list[Detections]:
        """As `Mtcnn.verify`: a face that is not where it was is searched for a step to each side."""
        lost = {
            number: some
            for number, one in enumerate(inputs)
            if not one.search and len(some := not_found(one.known, found[number]))
        }
        if not lost:
            return found
        steps = [
            DetectorInput(inputs[number].image, beside(square(some)), search=False) for number, some in lost.items()
        ]
        for number, result in zip(lost, self._cascade.collect(self._cascade.submit(steps)), strict=True):
            found[number] = joined(found[number], result.faces)
        return found

    def _count(self, results: Sequence[CascadeResult]) -> None:
        clipped = sum(result.clipped for result in results)
        if clipped and not self.clipped:
            log.warning(
                "detect: a picture has %d candidates too many; those with the lowest scores are left out", clipped
            )
        self.clipped += clipped
