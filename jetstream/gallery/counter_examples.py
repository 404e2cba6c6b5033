"""Keeps looks as photos to learn from: as a counter-example of a person, as a photo of one, or as a stranger's.

A look is kept only where training finds a face in it. Doesn't train: the caller, or a running pipeline, does.
"""

import contextlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from jetstream import files
from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.gallery import people, photo_files, photos
from jetstream.gallery.photo_faces import NO_FACE, PhotoFace, find_faces
from jetstream.gallery.photos import COUNTER_EXAMPLES, STRANGERS, Photo
from jetstream.networks.open import for_photos, open_embedder, open_picture_detector
from jetstream.vision.detection.detector import Detector
from jetstream.vision.recognition.embedder import Embedder

_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 95)


class LookJudge:
    """Says whether training would learn from a picture. Its networks are opened at the first one and stay open."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._opened = contextlib.ExitStack()
        self._networks: tuple[Detector, Embedder] | None = None

    def __enter__(self) -> "LookJudge":
        return self

    def __exit__(self, *_: object) -> None:
        self._networks = None
        self._opened.close()

    def face_of(self, photo: Path) -> PhotoFace:
        """The face that training would find. Raises ModelError: a network isn't there."""
        if self._networks is None:
            detector = self._opened.enter_context(open_picture_detector(for_photos(self._config)))
            self._networks = detector, self._opened.enter_context(open_embedder(self._config))
        return find_faces({"": Photo("", photo.name, photo)}, *self._networks)[""]

    def why_useless(self, picture: bytes) -> str:
        """The code with which training would refuse a picture (a file's content), or empty. Raises ModelError."""
        with files.in_memory(picture) as path:
            face = self.face_of(path)
        return "" if face.embedding is not None else face.refused or NO_FACE


def keep(config: Config, name: str, image: NDArray[np.uint8], source: str, judge: LookJudge) -> Path:
    """Keep a look, (H, W, 3) uint8 BGR, that isn't the person `name`, as their counter-example; returns the new file.

    `source` says where it is from; the file's name begins with it. Raises UserError where there is no such person, no
    face can be compared, or nothing can be written.
    """
    person, *_ = people.folders_of(name, people.faces_folder(config))
    return _kept(person / COUNTER_EXAMPLES, image, source, judge)


def keep_photo(config: Config, name: str, image: NDArray[np.uint8], source: str, judge: LookJudge) -> Path:
    """Keep a look as a photo of the person `name`, who may be new; else as `keep`. Raises UserError."""
    checked = photos.check_new_name(name)
    return _kept(photo_files.folder_of(checked, people.faces_folder(config)), image, source, judge)


def keep_stranger(config: Config, image: NDArray[np.uint8], source: str, judge: LookJudge) -> Path:
    """Keep a look as that of a stranger, who shall get no name; else as `keep`. Raises UserError."""
    return _kept(people.faces_folder(config) / STRANGERS, image, source, judge)


def undo(path: Path) -> None:
    """Remove a kept look, and its folder if that is empty then. Nothing happens where it is gone. Raises UserError."""
    with people.changing(path.parent):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty, or gone
        path.parent.rmdir()


def _kept(folder: Path, image: NDArray[np.uint8], source: str, judge: LookJudge) -> Path:
    jpeg = cv2.imencode(".jpg", image, _JPEG)[1].tobytes()
    if refused := judge.why_useless(jpeg):
        raise UserError(f"{source}: nothing could be learnt from this look ({refused}); take another one")
    (path,) = photo_files.write(folder, [photo_files.stem_of(source)], [jpeg])
    return path
