"""MTCNN's cascade: P-Net proposes boxes, R-Net rejects most, O-Net decides and finds five landmarks.

Knows no file, no time and no identity, and keeps nothing between calls: where faces were last is an argument.

The cascade is that of Zhang, Zhang, Li and Qiao, "Joint Face Detection and Alignment Using Multitask Cascaded
Convolutional Networks" (2016), with the arithmetic of its published Matlab code. Pictures are sampled as `pyramid`
defines. P-Net's proposals are suppressed once more after they moved, at `AFTER_PNET_IOU`: the same faces in a sixth
less time. The number of candidates has no limit, which would cost faces in a crowd.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.errors import UserError
from jetstream.picture_format import bgr_of
from jetstream.runners.base import Arrays, Runner, TensorSpec, require
from jetstream.vision.boxes import Boxes, iou, nms, nms_min, square
from jetstream.vision.detection.detections import SAME_FACE_IOU, Detections, Picture
from jetstream.vision.detection.detector import DetectorInput, DetectorOutput, Ticket
from jetstream.vision.detection.overexposure import seen
from jetstream.vision.detection.proposals import CELL_PX, propose, scales_of
from jetstream.vision.detection.pyramid import Pyramid

RNET_PX = 24
ONET_PX = 48
AFTER_PNET_IOU = 0.6  # 1: the published algorithm. Of 1566 faces, 0.5 loses 14 and 0.6 none
AFTER_RNET_IOU = 0.7
AFTER_ONET_SHARE = 0.7  # of the smaller box
BATCH = 16  # crops in one call: the activations of more don't stay in a core's cache
CROPS_AT_ONCE = 512  # bounds the memory that a crowd or noise takes: 14 MB for O-Net
STEP_ASIDE = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]], np.float32) * np.float32(0.2)  # of the side of a square


class _Candidates(NamedTuple):
    """Boxes of some pictures between two networks."""

    owners: NDArray[np.intp]  # (N,) index of the picture
    boxes: Boxes  # (N, 4) px


class Mtcnn:
    """A face detector on three runners, which stay the caller's to close; for one thread at a time."""

    def __init__(
        self,
        pnet: Runner,
        rnet: Runner,
        onet: Runner,
        *,
        min_face_px: float,
        max_face_px: float | None,
        thresholds: tuple[float, float, float],
        factor: float,
        batch: int,
        after_pnet_iou: float = AFTER_PNET_IOU,
        share_batches: bool = True,
    ) -> None:
        """`thresholds` are the least probabilities that pass each network, `factor` the step between levels.

        (0.7, 0.7, 0.7) and 0.709 kept every one of 1473 faces that facenet-pytorch gives more than 0.99, in an eighth
        of its time. (0.8, 0.7, 0.7) and 0.6 take a third less and lose people in profile. `after_pnet_iou` of 1 is the
        published cascade.

        `share_batches`: crops of all pictures of a call go through R-Net and O-Net together. On ONNX Runtime's CPU the
        answers are the same bits either way; a backend that rounds by the size of the batch needs False to make each
        picture's answer independent of its company. `batch`: most crops in one call of R-Net and O-Net. Raises
        ModelError for other nets than MTCNN's and UserError for settings out of range.
        """
        _require_settings(min_face_px, max_face_px, thresholds, factor)
        _require_nets(pnet, rnet, onet)
        self._pnet, self._rnet, self._onet = pnet, rnet, onet
        self._largest_scale = CELL_PX / min_face_px
        self._smallest_scale = 0.0 if max_face_px is None else CELL_PX / max_face_px
        self._factor = factor
        self._min_logits = [math.log(p / (1 - p)) for p in thresholds]
        self._after_pnet_iou = after_pnet_iou
        self._share_batches = share_batches
        self._batch = batch

    def detect(self, images: Sequence[Picture], known: Sequence[Boxes] | None = None) -> list[Detections]:
        """Search whole pictures, each of any size; one smaller than the smallest face has no faces.

        `known` has (N, 4) px for each picture, where faces were last: proposals beside P-Net's. P-Net, the smallest
        net, loses a face that turns aside long before the other two do.
        """
        pictures = [Pyramid(image) for image in images]
        proposals = [self._propose(picture) for picture in pictures]
        if known is not None:
            proposals = [np.concatenate([new, square(last)]) for new, last in zip(proposals, known, strict=True)]
        return self._refine(pictures, proposals)

    def verify(self, images: Sequence[Picture], boxes: Sequence[Boxes]) -> list[Detections]:
        """Check only where faces were last: `boxes` are (N, 4) px a picture, from an earlier `detect` or `verify`.

        Each box goes through R-Net and O-Net as it is. A face that is not found there is searched a step to each side,
        which finds half of those that moved by half of their width. New faces are not found. Two boxes that moved onto
        one face become one.
        """
        pictures = [Pyramid(image) for image in images]
        found = self._refine(pictures, [square(last) for last in boxes])
        lost = [not_found(*both) for both in zip(boxes, found, strict=True)]
        if any(len(some) for some in lost):
            again = self._refine(pictures, [beside(square(some)) for some in lost])
            found = [joined(*both) for both in zip(found, again, strict=True)]
        return found

    def _propose(self, picture: Pyramid) -> Boxes:
        height_px, width_px = picture.height_px, picture.width_px
        scales = scales_of(height_px, width_px, self._largest_scale, self._smallest_scale, self._factor)
        return propose(self._pnet, picture, scales, self._min_logits[0], self._after_pnet_iou)

    def _refine(self, pictures: list[Pyramid], boxes: list[Boxes]) -> list[Detections]:
        if self._share_batches and pictures:
            return self._refine_together(pictures, boxes)
        alone = zip(pictures, boxes, strict=True)
        return [self._refine_together([picture], [ours])[0] for picture, ours in alone]

    def _refine_together(self, pictures: list[Pyramid], boxes: list[Boxes]) -> list[Detections]:
        owners = np.repeat(np.arange(len(pictures)), [len(ours) for ours in boxes])
        candidates = _Candidates(owners, np.concatenate([np.empty((0, 4), np.float32), *boxes]))
        return self._pass_onet(pictures, self._pass_rnet(pictures, candidates))

    def _pass_rnet(self, pictures: list[Pyramid], candidates: _Candidates) -> _Candidates:
        owners, boxes = candidates.owners, _on_whole_pixels(candidates.boxes)
        answer = _infer(self._rnet, RNET_PX, pictures, _Candidates(owners, boxes), self._batch)
        passed = np.flatnonzero(answer["logit"] > self._min_logits[1])
        kept = [
            ours[nms(boxes[ours], answer["logit"][ours], AFTER_RNET_IOU)]
            for ours in _by_owner(owners, passed, pictures)
        ]
        best = np.concatenate(kept)
        return _Candidates(owners[best], square(_moved(boxes[best], answer["offsets"][best])))

    def _pass_onet(self, pictures: list[Pyramid], candidates: _Candidates) -> list[Detections]:
        owners, boxes = candidates.owners, _on_whole_pixels(candidates.boxes)
        answer = _infer(self._onet, ONET_PX, pictures, _Candidates(owners, boxes), self._batch)
        logits = answer["logit"]
        faces = _moved(boxes, answer["offsets"])
        landmarks = _landmarks(boxes, answer["landmarks"])
        found = []
        for ours in _by_owner(owners, np.flatnonzero(logits > self._min_logits[2]), pictures):
            best = ours[nms_min(faces[ours], logits[ours], AFTER_ONET_SHARE)]
            found.append(Detections(faces[best], _probability(logits[best]), landmarks[best]))
        return found


class MtcnnDetector:
    """An Mtcnn as a Detector. `collect` does all of the work, so two batches under way gain nothing.

    It sees over-exposed pictures as `overexposure.seen` gives them: of 67 faces of dlib's examples, over-exposed 2, 3
    and 4 times, it finds 60, 41 and 23 instead of 53, 20 and 9, and one false face more.
    """

    reads_in_place = False  # the picture is sampled until the end of the cascade
    gives_thumbnails = False
    gpu = None

    def __init__(self, mtcnn: Mtcnn) -> None:
        self._mtcnn = mtcnn

    def submit(self, inputs: Sequence[DetectorInput]) -> Ticket:
        """Only keep the inputs for `collect`."""
        return inputs

    def collect(self, ticket: Ticket) -> list[DetectorOutput]:
        """Search the ones together and verify the others together."""
        inputs: Sequence[DetectorInput] = ticket
        wide, kept = ([one for one in inputs if one.search == search] for search in (True, False))
        searched = iter(self._mtcnn.detect([seen(bgr_of(one.image)) for one in wide], [one.known for one in wide]))
        verified = iter(self._mtcnn.verify([seen(bgr_of(one.image)) for one in kept], [one.known for one in kept]))
        return [DetectorOutput(next(searched if one.search else verified)) for one in inputs]


def not_found(last: Boxes, now: Detections) -> Boxes:
    """Those of the (N, 4) px last faces that overlap none of the faces found now."""
    return np.asarray(last[iou(last, now.boxes).max(axis=1, initial=0) < SAME_FACE_IOU], np.float32)


def beside(squares: Boxes) -> Boxes:
    """(4 N, 4) px: each square moved to the left, right, up and down."""
    sides = squares[:, 2:] - squares[:, :2]
    steps = sides[:, None] * STEP_ASIDE
    return np.asarray(squares[:, None] + np.tile(steps, 2), np.float32).reshape(-1, 4)


def joined(first: Detections, second: Detections) -> Detections:
    """The faces of both; one that is in both appears once."""
    if not len(second.boxes):
        return first
    boxes, scores, landmarks = (np.concatenate(parts) for parts in zip(first, second, strict=True))
    kept = nms_min(boxes, scores, AFTER_ONET_SHARE)
    return Detections(boxes[kept], scores[kept], landmarks[kept])


def _infer(net: Runner, side_px: int, pictures: list[Pyramid], candidates: _Candidates, batch: int) -> Arrays:
    """The network's outputs for every candidate, in their order."""
    answers = [{spec.name: np.empty((0, *(size or 0 for size in spec.shape[1:])), np.float32) for spec in net.outputs}]
    for start in range(0, len(candidates.boxes), CROPS_AT_ONCE):
        some = slice(start, start + CROPS_AT_ONCE)
        crops = _crops(side_px, pictures, _Candidates(candidates.owners[some], candidates.boxes[some]))
        answers += [net.infer({"image": crops[first : first + batch]}) for first in range(0, len(crops), batch)]
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}


def _crops(side_px: int, pictures: list[Pyramid], candidates: _Candidates) -> NDArray[np.float32]:
    """(N, 3, side_px, side_px) float32; owners come in rising order."""
    if len(pictures) == 1:
        return pictures[0].crops(candidates.boxes, side_px)
    owners, firsts = np.unique(candidates.owners, return_index=True)
    shares = zip(owners.tolist(), np.split(candidates.boxes, firsts[1:]), strict=True)
    return np.concatenate([pictures[owner].crops(boxes, side_px) for owner, boxes in shares])


def _by_owner(owners: NDArray[np.intp], passed: NDArray[np.intp], pictures: list[Pyramid]) -> list[NDArray[np.intp]]:
    """The passed candidates' indices, picture by picture."""
    return [passed[owners[passed] == owner] for owner in range(len(pictures))]


def _on_whole_pixels(boxes: Boxes) -> Boxes:
    """Cut off fractions as the published code does, whose coordinates count from 1."""
    from_one = np.array([1, 1, 0, 0], np.float32)
    return np.asarray(np.trunc(boxes + from_one) - from_one, np.float32)


def _moved(boxes: Boxes, offsets: NDArray[np.float32]) -> Boxes:
    """Boxes (N, 4) whose left, top, right and bottom moved by `offsets` (N, 4) of their width and height."""
    return np.asarray(boxes + offsets * np.tile(boxes[:, 2:] - boxes[:, :2], 2), np.float32)


def _landmarks(boxes: Boxes, fractions: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 5, 2) px from (N, 10): x1..x5, y1..y5 in fractions of the box."""
    points = np.stack([fractions[:, :5], fractions[:, 5:]], axis=2)
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(boxes[:, None, :2] + points * sides[:, None], np.float32)


def _probability(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def _require_settings(
    min_face_px: float, max_face_px: float | None, thresholds: tuple[float, float, float], factor: float
) -> None:
    if not min_face_px >= CELL_PX:
        raise UserError(f"min_face_px: expected {CELL_PX} or more, got {min_face_px}")
    if max_face_px is not None and not max_face_px >= min_face_px:
        raise UserError(f"max_face_px: expected min_face_px ({min_face_px}) or more, got {max_face_px}")
    if len(thresholds) != 3 or not all(0 < threshold < 1 for threshold in thresholds):
        raise UserError(f"thresholds: expected three numbers between 0 and 1, got {thresholds}")
    if not 0.1 <= factor <= 0.9:
        raise UserError(f"factor: expected a number from 0.1 to 0.9, got {factor}")


def _require_nets(pnet: Runner, rnet: Runner, onet: Runner) -> None:
    def spec(name: str, *shape: int | None) -> TensorSpec:
        return TensorSpec(name, np.dtype(np.float32), shape)

    cells = [spec("logit", None, 1, None, None), spec("offsets", None, 4, None, None)]
    crops = [spec("logit", None), spec("offsets", None, 4)]
    require(pnet, "pnet", [spec("image", None, 3, None, None)], cells)
    require(rnet, "rnet", [spec("image", None, 3, RNET_PX, RNET_PX)], crops)
    require(onet, "onet", [spec("image", None, 3, ONET_PX, ONET_PX)], [*crops, spec("landmarks", None, 10)])
