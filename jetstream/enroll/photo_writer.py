"""Writes face crops as photos into a person's folder, all or none; only crops in which training finds the same face.

Knows no source and no gallery.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from jetstream import files
from jetstream.enroll.samples import MARGIN, FaceCrop, crop
from jetstream.gallery import photo_files
from jetstream.gallery.photo_faces import NO_FACE, find_faces
from jetstream.gallery.photos import Photo
from jetstream.vision.detection.detector import Detector
from jetstream.vision.recognition.embedder import Embedder

MARGINS: Final = (MARGIN, 0.5, 0.3)
"""Margins to try, in face widths; the narrower ones leave neighbours out."""
SAME_FACE: Final = 0.4
"""Largest distance, as dlib's, between a face's embeddings in its frame and in its photo. Half are under 0.1; in eight
videos the largest was 0.34."""
ANOTHER_FACE: Final = "another_face"


class NewPhoto(NamedTuple):
    """A photo as it will be stored, and the embedding that training will compute for it."""

    jpeg: bytes
    embedding: NDArray[np.float32]  # (128,)


def photo_of(
    sample: FaceCrop, embedding: NDArray[np.float32], detector: Detector, embedder: Embedder
) -> NewPhoto | str:
    """The widest photo in which training finds only this face, or this face as the largest; else a refusal code.

    `embedding` is (128,) float32, of the face in its frame.
    """
    image = np.asarray(cv2.imdecode(np.frombuffer(sample.jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    refused, crowded = NO_FACE, None
    for margin in MARGINS:
        photo = sample if margin == MARGIN else crop(image, sample.box, sample.source, margin)
        with files.in_memory(photo.jpeg) as path:
            face = find_faces({"": Photo("", "photo.jpg", path)}, detector, embedder)[""]
        if face.embedding is None:
            refused = face.refused or NO_FACE
        elif np.linalg.norm(face.embedding - embedding) > embedder.spec.space.at(SAME_FACE):
            refused = ANOTHER_FACE
        elif face.faces == 1:
            return NewPhoto(photo.jpeg, face.embedding)
        else:
            crowded = crowded or NewPhoto(photo.jpeg, face.embedding)
    return crowded or refused


def write(name: str, faces_dir: Path, stems: Sequence[str], contents: Sequence[bytes]) -> list[Path]:
    """Write each of `contents` (JPEG) as <stem>-<n>.jpg into the person's folder, as `photo_files.write` does.

    Raises UserError on failure; all photos are removed then.
    """
    return photo_files.write(photo_files.folder_of(name, faces_dir), stems, contents)
