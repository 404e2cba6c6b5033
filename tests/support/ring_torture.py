"""Four readers against a writer that never waits and is killed again and again: how many torn frames get through?

`python tests/ipc/ring_torture.py --seconds 60` prints one JSON object of counts; `torn` must be 0, and `caught`, the
frames that were seen to be torn in place and then rightly refused, must not be, or nothing was tried.
"""

import os
import random
import sys
import time
from collections import Counter
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from jetstream.ipc.frames import GpuFrameView
from jetstream.ipc.ring import Ring, segment_name
from jetstream.ipc.segment import SHARED_MEMORY
from jetstream.picture_format import Nv12Picture, PictureFormat
from tests.support.file_slots import DEVICE, PREFIX, FileSlots, on_gpu, planes
from tests.support.torture import main, run_torture

SLOTS, WIDTH, HEIGHT = 3, 1280, 720
READERS = 4


def expected_shape(frame_id: int) -> tuple[int, int, int]:
    return (HEIGHT - frame_id % 7 * 16, WIDTH - frame_id % 5 * 48, 3)


def expected_value(frame_id: int) -> int:
    return frame_id * 37 % 251  # differs between frames that share a slot


def is_whole(image: NDArray[np.uint8], frame_id: int) -> bool:
    value = expected_value(frame_id)
    return image.shape == expected_shape(frame_id) and int(image.min()) == value == int(image.max())


def grey(height: int, width: int, value: int) -> Nv12Picture:
    """Of one BGR value."""
    luma, chroma = np.full((height, width), value, np.uint8), np.full(((height + 1) // 2, (width + 1) // 2, 2), 128)
    return Nv12Picture(luma, chroma.astype(np.uint8), PictureFormat.NV12_601_FULL)


def write_for_ever(name: str) -> None:
    canvas = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    with Ring.attach(name) as ring:
        ring.share(FileSlots(ring.slots, ring.layout.gpu_slot_bytes))
        while True:
            height, width, _ = expected_shape(ring.cursor)
            image = canvas[:height, :width]
            image.fill(expected_value(ring.cursor))
            nv12 = grey(height, width, expected_value(ring.cursor))
            ring.write([nv12, image, on_gpu(nv12)][ring.cursor % 3])
            ring.bring()


def read(name: str, seconds: float, seed: int, start: Barrier, counts: "Queue[Counter[str]]") -> None:
    chance, seen = random.Random(seed), Counter[str]()
    with Ring.attach(name) as ring:
        start.wait()
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            frame_id = ring.cursor - 1 - chance.randrange(SLOTS)
            if frame_id >= 0:
                seen[chance.choice((copied, looked_at, used_on_gpu))(ring, frame_id)] += 1
    counts.put(seen)


def copied(ring: Ring, frame_id: int) -> str:
    image = ring.read(frame_id)
    if image is None:
        return "lapped"
    return "whole" if is_whole(image, frame_id) else "torn"


def looked_at(ring: Ring, frame_id: int) -> str:
    view = ring.view(frame_id)
    if view is None:
        return "lapped"
    time.sleep(0.0005)  # for the writer to come round
    whole = is_whole(view.image, frame_id)
    if view.still_valid():
        return "whole" if whole else "torn"
    return "lapped" if whole else "caught"


def used_on_gpu(ring: Ring, frame_id: int) -> str:
    view = ring.view_on(frame_id, DEVICE)
    if not isinstance(view, GpuFrameView):
        return "lapped" if view is None else "here"
    time.sleep(0.0005)
    try:
        whole = is_whole(planes(view.picture).bgr(), frame_id)
    except FileNotFoundError:  # of a writer that died
        whole = False
    if view.still_valid():
        return "used_on_gpu" if whole else "torn"
    return "lapped" if whole else "caught"


def torture(seconds: float, kills: int) -> Counter[str]:
    """Counts over all readers; `written` frames beside them."""
    name = segment_name("torture")
    with Ring.create(name, slots=SLOTS, max_width=WIDTH, max_height=HEIGHT) as ring:
        try:
            return run_torture(ring, name, write_for_ever, read, READERS, seconds, kills)
        finally:
            for left in SHARED_MEMORY.glob(f"{PREFIX}{os.getpid()}-*"):
                left.unlink()


if __name__ == "__main__":
    main(__doc__, torture, ("written", "whole", "used_on_gpu", "lapped", "caught", "torn"))
