"""Clips of sightings, which begin before them: see the room `clips`. Handles no frame, and nobody waits for it."""

import time
from collections.abc import Iterator

from jetstream.clips.recorder import ClipRecorder
from jetstream.config.schema import Config
from jetstream.messages import Tick

TURN_S = 0.25
"""time between two looks for changes and fragments"""


def clips(ticks: Iterator[Tick], config: Config) -> None:
    """Make clips until the ticks end, then finish those that are open."""
    recorder = ClipRecorder(config)
    try:
        for _ in ticks:
            if not recorder.tend():
                time.sleep(TURN_S)
    finally:
        recorder.close()
