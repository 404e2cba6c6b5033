"""Tracked frames of cameras that send no video to copy, or whose faces are blurred, to fragments for clips."""

import time
from collections.abc import Iterator

from jetstream.capturing.camera_encoder import CameraEncoder
from jetstream.config.schema import Config
from jetstream.ipc.rings import FrameReader
from jetstream.messages import Dropped, Finished, Tick, Tracked


def encode(messages: Iterator[Tracked | Tick], rings: FrameReader, config: Config) -> Iterator[Finished | Dropped]:
    """Finished for each frame. Dropped: it was overwritten in its ring (`lapped`), or can't be encoded or stored
    (`clips`). At a Tick, what cameras without frames have sent is stored."""
    cameras = {camera.name: CameraEncoder(camera.name, config) for camera in config.cameras}
    try:
        for message in messages:
            now_s = time.monotonic()
            if isinstance(message, Tick):
                for camera in cameras.values():
                    camera.end_if_silent(now_s)
                continue
            lost = cameras[message.frame.camera].add(message, rings, now_s)
            if lost is not None:
                yield Dropped(camera=message.frame.camera, reason=lost)
            yield Finished(frame=message.frame)
    finally:
        for camera in cameras.values():
            camera.end()
