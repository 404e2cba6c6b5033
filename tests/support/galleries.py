"""A gallery of a test's own, and what it says of a face."""

import shutil
from pathlib import Path

import cv2
import numpy as np

from jetstream.gallery import train as gallery
from jetstream.vision.detection.mtcnn import Mtcnn
from jetstream.vision.recognition import align
from jetstream.vision.recognition.classifier import Classifier
from jetstream.vision.recognition.embedder import Embedder
from tests.support.command import Command


class Place:
    """A faces folder and a models folder of a test's own, and the networks."""

    def __init__(self, folder: Path, models_dir: Path, detector: Mtcnn, embedder: Embedder) -> None:
        self.faces, self.models = folder / "faces", folder / "models"
        self.faces.mkdir()
        self.models.mkdir()
        shutil.copy(models_dir / "embedder.onnx", self.models)
        self.detector, self.embedder = detector, embedder

    def put(self, file: str, image: np.ndarray) -> Path:
        path = self.faces / file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
        return path

    def train(self) -> gallery.Gallery:
        return gallery.train(self.faces, self.models, self.detector, self.embedder)

    def ensure(self) -> gallery.Gallery:
        return gallery.ensure(self.faces, self.models, self.detector, self.embedder)

    def load(self) -> gallery.Gallery:
        return gallery.load(self.faces, self.models)

    def is_current(self) -> bool:
        return gallery.is_current(self.faces, self.models, gallery.embedder_sha256(self.models))

    @property
    def stored(self) -> Path:
        return gallery.gallery_dir(self.faces, self.models)

    def embed(self, image: np.ndarray) -> np.ndarray:
        """(1, 128): the live path, from a frame with one face."""
        (landmarks,) = self.detector.detect([image])[0].landmarks
        return self.embedder.embed(align.chips(image, landmarks[None]), mirror=True)


def only(classifier: Classifier, embedding: np.ndarray) -> str | None:
    (answer,) = classifier.ask(embedding)
    return answer.name


def sha256_in_use(jetstream: Command) -> str:
    return gallery.load(jetstream.folder / "faces", jetstream.models).sha256
