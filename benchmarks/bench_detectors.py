"""Added detectors beside MTCNN: recall, false faces and time, on labelled pictures and on a crowd of portraits.

    python -m benchmarks.bench_detectors [NAME ...] [--data DIR] [--models DIR]

NAME is a detector that `jetstream models add` added. A face of compreface counts as found where a box holds its nose;
one of dlib_faces where a box holds the middle of its landmarks' box. Pictures are scaled to a longest side of 1280 px.
"""

import argparse
import json
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from jetstream.config import load
from jetstream.networks.open import open_picture_detector
from jetstream.video.demo_film import collins_path, hopper_path
from jetstream.video.images import read_image
from jetstream.vision.detection.detector import Detector, DetectorInput, faces_in

REPOSITORY = Path(__file__).resolve().parents[1]
LONGEST_PX = 1280
Labelled = tuple[np.ndarray, np.ndarray]  # a picture, and (N, 2) px: a point in each face


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--data", type=Path, default=REPOSITORY.parent / "shared" / "data")
    parser.add_argument("--models", type=Path, default=REPOSITORY / "models")
    options = parser.parse_args()
    sets = {
        "compreface": list(compreface(options.data)),
        "dlib_faces": list(dlib_faces(options.data)),
        "crowd": [crowd()],
    }
    print("set, detector, preset | faces | found | false | ms a picture | ms to verify, a face")
    for preset in ("fast", "still"):
        for name in ("mtcnn", *options.names):
            detect = {"detector": name, "preset": preset}
            config = load.build({"models": {"dir": str(options.models)}, "detect": detect}, where="bench")
            with open_picture_detector(config) as detector:
                for title, pictures in sets.items():
                    print(f"{title}, {name}, {preset} | {measured(detector, pictures)}")


def measured(detector: Detector, pictures: list[Labelled]) -> str:
    faces = found = false = 0
    search_s, verify_s = [], []
    for image, points in pictures:
        faces_in(detector, image)
        began_s = time.perf_counter()
        boxes = faces_in(detector, image).boxes
        search_s.append(time.perf_counter() - began_s)
        began_s = time.perf_counter()
        detector.collect(detector.submit([DetectorInput(image, boxes, search=False)]))
        verify_s.append((time.perf_counter() - began_s) / max(len(boxes), 1))
        holds = ((points[:, None] >= boxes[:, :2]) & (points[:, None] < boxes[:, 2:])).all(axis=2)
        faces += len(points)
        found += int(holds.any(axis=1).sum())
        false += int((~holds.any(axis=0)).sum())
    return f"{faces} | {found} | {false} | {1e3 * np.median(search_s):.1f} | {1e3 * np.median(verify_s):.1f}"


def compreface(data: Path) -> Iterator[Labelled]:
    for entry in json.loads((data / "compreface" / "noses.json").read_text())["images"]:
        image, scale = shrunk(read_image(data / "compreface" / entry["image"]))
        yield image, np.array(entry["noses"], np.float64).reshape(-1, 2) * scale


def dlib_faces(data: Path) -> Iterator[Labelled]:
    for file in ("testing.xml", "training.xml"):
        for node in ElementTree.parse(data / "dlib_faces" / file).getroot().iter("image"):
            boxes = [[float(box.get(key, 0)) for key in ("left", "top", "width", "height")] for box in node.iter("box")]
            image, scale = shrunk(read_image(data / "dlib_faces" / str(node.get("file"))))
            yield image, np.array([[x + w / 2, y + h / 2] for x, y, w, h in boxes]) * scale


def crowd(rows: int = 9, columns: int = 16, side_px: int = 80) -> Labelled:
    """Portraits side by side, with faces of about 40 px: 1280 x 720 px."""
    faces = [read_image(collins_path())[:300, 70:370], read_image(hopper_path())[20:320, 100:400]]
    tiles = [cv2.resize(face, (side_px, side_px), interpolation=cv2.INTER_AREA) for face in faces]
    middles = [(0.5, 0.36), (0.55, 0.45)]  # of the face in its tile
    image = np.zeros((rows * side_px, columns * side_px, 3), np.uint8)
    points = []
    for row in range(rows):
        for column in range(columns):
            which = (row + column) % 2
            image[row * side_px : (row + 1) * side_px, column * side_px : (column + 1) * side_px] = tiles[which]
            points.append([(column + middles[which][0]) * side_px, (row + middles[which][1]) * side_px])
    return image, np.array(points)


def shrunk(image: np.ndarray) -> tuple[np.ndarray, float]:
    scale = min(1.0, LONGEST_PX / max(image.shape[:2]))
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), scale


if __name__ == "__main__":
    main()
