"""Clips made on the spot whose frames say their own number."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

Clip = Callable[..., Path]
FRAMES = 60


def numbered(index: int, width: int, height: int) -> np.ndarray:
    """(H, W, 3) uint8 BGR: 8 stripes, bright where `index` has the bit; a little noise so that packets have a size."""
    image = np.random.default_rng(index).integers(0, 24, (height, width, 3), np.uint8)
    for bit in range(8):
        image[:, bit * width // 8 : (bit + 1) * width // 8] += np.uint8(180 * (index >> bit & 1))
    return image


def number_of(image: np.ndarray) -> int:
    """What `numbered` wrote."""
    stripes = np.array_split(image.mean(axis=(0, 2)), 8)
    return sum(1 << bit for bit, stripe in enumerate(stripes) if stripe[2:-2].mean() > 96)


@pytest.fixture
def number() -> Callable[[np.ndarray], int]:
    return number_of


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    """clip(name, frames=60, size=(160, 120), fps=25, times=None, codec="libx264", options={}) writes a file."""

    def make(
        name: str,
        *,
        frames: int = FRAMES,
        size: tuple[int, int] = (160, 120),
        fps: int = 25,
        times: list[float] | None = None,
        codec: str = "libx264",
        container: dict[str, str] | None = None,
        options: dict[str, str] | None = None,
    ) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w", options=container or {}) as output:
            stream = output.add_stream(codec, rate=fps, options={"g": "10", "bf": "2", **(options or {})})
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            stream.codec_context.time_base = Fraction(1, 1000)
            for index in range(frames):
                frame = av.VideoFrame.from_ndarray(numbered(index, *size), "bgr24")
                frame.time_base = Fraction(1, 1000)
                frame.pts = round((times[index] if times else index / fps) * 1000)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return path

    return make
