"""A folder, a glob or a list of pictures as a video of `image_fps`.

Knows no decoder of its own (`images` reads them) and nothing of what is in a picture.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from jetstream.errors import SourceError
from jetstream.video.frames import Image, Shot, Source, fitted
from jetstream.video.images import read_image


class FolderSource(Source):
    """Pictures in the order given; sizes may differ. One that can't be read is skipped, counted and told at the end."""

    def __init__(
        self,
        shown: str,
        paths: list[Path],
        *,
        image_fps: float,
        max_width: int,
        max_height: int,
        fps_limit: float,
        loop: bool,
    ) -> None:
        super().__init__(fps_limit=fps_limit, loop=loop)
        self._shown, self._paths, self._limits = shown, paths, (max_width, max_height)
        self._first_reason = ""
        self.fps = image_fps
        self.frames_expected = len(paths)

    def describe(self) -> str:
        return f"{self._shown} ({len(self._paths)} pictures, {self.fps:g} a second)"

    def close(self) -> None:
        self._paths = []

    def _shots(self) -> Iterator[Shot]:
        self.skipped = 0
        assert self.fps is not None
        for index, path in enumerate(self._paths):
            yield Shot(index / self.fps, partial(self._read, path))

    def _read(self, path: Path) -> Image | None:
        try:
            return shrunk(read_image(path), *self._limits)
        except SourceError as error:
            self._first_reason = self._first_reason if self.skipped else str(error)
            self.skipped += 1
            return None

    def _pass_ended(self, yielded: int) -> None:
        if yielded == 0 and self.skipped:
            raise SourceError(f"{self._shown}: none of the {self.skipped} pictures can be read ({self._first_reason})")
        if self.skipped:
            self.warning = (
                f"{self._shown}: {self.skipped} of {self.frames_expected} pictures can't be read "
                f"and were left out (the first: {self._first_reason})"
            )


def shrunk(image: Image, max_width: int, max_height: int) -> Image:
    """Inside the limits, keeping the aspect ratio; the same array if it was already."""
    height, width = image.shape[:2]
    size = fitted(width, height, max_width, max_height)
    if size == (width, height):
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
