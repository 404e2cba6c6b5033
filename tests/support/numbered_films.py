"""Films whose frames bear their number, so that a test can say which frames of a film are in another."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BITS = 12
BLOCK = 12
"""px; a bit is a square at the lower border"""
WIDTH, HEIGHT = 160, 120


def numbered(number: int, background: np.ndarray | None = None) -> np.ndarray:
    """(H, W, 3) uint8 BGR with the number at the lower border."""
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8) if background is None else background.copy()
    for bit in range(BITS):
        left = bit * BLOCK
        image[-BLOCK:, left : left + BLOCK] = 235 if number >> bit & 1 else 20
    return image


def number_of(image: np.ndarray) -> int:
    """The number that an image (H, W, 3) bears, whatever its size was made."""
    height = image.shape[0]
    row = image[height - BLOCK // 2]
    return sum(int(row[bit * BLOCK + BLOCK // 2].mean() > 128) << bit for bit in range(BITS))


def numbered_film(
    path: Path,
    times_s: Sequence[float],
    *,
    codec: str = "libx264",
    gop: int = 20,
    sound: bool = False,
    pictures: Sequence[np.ndarray] | None = None,
) -> Path:
    """A film with a frame at each time, the n-th of which bears the number n; `gop`: a key frame every so many."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=Fraction(10))
        first = numbered(0, pictures[0] if pictures is not None else None)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        options = {"g": str(gop), "keyint_min": str(gop), "sc_threshold": "0", "preset": "veryfast"}
        if codec == "libx265":
            options = {"x265-params": f"keyint={gop}:min-keyint={gop}:scenecut=0:log-level=none", "preset": "ultrafast"}
        stream.options = options
        audio = output.add_stream("aac", rate=16000) if sound else None
        for number, time_s in enumerate(times_s):
            picture = pictures[number] if pictures is not None else None
            frame = av.VideoFrame.from_ndarray(numbered(number, picture), format="bgr24")
            frame.pts, frame.time_base = round(time_s * 1000), Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if audio is not None:
            _hum(output, audio, times_s[-1])
    return path


def shown_numbers(path: Path) -> list[int]:
    """The numbers of the frames that a player shows of a film."""
    with av.open(str(path)) as container:
        return [number_of(frame.to_ndarray(format="bgr24")) for frame in container.decode(container.streams.video[0])]


def _hum(output: "av.container.OutputContainer", audio: "av.audio.stream.AudioStream", length_s: float) -> None:
    for start in range(0, int(length_s * 16000), 1024):
        wave = np.sin(np.arange(start, start + 1024) * 0.1).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16000, start
        output.mux(audio.encode(frame))
    output.mux(audio.encode(None))
