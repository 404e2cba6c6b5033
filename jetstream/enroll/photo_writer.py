"""Pieces of pictures to photos in a person's folder: only such that training finds the same face in, all or none.

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
from jetstream.enroll.samples import MARGIN, FaceCrop, cut
from jetstream.errors import UserError
from jetstream.gallery import people, photos
from jetstream.gallery.photo_faces import NO_FACE, find_faces
from jetstream.gallery.photos import Photo
from jetstream.vision.detection.detector import Detector
from jetstream.vision.recognition.embedder import Embedder

MARGINS: Final = (MARGIN, 0.5, 0.3)
"""The narrower ones leave neighbours out."""
SAME_FACE: Final = 0.4
"""Between a look in its frame and in its photo; half are under 0.1, the worst of eight videos was 0.34."""
ANOTHER_FACE: Final = "another_face"


class NewPhoto(NamedTuple):
    """A photo as it will be stored, and what training will make of it."""

    jpeg: bytes
    embedding: NDArray[np.float32]  # (128,)


def photo_of(piece: FaceCrop, embedding: NDArray[np.float32], detector: Detector, embedder: Embedder) -> NewPhoto | str:
    """The widest photo in which training finds this face alone, or at least first; else why there is none."""
    image = np.asarray(cv2.imdecode(np.frombuffer(piece.jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    refused, crowded = NO_FACE, None
    with tempfile.TemporaryDirectory(prefix="jetstream-") as folder:
        path = Path(folder, "photo.jpg")
        for margin in MARGINS:
            photo = piece if margin == MARGIN else cut(image, piece.box, piece.source, margin)
            path.write_bytes(photo.jpeg)
            look = find_faces({"": Photo("", path.name, path)}, detector, embedder)[""]
            if look.embedding is None:
                refused = look.refused or NO_FACE
            elif np.linalg.norm(look.embedding - embedding) > SAME_FACE:
                refused = ANOTHER_FACE
            elif look.faces == 1:
                return NewPhoto(photo.jpeg, look.embedding)
            else:
                crowded = crowded or NewPhoto(photo.jpeg, look.embedding)
    return crowded or refused


def write(name: str, faces_dir: Path, stems: Sequence[str], contents: Sequence[bytes]) -> list[Path]:
    """Each of `contents` as <stem>-<n>.jpg in the person's folder, readable by the owner alone; nothing is overwritten.

    Raises UserError where that can't be; then nothing is left.
    """
    folder = folder_of(name, faces_dir)
    written = []
    try:
        with ExitStack() as undo:
            for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
                missing.mkdir(mode=0o700)
                undo.callback(missing.rmdir)
            for stem, content in zip(stems, contents, strict=True):
                path = _free(folder, stem)
                undo.callback(path.unlink, missing_ok=True)
                files.replace(path, content, mode=0o600)
                written.append(path)
            undo.pop_all()
    except OSError as error:
        raise UserError(f"{folder}: can't be written ({error.strerror}); nothing was kept") from None
    return written


def folder_of(name: str, faces_dir: Path) -> Path:
    """Where this person's photos are, or will be. Raises UserError for what can't be a name."""
    checked = photos.check_name(name)
    there = checked in photos.list_photos(faces_dir).people
    return people.folders_of(checked, faces_dir)[0] if there else faces_dir / checked


def _free(folder: Path, stem: str) -> Path:
    number = 1
    while (path := folder / f"{stem}-{number}.jpg").exists() or path.is_symlink():
        number += 1
    return path
