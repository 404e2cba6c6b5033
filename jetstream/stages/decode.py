"""Packets of all cameras to frames in their rings: one process for what else were a GPU context for each camera.

Live pace only, and only for cameras whose `decoder` says so. `capture` writes the packets and keeps the connection;
this stage may die and come back, and each camera's decoder for itself: it goes on at the newest key frame. Only the
threads of the cameras do work; the loop sends what they have written.
"""

import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial

from jetstream.capturing.decoding import MOST_HUNG, DecodedCamera
from jetstream.capturing.retrying import opens
from jetstream.config.schema import CameraConfig, Config, cuda_device
from jetstream.errors import StuckError
from jetstream.ipc.rings import Rings
from jetstream.messages import Captured, Demuxed, Dropped, Ended, Tick
from jetstream.networks.backends import takes_nv12
from jetstream.video.gop.decoder import GopDecoder, LibavDecoder
from jetstream.video.gop.description import StreamDescription
from jetstream.video.gop.ring import PacketRing

WATCH_S = 0.1
"""how often the threads are looked after"""
REST_S = 2.0
"""time for the last frames, once no more packets come"""


def decode(messages: Iterator[Demuxed | Tick | Ended], rings: Rings, config: Config) -> Iterator[Captured | Dropped]:
    """Frames of every camera with a packet ring, each written to its frame ring before Captured announces it.

    Raises StuckError: too many decoders hang.
    """
    told: deque[Captured | Dropped] = deque()
    with ExitStack() as stack:
        cameras = {
            camera.name: _opened(camera, rings, config, told, stack)
            for camera in config.cameras
            if camera.name in rings.packets
        }
        watched_s, are_opening = 0.0, True
        for message in messages:
            if isinstance(message, Ended):
                break
            if isinstance(message, Demuxed) and message.camera in cameras:
                cameras[message.camera].wake()
            if (now_s := time.monotonic()) - watched_s > WATCH_S:
                watched_s = now_s
                _watch(cameras, now_s)
                are_opening = any(camera.opens for camera in cameras.values())
            if are_opening:
                opens(messages, config.pipeline.start_timeout_s)
            while told:
                yield told.popleft()
        else:
            return
        yield from _rest(cameras, told)


def _opened(
    camera: CameraConfig, rings: Rings, config: Config, told: "deque[Captured | Dropped]", stack: ExitStack
) -> DecodedCamera:
    packets = stack.enter_context(PacketRing.attach(rings.packets[camera.name]))
    opener = partial(_open_decoder, camera, cuda_device(camera, config), takes_nv12(config))
    decoded = DecodedCamera(
        camera,
        rings[camera.name],
        packets,
        config.pipeline.queue_frames,
        opener,
        config.pipeline.start_timeout_s,
        told,
    )
    stack.callback(decoded.close)
    return decoded


def _open_decoder(camera: CameraConfig, device: int | None, nv12: bool, description: StreamDescription) -> GopDecoder:
    return LibavDecoder(description, camera, device, nv12=nv12)


def _watch(cameras: Mapping[str, DecodedCamera], now_s: float) -> None:
    for camera in cameras.values():
        camera.watch(now_s)
    hung = sum(camera.hung for camera in cameras.values())
    if hung > MOST_HUNG:
        raise StuckError(f"{hung} calls of decoders don't return; only the end of the process frees what they hold")


def _rest(cameras: Mapping[str, DecodedCamera], told: "deque[Captured | Dropped]") -> Iterator[Captured | Dropped]:
    """The frames of the packets that are still in the rings."""
    for camera in cameras.values():
        camera.wake()
    until_s = time.monotonic() + REST_S
    while not all(camera.is_done() for camera in cameras.values()) and time.monotonic() < until_s:
        while told:
            yield told.popleft()
        time.sleep(0.005)
    while told:
        yield told.popleft()
