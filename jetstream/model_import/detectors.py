"""Adds a user's face detector: YuNet's or SCRFD's outputs are known by their shapes, and it is tried beside MTCNN.

Opens no network connection; writes nothing unless the tests pass.
"""

import tempfile
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
import onnx

from jetstream.config.schema import Config
from jetstream.errors import ModelError
from jetstream.model_import import repair, store, trial
from jetstream.model_import.colours import INPUT as CHIP
from jetstream.model_import.colours import Colours, with_chip_input
from jetstream.model_import.onnx_graph import OnnxGraph, set_shape, shape_of
from jetstream.model_import.prelu import rewrite_prelus
from jetstream.model_import.trial import Look
from jetstream.networks import cards
from jetstream.networks.cards import CardFiles, ModelCard
from jetstream.networks.open import for_photos, open_picture_detector
from jetstream.runners.base import Arrays
from jetstream.vision.boxes import iou
from jetstream.vision.detection import yunet
from jetstream.vision.detection.detector import faces_in
from jetstream.vision.detection.yunet import STRIDES, YunetDetector

_PROBE_PX: Final = 64
_SAME_FACE_IOU: Final = 0.4
_NEAR: Final = 0.12  # mean distance of landmarks from MTCNN's, of the box's side
_TIMED_SHAPE: Final = (1, 3, 352, 640)


class AddedDetector(NamedTuple):
    """What adding a detector found and wrote."""

    name: str
    card: ModelCard
    files: CardFiles
    found: int  # of the looks at the demo's two people
    looks: int
    landmark_error: float  # mean distance from MTCNN's, of the box's side
    ms: float  # for 640 x 352 px on one thread


def add(path: Path, given: ModelCard, name: str, config: Config, progress: store.Progress) -> AddedDetector:
    """Add the detector in `path`. Raises UserError and ModelError, with nothing written."""
    target = cards.files_of(name, Path(config.models.dir))
    store.check_free(name, target)
    progress(f"{path.name}: repairing", 0.0)
    model = store.load(path)
    graph, notes = store.named(path, lambda: _repaired(model))
    with tempfile.TemporaryDirectory() as folder, open_picture_detector(for_photos(config)) as mtcnn:
        file = Path(folder) / "probe.onnx"
        with store.opened(graph.SerializeToString(), file, path) as network:
            roles = store.named(path, lambda: _roles(network.infer({network.inputs[0].name: _probe()})))
        layout: yunet.Layout = "yunet" if any(one.startswith("object") for one in roles.values()) else "scrfd"
        renamed = _renamed(graph, roles)
        progress(f"{path.name}: trying", 0.4)
        looks = trial.portraits(mtcnn)
        tried = []
        for colours in _colours(given):
            content = _with_colours(renamed, colours).SerializeToString(deterministic=True)
            with store.opened(content, file, path) as network:
                detector = YunetDetector(network, layout, min_face_px=40, max_face_px=None, least_score=0.5)
                tried.append((*_tried(detector, looks), colours, content))
        found, _, error, colours, content = max(tried, key=lambda one: one[:2])
        if found < len(looks) - 1 or error > _NEAR:
            raise ModelError(
                f"{path}: finds {found} of {len(looks)} faces that MTCNN finds, with landmarks {error:.0%} of a face "
                "away; it is no detector of faces with five landmarks, or its card is wrong; nothing was written"
            )
        with store.opened(content, file, path) as network:
            ms = trial.time_ms(network, _TIMED_SHAPE)
    card = msgspec.structs.replace(
        store.whole(given, path, content, notes),
        kind="detector",
        layout=layout,
        colour=colours.order,
        mean=store.single(colours.mean),
        scale=store.single(colours.scale),
        side_px=0,
    )
    store.write(target, content, b"", card)
    return AddedDetector(name, card, target, found, len(looks), error, ms)


def _repaired(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """The network for pictures of any size, with the input `chip`."""
    graph = OnnxGraph(model)
    if len(graph.graph.input) != 1:
        raise ModelError(f"takes {len(graph.graph.input)} inputs; a detector takes one picture")
    notes = [*repair.simplified(graph), *repair.shaped_input(graph)]
    notes += rewrite_prelus(graph)
    value = graph.graph.input[0]
    if None not in shape_of(value)[2:]:
        notes.append(f"its pictures of {shape_of(value)[3]} x {shape_of(value)[2]} px became any size")
    set_shape(value, [1, 3, "H", "W"])
    for output in graph.graph.output:
        set_shape(output, [f"{output.name}_{axis}" for axis in range(len(shape_of(output)))])
    graph.rename(value.name, CHIP)
    made, more = repair.lowered(graph.finished())
    return made, [*notes, *more]


def _probe() -> np.ndarray:
    return np.zeros((1, 3, _PROBE_PX, _PROBE_PX), np.float32)


def _roles(answers: Arrays) -> dict[str, str]:
    """What each output means, by its number of cells and of numbers a cell."""
    roles: dict[str, str] = {}
    for stride in STRIDES:
        cells = (_PROBE_PX // stride) ** 2
        for anchors in (1, 2):
            of = {
                width: [
                    name
                    for name, values in answers.items()
                    if values.size == cells * anchors * width and values.shape[-1] == width
                ]
                for width in (1, 4, 10)
            }
            counts = [len(of[width]) for width in (1, 4, 10)]
            if counts == [2, 1, 1] and anchors == 1:
                roles |= dict(zip(of[1], (f"class_{stride}", f"object_{stride}"), strict=True))
            elif counts == [1, 1, 1] and anchors == 2:
                roles[of[1][0]] = f"class_{stride}"
            else:
                continue
            roles |= {of[4][0]: f"box_{stride}", of[10][0]: f"points_{stride}"}
    if len(roles) not in (9, 12):
        shapes = ", ".join(f"{name} {tuple(values.shape)}" for name, values in list(answers.items())[:12])
        raise ModelError(
            f"has outputs that are neither YuNet's nor SCRFD's with five landmarks (of {_PROBE_PX} px: {shapes})"
        )
    return roles


def _renamed(model: onnx.ModelProto, roles: dict[str, str]) -> onnx.ModelProto:
    graph = OnnxGraph(model)
    for old, new in roles.items():
        graph.rename(old, new)
    kept = [one for one in graph.graph.output if one.name in roles.values()]
    del graph.graph.output[:]
    graph.graph.output.extend(kept)
    return graph.finished()


def _colours(given: ModelCard) -> list[Colours]:
    if given.mean is not None or given.scale is not None:
        pairs = [(trial.three(given.mean or 0.0), trial.three(1.0 if given.scale is None else given.scale))]
    else:
        pairs = [(trial.three(0.0), trial.three(1.0)), (trial.three(127.5), trial.three(1 / 128))]
    orders = [given.colour] if given.colour else ["bgr", "rgb"]
    return [Colours(order, mean, scale) for order in orders for mean, scale in pairs]


def _with_colours(model: onnx.ModelProto, colours: Colours) -> onnx.ModelProto:
    graph = OnnxGraph(with_chip_input(model, colours))
    graph.rename(CHIP, yunet.INPUT)
    return graph.finished()


def _tried(detector: YunetDetector, looks: list[Look]) -> tuple[int, float, float]:
    """In how many looks the one face is found and no other, its mean score, and how far its landmarks are from
    MTCNN's."""
    errors, scores = [], []
    for look in looks:
        faces = faces_in(detector, look.image)
        box = np.concatenate([look.landmarks.min(axis=0), look.landmarks.max(axis=0)])[None]
        side = float((box[0, 2:] - box[0, :2]).max())
        wide = np.concatenate([box[:, :2] - side / 2, box[:, 2:] + side / 2], axis=1)
        if len(faces.boxes) == 1 and iou(faces.boxes, wide)[0, 0] > _SAME_FACE_IOU:
            errors.append(np.linalg.norm(faces.landmarks[0] - look.landmarks, axis=1).mean() / (2 * side))
            scores.append(faces.scores[0])
    return len(errors), float(np.mean(scores)) if scores else 0.0, float(np.mean(errors)) if errors else 1.0
