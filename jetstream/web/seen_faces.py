"""How large, how frontal, how bright and how sharp the faces are that each camera sees, a few numbers a track.

Looks at one frame of a camera in a second. Knows no clock and keeps no picture.
"""

import math
import statistics
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from jetstream.ipc.rings import FrameReader
from jetstream.messages import Tracked, TrackedFace
from jetstream.vision.recognition import quality
from jetstream.vision.recognition.quality import Quality

EVERY_S: Final = 1.0
MOST_FACES: Final = 4
"""of a frame that are looked at"""
MOST_TRACKS: Final = 300
"""of a camera that are remembered: the newest"""


@dataclass
class TrackSummary:
    """What was seen of one track; sums are over its looks."""

    looks: int = 0
    widest_px: float = 0.0
    narrowest_named_px: float | None = None
    named: bool = False
    pose: float = 0.0
    exposure: float = 0.0
    sharpness: float = 0.0
    lowness: float = 0.0

    def add(self, face: TrackedFace, found: Quality, lowness: float) -> None:
        width_px = face.box[2] - face.box[0]
        self.looks += 1
        self.widest_px = max(self.widest_px, width_px)
        if face.name is not None:
            self.named = True
            self.narrowest_named_px = min(self.narrowest_named_px or width_px, width_px)
        self.pose += found.pose
        self.exposure += found.exposure
        self.sharpness += found.sharpness
        self.lowness += lowness


class FaceFigures(NamedTuple):
    """Of one camera. Medians are over tracks, so that who stays for long counts once."""

    tracks: int
    looks: int
    """at all of them"""
    named: int
    frame_width: int
    width_px: float
    """median of the tracks' widest boxes"""
    smallest_named_px: float | None
    pose: float
    """0..1, as `quality` says it; so are the next two"""
    exposure: float
    sharpness: float
    lowness: float
    """how far the nose lies towards the mouth, in eye distances: it grows as the camera looks down"""


class SeenFaces:
    """One thread sees; any may ask."""

    def __init__(self, rings: FrameReader) -> None:
        self._rings = rings
        self._tracks: dict[str, OrderedDict[int, TrackSummary]] = {}
        self._widths: dict[str, int] = {}
        self._next_s: dict[str, float] = {}
        self._lock = threading.Lock()

    def see(self, tracked: Tracked, now_s: float) -> None:
        """Look at the faces of a frame, unless one of this camera was looked at less than EVERY_S ago."""
        camera = tracked.frame.camera
        faces = [face for face in tracked.faces if face.landmarks and face.state == "confirmed" and not face.doubtful]
        if not faces or now_s < self._next_s.get(camera, 0.0):
            return
        view = self._rings.view(camera, tracked.frame.frame_id)
        if view is None:
            return
        self._next_s[camera] = now_s + EVERY_S
        found = []
        for face in faces[:MOST_FACES]:
            points = np.array(face.landmarks).reshape(5, 2)
            lowness = quality.nose_offset(points)[1]
            if math.isfinite(lowness):  # else its eyes are in one place
                found.append((face, quality.measure(view.picture, points), lowness))
        width = view.picture.shape[1]
        if not found or not view.still_valid():
            return
        with self._lock:
            self._widths[camera] = width
            tracks = self._tracks.setdefault(camera, OrderedDict())
            for face, measured, lowness in found:
                tracks.setdefault(face.track_id, TrackSummary()).add(face, measured, lowness)
            while len(tracks) > MOST_TRACKS:
                tracks.popitem(last=False)

    def of(self, camera: str) -> FaceFigures | None:
        """None: no face was seen yet."""
        with self._lock:
            tracks = list(self._tracks.get(camera, {}).values())
            if not tracks:
                return None

            def median(value: Callable[[TrackSummary], float]) -> float:
                return statistics.median(value(track) for track in tracks)

            return FaceFigures(
                tracks=len(tracks),
                looks=sum(track.looks for track in tracks),
                named=sum(track.named for track in tracks),
                frame_width=self._widths[camera],
                width_px=median(lambda track: track.widest_px),
                smallest_named_px=min((t.narrowest_named_px for t in tracks if t.narrowest_named_px), default=None),
                pose=median(lambda track: track.pose / track.looks),
                exposure=median(lambda track: track.exposure / track.looks),
                sharpness=median(lambda track: track.sharpness / track.looks),
                lowness=median(lambda track: track.lowness / track.looks),
            )
