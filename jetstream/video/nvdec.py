"""Decoding by an NVIDIA GPU's NVDEC, through FFmpeg. It never falls back to the CPU.

Decodes nothing itself. Frames are copied to host memory, where the pipeline's ring is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import av
from av.codec.hwaccel import HWAccel, hwdevices_available

from jetstream.errors import SourceError

REMEDY = 'set the camera\'s decoder to "cpu"'


@contextmanager
def decoder(cuda_device: int | None, shown: str) -> Iterator[HWAccel | None]:
    """The `hwaccel` argument for an `av.open` in the block; None for the CPU.

    `shown` begins errors. Raises SourceError if FFmpeg can't use that GPU, or the GPU decodes none of the streams.
    """
    if cuda_device is None:
        yield None
        return
    try:
        refuse_missing(cuda_device)
    except SourceError as error:
        raise SourceError(f"{shown}: {error}") from None
    try:
        yield HWAccel("cuda", device=str(cuda_device), allow_software_fallback=False)
    except av.FFmpegError:
        raise
    except RuntimeError:
        raise SourceError(unable(shown, "its video")) from None


@cache
def refuse_missing(cuda_device: int) -> None:
    """Raises SourceError if FFmpeg has no CUDA or the GPU can't be used. A success is cached."""
    if "cuda" not in hwdevices_available():
        raise SourceError(f"this PyAV has no CUDA; {REMEDY}, or decode in a `gst:` pipeline")
    try:
        HWAccel("cuda", device=str(cuda_device), allow_software_fallback=False).create(av.Codec("h264", "r"))
    except (av.FFmpegError, NotImplementedError, RuntimeError):
        raise SourceError(
            f"FFmpeg can't use GPU {cuda_device} to decode; see `jetstream doctor`, or {REMEDY}"
        ) from None


def unable(shown: str, codec: str) -> str:
    """The error for video that NVDEC doesn't decode."""
    return f"{shown}: the GPU doesn't decode {codec}; {REMEDY}"
