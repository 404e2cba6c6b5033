"""A gallery of a test's own, and what it says of a face."""

import shutil
from pathlib import Path

import cv2
import numpy as np

from jetstream import weights
from jetstream.config.schema import Config, ModelsConfig
from jetstream.gallery import train as gallery
from jetstream.gallery.origin import GalleryOrigin, made_by, origin_of
from jetstream.networks import embedders
from jetstream.vision.detection.detector import Detector, DetectorIdentity, faces_in
from jetstream.vision.recognition import align
from jetstream.vision.recognition.classifier import Classifier
from jetstream.vision.recognition.embedder import Embedder
from tests.support.command import Command

FOUND_BY = DetectorIdentity("mtcnn", 64 * "0")


class Place:
    """A faces folder and a models folder of a test's own, and the networks."""

    def __init__(self, folder: Path, models_dir: Path, detector: Detector, embedder: Embedder) -> None:
        self.faces, self.models = folder / "faces", folder / "models"
        self.faces.mkdir()
        self.models.mkdir()
        for path in weights.paths(models_dir):
            shutil.copy(path, self.models)
        self.detector, self.embedder = detector, embedder

    def put(self, file: str, image: np.ndarray) -> Path:
        path = self.faces / file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
        return path

    def origin(self, found_by: DetectorIdentity = FOUND_BY) -> GalleryOrigin:
        return made_by(embedders.named(self.embedder.spec.name, self.models), found_by)

    def train(self, found_by: DetectorIdentity = FOUND_BY) -> gallery.Gallery:
        return gallery.train(self.faces, self.models, self.detector, self.embedder, self.origin(found_by))

    def ensure(self, found_by: DetectorIdentity = FOUND_BY) -> gallery.Gallery:
        return gallery.ensure(self.faces, self.models, self.detector, self.embedder, self.origin(found_by))

    def load(self, found_by: DetectorIdentity = FOUND_BY) -> gallery.Gallery:
        return gallery.load(self.faces, self.models, self.origin(found_by))

    def roll_back(self, found_by: DetectorIdentity = FOUND_BY) -> gallery.Gallery:
        return gallery.roll_back(self.faces, self.models, self.origin(found_by))

    def is_current(self, found_by: DetectorIdentity = FOUND_BY) -> bool:
        return gallery.current(self.faces, self.models, self.origin(found_by)) is not None

    @property
    def stored(self) -> Path:
        return self.origin().folder(self.faces, self.models)

    def embed(self, image: np.ndarray) -> np.ndarray:
        """(1, 128): the live path, from a frame with one face."""
        (landmarks,) = faces_in(self.detector, image).landmarks
        return self.embedder.embed(align.chips(image, landmarks[None], self.embedder.spec.template), mirror=True)


def only(classifier: Classifier, embedding: np.ndarray) -> str | None:
    (answer,) = classifier.ask(embedding)
    return answer.name


def loaded(jetstream: Command) -> gallery.Gallery:
    return gallery.load(jetstream.folder / "faces", jetstream.models, default_origin(jetstream.models))


def default_origin(models: Path) -> GalleryOrigin:
    return origin_of(Config(models=ModelsConfig(dir=str(models))))


def sha256_in_use(jetstream: Command) -> str:
    return loaded(jetstream).sha256
