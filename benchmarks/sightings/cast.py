"""The people of the walk-ins: pieces of video and photos that show one face, and the photos they are enrolled with.

Each person is shown in other frames or photos than those enrolled.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from jetstream.config.schema import Config
from jetstream.networks.open import for_photos, open_picture_detector
from jetstream.vision.detection.detector import Detector, faces_in

Image = NDArray[np.uint8]
Box = NDArray[np.float64]  # (4,) xyxy px

DATA = Path(os.environ.get("JETSTREAM_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
DETECT_EVERY = 5
"""one in so many frames of a clip is searched; the boxes between are interpolated"""
REACH = 1.25
"""what is shown around a face's middle on each side, in its widths and heights: hair, chin and ears"""
FACE_PX = 170
"""height to which faces are scaled once; a walk shows them at 90 to this"""


class Look(NamedTuple):
    """One frame of a person."""

    image: Image  # (H, W, 3) uint8 BGR
    box: Box  # of the face


@dataclass(frozen=True)
class Person:
    """Somebody who walks in."""

    name: str
    known: bool
    looks: Sequence[Look]
    photos: Sequence[Image]  # enrolled ones; none of a stranger


class _Clip(NamedTuple):
    file: str  # in video/
    first: int
    end: int
    side: str = ""  # left or right of x = 640
    enrol: Sequence[int] = ()  # frames of the whole clip
    refs: str = ""  # folder of photos instead


CLIPS = {
    "Dana": _Clip("singles/d10.mp4", 180, 448, enrol=(0, 60)),
    "Eddy": _Clip("singles/d12.mp4", 70, 183, enrol=(0, 40)),
    "Finn": _Clip("singles/d18.mp4", 80, 216, enrol=(0, 40)),
    "Greg": _Clip("single_face.mp4", 20, 72, enrol=(0,)),
    "Rachel": _Clip("friends_dev.mp4", 2, 103, "left", refs="friends_refs/Rachel"),
    "Monica": _Clip("friends_dev.mp4", 106, 269, "left", refs="friends_refs/Monica"),
    "Chandler": _Clip("friends_dev.mp4", 106, 269, "right", refs="friends_refs/Chandler"),
    "Phoebe": _Clip("friends_dev.mp4", 272, 400, "left", refs="friends_refs/Phoebe"),
    "stranger-d11": _Clip("singles/d11.mp4", 0, 225),
    "stranger-d14": _Clip("singles/d14.mp4", 0, 300),
    "stranger-joey": _Clip("friends_dev.mp4", 2, 103, "right"),
    "stranger-ross": _Clip("friends_dev.mp4", 272, 400, "right"),
}
PHOTOS = {  # the one that is shown, then the enrolled ones; none: a stranger
    "Amy": ("bbt_train/Amy", "AmyHappy.jpg", "Amy_smiles.jpg", "images.jpg"),
    "Howard": ("bbt_train/Howard", "Howardblue.jpg", "download (2).jpg", "maxresdefault.jpg"),
    "Leonard": ("bbt_train/Leonard", "Leonard_Hofstadter.jpg", "Leonard_adult.jpg", "download.jpg"),
    "Penny": ("bbt_train/Penny", "maxresdefault.jpg", "34616443.jpg", "big-bang-theory.jpg"),
    "stranger-sheldon": ("bbt_train/Sheldon", "Sheldon_Cooper.jpg"),
    "stranger-rajesh": ("bbt_train/Rajesh", "Rajesh_Koothrappali.jpg"),
    "stranger-blair": ("lfw10x10/Tony_Blair", ""),
    "stranger-chavez": ("lfw10x10/Hugo_Chavez", ""),
}


def cast(config: Config, data: Path = DATA) -> list[Person]:
    """Everybody. `config` says which detector finds where the faces are."""
    with open_picture_detector(for_photos(config)) as detector:
        return [*_from_clips(data, detector), *_from_photos(data, detector)]


def enrol(people: Sequence[Person], faces: Path) -> None:
    """Write the photos of those who are known into a faces folder."""
    for person in people:
        for number, photo in enumerate(person.photos):
            (faces / person.name).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(faces / person.name / f"{number}.png"), photo)


def _from_clips(data: Path, detector: Detector) -> Iterator[Person]:
    for name, clip in CLIPS.items():
        frames = _frames(data / "video" / clip.file)
        looks = _looks(frames[clip.first : clip.end], clip.side, detector)
        photos = [frames[number] for number in clip.enrol]
        if clip.refs:
            photos = [_read(path) for path in sorted((data / clip.refs).iterdir())]
        yield Person(name, bool(photos), looks, photos)


def _from_photos(data: Path, detector: Detector) -> Iterator[Person]:
    for name, (folder, shown, *enrolled) in PHOTOS.items():
        path = data / folder / shown if shown else sorted((data / folder).glob("*.jpg"))[0]
        looks = _looks([_read(path)], "", detector)
        yield Person(name, bool(enrolled), looks, [_read(data / folder / file) for file in enrolled])


def _looks(frames: Sequence[Image], side: str, detector: Detector) -> list[Look]:
    """The frames cut around the face and scaled, so that it is FACE_PX high on average."""
    at = [*range(0, len(frames) - 1, DETECT_EVERY), len(frames) - 1]
    found = {number: box for number in at if (box := _face(frames[number], side, detector)) is not None}
    numbers, boxes = list(found), np.array(list(found.values()))
    scale = FACE_PX / float(np.median(boxes[:, 3] - boxes[:, 1]))
    looks = []
    for number, frame in enumerate(frames):
        box = np.array([np.interp(number, numbers, boxes[:, side]) for side in range(4)])
        looks.append(_cut(frame, box, scale))
    return looks


def _face(frame: Image, side: str, detector: Detector) -> Box | None:
    """The box of the largest sure face on that side."""
    faces = faces_in(detector, frame)
    boxes = faces.boxes[faces.scores > 0.9].astype(np.float64)
    middles = (boxes[:, 0] + boxes[:, 2]) / 2
    if side:
        boxes = boxes[(middles < 640) == (side == "left")]
    return max(boxes, key=lambda box: float((box[2] - box[0]) * (box[3] - box[1])), default=None)


def _cut(frame: Image, box: Box, scale: float) -> Look:
    half = REACH * (box[2:] - box[:2])
    middle = (box[2:] + box[:2]) / 2
    size = np.round(2 * half * scale).astype(int)
    to_cut = np.array([[scale, 0, size[0] / 2 - scale * middle[0]], [0, scale, size[1] / 2 - scale * middle[1]]])
    image = cv2.warpAffine(frame, to_cut, tuple(map(int, size)), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    half_face = (box[2:] - box[:2]) / 2 * scale
    return Look(np.asarray(image, np.uint8), np.concatenate([size / 2 - half_face, size / 2 + half_face]))


def _frames(path: Path) -> list[Image]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def _read(path: Path) -> Image:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert image is not None, path
    return np.asarray(image, np.uint8)
