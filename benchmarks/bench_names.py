"""Cost per frame of drawing names: one label on a 1280x720 picture, beside the same text by OpenCV alone, which draws
some of these scripts letter by letter or as question marks.

    python -m benchmarks.bench_names

"first" is the first time a name is drawn; from then on its picture is kept. All rows in turn, the median of the rounds.
"""

import statistics
import time
from collections.abc import Callable
from types import SimpleNamespace

import cv2
import numpy as np
from numpy.typing import NDArray

from jetstream.vision.drawing import draw
from jetstream.vision.drawing.lettering import FONT, WEIGHT

NAMES = {
    "Latin": "José Ñandú",
    "Chinese": "李小龙",
    "Arabic": "محمد علي",
    "Hebrew": "יוסף כהן",
    "Thai": "สมชาย",
    "Devanagari": "अमित शर्मा",
    "emoji": "😀 Ada",
    "mixed": "Ada محمد 12",
    "60 letters": "x" * 60,
    "60 Thai": "สมชาย" * 12,
}
ROUNDS, FRAMES = 15, 40
SIZE, BOX = 20, (100.0, 200.0, 220.0, 340.0)


def main() -> None:
    image = np.full((720, 1280, 3), 90, np.uint8)
    first_ms = {name: timed(lambda text=text: label(image, text), 1) for name, text in NAMES.items()}
    before: dict[str, list[float]] = {name: [] for name in NAMES}
    now: dict[str, list[float]] = {name: [] for name in NAMES}
    for _ in range(ROUNDS):
        for name, text in NAMES.items():
            before[name].append(timed(lambda text=text: by_opencv(image, text), FRAMES))
            now[name].append(timed(lambda text=text: label(image, text), FRAMES))
    print(f"{'':12} {'first, ms':>10} {'OpenCV, us':>11} {'now, us':>8}")
    for name in NAMES:
        old, new = (statistics.median(took[name]) * 1e3 for took in (before, now))
        print(f"{name:12} {first_ms[name]:10.1f} {old:11.0f} {new:8.0f}")


def timed(call: Callable[[], None], times: int) -> float:
    """ms a call."""
    begun_s = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - begun_s) / times * 1e3


def label(image: NDArray[np.uint8], name: str) -> None:
    track = SimpleNamespace(
        track_id=1, state="confirmed", box=BOX, landmarks=None, name=name, confidence=0.97, doubtful=False
    )
    draw.faces(image, [track], landmarks=False)


def by_opencv(image: NDArray[np.uint8], name: str) -> None:
    x1, y1, x2, y2 = (round(value) for value in BOX)
    cv2.rectangle(image, (x1, y1), (x2, y2), draw.KNOWN, 2, cv2.LINE_AA)
    text = f"{name} 97%"
    _, _, wide, _ = cv2.getTextSize((1280, 720), text, (0, 0), FONT, SIZE, WEIGHT)
    cv2.rectangle(image, (x1, y1 - SIZE - 8), (x1 + wide + 8, y1), draw.KNOWN, -1)
    cv2.putText(image, text, (x1 + 4, y1 - 7), draw.INK, FONT, SIZE, WEIGHT)


if __name__ == "__main__":
    main()
