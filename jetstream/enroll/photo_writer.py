"""Writes face crops as photos into a person's folder, all or none; only crops in which training finds the same face.

Knows no source and no gallery.
"""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from jetstream import files
from jetstream.enroll.samples import MARGIN, FaceCrop, crop
from jetstream.errors import UserError
from jetstream.gallery import people, photos
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
    with tempfile.TemporaryDirectory(prefix="jetstream-") as folder:
        path = Path(folder, "photo.jpg")
        for margin in MARGINS:
            photo = sample if margin == MARGIN else crop(image, sample.box, sample.source, margin)
            path.write_bytes(photo.jpeg)
            face = find_faces({"": Photo("", path.name, path)}, detector, embedder)[""]
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
    """Write each of `contents` (JPEG) as <stem>-<n>.jpg into the person's folder, mode 0600, overwriting nothing.

    Raises UserError on failure; all photos are removed then.
    """
    folder = folder_of(name, faces_dir)
    written = []
    try:
        with ExitStack() as undo:
            for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
                if missing.is_symlink():
                    raise UserError(f"{missing}: is a link that leads nowhere; remove it. No photo was stored")
                missing.mkdir(mode=0o700)
                undo.callback(missing.rmdir)
            for stem, content in zip(stems, contents, strict=True):
                path = _free(folder, stem)
                undo.callback(path.unlink, missing_ok=True)
                files.replace(path, content, mode=0o600)
                written.append(path)
            undo.pop_all()
    except OSError as error:
        raise UserError(f"{folder}: can't be written ({error.strerror}); no photo was stored") from None
    return written


def folder_of(name: str, faces_dir: Path) -> Path:
    """The folder of this person's photos, whether or not it exists. Raises UserError for an invalid name."""
    checked = photos.check_name(name)
    exists = checked in photos.list_photos(faces_dir).people
    return people.folders_of(checked, faces_dir)[0] if exists else faces_dir / checked


def _free(folder: Path, stem: str) -> Path:
    number = 1
    while (path := folder / f"{stem}-{number}.jpg").exists() or path.is_symlink():
        number += 1
    return path
