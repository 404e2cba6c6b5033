"""`jetstream evaluate`: tests the gallery of a config by cross-validation, a folder of photos, or a video with a truth.

The caller must build the models and train the gallery before.
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
from jetstream.evaluation import cross_validation, ground_truth, metrics, per_sighting, photo_set, video
from jetstream.evaluation.cross_validation import GalleryRows
from jetstream.evaluation.error_sheets import MOST, ErrorSheet, ErrorTile, crop, jpeg, sheets
from jetstream.evaluation.ground_truth import JudgedTrack, Truth
from jetstream.evaluation.metrics import Figures, ProbeResult
from jetstream.evaluation.per_sighting import SightingFigures
from jetstream.evaluation.video import TimedBox, VideoFigures
from jetstream.events import Event, event_of
from jetstream.gallery import photos, store, strangers, train
from jetstream.ipc.rings import Rings
from jetstream.messages import Tracked
from jetstream.networks.embedders import embedder_of
from jetstream.networks.open import for_photos, open_embedder, open_picture_detector
from jetstream.replay.replay import expected_frames, replay
from jetstream.vision.recognition.classifier import Classifier
from jetstream.vision.recognition.counter_examples import CounterLooks

Progress = Callable[[str, float], None]

INVENTED, INVENTED_SEED = 2000, 1
"""Number and seed of the invented strangers for a gallery of one person; the thresholds are calibrated on others."""


class Evaluation(msgspec.Struct, frozen=True):
    """The result, which `--json` prints. Either `figures` or `video` is set."""

    kind: Literal["cross-validation", "photos", "video"]
    faces: str  # folder
    test: str | None  # folder or video
    people: int  # enrolled
    photos: int  # enrolled
    notes: tuple[str, ...]  # sentences: how it was measured, and what it can't show
    figures: Figures | None = None
    video: VideoFigures | None = None
    asked: tuple[ProbeResult, ...] = ()
    sightings: SightingFigures | None = None  # of a video, unless `sightings.enabled` is false


class ReportContext(NamedTuple):
    """What the HTML report needs besides the figures."""

    sheets: list[ErrorSheet]
    boxes: list[TimedBox]


class _GalleryUnderTest(NamedTuple):
    """The gallery that is tested."""

    classifier: Classifier
    sample: GalleryRows
    sha256: frozenset[str]  # of the enrolled photos
    negatives: NDArray[np.float32]  # (K, 128) embeddings of strangers' photos


def check_options(test: Path | None, truth_path: Path | None, report: Path | None) -> None:
    """Raises UserError for options that don't fit together, or a `report` that can't be written (None: no report)."""
    if truth_path is not None and test is None:
        raise UserError("--truth needs a video: give --test VIDEO")
    if test is not None and not test.exists():
        raise UserError(f"--test {test}: no such folder or video; check the path")
    if test is not None and truth_path is None and not test.is_dir():
        raise UserError(f"--test {test}: not a folder of photos, and a video needs --truth FILE")
    if report is not None:
        _check_report(report, {path.resolve() for path in (test, truth_path) if path is not None})


def _check_report(report: Path, read: set[Path]) -> None:
    if report.is_dir():
        raise UserError(f"--out {report}: it is a folder; name a file for the report")
    if report.resolve() in read or (report.exists() and not report.is_file()):
        raise UserError(f"--out {report}: the report can't replace this file; choose another name")
    folder = report.absolute().parent
    if not folder.is_dir():
        raise UserError(f"--out {report}: {folder} is not a folder; make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"--out {report}: {folder} can't be written; name a file in another folder")


def evaluate(
    config: Config, test: Path | None, truth_path: Path | None, progress: Progress
) -> tuple[Evaluation, ReportContext]:
    """Run the evaluation that the options ask for; with `truth_path`, the one camera of `config` is the video.

    `progress` gets the task and the fraction done. Raises UserError as the function for each kind.
    """
    if truth_path is not None:
        return by_video(config, truth_path, progress)
    if test is not None:
        return by_photos(config, test, progress)
    return by_cross_validation(config, progress)


def by_cross_validation(config: Config, progress: Progress) -> tuple[Evaluation, ReportContext]:
    """Test the gallery on its own photos. Raises UserError for an empty gallery."""
    known = _open(config)
    fit = _fit(config, known.negatives, known.classifier.counter_looks)
    notes = cross_validation.notes(known.sample)
    results = cross_validation.cross_validate(known.sample, fit, progress)
    if not cross_validation.groups(known.sample.people):
        invented = strangers.faces(embedder_of(config).background, INVENTED, INVENTED_SEED)
        results += cross_validation.probe_strangers(invented, known.sample, fit)
        replaced = f"{INVENTED} invented ones, distributed like real faces, replace them. " if len(invented) else ""
        notes.append(f"A gallery of one person has no strangers: {replaced}Give --test for real ones.")
    result = _evaluation(config, known, "cross-validation", None, notes, results)
    pictures = _pictures(config)
    return result, ReportContext(sheets(results, pictures, pictures), [])


def by_photos(config: Config, test: Path, progress: Progress) -> tuple[Evaluation, ReportContext]:
    """Test the gallery on a folder of photos. Raises UserError when no photo in it can be used."""
    known = _open(config)
    found = photo_set.find(test, known.classifier.names)
    with open_picture_detector(for_photos(config)) as detector, open_embedder(config) as embedder:
        networks = (detector, embedder)
        results, left_out = photo_set.ask(found, known.classifier, known.sample.files, known.sha256, networks, progress)
    if not results:
        raise UserError(f"--test {test}: no photo in it can be used ({_codes(left_out)}); use others")
    notes = ["The largest face of each photo was tested against the gallery, detected and aligned as in training."]
    notes += photo_set.notes(test, found, known.classifier.names)
    if left_out:
        were = "was" if len(left_out) == 1 else "were"
        notes.append(f"{len(left_out)} of {len(found)} photos {were} left out: {_codes(left_out)}.")
    if not any(not one.known for one in results):
        notes.append(f"No strangers: add folders of other people, or {test}/{photos.STRANGERS}/.")
    result = _evaluation(config, known, "photos", str(test), notes, results)
    return result, ReportContext(sheets(results, {photo.file: photo.path for photo in found}, _pictures(config)), [])


def by_video(config: Config, truth_path: Path, progress: Progress) -> tuple[Evaluation, ReportContext]:
    """Test the whole pipeline on the one source of `config`. Raises UserError when the truth isn't this video's."""
    known = _open(config)
    (camera,) = config.cameras
    truth = ground_truth.load(truth_path)
    expected = expected_frames(camera) or 0
    where = f"--truth {truth_path}"
    video.check(truth, known.classifier.names, expected, where)
    events, name_errors = [], _NameErrors(truth)
    merged: dict[str, str] = {}
    for tracked, rings in replay(config):
        events.append(event_of(tracked))
        merged.update(tracked.merged)
        name_errors.add(tracked, events[-1], rings)
        progress("replay", len(events) / expected if expected else 0.0)
    video.check(truth, known.classifier.names, len(events), where)
    boxes = video.judged_boxes(events, truth, known.classifier.names)
    if not boxes:
        raise UserError(f"{where}: no detected face of this video overlaps a face in this file; check the files")
    result = Evaluation(
        kind="video",
        faces=config.recognize.faces,
        test=camera.source,
        people=len(known.classifier.names),
        photos=len(known.sample.files),
        notes=("Every frame ran through the whole pipeline, as with `jetstream replay`.",),
        video=video.figures(events, truth, known.classifier.names),
        sightings=(
            per_sighting.figures(events, truth, known.classifier.names, merged, config.sightings.absence_s)
            if config.sightings.enabled
            else None
        ),
    )
    sheet = ErrorSheet("Tracks that showed a wrong name", tuple(name_errors.tiles), name_errors.count)
    return result, ReportContext([sheet], boxes)


class _NameErrors:
    """Collects a picture of each wrong name of each track, from the first frame that shows it."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._seen: set[tuple[int, str | None, str | None]] = set()
        self.tiles: list[ErrorTile] = []

    @property
    def count(self) -> int:
        return len(self._seen)

    def add(self, tracked: Tracked, event: Event, rings: Rings) -> None:
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
        raise UserError(f"{faces}: no known people, so there is nothing to evaluate; put photos into {faces}/<name>/")
    arrays = known.classifier.to_arrays()
    people = tuple(known.classifier.names[owner] for owner in arrays["owners"])
    manifest = store.read_manifest(known.folder)
    return _GalleryUnderTest(
        known.classifier,
        GalleryRows(arrays["embeddings"], people, known.files),
        frozenset(record.sha256 for record in manifest.photos if record.row is not None),
        arrays["negatives"],
    )


def _fit(config: Config, negatives: NDArray[np.float32], counter_examples: CounterLooks) -> cross_validation.Fit:
    """A function that trains as `jetstream train` does, with the config's thresholds."""
    limit, entry = config.recognize.max_distance, embedder_of(config)

    def fit(embeddings: NDArray[np.float32], people: Sequence[str]) -> Classifier:
        rate = config.recognize.false_accept_rate
        classifier = train.learn(embeddings, people, negatives, entry, rate, counter_examples=counter_examples)
        return classifier if limit is None else classifier.with_max_distance(limit)

    return fit


def _evaluation(
    config: Config,
    known: _GalleryUnderTest,
    kind: Literal["cross-validation", "photos"],
    test: str | None,
    notes: list[str],
    results: list[ProbeResult],
) -> Evaluation:
    return Evaluation(
        kind=kind,
        faces=config.recognize.faces,
        test=test,
        people=len(known.classifier.names),
        photos=len(known.sample.files),
        notes=tuple(notes),
        figures=metrics.figures(results),
        asked=tuple(results),
    )


def _pictures(config: Config) -> dict[str, Path]:
    return {photo.file: photo.path for photo in photos.list_photos(Path(config.recognize.faces)).photos}


def _codes(left_out: Sequence[photo_set.SkippedPhoto]) -> str:
    counts = Counter(code for _, code in left_out)
    return ", ".join(f"{code} {count}" for code, count in sorted(counts.items()))
