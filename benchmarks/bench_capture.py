"""What a decoded 1080p frame costs on its way into the ring and out of it: as BGR, and as NV12.

`python benchmarks/bench_capture.py` prints a table of the processor's time. Both ways take turns, frame by frame, so
that a busy machine slows both. Decoding isn't counted.
"""

import statistics
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jetstream.config.schema import CameraConfig
from jetstream.ipc.ring import Ring, segment_name
from jetstream.picture_format import Nv12Picture
from jetstream.video.pixels import FrameConverter

HEIGHT, WIDTH, SLOTS, TURNS = 1080, 1920, 8, 200


def decoded_frame() -> av.VideoFrame:
    """(1080, 1920) yuv420p, as a decoder gives it: a photo, enlarged, with a sensor's noise."""
    import skimage

    photo = cv2.imread(str(Path(skimage.__file__).parent / "data" / "astronaut.png"))
    assert photo is not None
    noise = np.random.default_rng(1).integers(-4, 5, (HEIGHT, WIDTH, 3))
    image = np.clip(cv2.resize(photo, (WIDTH, HEIGHT)) + noise, 0, 255).astype(np.uint8)
    return av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p")


def in_turns(*works: Callable[[], Any]) -> list[float]:
    """The median of each work's processor time, ms."""
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(TURNS):
        for work, times in zip(works, taken, strict=True):
            begun_s = time.process_time()
            work()
            times.append(1e3 * (time.process_time() - begun_s))
    return [statistics.median(times) for times in taken]


def main() -> None:
    cv2.setNumThreads(1)
    frame, camera = decoded_frame(), CameraConfig(name="any", source="0", max_width=WIDTH, max_height=HEIGHT)
    convert = FrameConverter(camera)
    convert.see(frame, lambda: Fraction(1))
    planes = convert.planes(frame)
    assert planes is not None
    bgr, out = convert(frame), np.empty((HEIGHT, WIDTH, 3), np.uint8)
    copied = Nv12Picture(planes.luma.copy(), planes.chroma.copy(), planes.format)
    name = segment_name("capture")
    with Ring.create(name, slots=SLOTS, max_width=WIDTH, max_height=HEIGHT) as ring:
        in_bgr, in_nv12 = in_turns(
            lambda: ring.write(convert(frame)), lambda: ring.write(convert.planes(frame) or convert(frame))
        )
        of_bgr, of_nv12 = ring.write(bgr), ring.write(copied)
        out_bgr, out_nv12, opencv = in_turns(
            lambda: ring.read(of_bgr, out),
            lambda: ring.read(of_nv12, out),
            lambda: cv2.cvtColorTwoPlane(copied.luma, copied.chroma, cv2.COLOR_YUV2BGR_NV12, dst=out),
        )
    print("| 1080p, ms of the processor | BGR | NV12 | NV12 / BGR |\n| --- | --- | --- | --- |")
    print(f"| convert and write | {in_bgr:.2f} | {in_nv12:.2f} | {in_nv12 / in_bgr:.2f} |")
    print(f"| read as BGR | {out_bgr:.2f} | {out_nv12:.2f} | {out_nv12 / out_bgr:.2f} |")
    print(f"| the same by OpenCV, BT.601 alone | | {opencv:.2f} | |")
    print(f"| MB uploaded | {bgr.nbytes / 1e6:.2f} | {copied.nbytes / 1e6:.2f} | {copied.nbytes / bgr.nbytes:.2f} |")


if __name__ == "__main__":
    main()
