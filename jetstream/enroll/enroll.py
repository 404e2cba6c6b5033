"""`jetstream enroll`: looks at a face from anywhere, chooses the person and the few looks to keep, and keeps them.

Trains nothing; whoever calls does, afterwards. Nothing is written before everything is decided.
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
from jetstream.enroll import live_track, photo_writer
from jetstream.enroll import sources as footage
from jetstream.enroll.conflicts import KnownPeople
from jetstream.enroll.samples import SampleSet
from jetstream.enroll.target import FacePosition, the_one
from jetstream.errors import JetstreamError, SourceError, UserError
from jetstream.gallery import photos
from jetstream.gallery.people import faces_folder
from jetstream.networks.open import for_photos, open_embedder, open_picture_detector
from jetstream.video.source import pictures_of
from jetstream.vision.detection.detector import Detector
from jetstream.vision.recognition import sample_selection
from jetstream.vision.recognition.embedder import Embedder
from jetstream.vision.recognition.sample_selection import PersonSamples

PHOTOS: Final = 6
LIVE_APART: Final = 0.28
"""Live, it goes on until the looks differ by so much: there is time, and the head is turning."""
COUNT_EVERY_S: Final = 0.4
TRACK: Final = "track:"

Progress = Callable[[str, float], None]
Say = Callable[[str], None]


class EnrollRequest(NamedTuple):
    """What a user asks for."""

    name: str
    sources: Sequence[str]
    at: FacePosition | None = None
    photos: int | None = None  # most to keep; None: PHOTOS, or as many as pictures are named
    seconds: float = 10.0  # to look at a camera, or for a track
    force: bool = False


class EnrolledPhoto(NamedTuple):
    """A look that became a photo."""

    file: str  # relative to the faces folder
    source: str
    time_s: float | None  # None: a single picture
    side_px: float
    quality: float
    distance: float  # to the mean of all that were taken


class Enrollment(NamedTuple):
    taken: tuple[EnrolledPhoto, ...]
    seen: int  # looks
    refused: dict[str, int]  # by reason


def enroll(request: EnrollRequest, config: Config, progress: Progress, say: Say) -> Enrollment:
    """Make photos of one person out of `request.sources`; `say` hears lines for people while a camera is looked at.

    Raises UserError, SourceError, PipelineError with nothing written: no face, several people, another person's face.
    """
    name = photos.check_name(request.name)
    with ExitStack() as stack:
        detector = stack.enter_context(open_picture_detector(config))
        photo_detector = stack.enter_context(open_picture_detector(for_photos(config)))
        embedder = stack.enter_context(open_embedder(config))
        seen = SampleSet(embedder, min_quality=config.recognize.min_quality)
        known = KnownPeople(name, config, progress)
        most = request.photos or max(PHOTOS, sum(_pictures(spec) for spec in request.sources))
        count = _SampleCounter(seen, request, known, most, say)
        for spec in request.sources:
            _look_at(spec, seen, detector, photo_detector, config, progress, count)
        person = the_one(seen, request.at, request.sources)
        kept, refused = _keep(seen, person, most, known, photo_detector, embedder)
    embeddings = np.array([photo.embedding for photo in kept.values()])
    known.check(embeddings, force=request.force)
    stems = [_stem(seen, index) for index in kept]
    files = photo_writer.write(name, Path(config.recognize.faces), stems, [photo.jpeg for photo in kept.values()])
    distances = np.linalg.norm(embeddings - embeddings.mean(axis=0), axis=1)
    taken = (
        EnrolledPhoto(
            file=f"{path.parent.name}/{path.name}",
            source=seen.sources[index].shown,
            time_s=seen.looks[index].time_s if seen.sources[index].timed else None,
            side_px=seen.looks[index].side_px,
            quality=seen.looks[index].quality,
            distance=float(distance),
        )
        for index, path, distance in zip(kept, files, distances, strict=True)
    )
    return Enrollment(tuple(taken), len(seen.looks), dict(Counter(refused.values()).most_common()))


def check(request: EnrollRequest, config: Config) -> None:
    """What can be told before any network is opened. Raises UserError, PipelineError."""
    photos.check_name(request.name)
    faces_folder(config)
    for spec in request.sources:
        if spec.startswith(TRACK):
            live_track.parsed(spec.removeprefix(TRACK))
            live_track.running_config(config)
        elif footage.is_pictures(spec):
            try:
                pictures_of(spec)
            except SourceError as error:
                raise UserError(f"--from {error}") from None


def other_gallery(config: Config) -> str:
    """A sentence where the pipeline that runs learns from another folder than `config`'s; else empty."""
    try:
        theirs = live_track.running_config(config).recognize.faces
    except JetstreamError:  # it has ended
        return ""
    if os.path.realpath(theirs) == os.path.realpath(config.recognize.faces):
        return ""
    return f"the pipeline that runs learns from {theirs}: for it to know the person, enroll with --faces {theirs}"


class _SampleCounter:
    """Whether a camera has shown enough; says how far it is whenever that changes."""

    def __init__(self, seen: SampleSet, request: EnrollRequest, known: KnownPeople, most: int, say: Say) -> None:
        self._seen, self._request, self._known, self._most, self._say = seen, request, known, most, say
        self.seconds = request.seconds
        self._told = 0
        self._next_s = 0.0

    def enough(self) -> bool:
        now_s = time.monotonic()
        if now_s < self._next_s:
            return False
        self._next_s = now_s + COUNT_EVERY_S
        try:
            person = the_one(self._seen, self._request.at, self._request.sources)
        except UserError:
            return False
        choice = sample_selection.choose(self._seen.looks, person, self._most, self._known.embeddings, apart=LIVE_APART)
        if len(choice.taken) != self._told:
            self._told = len(choice.taken)
            self._say(f"{self._told} of {self._most} different looks")
        return self._told >= self._most

    def guide(self, spec: str) -> None:
        where = spec if spec.startswith(TRACK) else footage.shown(spec)
        self._say(f"{where}: look at the camera and turn your head slowly, for up to {self.seconds:g} s")


def _look_at(
    spec: str,
    seen: SampleSet,
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
            live_track.from_track(spec.removeprefix(TRACK), seen, config, seconds, count.enough)
        elif footage.is_live(spec):
            footage.from_camera(spec, seen, detector, config, seconds, count.enough, lambda: count.guide(spec))
        elif footage.is_pictures(spec):
            footage.from_pictures(spec, seen, photo_detector)
        else:
            footage.from_video(spec, seen, detector, config, progress)
    except SourceError as error:
        raise UserError(f"--from {error}") from None


def _keep(
    seen: SampleSet, person: PersonSamples, most: int, known: KnownPeople, detector: Detector, embedder: Embedder
) -> tuple[dict[int, photo_writer.NewPhoto], dict[int, str]]:
    """The photos of the chosen looks, by look, in order of time; and why each other look isn't one. Raises UserError.

    A look whose photo fails makes room for another.
    """
    good: dict[int, photo_writer.NewPhoto] = {}
    failed: dict[int, str] = {}
    while True:
        candidates = PersonSamples(tuple(i for i in person.samples if i not in failed), person.mean, person.weight)
        choice = sample_selection.choose(seen.looks, candidates, most, known.embeddings)
        for index in choice.taken:
            piece, embedding = seen.cuts[index], seen.looks[index].embedding
            if index not in good and piece is not None and embedding is not None:
                photo = photo_writer.photo_of(piece, embedding, detector, embedder)
                if isinstance(photo, str):
                    failed[index] = photo
                else:
                    good[index] = photo
        if not failed.keys() & set(choice.taken):
            break
    refused = choice.refused | failed
    if not choice.taken:
        reasons = ", ".join(f"{reason} {n}" for reason, n in Counter(refused.values()).most_common())
        raise UserError(f"{known.name}: no look is worth keeping ({reasons}); nothing was changed")
    return {index: good[index] for index in sorted(choice.taken)}, refused


def _stem(seen: SampleSet, index: int) -> str:
    source = seen.sources[index]
    return f"{source.stem}-{seen.looks[index].time_s:.2f}s" if source.timed else source.stem


def _pictures(spec: str) -> int:
    """How many single pictures a source names."""
    return len(pictures_of(spec)) if not spec.startswith(TRACK) and footage.is_pictures(spec) else 0
