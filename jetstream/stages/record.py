"""Tracked frames to disk: for each camera a video, and beside it its events as JSON Lines.

After a power failure both can be read up to about the last second.
"""

import hashlib
import logging
import math
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from jetstream.config.schema import Config, RecordConfig
from jetstream.ipc.rings import FrameReader
from jetstream.messages import Dropped, Finished, Tick, Tracked
from jetstream.recording import retention
from jetstream.recording.events_file import is_open
from jetstream.recording.wall_clock import WallClock
from jetstream.recording.writer import Recorder
from jetstream.runtime.switches import CameraSwitches

SWEEP_EVERY_S = 60.0
"""time between two searches for old recordings"""

log = logging.getLogger(__name__)


def record(messages: Iterator[Tracked | Tick], rings: FrameReader, config: Config) -> Iterator[Finished | Dropped]:
    """Write every frame's event, and its picture unless that was overwritten in the ring: then Dropped (`lapped`).

    In the live pace a disk that is full or missing stops only recording: frames are Dropped (`disk`) until it can be
    written again. In the every-frame pace no frame may be missing, so this raises SourceError. Old recordings are
    deleted, and those of cameras without frames are closed, also at a Tick.
    """
    folder = Path(config.record.dir)
    recorders: dict[str, Recorder] = {}
    clock, switches = WallClock(_clock_note(config)), CameraSwitches(config)
    swept_s = -math.inf
    try:
        for message in messages:
            now_s = time.monotonic()
            if now_s - swept_s > SWEEP_EVERY_S:
                swept_s = now_s
                _sweep(folder, config.record, clock)
            if isinstance(message, Tick):
                for recorder in recorders.values():
                    recorder.end_if_silent(now_s)
                continue
            camera = message.frame.camera
            if not switches.of(camera).record:
                if camera in recorders:
                    recorders.pop(camera).close()
                yield Finished(frame=message.frame)
                continue
            if camera not in recorders:
                recorders[camera] = Recorder(camera, folder, config)
            lost = recorders[camera].add(message, rings, now_s)
            if lost is not None:
                yield Dropped(camera=camera, reason=lost)
            yield Finished(frame=message.frame)
    finally:
        with ExitStack() as stack:  # all are closed, also if one of them fails
            for recorder in recorders.values():
                stack.callback(recorder.close)


def _clock_note(config: Config) -> Path:
    """The file that keeps what is known of the clock, beside the networks: one for each folder of recordings."""
    digest = hashlib.sha256(os.fsencode(os.path.realpath(config.record.dir))).hexdigest()[:8]
    return Path(config.models.dir) / f"clock-{digest}.json"


def _sweep(folder: Path, settings: RecordConfig, clock: WallClock) -> None:
    if not (settings.keep_days or settings.keep_gb):
        return
    gone = retention.sweep(
        folder,
        keep_days=settings.keep_days,
        keep_gb=settings.keep_gb,
        now_s=time.time(),
        in_use=is_open,
        steady_s=time.clock_gettime(time.CLOCK_BOOTTIME),
        clock=clock,
    )
    if gone:
        log.info("%s: %d old recordings deleted (record.keep_days, record.keep_gb)", folder, len(gone))
