"""Tries an embedding network on pictures of people who are known: which template and colours suit it, and does it work.

Knows no file of a network and writes nothing. Eight looks of two portraits are few: a network that fails here is wrong,
and one that passes may still be poor. Even random weights tell these two apart.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from jetstream.errors import ModelError
from jetstream.model_import.colours import Colours, planes
from jetstream.networks.cards import ModelCard
from jetstream.runners.base import Runner
from jetstream.video import demo_film
from jetstream.video.images import read_image
from jetstream.vision.detection.detector import Detector, faces_in
from jetstream.vision.recognition import align
from jetstream.vision.recognition.align import FaceTemplate

Outputs = NDArray[np.float32]  # (N, D)

SURE: Final = 1.15
"""a reading is sure that separates people by so much more than the next one"""
USUAL_OTHER: Final = 1.0
"""a network compared by cosine puts two people nearly at right angles, 1.41; random weights put them at 0.4 to 0.9"""
_SAME_BATCH: Final = 1e-3  # largest difference of an answer in company, in parts of its length
_TIMED: Final = 7
_SCALES: Final = ((127.5, 1 / 127.5), (0.0, 1 / 255), (0.0, 1.0))
"""mean and scale that networks are trained with, the usual ones first: -1 to 1, 0 to 1, 0 to 255"""
_IMAGENET: Final = ((123.675, 116.28, 103.53), (1 / 58.395, 1 / 57.12, 1 / 57.375))  # of red, green and blue


class Look(NamedTuple):
    """A face in a picture."""

    person: int
    image: NDArray[np.uint8]  # (H, W, 3) BGR
    landmarks: NDArray[np.float32]  # (5, 2) px


class Reading(NamedTuple):
    """How a network may be meant: the chips it takes, and its colours."""

    template: FaceTemplate
    colours: Colours

    def __str__(self) -> str:
        return f"{self.template.name}, {self.colours.order}"


class Separation(NamedTuple):
    """How far a network keeps people apart. Distances are Euclidean, of unit length where it is compared by cosine."""

    same: float  # median distance of two looks of one person
    farthest_same: float
    other: float  # median distance of two people's looks
    nearest_other: float
    apart: float  # difference of the means over their common deviation (d')


class TrialReport(NamedTuple):
    """What the tests of an accepted network measured."""

    separation: Separation
    mirrored: float  # median distance of a look and its mirror image
    batch_error: float  # of its length


def portraits(detector: Detector) -> list[Look]:
    """Eight looks of each of the demo's two people: sizes, blur, light, JPEG and tilt.

    Raises SourceError where the wheel of a portrait isn't installed.
    """
    found = []
    for person, path in enumerate((demo_film.collins_path(), demo_film.hopper_path())):
        picture = read_image(path)
        for image in _varied(picture):
            faces = faces_in(detector, image)
            if len(faces.boxes):
                areas = np.prod(faces.boxes[:, 2:] - faces.boxes[:, :2], axis=1)
                found.append(Look(person, image, faces.landmarks[np.argmax(areas)]))
    return found


def _varied(picture: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    height, width = picture.shape[:2]

    def to_image(values: object) -> NDArray[np.uint8]:
        return np.asarray(values, np.uint8)

    yield picture
    for share in (0.7, 0.45):
        yield to_image(cv2.resize(picture, None, fx=share, fy=share, interpolation=cv2.INTER_AREA))
    yield to_image(cv2.GaussianBlur(picture, (0, 0), height / 250))
    yield to_image(cv2.convertScaleAbs(picture, alpha=0.5))
    yield to_image(cv2.convertScaleAbs(picture, alpha=1.35, beta=10))
    yield to_image(cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 25])[1], cv2.IMREAD_COLOR))
    turn = cv2.getRotationMatrix2D((width / 2, height / 3), 12, 1.0)
    yield to_image(cv2.warpAffine(picture, turn, (width, height), borderMode=cv2.BORDER_REPLICATE))


def readings(card: ModelCard, template: FaceTemplate | None, side_px: int) -> list[Reading]:
    """All that the card leaves open, the likeliest first. `template` is the card's; `side_px` 0: any size of chip."""
    templates = [template] if template else _templates(side_px)
    orders = [card.colour] if card.colour else ["rgb", "bgr"]
    return [
        Reading(one, Colours(order, mean, scale))
        for one, order in product(templates, orders)
        for mean, scale in _scalings(card, order)
    ]


def _templates(side_px: int) -> list[FaceTemplate]:
    known = [align.ARCFACE, align.DLIB]
    return known if not side_px else [align.scaled(one, side_px) for one in known]


def _scalings(card: ModelCard, order: str) -> Iterator[tuple[tuple[float, float, float], tuple[float, float, float]]]:
    if card.mean is not None or card.scale is not None:
        yield three(card.mean or 0.0), three(1.0 if card.scale is None else card.scale)
        return
    for mean, scale in _SCALES:
        yield three(mean), three(scale)
    means, scales = _IMAGENET
    step = 1 if order == "rgb" else -1
    yield three(means[::step]), three(scales[::step])


def three(value: float | Sequence[float]) -> tuple[float, float, float]:
    first, second, third = (value, value, value) if isinstance(value, int | float) else value
    return float(first), float(second), float(third)


def separations(
    network: Runner, looks: Sequence[Look], choices: Sequence[Reading], *, is_cosine: bool
) -> list[tuple[Reading, Separation]]:
    """Each reading with what it separates, best first. `network` takes its maker's colours.

    Raises ModelError where no reading gives finite answers that differ from face to face.
    """
    people = np.array([look.person for look in looks])
    found = []
    for reading in choices:
        chips = chips_of(looks, reading.template)
        outputs = infer(network, planes(chips, reading.colours))
        if np.isfinite(outputs).all() and np.ptp(outputs, axis=0).max() > 0:
            found.append((reading, separation(compared(outputs, is_cosine=is_cosine), people)))
    if not found:
        raise ModelError("gives no finite answers that differ from face to face; it is damaged, or no embedder")
    return sorted(found, key=lambda one: -score(one[1], is_cosine=is_cosine))


def score(measured: Separation, *, is_cosine: bool) -> float:
    """How well people are kept apart. With wrong colours all faces may point the same way, near to each other."""
    return measured.apart * measured.other if is_cosine else measured.apart


def chips_of(looks: Sequence[Look], template: FaceTemplate) -> NDArray[np.uint8]:
    return np.stack([align.chip(look.image, look.landmarks, template) for look in looks])


def infer(network: Runner, values: NDArray[np.float32]) -> Outputs:
    (name,) = (spec.name for spec in network.inputs)
    (output,) = network.infer({name: values}).values()
    return np.asarray(output, np.float32)


def compared(outputs: Outputs, *, is_cosine: bool) -> Outputs:
    """The outputs as they are compared: of length 1 where only their direction counts."""
    if not is_cosine:
        return outputs
    lengths = np.linalg.norm(outputs, axis=1, keepdims=True)
    return np.asarray(outputs / np.maximum(lengths, 1e-12), np.float32)


def separation(embeddings: Outputs, people: NDArray[np.intp]) -> Separation:
    """Of (N, D) embeddings of some looks of at least two `people` (N,)."""
    rows, columns = np.triu_indices(len(people), 1)
    distances = np.linalg.norm(embeddings[rows] - embeddings[columns], axis=1)
    is_same = people[rows] == people[columns]
    same, other = distances[is_same], distances[~is_same]
    spread = np.sqrt((same.var() + other.var()) / 2)
    apart = float((other.mean() - same.mean()) / max(spread, 1e-12))
    return Separation(float(np.median(same)), float(same.max()), float(np.median(other)), float(other.min()), apart)


def test(network: Runner, looks: Sequence[Look], template: FaceTemplate, *, is_cosine: bool) -> TrialReport:
    """Test a network that takes jetstream's chips. Raises ModelError, which says what is wrong."""
    chips = chips_of(looks, template)
    outputs = infer(network, _planes(chips))
    if not np.isfinite(outputs).all():
        raise ModelError("gives answers that aren't finite for ordinary faces")
    error = _batch_error(lambda some: infer(network, _planes(some)), chips, outputs)
    if error > _SAME_BATCH:
        raise ModelError(f"its answer to a face depends on the other faces of its batch, by {error:.1%} of its length")
    people = np.array([look.person for look in looks])
    embeddings = compared(outputs, is_cosine=is_cosine)
    apart = separation(embeddings, people)
    if apart.farthest_same >= apart.nearest_other:
        raise ModelError(
            "doesn't tell the demo's two people apart: two looks of one are "
            f"{apart.farthest_same:.2f} apart, and two people {apart.nearest_other:.2f}; it is no embedder of faces, "
            "or its card says the wrong template, colour, mean or scale"
        )
    turned = compared(infer(network, _planes(chips[:, :, ::-1])), is_cosine=is_cosine)
    mirrored = float(np.median(np.linalg.norm(turned - embeddings, axis=1)))
    if mirrored >= apart.nearest_other:
        raise ModelError(
            f"takes a face and its mirror image for two people: they are {mirrored:.2f} apart, and two people "
            f"{apart.nearest_other:.2f}"
        )
    return TrialReport(apart, mirrored, error)


def _batch_error(one: Callable[[NDArray[np.uint8]], Outputs], chips: NDArray[np.uint8], whole: Outputs) -> float:
    single = np.concatenate([one(chips[at : at + 1]) for at in (0, len(chips) - 1)])
    differences = np.linalg.norm(single - whole[[0, -1]], axis=1)
    return float((differences / np.maximum(np.linalg.norm(single, axis=1), 1e-12)).max())


def _planes(chips: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.ascontiguousarray(chips.transpose(0, 3, 1, 2), np.float32)


def time_ms(network: Runner, shape: tuple[int, int, int, int]) -> float:
    """ms that the network takes for one input of `shape`: the median of several runs on its thread."""
    values = np.full(shape, 90, np.float32)
    times = []
    for _ in range(_TIMED + 1):
        began_s = time.perf_counter()
        infer(network, values) if len(network.outputs) == 1 else network.infer({network.inputs[0].name: values})
        times.append(time.perf_counter() - began_s)
    return 1e3 * float(np.median(times[1:]))
