"""`jetstream enroll`: collects face samples, selects the person and the best samples, and stores these as photos.

Doesn't train: the caller does that afterwards. Nothing is written before all checks have passed.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from jetstream.config.schema import Config
from jetstream.enroll import live_track, photo_writer, sources
from jetstream.enroll.conflicts import KnownPeople
from jetstream.enroll.samples import SampleSet
from jetstream.enroll.target import FacePosition, target_person
from jetstream.errors import JetstreamError, SourceError, UserError
from jetstream.gallery import photos
from jetstream.gallery.people import faces_folder
from jetstream.networks.open import for_photos, open_embedder, open_picture_detector
from jetstream.video.picture_files import pictures_of
from jetstream.vision.detection.detector import Detector
from jetstream.vision.recognition import sample_selection
from jetstream.vision.recognition.embedder import Embedder
from jetstream.vision.recognition.sample_selection import PersonSamples

PHOTOS: Final = 6
"""Photos to keep by default."""
LIVE_APART: Final = 0.28
"""With a camera, samples count as different from this embedding distance on: there is time while the head turns."""
COUNT_EVERY_S: Final = 0.4
TRACK: Final = "track:"

Progress = Callable[[str, float], None]
Say = Callable[[str], None]


class EnrollRequest(NamedTuple):
    """The command's arguments."""

    name: str
    sources: Sequence[str]
    at: FacePosition | None = None  # where the wanted face is in the first source
    photos: int | None = None  # most to keep; None: PHOTOS, or the number of pictures named if that is larger
    seconds: float = 10.0  # how long to watch a camera or a track
    force: bool = False  # skip the check against known people


class EnrolledPhoto(NamedTuple):
    """A face sample that became a photo."""

    file: str  # relative to the faces folder
    source: str
    time_s: float | None  # in the source; None: a single picture
    side_px: float  # of the face
    quality: float  # 0..1
    distance: float  # from the mean embedding of all photos taken


class Enrollment(NamedTuple):
    """The result of an enrolment."""

    taken: tuple[EnrolledPhoto, ...]
    seen: int  # number of face samples
    refused: dict[str, int]  # number of samples not taken, by reason


def enroll(request: EnrollRequest, config: Config, progress: Progress, say: Say) -> Enrollment:
    """Take photos of one person from `request.sources`. `say` gets lines for the user while a camera is watched.

    Raises UserError when there is no face, when several people could be meant, or when the face is another person's;
    SourceError and PipelineError when a source fails. Nothing is written then.
    """
    name = photos.check_new_name(request.name)
    with ExitStack() as stack:
        detector = stack.enter_context(open_picture_detector(config))
        photo_detector = stack.enter_context(open_picture_detector(for_photos(config)))
        embedder = stack.enter_context(open_embedder(config))
        samples = SampleSet(embedder, min_quality=config.recognize.min_quality)
        known = KnownPeople(name, config, progress)
        most = request.photos or max(PHOTOS, sum(_pictures(spec) for spec in request.sources))
        count = _SampleCounter(samples, request, known, most, say, progress)
        for spec in request.sources:
            _collect(spec, samples, detector, photo_detector, config, progress, count)
        person = target_person(samples, request.at, request.sources)
        kept, refused = _keep(samples, person, most, known, photo_detector, embedder)
    embeddings = np.array([photo.embedding for photo in kept.values()])
    known.check(embeddings, force=request.force)
    stems = [_stem(samples, index) for index in kept]
    files = photo_writer.write(name, Path(config.recognize.faces), stems, [photo.jpeg for photo in kept.values()])
    distances = np.linalg.norm(embeddings - embeddings.mean(axis=0), axis=1)
    taken = (
        EnrolledPhoto(
            file=f"{path.parent.name}/{path.name}",
            source=samples.sources[index].shown,
            time_s=samples.faces[index].time_s if samples.sources[index].timed else None,
            side_px=samples.faces[index].side_px,
            quality=samples.faces[index].quality,
            distance=float(distance),
        )
        for index, path, distance in zip(kept, files, distances, strict=True)
    )
    return Enrollment(tuple(taken), len(samples.faces), dict(Counter(refused.values()).most_common()))


def check(request: EnrollRequest, config: Config) -> None:
    """The checks that need no network. Raises UserError, and PipelineError for a track when no pipeline runs."""
    photos.check_new_name(request.name)
    faces_folder(config)
    for spec in request.sources:
        if spec.startswith(TRACK):
            live_track.parse_track(spec.removeprefix(TRACK))
            live_track.running_config(config)
        elif sources.is_pictures(spec):
            try:
                pictures_of(spec)
            except SourceError as error:
                raise UserError(f"--from {error}") from None


def other_gallery(config: Config) -> str:
    """A sentence if the running pipeline uses another faces folder than `config`; else empty."""
    try:
        theirs = live_track.running_config(config).recognize.faces
    except JetstreamError:  # it has ended
        return ""
    if os.path.realpath(theirs) == os.path.realpath(config.recognize.faces):
        return ""
    return f"the running pipeline uses {theirs}; to let it recognise the person, enroll with --faces {theirs}"


class _SampleCounter:
    """Decides whether a camera has given enough samples, and tells the user the number when it changes."""

    def __init__(
        self, samples: SampleSet, request: EnrollRequest, known: KnownPeople, most: int, say: Say, progress: Progress
    ) -> None:
        self._samples, self._request, self._known, self._most = samples, request, known, most
        self._say, self._progress = say, progress
        self.seconds = request.seconds
        self._different = 0
        self._next_s = 0.0

    def enough(self) -> bool:
        """Whether there are enough different samples of the person; counts at most every COUNT_EVERY_S."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return False
        self._next_s = now_s + COUNT_EVERY_S
        try:
            person = target_person(self._samples, self._request.at, self._request.sources)
        except UserError:
            return False
        choice = sample_selection.choose(
            self._samples.faces, person, self._most, self._known.embeddings, self._samples.space, apart=LIVE_APART
        )
        if len(choice.taken) != self._different:
            self._different = len(choice.taken)
            self._say(f"{self._different} of {self._most} different samples")
            self._progress("samples", min(1.0, self._different / self._most))
        return self._different >= self._most

    def guide(self, spec: str) -> None:
        """Tell the user what to do in front of the camera."""
        where = spec if spec.startswith(TRACK) else sources.shown(spec)
        self._say(f"{where}: look at the camera and turn your head slowly, for up to {self.seconds:g} s")


def _collect(
    spec: str,
    samples: SampleSet,
    detector: Detector,
    photo_detector: Detector,
    config: Config,
    progress: Progress,
    count: _SampleCounter,
) -> None:
    seconds = count.seconds
    try:
        if spec.startswith(TRACK):
            count.guide(spec)
            live_track.from_track(spec.removeprefix(TRACK), samples, config, seconds, count.enough)
        elif sources.is_live(spec):
            sources.from_camera(spec, samples, detector, config, seconds, count.enough, lambda: count.guide(spec))
        elif sources.is_pictures(spec):
            sources.from_pictures(spec, samples, photo_detector)
        else:
            sources.from_video(spec, samples, detector, config, progress)
    except SourceError as error:
        raise UserError(f"--from {error}") from None


def _keep(
    samples: SampleSet, person: PersonSamples, most: int, known: KnownPeople, detector: Detector, embedder: Embedder
) -> tuple[dict[int, photo_writer.NewPhoto], dict[int, str]]:
    """Choose the samples to keep: their photos by sample index, in order of time, and the reason for each other sample.

    If the photo of a sample can't be used, another sample takes its place. Raises UserError when none is left.
    """
    good: dict[int, photo_writer.NewPhoto] = {}
    failed: dict[int, str] = {}
    while True:
        candidates = PersonSamples(tuple(i for i in person.samples if i not in failed), person.mean, person.weight)
        choice = sample_selection.choose(samples.faces, candidates, most, known.embeddings, samples.space)
        for index in choice.taken:
            crop, embedding = samples.crops[index], samples.faces[index].embedding
            if index not in good and crop is not None and embedding is not None:
                photo = photo_writer.photo_of(crop, embedding, detector, embedder)
                if isinstance(photo, str):
                    failed[index] = photo
                else:
                    good[index] = photo
        if not failed.keys() & set(choice.taken):
            break
    refused = choice.refused | failed
    if not choice.taken:
        reasons = ", ".join(f"{reason} {n}" for reason, n in Counter(refused.values()).most_common())
        raise UserError(f"{known.name}: no face sample is good enough ({reasons}); nothing was changed")
    return {index: good[index] for index in sorted(choice.taken)}, refused


def _stem(samples: SampleSet, index: int) -> str:
    source = samples.sources[index]
    return f"{source.stem}-{samples.faces[index].time_s:.2f}s" if source.timed else source.stem


def _pictures(spec: str) -> int:
    """The number of single pictures that a source names."""
    return len(pictures_of(spec)) if not spec.startswith(TRACK) and sources.is_pictures(spec) else 0
