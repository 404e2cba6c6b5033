"""A window that shows the cameras side by side, where there is a screen.

Uses SDL through pygame, an optional extra, because OpenCV's window needs libGL on every server. Knows no face.
"""

import math
import os
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # pygame would print to standard output

LARGEST = (1600, 900)
"""px; largest initial size of a window"""
INVISIBLE = ("offscreen", "dummy")
"""SDL's drivers without a screen, which it uses when no other works"""


def why_not() -> str | None:
    """Why no window can be shown, for a message; None if one can."""
    if not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")):
        return "there is no screen here"
    try:
        import pygame  # noqa: F401
    except ImportError:
        return "a window needs `pip install 'jetstream-faces[window]'`"
    return None


class Window:
    """Call `show` with each camera's newest picture, and `closed` regularly. Only if `why_not()` is None.

    `cameras` is their number, `scale` the size of the window relative to the pictures. Raises OSError when the screen
    can't be opened.
    """

    def __init__(self, title: str, cameras: int, scale: float) -> None:
        import pygame

        self._pygame: Any = pygame
        self._columns = math.ceil(math.sqrt(max(1, cameras)))
        self._rows = math.ceil(max(1, cameras) / self._columns)
        self._scale = scale
        self._places: dict[str, int] = {}
        self._screen: Any = None
        self._title = title
        try:
            self._open((640, 360))
        except pygame.error as error:
            raise OSError(str(error)) from None
        if pygame.display.get_driver() in INVISIBLE and "SDL_VIDEODRIVER" not in os.environ:
            pygame.display.quit()
            raise OSError("the screen can't be opened")
        self._is_fitted = False

    def show(self, camera: str, image: NDArray[np.uint8]) -> None:
        """Show `image` (H, W, 3) uint8 BGR in its camera's place, keeping its aspect ratio."""
        if not self._is_fitted:
            self._fit(image.shape[1], image.shape[0])
        place = self._places.setdefault(camera, len(self._places))
        width, height = (
            size // n for size, n in zip(self._screen.get_size(), (self._columns, self._rows), strict=True)
        )
        factor = min(width / image.shape[1], height / image.shape[0])
        size = (max(1, int(image.shape[1] * factor)), max(1, int(image.shape[0] * factor)))
        picture = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
        surface = self._pygame.image.frombuffer(picture.tobytes(), size, "RGB")
        left, top = place % self._columns * width, place // self._columns * height
        self._screen.blit(surface, (left + (width - size[0]) // 2, top + (height - size[1]) // 2))
        self._pygame.display.flip()

    def closed(self) -> bool:
        """Whether the user closed the window or pressed q or Escape since the last call."""
        keys = (self._pygame.K_q, self._pygame.K_ESCAPE)
        return any(
            event.type == self._pygame.QUIT or (event.type == self._pygame.KEYDOWN and event.key in keys)
            for event in self._pygame.event.get()
        )

    def close(self) -> None:
        self._pygame.display.quit()

    def _fit(self, width: int, height: int) -> None:
        """Set the window's size for pictures of this size, px."""
        self._is_fitted = True
        wanted = (width * self._columns * self._scale, height * self._rows * self._scale)
        fit = min(1.0, LARGEST[0] / wanted[0], LARGEST[1] / wanted[1])
        size = (max(1, int(wanted[0] * fit)), max(1, int(wanted[1] * fit)))
        self._pygame.display.quit()  # a window that is only enlarged keeps its corner and may leave the screen
        self._open(size)

    def _open(self, size: tuple[int, int]) -> None:
        self._pygame.display.init()
        self._screen = self._pygame.display.set_mode(size, self._pygame.RESIZABLE)
        self._pygame.display.set_caption(self._title)
