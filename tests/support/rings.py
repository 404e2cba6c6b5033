"""A small frame ring, and pictures to tell apart in it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jetstream.ipc.ring import Ring

NAME = "ring"


def small_ring(directory: Path) -> Ring:
    """Of four slots of 64 x 48 px, as the file NAME."""
    return Ring.create(NAME, slots=4, max_width=64, max_height=48, directory=directory)


def picture(seed: int, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 of noise."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@contextmanager
def served(ring: Ring) -> Iterator[None]:
    """The writer looks after readers that ask, as `decode` does between two frames."""
    done = threading.Event()

    def serve() -> None:
        while not done.wait(0.001):
            ring.bring()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
