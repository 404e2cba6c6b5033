"""The tracker and plain SORT on six sequences of MOTChallenge 2015, with the given detections.

Knows no picture and no face: the objects are pedestrians, because there is no public data set of faces labelled over
time. Run it alone:

    pip install --no-deps trackeval tabulate
    python -m benchmarks.bench_mot [folder of the sequences]

MOTA, IDF1 and identity switches are TrackEval's (Luiten et al. 2021), IoU 0.5, ground truth marked 0 left out.
Time is frame / frameRate of seqinfo.ini. The scores of these detections are probabilities, 0.5 to 1, and are used
unchanged. Both trackers are online: the result for a frame depends on that frame and earlier ones only.

Reported boxes: of Tracker, every track whose state is "confirmed", which is what the pipeline shows (so a predicted box
for at most `hold_s` after the last detection); of SORT, tracks with a detection in this frame and two before it.
The parameters are Tracker's defaults, those used for faces. No picture is known, so a camera's motion is seen by the
detections alone.

The second table has the mean IDF1 of each sequence made harder in several ways, over SEEDS draws where it is random.
"""

import configparser
import contextlib
import io
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filterpy.kalman import KalmanFilter
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from benchmarks.mot_variants import VARIANTS, Labelled, Sequence15
from jetstream.vision.boxes import iou
from tests.support import defaults

TARGETS = ("TUD-Campus", "TUD-Stadtmitte", "PETS09-S2L1")
OTHERS = ("ETH-Sunnyday", "ADL-Rundle-6", "KITTI-17")
TIMED_RUNS = 3
SEEDS = 3


class Figures(NamedTuple):
    mota: float
    idf1: float
    switches: int
    us_per_frame: float


class Sort:
    """Plain SORT as its paper gives it (Bewley et al. 2016): max_age 1, min_hits 3, IoU 0.3, time in frames."""

    def __init__(self) -> None:
        self._tracks: list[dict[str, Any]] = []
        self._made = 0
        self._frames = 0

    def update(self, boxes: NDArray[np.float32]) -> Labelled:
        self._frames += 1
        predicted = np.array([self._predict(track) for track in self._tracks], np.float32).reshape(-1, 4)
        overlap = iou(boxes, predicted)
        rows, columns = linear_sum_assignment(overlap, maximize=True)
        met = overlap[rows, columns] >= 0.3
        for row, column in zip(rows[met], columns[met], strict=True):
            track = self._tracks[column]
            track["filter"].update(_area_and_ratio(boxes[row]))
            track["missed"], track["hits"] = 0, track["hits"] + 1
        for row in sorted(set(range(len(boxes))) - set(rows[met].tolist())):
            self._made += 1
            self._tracks.append({"id": self._made, "filter": _sort_filter(boxes[row]), "missed": 0, "hits": 0})
        shown = [t for t in self._tracks if t["missed"] == 0 and (t["hits"] >= 3 or self._frames <= 3)]
        self._tracks = [track for track in self._tracks if track["missed"] <= 1]
        return _labelled([_from_area_and_ratio(t["filter"].x) for t in shown], [t["id"] for t in shown])

    def _predict(self, track: dict[str, Any]) -> NDArray[np.float64]:
        state = track["filter"].x
        if state[2] + state[6] <= 0:
            state[6] = 0.0
        track["filter"].predict()
        if track["missed"] > 0:
            track["hits"] = 0
        track["missed"] += 1
        return _from_area_and_ratio(track["filter"].x)


def main() -> int:
    root = _root()
    print(f"{'sequence':16}{'':10}{'MOTA':>7}{'IDF1':>7}{'switches':>10}{'us/frame':>10}")
    met = True
    for name in TARGETS + OTHERS:
        sequence = _read(root / name)
        sort, ours = _measure(sequence, _run_sort), _measure(sequence, _run_tracker)
        better = ours.mota > sort.mota and ours.idf1 > sort.idf1 and ours.switches < sort.switches
        met = met and (better or name not in TARGETS)
        verdict = "" if name not in TARGETS else "target met" if better else "TARGET MISSED"
        _print_row(name, "SORT", sort, "")
        _print_row("", "jetstream", ours, verdict)
    _print_variants(root)
    print(f"targets (all three figures better than SORT on {', '.join(TARGETS)}): {'met' if met else 'MISSED'}")
    return 0 if met else 1


def _print_variants(root: Path) -> None:
    print(
        f"\nIDF1, SORT / jetstream{'':10}" + "".join(f"{name[:14]:>16}" for name in TARGETS + OTHERS) + f"{'mean':>16}"
    )
    for label, variant in VARIANTS.items():
        pairs = []
        for name in TARGETS + OTHERS:
            sequences = [variant(_read(root / name), seed) for seed in range(SEEDS)]
            unlike = sequences if label not in ("each 2nd frame", "each 3rd frame") else sequences[:1]
            pairs.append([np.mean([_idf1(s, run) for s in unlike]) for run in (_run_sort, _run_tracker)])
        pairs.append(list(np.mean(pairs, axis=0)))
        print(f"{label:32}" + "".join(f"{f'{sort:.3f} / {ours:.3f}':>16}" for sort, ours in pairs), flush=True)


def _idf1(sequence: Sequence15, track: Callable[[Sequence15], list[Labelled]]) -> float:
    return float(_evaluate(sequence.truth, track(sequence))[1]["IDF1"])


def _root() -> Path:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(os.environ.get("JETSTREAM_DATA", beside)) / "mot15"
    if not root.is_dir():
        sys.exit(f"{root}: no such folder; name the folder of the MOT15 sequences, or set JETSTREAM_DATA")
    return root


def _read(folder: Path) -> Sequence15:
    about = configparser.ConfigParser()
    about.read(folder / "seqinfo.ini")
    frames = about.getint("Sequence", "seqLength")
    detections = np.loadtxt(folder / "det" / "det.txt", delimiter=",")
    truth = np.loadtxt(folder / "gt" / "gt.txt", delimiter=",")
    return Sequence15(
        about.getfloat("Sequence", "frameRate"),
        [_of_frame(detections, frame) for frame in range(1, frames + 1)],
        [_of_frame(truth[truth[:, 6] > 0], frame) for frame in range(1, frames + 1)],
    )


def _of_frame(rows: NDArray[np.float64], frame: int) -> Labelled:
    """A line is frame, id, left, top, width, height, score, ..."""
    rows = rows[rows[:, 0] == frame]
    boxes = np.concatenate([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]], axis=1)
    return Labelled(boxes.astype(np.float32), rows[:, 1].astype(np.int64), rows[:, 6].astype(np.float32))


def _run_sort(sequence: Sequence15) -> list[Labelled]:
    sort = Sort()
    return [sort.update(found.boxes) for found in sequence.detections]


def _run_tracker(sequence: Sequence15) -> list[Labelled]:
    tracker = defaults.tracker()
    reported = []
    for frame, found in enumerate(sequence.detections):
        tracks = tracker.update(found.boxes, found.scores, None, frame / sequence.frames_per_s)
        shown = [track for track in tracks if track.state == "confirmed"]
        reported.append(_labelled([track.box for track in shown], [track.track_id for track in shown]))
    return reported


def _measure(sequence: Sequence15, track: Callable[[Sequence15], list[Labelled]]) -> Figures:
    times_s = []
    for _ in range(TIMED_RUNS):
        started_s = time.perf_counter()
        reported = track(sequence)
        times_s.append(time.perf_counter() - started_s)
    clear, identity = _evaluate(sequence.truth, reported)
    us_per_frame = min(times_s) * 1e6 / len(sequence.truth)
    return Figures(float(clear["MOTA"]), float(identity["IDF1"]), int(clear["IDSW"]), us_per_frame)


def _evaluate(truth: Sequence[Labelled], reported: Sequence[Labelled]) -> tuple[dict[str, Any], dict[str, Any]]:
    """TrackEval's CLEAR and Identity results. It wants ids counted from 0 and prints what it is told."""
    with contextlib.redirect_stdout(io.StringIO()):
        from trackeval.metrics import CLEAR, Identity

        true_ids, track_ids = _count_from_zero(truth), _count_from_zero(reported)
        data = {
            "num_timesteps": len(truth),
            "num_gt_dets": sum(len(ids) for ids in true_ids),
            "num_gt_ids": len({number for ids in true_ids for number in ids.tolist()}),
            "gt_ids": true_ids,
            "num_tracker_dets": sum(len(ids) for ids in track_ids),
            "num_tracker_ids": len({number for ids in track_ids for number in ids.tolist()}),
            "tracker_ids": track_ids,
            "similarity_scores": [iou(there.boxes, here.boxes) for there, here in zip(truth, reported, strict=True)],
        }
        return CLEAR().eval_sequence(data), Identity().eval_sequence(data)


def _count_from_zero(frames: Sequence[Labelled]) -> list[NDArray[np.int64]]:
    known = sorted({number for frame in frames for number in frame.ids.tolist()})
    place = {number: index for index, number in enumerate(known)}
    return [np.array([place[number] for number in frame.ids.tolist()], np.int64) for frame in frames]


def _labelled(boxes: Sequence[NDArray[Any]], ids: Sequence[int]) -> Labelled:
    return Labelled(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(ids, np.int64), np.ones(len(ids), dtype=np.float32)
    )


def _sort_filter(box: NDArray[np.float32]) -> Any:
    """Constant velocity of centre and area, constant ratio; the noise of the paper's own program."""
    kalman: Any = KalmanFilter(dim_x=7, dim_z=4)
    kalman.x = np.concatenate([_area_and_ratio(box), np.zeros(3)])
    kalman.F = np.eye(7) + np.eye(7, k=4)
    kalman.H = np.eye(4, 7)
    kalman.R = np.diag([1.0, 1.0, 10.0, 10.0])
    kalman.P = np.diag([10.0] * 4 + [1e4] * 3)
    kalman.Q = np.diag([1.0] * 4 + [1e-2, 1e-2, 1e-4])
    return kalman


def _area_and_ratio(box: NDArray[np.float32]) -> NDArray[np.float64]:
    x1, y1, x2, y2 = np.asarray(box, np.float64)
    width, height = x2 - x1, y2 - y1
    return np.array([(x1 + x2) / 2, (y1 + y2) / 2, width * height, width / height])


def _from_area_and_ratio(state: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, area, ratio = state[:4]
    width = np.sqrt(max(area * ratio, 1e-9))
    height = area / width
    return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])


def _print_row(name: str, tracker: str, figures: Figures, verdict: str) -> None:
    print(
        f"{name:16}{tracker:10}{figures.mota:7.3f}{figures.idf1:7.3f}{figures.switches:10d}"
        f"{figures.us_per_frame:10.0f}  {verdict}".rstrip()
    )


if __name__ == "__main__":
    sys.exit(main())
