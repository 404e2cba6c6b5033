"""Faces in single pictures, for `jetstream detect` and `jetstream identify`: no track, no vote, no process."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from jetstream import gallery
from jetstream.config import Config
from jetstream.errors import SourceError
from jetstream.messages import pairs
from jetstream.models import open_detector, open_embedder
from jetstream.video.images import read_image
from jetstream.vision import align
from jetstream.vision.classifier import Classifier
from jetstream.vision.embedder import Embedder
from jetstream.vision.mtcnn import Detections


class SeenFace(msgspec.Struct, frozen=True):
    box: tuple[float, ...]  # x1, y1, x2, y2 px
    score: float
    landmarks: tuple[tuple[float, float], ...]


class NamedSeenFace(SeenFace, frozen=True):
    name: str | None
    confidence: float
    distance: float
    nearest: str | None


class Seen(msgspec.Struct, frozen=True):
    image: str
    faces: tuple[SeenFace, ...]


def look(images: Sequence[Path], config: Config, *, names: bool) -> Iterator[Seen | SourceError]:
    """Each picture's faces, left to right; with their names if `names`. A picture that can't be read is its error."""
    with ExitStack() as stack:
        detector = stack.enter_context(open_detector(config))
        embedder = stack.enter_context(open_embedder(config)) if names else None
        classifier = gallery.open_classifier(config) if names else None
        for path in images:
            try:
                image = read_image(path)
            except SourceError as error:
                yield error
                continue
            found = _left_to_right(detector.detect([image])[0])
            faces: list[SeenFace] = list(_faces(found))
            if embedder is not None and classifier is not None:
                faces = _with_names(faces, found, image, embedder, classifier)
            yield Seen(image=str(path), faces=tuple(faces))


def line(seen: Seen) -> str:
    """A picture's faces for people: `party.jpg: Ada 97% (96x120 at 40,50, nearest Ada at 0.31), unknown (...)`."""
    faces = ", ".join(_words(face) for face in seen.faces)
    return f"{seen.image}: {faces or 'no face'}"


def _words(face: SeenFace) -> str:
    x1, y1, x2, y2 = face.box
    where = f"{x2 - x1:.0f}x{y2 - y1:.0f} at {x1:.0f},{y1:.0f}"
    if not isinstance(face, NamedSeenFace):
        return f"face {face.score:.0%} ({where})"
    who = f"{face.name} {face.confidence:.0%}" if face.name else "unknown"
    near = f", nearest {face.nearest} at {face.distance:.2f}" if face.nearest else ""
    return f"{who} ({where}{near})"


def _left_to_right(found: Detections) -> Detections:
    order = np.argsort(found.boxes[:, 0], kind="stable")
    return Detections(found.boxes[order], found.scores[order], found.landmarks[order])


def _faces(found: Detections) -> Iterator[SeenFace]:
    landmarks = found.landmarks.reshape(-1, 10).tolist()
    for box, score, points in zip(found.boxes.tolist(), found.scores.tolist(), landmarks, strict=True):
        yield SeenFace(box=tuple(round(value, 2) for value in box), score=round(score, 4), landmarks=pairs(points))


def _with_names(
    faces: list[SeenFace], found: Detections, image: NDArray[np.uint8], embedder: Embedder, classifier: Classifier
) -> list[SeenFace]:
    answers = classifier.ask(embedder.embed(align.chips(image, found.landmarks)))
    return [
        NamedSeenFace(
            box=face.box,
            score=face.score,
            landmarks=face.landmarks,
            name=answer.name,
            confidence=round(answer.confidence, 4),
            distance=round(answer.distance, 4),
            nearest=answer.nearest,
        )
        for face, answer in zip(faces, answers, strict=True)
    ]
