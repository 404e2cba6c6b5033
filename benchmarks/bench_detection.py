"""Face detection on one core: jetstream's MTCNN and facenet-pytorch's on the same pictures, in alternation.

Run: `python -m benchmarks.bench_detection --peer-python /path/to/venv/bin/python`, where that environment has torch and
facenet-pytorch. Without the option only jetstream runs. Both processes share one core and never run at once. Times are
CPU times, which other programs on the machine disturb less than wall-clock times; `--wall` shows these instead. The
real pictures are those of the tests (JETSTREAM_DATA or ../shared/data); without them that part is skipped.
"""

import argparse
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import matplotlib
import numpy as np
import skimage

from jetstream import weights
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.vision import boxes as rectangles
from jetstream.vision.detection import mtcnn, proposals, pyramid
from jetstream.vision.detection.detections import Detections
from jetstream.vision.detection.mtcnn import Mtcnn
from tests.support import defaults

REPOSITORY = Path(__file__).resolve().parents[1]
PRESETS = {
    "fast": {"thresholds": (0.7, 0.7, 0.7), "factor": 0.709},
    "accurate": {"thresholds": (0.6, 0.7, 0.7), "factor": 0.709},
    "coarse": {"thresholds": (0.8, 0.7, 0.7), "factor": 0.6},
}
SIZES = ((640, 480), (1280, 720), (1920, 1080))
LONGEST_PX = 1280  # of the real pictures, which are photographs of any size
SAME_FACE_IOU = 0.5
SEARCH_EVERY = 8  # frames of the video


class Timed(NamedTuple):
    faces: Detections
    ms: float


class Peer:
    """facenet-pytorch in a process of its own; see peer_facenet.py for the pipe's format."""

    def __init__(self, python: Path, wall: bool) -> None:
        script = Path(__file__).with_name("peer_facenet.py")
        self._process = subprocess.Popen([python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._wall = wall

    def __call__(self, image: np.ndarray) -> Timed:
        assert self._process.stdin
        rgb = np.ascontiguousarray(image[..., ::-1])
        self._process.stdin.write(np.array(rgb.shape[:2], "<i4").tobytes() + rgb.tobytes())
        self._process.stdin.flush()
        count = int(self._read("<i4", 1)[0])
        wall_ns, cpu_ns = self._read("<i8", 2)
        faces = [self._read("<f4", count * size) for size in (4, 1, 10)]
        found = Detections(faces[0].reshape(-1, 4), faces[1], faces[2].reshape(-1, 5, 2))
        return Timed(found, (wall_ns if self._wall else cpu_ns) / 1e6)

    def _read(self, dtype: str, count: int) -> np.ndarray:
        assert self._process.stdout
        return np.frombuffer(self._process.stdout.read(count * np.dtype(dtype).itemsize), dtype)

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


class Clock:
    """Times calls, whole and, once `watch` has put itself in their place, the parts of a detection."""

    def __init__(self, wall: bool) -> None:
        self.now_ns = time.perf_counter_ns if wall else time.process_time_ns
        self.parts_ms: dict[str, float] = defaultdict(float)

    def __call__(self, find: Callable[..., list[Detections]], *arguments: object) -> Timed:
        start = self.now_ns()
        (faces,) = find(*arguments)
        return Timed(faces, (self.now_ns() - start) / 1e6)

    def watch(self, owner: object, name: str, part: str) -> None:
        original = getattr(owner, name)

        def timed(*arguments: object) -> object:
            start = self.now_ns()
            answer = original(*arguments)
            self.parts_ms[part] += (self.now_ns() - start) / 1e6
            return answer

        setattr(owner, name, timed)


def main() -> None:
    options = read_options()
    cv2.setNumThreads(1)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    weights.build(REPOSITORY / "models")
    clock = Clock(options.wall)
    with ExitStack() as stack:
        peer = Peer(options.peer_python, options.wall) if options.peer_python else None
        if peer:
            stack.callback(peer.close)
        runners = [stack.enter_context(OnnxRunner(path)) for path in weights.paths(REPOSITORY / "models")[:3]]
        detectors = {name: defaults.mtcnn(*runners, **settings) for name, settings in PRESETS.items()}
        print_speed(detectors, peer, clock, options.rounds)
        if options.data.is_dir():
            print_kept(detectors, peer, clock, options.data, options.every)
            print_video(detectors["fast"], peer, clock, options.data / "video" / "friends_dev.mp4")
        else:
            print(f"\nno real pictures in {options.data}: set JETSTREAM_DATA")
        print_parts(runners, clock, options.rounds)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", type=Path, help="python of an environment with torch and facenet-pytorch")
    parser.add_argument("--rounds", type=int, default=15, help="runs behind each median")
    parser.add_argument("--every", type=int, default=4, help="real video: one frame in so many")
    parser.add_argument("--wall", action="store_true", help="the wall's clock instead of the processor's")
    data = Path(os.environ.get("JETSTREAM_DATA", REPOSITORY.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=data)
    return parser.parse_args()


def print_speed(detectors: dict[str, Mtcnn], peer: Peer | None, clock: Clock, rounds: int) -> None:
    print("Whole search, ms of one core (median), smallest face 40 px\n")
    print("picture    faces" + "".join(f"{name:>10}" for name in detectors) + ("    peer  ratios" if peer else ""))
    for width, height in SIZES:
        for count in (1, 6):
            image = compose(width, height, count)
            times: dict[str, list[float]] = defaultdict(list)
            for _ in range(rounds):
                for name, detector in detectors.items():
                    found = clock(detector.detect, [image])
                    times[name].append(found.ms)
                if peer:
                    times["peer"].append(peer(image).ms)
            ours = [float(np.median(times[name])) for name in detectors]
            row = f"{width:4}x{height:<4} {len(found.faces.boxes):6}" + "".join(f"{ms:10.1f}" for ms in ours)
            if peer:
                theirs = float(np.median(times["peer"]))
                row += f"{theirs:8.0f}  " + "  ".join(f"{theirs / ms:.1f}x" for ms in ours)
            print(row, flush=True)


def compose(width: int, height: int, faces: int) -> np.ndarray:
    """(height, width, 3) BGR: 1 or 6 portraits in a row of cells over a photograph without faces."""
    shared = Path(skimage.__file__).parent / "data"
    portraits = [
        cv2.imread(str(shared / "astronaut.png"))[:280, 90:350],
        cv2.imread(str(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"))[:420, 60:450],
    ]
    canvas = cv2.resize(cv2.imread(str(shared / "coffee.png")), (width, height))
    for index in range(faces):
        portrait = portraits[index % 2]
        tall = round(height * 0.42)
        wide = round(tall * portrait.shape[1] / portrait.shape[0])
        left = width * (2 * (index % 3) + 1) // 6 - wide // 2
        top = round(height * (0.05 + 0.5 * (index // 3)))
        canvas[top : top + tall, left : left + wide] = cv2.resize(portrait, (wide, tall), interpolation=cv2.INTER_AREA)
    return canvas


def print_kept(detectors: dict[str, Mtcnn], peer: Peer | None, clock: Clock, data: Path, every: int) -> None:
    if peer is None:
        return
    print("\nReal pictures: share of the peer's faces kept, by its own probability, and mean ms\n")
    print("set                 pictures  peer ms" + "".join(f"{name:>9} ms   > .9  > .99" for name in detectors))
    total = Tally(list(detectors))
    for group, images in real_pictures(data, every).items():
        tally = Tally(list(detectors))
        for image in images:
            theirs = peer(image)
            ours = [clock(detector.detect, [image]) for detector in detectors.values()]
            for one in (tally, total):
                one.add(theirs, ours)
        print(f"{group:20}{tally}", flush=True)
    print(f"{'all':20}{total}")


class Tally:
    """Faces that the peer is sure of, and how many of them each of our settings found."""

    def __init__(self, names: Sequence[str]) -> None:
        self.pictures = 0
        self.ms = np.zeros(1 + len(names))
        self.sure = np.zeros(2, int)
        self.kept = np.zeros((len(names), 2), int)

    def add(self, theirs: Timed, ours: Sequence[Timed]) -> None:
        self.pictures += 1
        self.ms += [theirs.ms, *(one.ms for one in ours)]
        sure = theirs.faces.scores[:, None] > (0.9, 0.99)
        self.sure += sure.sum(axis=0)
        for row, one in zip(self.kept, ours, strict=True):
            overlap = rectangles.iou(theirs.faces.boxes, one.faces.boxes).max(axis=1, initial=0)
            row += (sure & (overlap > SAME_FACE_IOU)[:, None]).sum(axis=0)

    def __str__(self) -> str:
        means = self.ms / max(self.pictures, 1)
        columns = [f"{self.pictures:8} {means[0]:8.0f}"]
        for kept, mean in zip(self.kept, means[1:], strict=True):
            shares = 100 * kept / np.maximum(self.sure, 1)
            columns.append(f"{mean:12.1f} {shares[0]:5.1f}% {shares[1]:5.1f}%")
        return "".join(columns) + f"   of {self.sure[0]} and {self.sure[1]} faces"


def real_pictures(data: Path, every: int) -> dict[str, list[np.ndarray]]:
    groups = {
        name: [shrunk(cv2.imread(str(path))) for path in sorted((data / name).glob(pattern))]
        for name, pattern in (("compreface", "*.jpg"), ("dlib_faces", "*.jpg"), ("bbt_faceapi", "bbt*.jpg"))
    }
    for path in sorted((data / "video").glob("*.mp4")):
        groups[path.stem[:19]] = [frame for index, frame in enumerate(frames_of(path)) if index % every == 0]
    return groups


def shrunk(image: np.ndarray) -> np.ndarray:
    scale = LONGEST_PX / max(image.shape[:2])
    return image if scale >= 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def frames_of(path: Path) -> Iterator[np.ndarray]:
    video = cv2.VideoCapture(str(path))
    while True:
        read, frame = video.read()
        if not read:
            return
        yield frame


def print_video(detector: Mtcnn, peer: Peer | None, clock: Clock, path: Path) -> None:
    """A search every `SEARCH_EVERY` frames and when a face is lost, else only its last faces verified."""
    last = np.empty((0, 4), np.float32)
    searches, ours_ms, theirs_ms = 0, 0.0, 0.0
    sure, kept, frames = 0, 0, 0
    since_search = SEARCH_EVERY
    for frame in frames_of(path):
        frames += 1
        since_search += 1
        if since_search > SEARCH_EVERY:
            found, since_search = clock(detector.detect, [frame], [last]), 1
            searches += 1
        else:
            found = clock(detector.verify, [frame], [last])
            if len(found.faces.boxes) < len(last):
                since_search = SEARCH_EVERY
        last = found.faces.boxes
        ours_ms += found.ms
        if peer:
            theirs = peer(frame)
            theirs_ms += theirs.ms
            confident = theirs.faces.boxes[theirs.faces.scores > 0.99]
            sure += len(confident)
            kept += int((rectangles.iou(confident, last).max(axis=1, initial=0) > SAME_FACE_IOU).sum())
    print(f"\nVideo {path.name}, {frames} frames, {searches} searched whole, the others verified\n")
    print(f"jetstream {ours_ms / frames:6.2f} ms a frame")
    if peer:
        print(f"peer      {theirs_ms / frames:6.2f} ms a frame, {theirs_ms / ours_ms:.1f} times as much")
        print(f"in the same frame, {100 * kept / max(sure, 1):.1f}% of the {sure} faces over .99 the peer finds")


def print_parts(runners: list[OnnxRunner], clock: Clock, rounds: int) -> None:
    """Last, because watching slows everything a little."""
    for owner, name, part in (
        (pyramid.Pyramid, "level", "pyramid"),
        (pyramid.Pyramid, "crops", "crops"),
        (proposals, "nms", "NMS"),
        (mtcnn, "nms", "NMS"),
        (mtcnn, "nms_min", "NMS"),
        (runners[0], "infer", "P-Net"),
        (runners[1], "infer", "R-Net"),
        (runners[2], "infer", "O-Net"),
    ):
        clock.watch(owner, name, part)
    image = compose(1280, 720, 6)
    print("\nWhere the time of 1280x720 with 6 faces goes, mean ms\n")
    for preset, settings in PRESETS.items():
        detector = defaults.mtcnn(*runners, **settings)
        clock.parts_ms.clear()
        whole = sum(clock(detector.detect, [image]).ms for _ in range(rounds)) / rounds
        parts = {part: ms / rounds for part, ms in clock.parts_ms.items()}
        parts["rest"] = whole - sum(parts.values())
        print(f"{preset:10}{whole:6.1f} = " + " + ".join(f"{part} {ms:.1f}" for part, ms in parts.items()))


if __name__ == "__main__":
    main()
