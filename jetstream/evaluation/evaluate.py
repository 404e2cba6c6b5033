"""`jetstream evaluate`: ask the gallery of a config, by cross-validation, a folder of photos or a video with truth.

Prepares nothing: models are built and the gallery is trained before.
"""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.evaluation import cross_validation, ground_truth, metrics, photo_set, video
from jetstream.evaluation.cross_validation import GalleryRows
from jetstream.evaluation.error_sheets import MOST, ErrorSheet, ErrorTile, crop, jpeg, sheets
from jetstream.evaluation.ground_truth import JudgedTrack, Truth
from jetstream.evaluation.metrics import Figures, ProbeResult
from jetstream.evaluation.video import TimedBox, VideoFigures
from jetstream.events import Event, event_of
from jetstream.gallery import photos, store, strangers, train
from jetstream.ipc.rings import Rings
from jetstream.messages import Tracked
from jetstream.networks.open import for_photos, open_embedder, open_picture_detector
from jetstream.replay.replay import expected_frames, replay
from jetstream.vision.recognition.classifier import Classifier

Progress = Callable[[str, float], None]

INVENTED, INVENTED_SEED = 2000, 1
"""Faces of strangers for a gallery of one person; other ones than the gates are calibrated on."""


class Evaluation(msgspec.Struct, frozen=True):
    """What was measured; `--json` prints it. One of `figures` and `video` is there."""

    kind: Literal["cross-validation", "photos", "video"]
    faces: str
    test: str | None
    people: int  # who can be known
    photos: int  # enrolled
    notes: tuple[str, ...]  # how it was measured, and what can't be told
    figures: Figures | None = None
    video: VideoFigures | None = None
    asked: tuple[ProbeResult, ...] = ()


class ReportContext(NamedTuple):
    """What a page needs besides the figures."""

    sheets: list[ErrorSheet]
    boxes: list[TimedBox]


class _GalleryUnderTest(NamedTuple):
    """The gallery that is asked."""

    classifier: Classifier
    sample: GalleryRows
    sha256: frozenset[str]  # of the enrolled photos
    negatives: NDArray[np.float32]  # (K, 128): faces that must never get a name


def check_options(test: Path | None, truth_path: Path | None, report: Path | None) -> None:
    """Raises UserError for options that can't go together, or a `report` (None: none) that can't be written."""
    if truth_path is not None and test is None:
        raise UserError("--truth needs the video that it is about: give --test VIDEO")
    if test is not None and not test.exists():
        raise UserError(f"--test {test}: no such folder or video; check the path")
    if test is not None and truth_path is None and not test.is_dir():
        raise UserError(f"--test {test}: it is no folder of photos, and a video needs --truth FILE")
    if report is not None:
        _check_report(report, {path.resolve() for path in (test, truth_path) if path is not None})


def _check_report(report: Path, read: set[Path]) -> None:
    if report.is_dir():
        raise UserError(f"--out {report}: it is a folder; name a file for the report")
    if report.resolve() in read or (report.exists() and not report.is_file()):
        raise UserError(f"--out {report}: the report can't take the place of this; choose another name")
    folder = report.absolute().parent
    if not folder.is_dir():
        raise UserError(f"--out {report}: {folder} is no folder; make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"--out {report}: {folder} can't be written; name a file in another folder")


def evaluate(
    config: Config, test: Path | None, truth_path: Path | None, progress: Progress
) -> tuple[Evaluation, ReportContext]:
    """What the options ask for; with `truth_path`, `config` has the video as its one camera."""
    if truth_path is not None:
        return by_video(config, truth_path, progress)
    if test is not None:
        return by_photos(config, test, progress)
    return by_cross_validation(config, progress)


def by_cross_validation(config: Config, progress: Progress) -> tuple[Evaluation, ReportContext]:
    """The gallery asked about its own photos. Raises UserError for an empty one."""
    known = _open(config)
    fit, notes = _fit(config, known.negatives), cross_validation.notes(known.sample)
    asked = cross_validation.cross_validate(known.sample, fit, progress)
    if not cross_validation.groups(known.sample.people):
        invented = strangers.faces(INVENTED, INVENTED_SEED)
        asked += cross_validation.ask_strangers(invented, known.sample, fit)
        notes.append(
            f"One person alone has no strangers: {INVENTED} invented faces, spread as faces in general are, stand in. "
            "With --test, real ones."
        )
    result = _evaluation(config, known, "cross-validation", None, notes, asked)
    pictures = _pictures(config)
    return result, ReportContext(sheets(asked, pictures, pictures), [])


def by_photos(config: Config, test: Path, progress: Progress) -> tuple[Evaluation, ReportContext]:
    """The gallery asked about a folder of photos. Raises UserError where that can't be done."""
    known = _open(config)
    found = photo_set.find(test, known.classifier.names)
    with open_picture_detector(for_photos(config)) as detector, open_embedder(config) as embedder:
        networks = (detector, embedder)
        asked, left_out = photo_set.ask(found, known.classifier, known.sample.files, known.sha256, networks, progress)
    if not asked:
        raise UserError(f"--test {test}: no photo in it can be asked ({_codes(left_out)}); use others")
    notes = ["Each photo's largest face was asked of the gallery, seen as enrolment sees it."]
    notes += photo_set.notes(test, found, known.classifier.names)
    if left_out:
        were = "was" if len(left_out) == 1 else "were"
        notes.append(f"{len(left_out)} of {len(found)} photos {were} left out: {_codes(left_out)}.")
    if not any(not one.known for one in asked):
        notes.append(f"No strangers: add folders of other people, or {test}/{photos.STRANGERS}/.")
    result = _evaluation(config, known, "photos", str(test), notes, asked)
    return result, ReportContext(sheets(asked, {photo.file: photo.path for photo in found}, _pictures(config)), [])


def by_video(config: Config, truth_path: Path, progress: Progress) -> tuple[Evaluation, ReportContext]:
    """The whole pipeline on the one source of `config`. Raises UserError where the truth isn't this video's."""
    known = _open(config)
    (camera,) = config.cameras
    told = ground_truth.load(truth_path)
    expected = expected_frames(camera) or 0
    where = f"--truth {truth_path}"
    video.check(told, known.classifier.names, expected, where)
    events, tiles = [], _NameErrors(told)
    for tracked, rings in replay(config):
        events.append(event_of(tracked))
        tiles.look(tracked, events[-1], rings)
        progress("replay", len(events) / expected if expected else 0.0)
    video.check(told, known.classifier.names, len(events), where)
    boxes = video.judged(events, told, known.classifier.names)
    if not boxes:
        raise UserError(f"{where}: no face of this video lies where it says that somebody is; check the files")
    result = Evaluation(
        kind="video",
        faces=config.recognize.faces,
        test=camera.source,
        people=len(known.classifier.names),
        photos=len(known.sample.files),
        notes=("Every frame went through the whole pipeline, as in `jetstream replay`.",),
        video=video.figures(events, told, known.classifier.names),
    )
    return result, ReportContext(
        [ErrorSheet("Tracks that showed a wrong name", tuple(tiles.tiles), tiles.count)], boxes
    )


class _NameErrors:
    """A picture of each wrong name that a track showed, the first time that it did."""

    def __init__(self, told: Truth) -> None:
        self._truth = told
        self._seen: set[tuple[int, str | None, str | None]] = set()
        self.tiles: list[ErrorTile] = []

    @property
    def count(self) -> int:
        return len(self._seen)

    def look(self, tracked: Tracked, event: Event, rings: Rings) -> None:
        for one in self._truth.judge(event):
            key = (one.track.track_id, one.track.name, one.expected)
            if one.track.name in (None, one.expected) or key in self._seen:
                continue
            self._seen.add(key)
            image = rings.read(tracked.frame.camera, tracked.frame.frame_id)
            if image is not None and len(self.tiles) < MOST:
                self.tiles.append(_track_tile(one, event, image))


def _track_tile(one: JudgedTrack, event: Event, image: NDArray[np.uint8]) -> ErrorTile:
    lines = (
        f"is {one.expected or 'a stranger'}",
        f"shown {one.track.name}",
        f"frame {event.frame_id}, {event.pts_s:.2f} s",
    )
    return ErrorTile(jpeg(crop(image, one.track.box)), None, (*lines, f"track {one.track.track_id}"))


def _open(config: Config) -> _GalleryUnderTest:
    faces = Path(config.recognize.faces)
    known = train.open_gallery(config)
    if not known.classifier.names:
        raise UserError(f"{faces}: nobody to know, so there is nothing to evaluate; put photos into {faces}/<name>/")
    learnt = known.classifier.to_arrays()
    people = tuple(known.classifier.names[owner] for owner in learnt["owners"])
    manifest = store.read_manifest(known.folder)
    return _GalleryUnderTest(
        known.classifier,
        GalleryRows(learnt["embeddings"], people, known.files),
        frozenset(record.sha256 for record in manifest.photos if record.row is not None),
        learnt["negatives"],
    )


def _fit(config: Config, negatives: NDArray[np.float32]) -> cross_validation.Fit:
    """As `jetstream train` learns, with the config's own thresholds."""
    limit = config.recognize.max_distance

    def fit(embeddings: NDArray[np.float32], people: Sequence[str]) -> Classifier:
        classifier = train.learn(embeddings, people, negatives, config.recognize.false_accept_rate)
        return classifier if limit is None else classifier.with_max_distance(limit)

    return fit


def _evaluation(
    config: Config,
    known: _GalleryUnderTest,
    kind: Literal["cross-validation", "photos"],
    test: str | None,
    notes: list[str],
    asked: list[ProbeResult],
) -> Evaluation:
    return Evaluation(
        kind=kind,
        faces=config.recognize.faces,
        test=test,
        people=len(known.classifier.names),
        photos=len(known.sample.files),
        notes=tuple(notes),
        figures=metrics.figures(asked),
        asked=tuple(asked),
    )


def _pictures(config: Config) -> dict[str, Path]:
    return {photo.file: photo.path for photo in photos.list_photos(Path(config.recognize.faces)).photos}


def _codes(left_out: Sequence[photo_set.SkippedPhoto]) -> str:
    counts = Counter(code for _, code in left_out)
    return ", ".join(f"{code} {count}" for code, count in sorted(counts.items()))
