"""Embeddings of photos: finds the face that each photo shows and aligns it with `align.chip`, as live faces are.

Knows no gallery and no classifier.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from jetstream.errors import SourceError
from jetstream.gallery.photos import Photo
from jetstream.video.images import read_image
from jetstream.vision.detection.detections import Detections
from jetstream.vision.detection.detector import Detector, faces_in
from jetstream.vision.recognition import align, curation, quality
from jetstream.vision.recognition.align import FaceTemplate
from jetstream.vision.recognition.embedder import Embedder
from jetstream.vision.recognition.quality import Quality

NO_FACE, UNREADABLE, TOO_SMALL, MANY_FACES = "no_face", "unreadable", "too_small", "many_faces"
NO_ACCESS = "no_access"  # the disk or the file's mode refuses, while an unreadable photo is damaged or no picture
REMEDIES: Final = {
    NO_FACE: "no face was found; name a photo that shows one",
    UNREADABLE: "no picture that can be read; name a JPEG, PNG or HEIC file",
    NO_ACCESS: "can't be opened; name a file that this user may read",
    TOO_SMALL: "the face is too small; cut the photo, or take a larger one",
    MANY_FACES: "several faces are as large; cut the photo so that one is left",
}
"""the code with which a photo is refused: why, and what to do"""

MIN_FACE_PX = 40.0  # the chip of a smaller face is mostly interpolation
LONGEST_PX = 1920  # larger photos are scaled down to this longer side: a chip has at most 150 pixels
SURE_SCORE = 0.9  # a large detection with a lower score must not replace a smaller sure one
EMBED_TOGETHER = 32
# A photo shows its largest face, unless another face of half its area is as near the centre, or a smaller one is much
# nearer. Bystanders in 700 portraits have up to 0.7 of the area, and are at least 0.24 of a side farther out.
AS_LARGE = 0.5
NEARLY_AS_LARGE = 0.35
FARTHER_OUT = 0.15

Progress = Callable[[str, float], None]


class PhotoFace(NamedTuple):
    """The face that one photo shows: an embedding, or the reason why there is none."""

    faces: int  # number of faces found; the largest is used
    embedding: NDArray[np.float32] | None = None  # (D,)
    refused: str | None = None  # no_face, no_access, unreadable, too_small, many_faces
    quality: Quality | None = None  # this and `thumb` only with an embedding
    thumb: NDArray[np.uint8] | None = None  # (256,), of `curation.thumb`


def find_faces(
    photos: Mapping[str, Photo], detector: Detector, embedder: Embedder, progress: Progress | None = None
) -> dict[str, PhotoFace]:
    """The face of each photo, under the photo's key. `progress` gets the current file and the fraction done.

    A photo that can't be used has a `refused` code; nothing is raised for it.
    """
    report = progress or (lambda file, fraction: None)
    faces: dict[str, PhotoFace] = {}
    waiting: dict[str, NDArray[np.uint8]] = {}
    for done, (key, photo) in enumerate(photos.items()):
        report(photo.file, done / len(photos))
        faces[key], chip = _find_face(photo.path, detector, embedder.spec.template)
        if chip is not None:
            waiting[key] = chip
        if len(waiting) == EMBED_TOGETHER:
            _embed(waiting, faces, embedder)
    _embed(waiting, faces, embedder)
    report("gallery", 1.0)
    return faces


def _embed(waiting: dict[str, NDArray[np.uint8]], faces: dict[str, PhotoFace], embedder: Embedder) -> None:
    """Embed the chips in `waiting`, (S, S, 3) uint8 BGR each, into `faces`, and empty `waiting`."""
    if waiting:
        embeddings = embedder.embed(np.stack(list(waiting.values())), mirror=True)
        for key, row in zip(waiting, embeddings, strict=True):
            finite = np.isfinite(row).all()  # in half precision a network may overflow
            faces[key] = (
                faces[key]._replace(embedding=row) if finite else PhotoFace(faces[key].faces, refused=UNREADABLE)
            )
        waiting.clear()


def _find_face(path: Path, detector: Detector, template: FaceTemplate) -> tuple[PhotoFace, NDArray[np.uint8] | None]:
    """The photo's largest face, and its chip (S, S, 3) uint8 BGR; without a usable face the reason, and None."""
    try:
        image = _shrunk(read_image(path))
    except SourceError:
        return PhotoFace(0, refused=UNREADABLE if _can_be_opened(path) else NO_ACCESS), None
    wider, border = image, 0
    found = faces_in(detector, image)
    if not len(found.boxes):
        wider, border = _bordered(image)
        found = faces_in(detector, wider)
    if not len(found.boxes):
        return PhotoFace(0, refused=NO_FACE), None
    largest = _largest(found)
    if np.max(found.boxes[largest, 2:] - found.boxes[largest, :2]) < MIN_FACE_PX:
        return PhotoFace(len(found.boxes), refused=TOO_SMALL), None
    if _is_ambiguous(found, largest, wider.shape[1], wider.shape[0]):
        return PhotoFace(len(found.boxes), refused=MANY_FACES), None
    landmarks = found.landmarks[largest]
    chip = align.chip(wider, landmarks, template)
    to_measure = chip if template is align.DLIB else align.chip(wider, landmarks, align.DLIB)
    measured = quality.measure(image, landmarks - border, to_measure)
    return PhotoFace(len(found.boxes), quality=measured, thumb=curation.thumb(image)), chip


def _can_be_opened(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError:
        return False
    return True


def _largest(found: Detections) -> int:
    areas = np.prod(found.boxes[:, 2:] - found.boxes[:, :2], axis=1)
    sure = found.scores >= SURE_SCORE
    return int(np.argmax(np.where(sure, areas, 0.0) if sure.any() else areas))


def _is_ambiguous(found: Detections, largest: int, width: int, height: int) -> bool:
    """Whether the photo may be of another face than the largest."""
    areas = np.prod(found.boxes[:, 2:] - found.boxes[:, :2], axis=1) / np.prod(
        found.boxes[largest, 2:] - found.boxes[largest, :2]
    )
    middles = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2 / (width, height) - 0.5
    farther_out = np.hypot(middles[:, 0], middles[:, 1])
    farther_out -= farther_out[largest]
    rivals = (areas >= AS_LARGE) & (farther_out < FARTHER_OUT)
    rivals |= (areas >= NEARLY_AS_LARGE) & (farther_out < -FARTHER_OUT)
    rivals[largest] = False
    return bool((rivals & (found.scores >= SURE_SCORE)).any())


def _shrunk(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = LONGEST_PX / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _bordered(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """`image` with a border of a third of its longer side, and that border in px.

    The networks need to see the whole head, which a photo cropped tightly to the face doesn't show.
    """
    border = max(image.shape[:2]) // 3
    wider = cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REPLICATE)
    return wider.astype(np.uint8, copy=False), border
