"""Thumbnails of pictures that lie on the GPU: every eighth row is copied down, every eighth pixel of it is kept.

Knows no network and no kernel.
"""

import numpy as np
from numpy.typing import NDArray

from jetstream.gpu.device import Device, in_use
from jetstream.gpu.planes import addresses_of
from jetstream.picture_format import GpuPicture, sampled_bgr
from jetstream.vision.detection.motion import STRIDE, green


class PlaneSampler:
    """A `vision.detection.detector.GpuSampler`, for one thread."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self.number = device.number
        self._here = np.empty(0, np.uint8)
        with device.current():
            self._stream = device.stream()

    def thumbnail(self, picture: GpuPicture) -> NDArray[np.uint8]:
        """As `GpuSampler.thumbnail`."""
        rows, columns = -(-picture.size[0] // STRIDE), picture.size[1]
        chroma_bytes = columns + columns % 2
        with in_use(self._device, "detect"):
            if self._here.size < rows * (columns + chroma_bytes):
                self._here = self._device.pinned(rows * (columns + chroma_bytes))
            addresses = addresses_of(self._device, picture)
            luma = self._here[: rows * columns].reshape(rows, columns)
            chroma = self._here[luma.size : luma.size + rows * chroma_bytes].reshape(rows, chroma_bytes)
            for here, address, pitch in (
                (luma, addresses[0], picture.luma_pitch * STRIDE),
                (chroma, addresses[1], picture.chroma_pitch * (STRIDE // 2)),
            ):
                self._device.download_2d(here, address, pitch, self._stream)
            self._stream.synchronize()
        few = luma[:, ::STRIDE], chroma.reshape(rows, -1, 2)[:, :: STRIDE // 2]
        return green(sampled_bgr(*few, picture.format))
