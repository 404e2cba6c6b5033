"""`capture` and `decode` in one process, with a real packet ring between them."""

import itertools
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.config import load
from jetstream.ipc.ring import LocalRing
from jetstream.ipc.rings import Rings
from jetstream.ipc.segment import segment_name
from jetstream.messages import Captured, Demuxed, Dropped, Ended, FrameRef, Message, Tick
from jetstream.stages.capture import capture
from jetstream.stages.decode import decode
from jetstream.video.gop.ring import PacketRing

CAMERA = "apart"


class DecodedApart(NamedTuple):
    frames: list[FrameRef]
    images: list[NDArray[np.uint8]]  # (H, W, 3) uint8 BGR, of each frame
    dropped: list[Dropped]


def decoded_apart(
    source: Path | str,
    *,
    packets_mb: int = 1,
    slots: int = 400,
    most: int | None = None,
    backend: str = "auto",
    **camera: Any,
) -> DecodedApart:
    """The frames of a source, captured and decoded by the two stages at its own rate, until it ends or `most` came."""
    cameras = [{"name": CAMERA, "source": str(source), "decoder": "shared", **camera}]
    config = load.build({"cameras": cameras, "gpu": {"backend": backend}}, where="test")
    name = f"{segment_name(CAMERA)}.packets"
    with PacketRing.create(name, data_bytes=packets_mb * 10**6):
        rings = Rings({CAMERA: LocalRing(slots=slots)}, {CAMERA: name})
        told: queue.Queue[Message] = queue.Queue()
        enough = threading.Event()

        def run() -> None:
            ticks = itertools.takewhile(lambda _: not enough.is_set(), itertools.repeat(Tick()))
            for message in capture(ticks, rings, config):
                told.put(message)
            told.put(Ended(sender=""))

        thread = threading.Thread(target=run)
        thread.start()
        messages = []
        for message in decode(_as_they_come(told), rings, config):
            messages.append(message)
            if most is not None and sum(isinstance(m, Captured) for m in messages) >= most:
                enough.set()
        thread.join()
        frames = [message.frame for message in messages if isinstance(message, Captured)]
        images = [rings.read(CAMERA, frame.frame_id) for frame in frames]
        assert all(image is not None for image in images)
        return DecodedApart(frames, images, [m for m in messages if isinstance(m, Dropped)])  # type: ignore[arg-type]


def _as_they_come(told: "queue.Queue[Message]") -> Iterator[Demuxed | Tick | Ended]:
    while True:
        try:
            message = told.get(timeout=0.002)
        except queue.Empty:
            message = Tick()
        if isinstance(message, (Demuxed, Tick, Ended)):
            yield message
        if isinstance(message, Ended):
            return
