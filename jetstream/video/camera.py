"""V4L2 cameras: the device of a name, options to open it, and whether it has a frame ready.

Decodes nothing. FFmpeg's V4L2 reader waits for a frame without a time limit, so call `wait_for_frame` before each read.
"""

import os
import re
import select
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jetstream.errors import SourceError

BY_ID = Path("/dev/v4l/by-id")
FORMAT = "video4linux2,v4l2"
"""PyAV's name of the V4L2 input."""


class CaptureDevice(NamedTuple):
    path: Path
    shown: str  # name for messages


def camera_of(spec: str) -> CaptureDevice | None:
    """The camera of an index, a /dev path or a by-id name, connected or not; None if `spec` is none of these."""
    if re.fullmatch(r"[0-9]{1,3}", spec):
        return CaptureDevice(Path(f"/dev/video{int(spec)}"), f"camera {int(spec)}")
    if spec.startswith("/dev/"):
        return CaptureDevice(Path(spec), f"camera {spec}")
    if "/" not in spec and ((BY_ID / spec).exists() or re.fullmatch(r"\S+-video-index[0-9]+", spec)):
        return CaptureDevice(BY_ID / spec, f"camera {spec}")
    return None


def refuse_missing(camera: CaptureDevice) -> None:
    """Raises SourceError if there is no such device."""
    if not camera.path.exists():
        raise SourceError(f"{camera.shown}: no {camera.path} here; plug a camera in, or try `make demo`")


def ways_to_open(max_width: int, max_height: int) -> Iterator[dict[str, str]]:
    """FFmpeg options to try, best first. The driver uses the nearest size that it supports.

    MJPEG comes first: most USB cameras reach their full size and 30 frames a second only with it.
    """
    size = f"{max_width}x{max_height}"
    yield {"input_format": "mjpeg", "video_size": size}
    yield {"video_size": size}
    yield {}


def descriptors(path: Path) -> set[int]:
    """This process's open file descriptors of a device."""
    try:
        device = path.stat()
    except OSError:
        return set()
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.path.samestat(os.fstat(int(name)), device):
                found.add(int(name))
        except OSError:  # closed since: the descriptor of the listing itself, or of another thread
            continue
    return found


def wait_for_frame(descriptor: int, timeout_s: float) -> bool:
    """False if no frame is ready in time. True also if the device was removed: the next read then fails."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLPRI)
    return bool(poll.poll(timeout_s * 1000))
