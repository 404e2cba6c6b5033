"""face_recognition's two own rules, run by a Python that has it; prints JSON. See bench_peer_names.py.

    VENV/bin/python benchmarks/peer_face_recognition.py TRAIN_DIR PICTURE_OR_VIDEO...

knn: its example face_recognition_knn.py: round(sqrt(photos)) neighbours weighted by distance, threshold 0.6.
tolerance: its example facerec_from_video_file.py: the nearest photo, if within 0.6.
"""

import json
import math
import sys
from pathlib import Path

import cv2
import face_recognition
import numpy as np
from sklearn.neighbors import KNeighborsClassifier

TOLERANCE = 0.6


def main() -> None:
    train, *asked = map(Path, sys.argv[1:])
    known, names = learn(train)
    neighbours = max(1, round(math.sqrt(len(known))))
    knn = KNeighborsClassifier(n_neighbors=neighbours, algorithm="ball_tree", weights="distance").fit(known, names)
    found = [
        {"image": path.name, "frame": number, "faces": named(image, known, names, knn, neighbours)}
        for path in asked
        for number, image in enumerate(pictures(path))
    ]
    print(json.dumps(found))


def learn(folder: Path) -> tuple[np.ndarray, list[str]]:
    known, names = [], []
    for path in sorted(folder.glob("*/*")):
        image = face_recognition.load_image_file(str(path))
        boxes = face_recognition.face_locations(image)
        if len(boxes) == 1:  # as its example does
            known += face_recognition.face_encodings(image, known_face_locations=boxes)
            names.append(path.parent.name)
    return np.array(known), names


def pictures(path: Path):
    if path.suffix != ".mp4":
        yield face_recognition.load_image_file(str(path))
        return
    video = cv2.VideoCapture(str(path))
    while True:
        there, frame = video.read()
        if not there:
            return
        yield np.ascontiguousarray(frame[:, :, ::-1])


def named(image, known, names, knn, neighbours) -> list[dict]:
    boxes = face_recognition.face_locations(image)
    found = []
    for (top, right, bottom, left), face in zip(boxes, face_recognition.face_encodings(image, boxes), strict=True):
        distances, _ = knn.kneighbors(face[None], n_neighbors=neighbours)
        nearest = face_recognition.face_distance(known, face)
        found.append(
            {
                "box": [left, top, right, bottom],
                "knn": str(knn.predict(face[None])[0]) if distances[0][0] <= TOLERANCE else None,
                "tolerance": names[int(nearest.argmin())] if nearest.min() <= TOLERANCE else None,
            }
        )
    return found


if __name__ == "__main__":
    main()
