"""Packets of all cameras to frames in their rings: one process for what else were a GPU context for each camera.

Live pace only, and only for cameras whose `decoder` says so. `capture` writes the packets and keeps the connection;
this stage may die and come back, and each camera's decoder for itself: it goes on at the newest key frame. Only the
threads of the cameras do work; the loop sends what they have written.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial

from jetstream.capturing.decoding import MOST_HUNG, DecodedCamera
from jetstream.capturing.retrying import opens
from jetstream.config.schema import CameraConfig, Config, cuda_device
from jetstream.errors import SourceError, StuckError
from jetstream.gpu.ring_slots import RingSlots, open_context
from jetstream.ipc.ring import LocalRing, Ring
from jetstream.ipc.rings import Rings
from jetstream.messages import Captured, Demuxed, Dropped, Ended, Tick
from jetstream.networks.backends import keeps_on_gpu, takes_nv12
from jetstream.runners.base import UnavailableError
from jetstream.runners.cuda_context import CudaContext
from jetstream.video import nvdec
from jetstream.video.gop.decoder import GopDecoder, LibavDecoder
from jetstream.video.gop.description import StreamDescription
from jetstream.video.gop.ring import PacketRing

WATCH_S = 0.1
"""how often the threads are looked after"""
LOOK_S = 0.002
"""how often new packets are looked for, and readers that wait for a frame in shared memory: much less work than a
message for each packet of a hundred cameras"""
REST_S = 2.0
"""time for the last frames, once no more packets come"""

log = logging.getLogger(__name__)


def decode(messages: Iterator[Demuxed | Tick | Ended], rings: Rings, config: Config) -> Iterator[Captured | Dropped]:
    """Frames of every camera with a packet ring, each written to its frame ring before Captured announces it.

    Raises StuckError: too many decoders hang.
    """
    told: deque[Captured | Dropped] = deque()
    with ExitStack() as stack:
        memory = GpuRings(config)
        stack.callback(memory.close)
        cameras = {
            camera.name: _opened(camera, rings, config, memory, told, stack)
            for camera in config.cameras
            if camera.name in rings.packets
        }
        watched_s, looked_s, are_opening = 0.0, 0.0, True
        for message in messages:
            if isinstance(message, Ended):
                break
            if (now_s := time.monotonic()) - looked_s >= LOOK_S:
                looked_s = now_s
                for camera in cameras.values():
                    camera.look()
            if now_s - watched_s > WATCH_S:
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
    camera: CameraConfig,
    rings: Rings,
    config: Config,
    memory: "GpuRings",
    told: "deque[Captured | Dropped]",
    stack: ExitStack,
) -> DecodedCamera:
    packets = stack.enter_context(PacketRing.attach(rings.packets[camera.name]))
    opener = partial(_open_decoder, camera, rings[camera.name], config, memory)
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


def _open_decoder(
    camera: CameraConfig, ring: Ring | LocalRing, config: Config, memory: "GpuRings", description: StreamDescription
) -> GopDecoder:
    """In the camera's thread."""
    device = cuda_device(camera, config)
    on_gpu = device is not None and isinstance(ring, Ring) and memory.shared(camera.name, ring)
    return LibavDecoder(description, camera, device, nv12=on_gpu or takes_nv12(config), on_gpu=on_gpu)


class GpuRings:
    """Memory on this process's GPU for the frames of its cameras, whose threads share it."""

    def __init__(self, config: Config) -> None:
        self._config, self._lock = config, threading.Lock()
        self._stack = ExitStack()
        self._context: CudaContext | None = None
        self._cameras: dict[str, bool] = {}

    def shared(self, camera: str, ring: Ring) -> bool:
        """Whether the ring takes pictures on the GPU; where it doesn't, the first call says why."""
        if not (keeps_on_gpu(self._config) and nvdec.keeps_frames()):
            return False
        with self._lock:
            if camera not in self._cameras:
                self._cameras[camera] = self._share(camera, ring)
            return self._cameras[camera]

    def _share(self, camera: str, ring: Ring) -> bool:
        gpu = self._config.gpu
        try:
            if self._context is None:
                nvdec.hold_context(gpu.device)
                self._context = self._stack.enter_context(open_context(gpu.device, gpu.bindings))
            slots = RingSlots(self._context, ring.slots, ring.layout.gpu_slot_bytes)
        except (SourceError, UnavailableError, RuntimeError) as reason:
            log.warning("%s: its frames don't stay on the GPU: %s", camera, reason)
            return False
        self._stack.callback(slots.close)
        ring.share(slots)
        return True

    def close(self) -> None:
        """Free it; no thread uses it any more."""
        self._stack.close()


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
