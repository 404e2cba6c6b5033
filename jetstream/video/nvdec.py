"""Decoding by an NVIDIA GPU's NVDEC, through FFmpeg. It never falls back to the CPU.

Decodes nothing itself. Frames are copied to host memory, or stay on the GPU where the caller asks for that.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import av
from av.codec.hwaccel import HWAccel, hwdevices_available

from jetstream.errors import SourceError

REMEDY = 'set the camera\'s decoder to "cpu"'


SHARED: dict[str, object] = {"primary_ctx": "1"}
"""FFmpeg's option for the GPU's primary context, of which a process has one. Else each decoder makes one of its own.
It refuses where other code of the process, such as ONNX Runtime, has set that context up in another way"""


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


@contextmanager
def shared_decoder(cuda_device: int, shown: str, *, on_gpu: bool = False) -> Iterator[HWAccel]:
    """The `hwaccel` argument for a codec context made in the block, which shares this process's context of the GPU with
    all others. `on_gpu`: its frames stay there. Errors are as of `decoder`."""
    try:
        hold_context(cuda_device)
    except SourceError as error:
        raise SourceError(f"{shown}: {error}") from None
    stays = {"is_hw_owned": True} if on_gpu else {}
    yield HWAccel("cuda", device=str(cuda_device), allow_software_fallback=False, options=SHARED, **stays)


def keeps_frames() -> bool:
    """Whether this PyAV can leave frames on the GPU."""
    return hasattr(HWAccel, "is_hw_owned")


@cache
def hold_context(cuda_device: int) -> HWAccel:
    """Open this process's context of the GPU, as FFmpeg wants it, for as long as the process lives.

    So it isn't closed with the last camera's decoder, and other code that uses it must come later. Raises SourceError.
    """
    return _opened(cuda_device, SHARED)


@cache
def refuse_missing(cuda_device: int) -> None:
    """Raises SourceError if FFmpeg has no CUDA or the GPU can't be used. A success is cached."""
    _opened(cuda_device, {})


def _opened(cuda_device: int, options: dict[str, object]) -> HWAccel:
    """A device that is open. Raises SourceError."""
    if "cuda" not in hwdevices_available():
        raise SourceError(f"this PyAV has no CUDA; {REMEDY}, or decode in a `gst:` pipeline")
    try:
        accel = HWAccel("cuda", device=str(cuda_device), allow_software_fallback=False, options=options)
        opened: HWAccel = accel.create(av.Codec("h264", "r"))
    except (av.FFmpegError, NotImplementedError, RuntimeError):
        raise SourceError(
            f"FFmpeg can't use GPU {cuda_device} to decode; see `jetstream doctor`, or {REMEDY}"
        ) from None
    return opened


def unable(shown: str, codec: str) -> str:
    """The error for video that NVDEC doesn't decode."""
    return f"{shown}: the GPU doesn't decode {codec}; {REMEDY}"
