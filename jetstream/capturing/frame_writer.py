"""Writes a camera's frames to its ring. Knows no source."""

import time

from jetstream.config.schema import CameraConfig
from jetstream.ipc.ring import LocalRing, Ring
from jetstream.ipc.window import FrameWindow
from jetstream.messages import Captured, FrameRef
from jetstream.video.frames import Frame

POLL_S = 0.005
"""how often a frame that waits asks for its place"""


class FrameWriter:
    """Writes a camera's frames to its ring, and says which it may write: see `ipc.window`."""

    def __init__(self, ring: Ring | LocalRing, camera: CameraConfig, most_under_way: int) -> None:
        self.ring, self.camera = ring, camera
        self._window = FrameWindow(most_under_way)

    def has_room(self) -> bool:
        """Whether the pipeline has a place for a frame of this camera now."""
        return self._window.has_room(self.ring.slowest, time.monotonic())

    def write(self, frame: Frame, *, live: bool, left_out: int = 0) -> Captured:
        """Write the frame and announce it. `left_out`: frames of the source before it that were not written."""
        captured_ns = frame.captured_ns or time.monotonic_ns()
        frame_id = self.ring.write(frame.picture, captured_ns=captured_ns, left_out=left_out)
        self._window.wrote(frame_id, time.monotonic())
        return self.announced(frame_id, captured_ns, frame.pts_s, live=live)

    def announced(self, frame_id: int, captured_ns: int, pts_s: float, *, live: bool) -> Captured:
        """The message for a frame that is in the ring."""
        return Captured(
            frame=FrameRef(
                camera=self.camera.name,
                frame_id=frame_id,
                captured_ns=captured_ns,
                wall_ns=time.time_ns() - (time.monotonic_ns() - captured_ns),
                pts_s=pts_s,
                live=live,
            )
        )
