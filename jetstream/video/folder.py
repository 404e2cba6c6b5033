"""A folder, a glob or a list of pictures as a video of `image_fps` frames a second.

Decodes nothing itself (`images` does).
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from jetstream.errors import SourceError
from jetstream.video.frames import Image, LazyFrame, Source, SourceSettings, fitted
from jetstream.video.geometry import mounted
from jetstream.video.images import read_image


class FolderSource(Source):
    """Pictures in the given order, of any sizes. Those that can't be read are skipped, counted and named at the end."""

    def __init__(
        self,
        shown: str,
        paths: list[Path],
        settings: SourceSettings,
        *,
        fps_limit: float,
        loop: bool,
    ) -> None:
        super().__init__(fps_limit=fps_limit, loop=loop)
        self._shown, self._paths = shown, paths
        self._settings = settings
        self._unreadable: dict[Path, str] = {}
        self.fps = settings.image_fps
        self.frames_expected = len(paths)

    def describe(self) -> str:
        return f"{self._shown} ({len(self._paths)} pictures, {self.fps:g} a second)"

    def close(self) -> None:
        self._paths = []

    def _shots(self) -> Iterator[LazyFrame]:
        assert self.fps is not None
        for index, path in enumerate(self._paths):
            yield LazyFrame(index / self.fps, partial(self._read, path))

    def _read(self, path: Path) -> Image | None:
        try:
            return placed(read_image(path), self._settings)
        except SourceError as error:
            self._unreadable.setdefault(path, str(error))
            self.skipped += 1
            return None

    def _pass_ended(self, yielded: int) -> None:
        if not self._unreadable:
            return
        count, first = len(self._unreadable), next(iter(self._unreadable.values()))
        if yielded == 0:
            raise SourceError(f"{self._shown}: none of its pictures can be read (the first: {first})")
        self.warning = (
            f"{self._shown}: {count} of {self.frames_expected} pictures can't be read and were left out "
            f"(the first: {first})"
        )


def shrunk(image: Image, max_width: int, max_height: int) -> Image:
    """(H, W, 3) uint8 scaled down to the limits in px, keeping the aspect ratio; the same array if it fits already."""
    height, width = image.shape[:2]
    size = fitted(width, height, max_width, max_height)
    if size == (width, height):
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def placed(image: Image, settings: SourceSettings) -> Image:
    """An upright picture as the source's settings want it: turned as `rotate` and `flip` say, within the limits."""
    turn = mounted(settings)
    return turn.apply(shrunk(image, *turn.size(settings.max_width, settings.max_height)))
