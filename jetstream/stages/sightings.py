"""Tracked frames to sightings: who was at which camera from when to when, in a database on this machine.

Nobody waits for this stage. What it knows of a sighting is in the database within a second, so that one that is killed
goes on with the sightings that are still open.
"""

import time
from collections.abc import Iterator

from jetstream.config.schema import Config
from jetstream.ipc.rings import FrameReader
from jetstream.messages import Ended, Finished, InUse, Tick, Tracked
from jetstream.sightings.recorder import SightingRecorder


def sightings(
    messages: Iterator[Tracked | InUse | Tick | Ended], rings: FrameReader, config: Config
) -> Iterator[Finished]:
    """Record the sightings of every frame; at a Tick, end those of cameras without frames.

    At the end of the input all have ended. Where this stage alone is stopped, they stay open for its next start.
    """
    recorder = SightingRecorder(config, rings)
    newest: dict[str, int] = {}
    ended = False
    try:
        for message in messages:
            now_s = time.monotonic()
            if isinstance(message, InUse):
                recorder.follower.gallery = message.sha256
            elif isinstance(message, Tick):
                recorder.tend(now_s)
            elif isinstance(message, Ended):
                ended = True
                return
            elif message.frame.frame_id > newest.get(message.frame.camera, -1):
                newest[message.frame.camera] = message.frame.frame_id
                recorder.saw(message, now_s)
                yield Finished(frame=message.frame)
    finally:
        recorder.close(ended=ended, now_s=time.monotonic())
