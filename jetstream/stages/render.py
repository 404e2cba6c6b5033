"""Tracked frames to a window. Without a screen nothing is shown, which is logged once.

It may be slow: in every pace its frames are dropped first, and no other stage waits for it.
"""

import logging
import time
from collections import defaultdict, deque
from collections.abc import Iterator

from jetstream.config.schema import Config
from jetstream.ipc.rings import FrameReader
from jetstream.messages import Dropped, Finished, Tick, Tracked
from jetstream.runtime.switches import CameraSwitches
from jetstream.video import window
from jetstream.vision.drawing.annotate import annotate

log = logging.getLogger(__name__)


def render(messages: Iterator[Tracked | Tick], rings: FrameReader, config: Config) -> Iterator[Finished | Dropped]:
    """Finished for each frame; Dropped (`lapped`) if it was overwritten in its ring. Ends when the window is closed."""
    screen, switches = _open(config), CameraSwitches(config)
    times: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=30))
    try:
        for message in messages:
            if isinstance(message, Tracked):
                if screen is not None:
                    yield from _show(message, rings, config, switches, screen, times[message.frame.camera])
                else:
                    yield Finished(frame=message.frame)
            if screen is not None and screen.closed():
                return
    finally:
        if screen is not None:
            screen.close()


def _show(
    tracked: Tracked,
    rings: FrameReader,
    config: Config,
    switches: CameraSwitches,
    screen: window.Window,
    times: deque[float],
) -> Iterator[Finished | Dropped]:
    frame = tracked.frame
    image = rings.read(frame.camera, frame.frame_id)
    if image is None:
        yield Dropped(camera=frame.camera, reason="lapped")
        return
    settings, caption = config.render, _caption(tracked, times)
    blur = switches.blur(frame.camera, settings.blur)
    annotate(image, tracked.faces, tracked.others, blur=blur, landmarks=settings.landmarks, caption=caption)
    screen.show(frame.camera, image)
    yield Finished(frame=frame)


def _open(config: Config) -> window.Window | None:
    reason = window.why_not()
    if reason is None:
        try:
            return window.Window("jetstream", len(config.cameras), config.render.scale)
        except OSError as error:
            reason = str(error)
    log.info("no window: %s; names go to the topic and the recording", reason)
    return None


def _caption(tracked: Tracked, times: deque[float]) -> str:
    now_s = time.monotonic()
    times.append(now_s)
    rate = (len(times) - 1) / (now_s - times[0]) if len(times) > 1 and now_s > times[0] else 0.0
    return f"{tracked.frame.camera}  {rate:.0f} fps  {now_s * 1e3 - tracked.frame.captured_ns * 1e-6:.0f} ms"
