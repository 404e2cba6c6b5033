"""The planes of a picture that is NV12, on the GPU: its struct for the kernels, and the copy up.

Knows no network. `picture_format` defines the conversion that the kernels do.
"""

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jetstream.gpu.device import Device
from jetstream.gpu.structs import NV12
from jetstream.picture_format import GpuPicture, Nv12Picture, PictureFormat, to_bgr


def planes_on_gpu(device: Device, picture: Nv12Picture | GpuPicture, place: int, stream: Any) -> NDArray[Any]:
    """The NV12 struct of a picture: copied to `place`, or read where it lies if it is on the GPU or the GPU shares the
    CPU's memory."""
    if isinstance(picture, GpuPicture):
        return _struct(*addresses_of(device, picture), picture.luma_pitch, picture.chroma_pitch, picture.format)
    luma, chroma = picture.luma, picture.chroma
    device.pin(luma)
    there = _addresses(device, picture)
    if there is None:
        luma, chroma = np.ascontiguousarray(luma), np.ascontiguousarray(chroma)
        there = place, place + luma.nbytes
        device.upload(there[0], luma, stream)
        device.upload(there[1], chroma, stream)
    return _struct(*there, luma.strides[0], chroma.strides[0], picture.format)


@functools.lru_cache(maxsize=4096)  # a camera's pictures go to the same few places
def _struct(luma: int, chroma: int, luma_pitch: int, chroma_pitch: int, form: PictureFormat) -> NDArray[Any]:
    """Read-only."""
    made = np.zeros((), NV12)
    made["luma"], made["chroma"] = luma, chroma
    made["luma_pitch"], made["chroma_pitch"] = luma_pitch, chroma_pitch
    made["to_bgr"] = to_bgr(form)
    made.flags.writeable = False
    return made


def addresses_of(device: Device, picture: GpuPicture) -> tuple[int, int]:
    """Of luma and chroma of a picture on the GPU, in this process."""
    first = 0 if picture.memory is None else device.address_of(picture.memory)
    return first + picture.luma, first + picture.chroma


def _addresses(device: Device, picture: Nv12Picture) -> tuple[int, int] | None:
    """Of both planes, where the GPU reads the CPU's memory and each row has its values one after the other."""
    luma, chroma = picture.luma, picture.chroma
    if not device.reads_host_memory or luma.strides[1] != 1 or chroma.strides[1:] != (2, 1):
        return None
    first, second = device.address_on_gpu(luma), device.address_on_gpu(chroma)
    return None if first is None or second is None else (first, second)
