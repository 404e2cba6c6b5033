"""Faces in single pictures, for `jetstream detect` and `jetstream identify`: no track, no vote, no process."""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from jetstream.config.schema import Config
from jetstream.errors import SourceError
from jetstream.events import pairs
from jetstream.gallery import train
from jetstream.gallery.photos import COUNTER_EXAMPLES, STRANGERS
from jetstream.gallery.train import Gallery
from jetstream.networks.embedders import is_mirrored
from jetstream.networks.open import open_embedder, open_picture_detector
from jetstream.video.images import read_image
from jetstream.vision.detection.detections import Detections
from jetstream.vision.detection.detector import faces_in
from jetstream.vision.recognition import align
from jetstream.vision.recognition.classifier import MARGIN, NOBODY, Answer
from jetstream.vision.recognition.embedder import Embedder
from jetstream.vision.recognition.quality import COMPLAINTS, Quality, measure, usable_chip


class DetectedFace(msgspec.Struct, frozen=True):
    """A face in a picture."""

    box: tuple[float, ...]  # x1, y1, x2, y2 px
    score: float
    landmarks: tuple[tuple[float, float], ...]


class IdentifiedFace(DetectedFace, frozen=True, omit_defaults=True):
    """A face in a picture, with the classifier's answer. As JSON it has `counter_example` only where there is one."""

    name: str | None
    confidence: float
    distance: float
    nearest: str | None
    photo: str | None  # the nearest photo of `nearest`, relative to the faces folder
    gate: float  # the threshold: the largest distance at which the name of `nearest` may be given
    margin: float | None  # how much farther the next person or stranger's picture is; None where there is none
    quality: float  # 0..1
    poor: str | None  # the component of quality that is to blame where the face is too poor to be compared at all
    why: str  # why the name was given or refused
    counter_example: str | None = None  # that of `nearest` which lowers the threshold here, as `photo`


class PictureResult(msgspec.Struct, frozen=True):
    """A picture's faces, left to right."""

    image: str
    faces: tuple[DetectedFace, ...]


def look(images: Sequence[Path], config: Config, *, names: bool) -> Iterator[PictureResult | SourceError]:
    """The faces of each picture, left to right, with their names if `names`; an error where it can't be read."""
    with ExitStack() as stack:
        detector = stack.enter_context(open_picture_detector(config))
        embedder = stack.enter_context(open_embedder(config)) if names else None
        known = train.open_gallery(config) if names else None
        for path in images:
            try:
                image = read_image(path)
            except SourceError as error:
                yield error
                continue
            found = _left_to_right(faces_in(detector, image))
            faces: list[DetectedFace] = list(_faces(found))
            if embedder is not None and known is not None:
                faces = _with_names(
                    faces, found, image, embedder, known, config.recognize.min_quality, mirror=is_mirrored(config)
                )
            yield PictureResult(image=str(path), faces=tuple(faces))


def line(seen: PictureResult) -> str:
    """A picture's faces as text: `party.jpg: Ada 97% (96x120 at 40,50, nearest Ada at 0.31), unknown (...)`."""
    faces = ", ".join(_words(face) for face in seen.faces)
    return f"{seen.image}: {faces or 'no face'}"


def explanation(seen: PictureResult) -> Iterator[str]:
    """A line for each face: its distance to the nearest person, and why it got a name or not."""
    for number, face in enumerate((face for face in seen.faces if isinstance(face, IdentifiedFace)), start=1):
        if face.nearest is None:
            who = face.name or ("not recognisable" if face.poor else "unknown")
            yield f"  {number}. {who}: quality {face.quality:.2f}; {face.why}"
            continue
        near = f"nearest {face.nearest} at {face.distance:.2f} (threshold {face.gate:.2f})"
        next_one = "" if face.margin is None else f", the next {face.margin:+.2f}"
        photo = f", nearest photo {face.photo}" if face.photo else ""
        yield f"  {number}. {face.name or 'unknown'}: {near}{next_one}{photo}, quality {face.quality:.2f}; {face.why}"


def verdict(answer: Answer, people: int) -> str:
    """Why a name was given or refused: the result of each of the three decision rules that apply.

    `people` is the number of known people. With one person there is no margin to another person and no SVM.
    """
    if answer.nearest is None:
        return "refused: there is nobody to compare with"
    objections = []
    if answer.distance > answer.threshold:
        like = f"more like a counter-example in {answer.nearest}/{COUNTER_EXAMPLES}/ than like {answer.nearest}"
        objections.append("too far from everybody known" if answer.counter_example is None else like)
    if answer.margin < 0.0:  # the nearest person is the nearest of all people, so this can't be another one
        objections.append(f"like a picture in {STRANGERS}/, which is nearer by {-answer.margin:.2f}")
    elif answer.margin < MARGIN:
        other = "somebody else" if people > 1 else f"a picture in {STRANGERS}/"
        objections.append(f"{other} is nearly as near: farther by {answer.margin:.2f}, of at least {MARGIN:.2f}")
    if not answer.agreed:
        objections.append("the SVM prefers somebody else")
    if objections:
        return f"refused: {'; '.join(objections)}"
    if not math.isfinite(answer.margin):
        return "named: near enough, and nobody else is known"
    farther = f"farther by {answer.margin:.2f}, of at least {MARGIN:.2f}"
    if people == 1:
        return f"named: near enough, and the nearest picture in {STRANGERS}/ {farther}"
    return f"named: near enough, the next person {farther}, and the SVM agrees"


def _words(face: DetectedFace) -> str:
    x1, y1, x2, y2 = face.box
    where = f"{x2 - x1:.0f}x{y2 - y1:.0f} at {x1:.0f},{y1:.0f}"
    if not isinstance(face, IdentifiedFace):
        return f"face {face.score:.0%} ({where})"
    if face.poor:
        return f"not recognisable, {COMPLAINTS[face.poor]} ({where})"
    who = f"{face.name} {face.confidence:.0%}" if face.name else "unknown"
    near = f", nearest {face.nearest} at {face.distance:.2f}" if face.nearest else ""
    return f"{who} ({where}{near})"


def _left_to_right(found: Detections) -> Detections:
    order = np.argsort(found.boxes[:, 0], kind="stable")
    return Detections(found.boxes[order], found.scores[order], found.landmarks[order])


def _faces(found: Detections) -> Iterator[DetectedFace]:
    landmarks = found.landmarks.reshape(-1, 10).tolist()
    for box, score, points in zip(found.boxes.tolist(), found.scores.tolist(), landmarks, strict=True):
        yield DetectedFace(box=tuple(round(value, 2) for value in box), score=round(score, 4), landmarks=pairs(points))


def _with_names(
    faces: list[DetectedFace],
    found: Detections,
    image: NDArray[np.uint8],
    embedder: Embedder,
    known: Gallery,
    min_quality: float,
    *,
    mirror: bool,
) -> list[DetectedFace]:
    template = embedder.spec.template
    chips = align.chips(image, found.landmarks, template)
    qualities = [
        measure(image, points, usable_chip(chip, template)) for points, chip in zip(found.landmarks, chips, strict=True)
    ]
    fine = [quality.overall >= min_quality for quality in qualities]
    compared = iter(known.classifier.ask(embedder.embed(chips[np.array(fine, bool)], mirror=mirror)))
    return [
        _identified(face, next(compared), quality, known) if is_fine else _too_poor(face, quality, min_quality)
        for face, quality, is_fine in zip(faces, qualities, fine, strict=True)
    ]


def _identified(face: DetectedFace, answer: Answer, quality: Quality, known: Gallery) -> IdentifiedFace:
    return IdentifiedFace(
        box=face.box,
        score=face.score,
        landmarks=face.landmarks,
        name=answer.name,
        confidence=round(answer.confidence, 4),
        distance=round(answer.distance, 4),
        nearest=answer.nearest,
        photo=None if answer.photo is None else known.files[answer.photo],
        gate=round(answer.threshold, 4),
        margin=round(answer.margin, 4) if math.isfinite(answer.margin) else None,
        quality=round(quality.overall, 4),
        poor=None,
        why=verdict(answer, len(known.classifier.names)),
        counter_example=None if answer.counter_example is None else known.counter_files[answer.counter_example],
    )


def _too_poor(face: DetectedFace, quality: Quality, min_quality: float) -> IdentifiedFace:
    """A face that is compared with nobody, as in a video; `distance` is infinite, which is null in JSON."""
    return IdentifiedFace(
        box=face.box,
        score=face.score,
        landmarks=face.landmarks,
        name=None,
        confidence=0.0,
        distance=NOBODY.distance,
        nearest=None,
        photo=None,
        gate=round(NOBODY.threshold, 4),
        margin=None,
        quality=round(quality.overall, 4),
        poor=quality.weakest,
        why=f"not compared: {COMPLAINTS[quality.weakest]}; recognize.min_quality asks for {min_quality:.2f}",
    )
