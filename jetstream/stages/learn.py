"""Trains the gallery when photos change during a run, each time in a separate process; `recognize` loads the result.

Handles no frame and holds no network: it checks names, sizes and times in the faces folder, and waits.
"""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from jetstream.child_process import TURN_S, run_background
from jetstream.config.schema import Config
from jetstream.gallery import photos, train
from jetstream.messages import Tick

SHARE = 0.02
"""largest share of one core's time for these checks: folders of thousands of people are checked less often"""

log = logging.getLogger(__name__)


def learn(ticks: Iterator[Tick], config: Config) -> None:
    """Check the photos every `recognize.watch_s`, and train the gallery once they have stopped changing. The new
    gallery is a file, so no message is sent."""
    faces = Path(config.recognize.faces)
    change = PhotoWatcher(train.learnt_from(config))
    next_s = 0.0
    for _tick in ticks:
        now_s = time.monotonic()
        if now_s < next_s:
            time.sleep(min(TURN_S, next_s - now_s))
            continue
        seen = photos.state(faces, each=lambda: next(ticks, None))
        next_s = time.monotonic() + max(config.recognize.watch_s, (time.monotonic() - now_s) / SHARE)
        if change.is_due(seen):
            log.info("%s: photos changed; training the gallery", faces)
            _learn(ticks, config)


class PhotoWatcher:
    """Decides when to train: when the photos differ from those of the last training and were the same at two checks in
    a row, so that a half-copied photo isn't used. A folder that is missing or empty changes nothing, since a disk may
    have been unmounted."""

    def __init__(self, learnt: photos.State | None) -> None:
        self._learnt = learnt
        self._seen: photos.State | None = None

    def is_due(self, seen: photos.State | None) -> bool:
        still, self._seen = seen == self._seen, seen
        if not seen or not still or seen == self._learnt:
            return False
        self._learnt = seen  # also where training fails: it is tried again when photos change again
        return True


def _learn(ticks: Iterator[Tick], config: Config) -> None:
    if code := run_background("jetstream.gallery.learner", msgspec.json.encode(config), ticks):
        log.warning("training failed (exit code %d); the gallery in use stays until photos change again", code)
