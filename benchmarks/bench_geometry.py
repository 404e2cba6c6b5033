"""Cost per frame of turning and squaring pictures: conversion of one decoded frame of 1280x720, with and without.

    python -m benchmarks.bench_geometry

"plain" is a frame as it is, "scaled only" the same conversion to the size that the row gives. All rows in turn, the
median of the rounds.
"""

import statistics
import time
from collections.abc import Callable
from fractions import Fraction

import av
import msgspec
import numpy as np

from jetstream.config.schema import CameraConfig
from jetstream.video.pixels import FrameConverter

ROUNDS, FRAMES = 15, 20
CAMERA = CameraConfig(name="any", source="any")


def main() -> None:
    image = np.random.default_rng(0).integers(0, 255, (720, 1280, 3), np.uint8)
    frame = av.VideoFrame.from_ndarray(image, "bgr24").reformat(format="yuv420p")
    ways = {
        "plain": converting(frame),
        "rotate = 90, to 608x1080": converting(frame, rotate=90),
        "rotate = 90, within 1920x1920": converting(frame, rotate=90, max_height=1920),
        "rotate = 180": converting(frame, rotate=180),
        "flip = horizontal": converting(frame, flip="horizontal"),
        "pixels 3:2, to 1920x720": converting(frame, Fraction(3, 2)),
    }
    took_s: dict[str, list[float]] = {name: [] for name in ways}
    seen_s = []
    for _ in range(ROUNDS):
        for name, (_, convert) in ways.items():
            begun_s = time.perf_counter()
            for _ in range(FRAMES):
                convert()
            took_s[name].append((time.perf_counter() - begun_s) / FRAMES)
        see, _ = ways["plain"]
        begun_s = time.perf_counter()
        for _ in range(1000):
            see()
        seen_s.append((time.perf_counter() - begun_s) / 1000)
    for name, seconds in took_s.items():
        print(f"{name:32} {statistics.median(seconds) * 1e3:6.2f} ms")
    print(f"{'looking at a frame':32} {statistics.median(seen_s) * 1e6:6.2f} us")


def converting(
    frame: av.VideoFrame, aspect: Fraction | None = None, **changes: object
) -> tuple[Callable[[], None], Callable[[], object]]:
    convert = FrameConverter(msgspec.structs.replace(CAMERA, **changes))
    convert.see(frame, lambda: aspect)
    return (lambda: convert.see(frame, lambda: aspect)), (lambda: convert(frame))


if __name__ == "__main__":
    main()
