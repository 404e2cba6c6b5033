"""The frames of a source: their times, rate and size.

Knows no file, no network and no camera: sources yield `LazyFrame`s, which become `UnconvertedFrame`s and `Frame`s here.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType
from typing import Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from jetstream.picture_format import PicturePlace, bgr_of

Image: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) uint8, BGR."""

USUAL_FPS = 25.0
"""frame rate of a source that doesn't state one"""
LONGEST_STEP_BACK_S = 1.0
"""A larger step back means that the clock was reset, not that two frames are out of order."""


class Frame(NamedTuple):
    """One picture of a source."""

    # (H, W, 3) uint8 BGR; NV12 only where the source `may_give_nv12`; on a GPU only from `video.gop`
    picture: PicturePlace
    pts_s: float  # seconds since the start of the source, strictly increasing
    captured_ns: int = 0  # CLOCK_MONOTONIC when a live reader got it; 0 from other sources

    @property
    def image(self) -> Image:
        """(H, W, 3) uint8 BGR: the picture itself, or converted at each call."""
        return bgr_of(self.picture)


class UnconvertedFrame(NamedTuple):
    """A decoded picture whose conversion is left to the reader, who may not want it. A later frame may be converted
    before it."""

    pts_s: float  # as of Frame
    picture: Callable[[], PicturePlace | None]  # as of Frame; None: it is damaged
    captured_ns: int = 0

    def converted(self) -> Frame | None:
        """The frame; None if it is damaged."""
        picture = self.picture()
        return None if picture is None else Frame(picture, self.pts_s, self.captured_ns)


class SourceSettings(Protocol):
    """How a source is opened and read. `[[cameras]]` of a config has these keys."""

    @property
    def max_width(self) -> int:
        """px; wider frames are scaled down, keeping their aspect ratio"""

    @property
    def max_height(self) -> int:
        """px; higher frames are scaled down, keeping their aspect ratio"""

    @property
    def rotate(self) -> Literal[0, 90, 180, 270]:
        """degrees clockwise by which upright frames are turned further"""

    @property
    def flip(self) -> Literal["", "horizontal", "vertical", "both"]:
        """how frames are mirrored after that"""

    @property
    def open_timeout_s(self) -> float:
        """time limit to open a camera, stream or pipeline"""

    @property
    def read_timeout_s(self) -> float:
        """time limit for the next frame of a camera, stream or pipeline"""

    @property
    def image_fps(self) -> float:
        """frame rate of pictures"""


class LazyFrame(NamedTuple):
    """A picture that isn't converted yet, and its time: it is converted only if the frame is wanted."""

    pts_s: float | None  # since the start of this pass, of a live source by arrival; None: the source states no time
    picture: Callable[[], PicturePlace | None]  # returns None if it is damaged, which the source counts


def fitted(width: int, height: int, max_width: int, max_height: int) -> tuple[int, int]:
    """(width, height) px scaled down to the limits, keeping the aspect ratio; never scaled up."""
    scale = min(1.0, max_width / width, max_height / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


SAME_S = 1e-6
"""times that differ by less are equal but for rounding"""


class Timeline:
    """Makes presentation times strictly increasing from 0, across gaps, steps back and loops."""

    def __init__(self, frame_s: float, longest_gap_s: float = math.inf) -> None:
        self._frame_s, self._longest_gap_s = frame_s, longest_gap_s
        self._shift_s = 0.0
        self._last_s: float | None = None

    def place(self, pts_s: float | None) -> float:
        """The presentation time in s for `pts_s`: seconds since the start of this pass, None if the stream has none."""
        if self._last_s is None:
            self._last_s = max(0.0, pts_s or 0.0)
            return self._last_s
        after_s = self._last_s + self._frame_s
        placed_s = after_s if pts_s is None else pts_s + self._shift_s
        step_s = placed_s - self._last_s
        if pts_s is not None and not -LONGEST_STEP_BACK_S <= step_s <= self._longest_gap_s:
            self._shift_s = after_s - pts_s
            placed_s = after_s
        self._last_s = placed_s if step_s >= SAME_S else after_s
        return self._last_s

    def start_again(self) -> None:
        """A new pass begins, whose times start at 0: place them after the last one."""
        if self._last_s is not None:
            self._shift_s = self._last_s + self._frame_s


class RateLimiter:
    """Thins a stream to `fps_limit` by presentation time; 0 keeps everything."""

    def __init__(self, fps_limit: float, frame_s: float) -> None:
        self._step_s = 1.0 / fps_limit if fps_limit > 0 else 0.0
        # Half a frame early is nearer to the wanted moment than the next frame would be.
        self._early_s = min(frame_s, self._step_s) / 2
        self._due_s = 0.0

    def wants(self, pts_s: float) -> bool:
        if self._step_s == 0:
            return True
        if pts_s < self._due_s - self._early_s:
            return False
        if pts_s - self._due_s > self._step_s:
            self._due_s = pts_s
        self._due_s += self._step_s
        return True


class Source(ABC):
    """Frames of one camera, stream, file, folder or the demo: a context manager and an iterator.

    `live`: a camera or a network stream, which doesn't wait for its reader.
    `fps`: nominal frames a second of the source; None if it states none.
    `frames_expected`: frames in one pass, before `fps_limit`; None if unknown or endless.
    `skipped`: damaged frames or unreadable pictures left out so far.
    `warning`: at the end of each pass a sentence about what was left out; None if nothing was.
    `heard`: called whenever the source delivers data, also for frames that aren't wanted and parts of frames.
    `may_give_nv12`: set by a reader that takes pictures as NV12, too, where the decoder gives them so.
    `opens`: called before it closes what it reads, and before it opens it again for a further pass; both may take long.

    Iterating raises SourceError when the source can't continue.
    """

    live = False
    fps: float | None = None
    frames_expected: int | None = None
    skipped = 0
    warning: str | None = None

    def __init__(self, *, loop: bool, fps_limit: float = 0) -> None:
        self.heard: Callable[[], None] = lambda: None
        self.opens: Callable[[], None] = lambda: None
        self.may_give_nv12 = False
        self._fps_limit = fps_limit
        self._loop = loop
        self._running: Iterator[UnconvertedFrame] | None = None
        self._damaged_pictures = 0

    @abstractmethod
    def describe(self) -> str:
        """A short description for messages: name, size, rate; no password."""

    @abstractmethod
    def close(self) -> None:
        """Release all resources; may be called again."""

    @abstractmethod
    def _shots(self) -> Iterator[LazyFrame]:
        """The frames of one pass from the start. Called for each pass."""

    @abstractmethod
    def _pass_ended(self, yielded: int) -> None:
        """Set `warning`, or raise SourceError if a pass that `yielded` nothing is a mistake."""

    def __iter__(self) -> "Source":
        return self

    def __next__(self) -> Frame:
        if self._running is None:
            self._running = self.unconverted()
        for frame in self._running:
            if (converted := frame.converted()) is not None:
                return converted
        raise StopIteration

    def __enter__(self) -> "Source":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def unconverted(self) -> Iterator[UnconvertedFrame]:
        """The same frames, of which the reader converts those that it wants, in the thread that it likes."""
        frame_s = 1.0 / (self.fps or USUAL_FPS)
        timeline = Timeline(frame_s)
        pace = RateLimiter(self._fps_limit, frame_s)
        while True:
            yielded = self._damaged_pictures = 0
            for shot in self._shots():
                self.heard()
                pts_s = timeline.place(shot.pts_s)
                if pace.wants(pts_s):
                    yielded += 1
                    yield UnconvertedFrame(pts_s, partial(self._counted, shot.picture))
            yielded -= self._damaged_pictures
            self._pass_ended(yielded)
            if not self._loop or yielded == 0:
                return
            self.opens()
            timeline.start_again()

    def _counted(self, conversion: Callable[[], PicturePlace | None]) -> PicturePlace | None:
        picture = conversion()
        self._damaged_pictures += picture is None
        return picture
