"""Faces to names. All cameras share one network, which gets the faces of all waiting questions as one batch.

A question names a frame, and the id and landmarks of each face. Of a track only its id and the mean of its last
embeddings are known: that is what is named, and it shows identity switches.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from jetstream.config.schema import Config
from jetstream.errors import ModelError
from jetstream.gallery import train
from jetstream.ipc.frames import FrameView, GpuFrameView
from jetstream.ipc.rings import FrameReader
from jetstream.messages import Dropped, InUse, Named, NamedFace, Tick, Wanted
from jetstream.networks.embedders import is_mirrored
from jetstream.networks.open import open_embedder
from jetstream.picture_format import PicturePlace
from jetstream.vision.recognition import align
from jetstream.vision.recognition.align import FaceTemplate
from jetstream.vision.recognition.classifier import NOBODY, Answer, Classifier
from jetstream.vision.recognition.embedder import Embedder, EmbedderOutput
from jetstream.vision.recognition.quality import measure, usable_chip
from jetstream.vision.tracking.frame_rate import FrameRate
from jetstream.vision.tracking.returned_tracks import FORGET_S
from jetstream.vision.tracking.returns import ReturnFinder
from jetstream.vision.tracking.templates import FusedLook, TrackTemplates

CHECK_EVERY_S = 0.1
"""time between two checks for a new gallery, which take a few microseconds each"""
TELL_EVERY_S = 5.0
"""time between two InUse messages, for subscribers that connected later"""

log = logging.getLogger(__name__)


def recognize(
    batches: Iterator[Sequence[Wanted | Tick]], rings: FrameReader, config: Config
) -> Iterator[Named | Dropped | InUse]:
    """One Named for each Wanted, in order. It has no faces when the frame was overwritten, which is Dropped (`lapped`).

    InUse names the gallery: first of all, and between two batches when there is a new one and every TELL_EVERY_S.
    """
    known = GalleryWatcher(config)
    rates: defaultdict[str, FrameRate] = defaultdict(FrameRate)
    with open_embedder(config) as embedder:
        space, mirror = embedder.spec.space, is_mirrored(config)
        templates: defaultdict[str, TrackTemplates] = defaultdict(lambda: TrackTemplates(space))  # by camera
        forget_s = max(FORGET_S, config.sightings.absence_s if config.sightings.enabled else 0.0)
        returns: defaultdict[str, ReturnFinder] = defaultdict(lambda: ReturnFinder(space, forget_s=forget_s))
        yield known.in_use()
        told_s = time.monotonic()
        for messages in batches:
            live = config.pipeline.pace == "live"  # otherwise the same input must give the same output
            now_s = time.monotonic()
            if live and (known.refresh(now_s) or now_s - told_s > TELL_EVERY_S):
                yield known.in_use()
                told_s = now_s
            batch = [message for message in messages if isinstance(message, Wanted)]
            if not batch:
                continue  # a tick
            embed = _samples_in_place if embedder.reads_in_place else _samples
            samples = embed(batch, rings, embedder, mirror=mirror, least=config.recognize.min_quality)
            fused = _fused(batch, samples, known.classifier, templates, rates)
            looks = [look.embedding for faces in fused for look in faces if look is not None]
            answers = iter(known.classifier.ask(np.array(looks, np.float32).reshape(-1, space.size)))
            for wanted, alone, faces in zip(batch, samples, fused, strict=True):
                if not faces:
                    yield Dropped(camera=wanted.frame.camera, reason="lapped")
                told = [NOBODY if look is None else next(answers) for look in faces]
                named = _named(wanted, [sample.quality for sample in alone], faces, told, known.files)
                camera = wanted.frame.camera
                yield _with_returns(named, alone, returns[camera], rates[camera].slowness)


class GalleryWatcher:
    """The gallery of a config, read again after `learn` or `jetstream train` has written it."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._written = train.written(config)
        self._next_s = 0.0
        self._gallery = train.open_gallery(config)

    @property
    def classifier(self) -> Classifier:
        return self._gallery.classifier

    @property
    def files(self) -> Sequence[str]:
        """The photo of each row of the classifier, relative to the faces folder."""
        return self._gallery.files

    def in_use(self) -> InUse:
        return InUse(sha256=self._gallery.sha256, people=len(self.classifier.names), photos=len(self.files))

    def refresh(self, now_s: float) -> bool:
        """Read the gallery if it was written since, at most every CHECK_EVERY_S; whether there is a new one.

        A new one that is damaged is refused with a warning.
        """
        if now_s < self._next_s:
            return False
        self._next_s = now_s + CHECK_EVERY_S
        written = train.written(self._config)
        if written == self._written:
            return False
        self._written = written
        try:
            self._gallery = train.open_gallery(self._config)
        except ModelError as error:
            log.warning("%s; the gallery in use stays", error)
            return False
        log.info("a new gallery: %s", self._gallery.summary)
        return True


class SampleEmbedding(NamedTuple):
    """One view of a face: its quality, 0..1, and its embedding; None where the quality is below `min_quality`."""

    quality: float
    embedding: NDArray[np.float32] | None  # (D,)


def _samples(
    batch: Sequence[Wanted], rings: FrameReader, embedder: Embedder, *, mirror: bool, least: float
) -> list[list[SampleEmbedding]]:
    """The samples of each question, none where its frame was overwritten."""
    template = embedder.spec.template
    cut = [_cut(wanted, rings, template) for wanted in batch]
    fine = [chip for faces in cut for quality, chip in faces if quality >= least]
    chips = np.array(fine, np.uint8).reshape(-1, *template.shape)
    embeddings = iter(embedder.embed(chips, mirror=mirror))
    return [
        [SampleEmbedding(quality, next(embeddings) if quality >= least else None) for quality, _ in faces]
        for faces in cut
    ]


def _cut(wanted: Wanted, rings: FrameReader, template: FaceTemplate) -> list[tuple[float, NDArray[np.uint8]]]:
    image = rings.read(wanted.frame.camera, wanted.frame.frame_id)
    if image is None:
        return []
    landmarks = _landmarks(wanted)
    chips = align.chips(image, landmarks, template)
    usable = [usable_chip(chip, template) for chip in chips]
    return list(zip(_qualities(image, landmarks, usable), chips, strict=True))


def _samples_in_place(
    batch: Sequence[Wanted], rings: FrameReader, embedder: Embedder, *, mirror: bool, least: float
) -> list[list[SampleEmbedding]]:
    """As `_samples`, but all faces are embedded: a GPU returns chips, of which quality is measured, and embeddings
    together."""
    views = [rings.view_on(wanted.frame.camera, wanted.frame.frame_id, embedder.gpu) for wanted in batch]
    pictures = [
        (view.picture, _landmarks(wanted)) for view, wanted in zip(views, batch, strict=True) if view is not None
    ]
    outputs = iter(embedder.look(pictures, mirror=mirror))
    return [
        [] if view is None else _measured(view, _landmarks(wanted), next(outputs), least)
        for view, wanted in zip(views, batch, strict=True)
    ]


def _measured(
    view: FrameView | GpuFrameView, landmarks: NDArray[np.float64], output: EmbedderOutput, min_quality: float
) -> list[SampleEmbedding]:
    """The samples of one frame; none if it was overwritten meanwhile."""
    if not view.still_valid():
        return []
    qualities = _qualities(view.picture, landmarks, output.dlib_chips)
    return [
        SampleEmbedding(quality, embedding if quality >= min_quality else None)
        for quality, embedding in zip(qualities, output.embeddings, strict=True)
    ]


def _qualities(
    image: PicturePlace, landmarks: NDArray[np.float64], chips: Iterable[NDArray[np.uint8] | None]
) -> list[float]:
    """`chips`: of each face, as `measure` takes it."""
    return [measure(image, points, chip).overall for points, chip in zip(landmarks, chips, strict=True)]


def _landmarks(wanted: Wanted) -> NDArray[np.float64]:
    return np.array([face.landmarks for face in wanted.faces], np.float64).reshape(-1, 5, 2)


def _fused(
    batch: Sequence[Wanted],
    samples: Sequence[Sequence[SampleEmbedding]],
    classifier: Classifier,
    templates: defaultdict[str, TrackTemplates],
    rates: defaultdict[str, FrameRate],
) -> list[list[FusedLook | None]]:
    """The samples, each with those of its track before; None where there is no embedding."""
    fine = [sample.embedding for faces in samples for sample in faces if sample.embedding is not None]
    alone = iter(classifier.ask(np.array(fine, np.float32)) if fine else ())
    fused: list[list[FusedLook | None]] = []
    for wanted, faces in zip(batch, samples, strict=True):
        camera, time_s = wanted.frame.camera, wanted.frame.time_s
        rates[camera].saw(time_s, wanted.frame.frame_id)
        fused.append(
            [
                None
                if sample.embedding is None
                else templates[camera].add(
                    face.track_id,
                    sample.embedding,
                    sample.quality,
                    time_s,
                    named=next(alone).name is not None,
                    suspect=face.suspect,
                    slowness=rates[camera].slowness,
                )
                for face, sample in zip(wanted.faces, faces, strict=False)
            ]
        )
    return fused


def _named(
    wanted: Wanted,
    qualities: Sequence[float],
    looks: Sequence[FusedLook | None],
    answers: Sequence[Answer],
    files: Sequence[str],
) -> Named:
    return Named(
        frame=wanted.frame,
        faces=tuple(
            NamedFace(
                track_id=face.track_id,
                name=answer.name,
                confidence=answer.confidence,
                distance=answer.distance,
                nearest=answer.nearest,
                photo=None if answer.photo is None else files[answer.photo],
                quality=quality,
                moved=look is not None and look.moved,
                same=None if look is None else look.is_same,
                drift=None if look is None else look.drift,
            )
            for face, quality, look, answer in zip(wanted.faces, qualities, looks, answers, strict=False)
        ),
    )


def _with_returns(named: Named, samples: Sequence[SampleEmbedding], returns: ReturnFinder, slowness: float) -> Named:
    """The same, and which earlier tracks they continue."""
    faces = []
    for face, sample in zip(named.faces, samples, strict=True):
        if sample.embedding is not None:
            earlier_id = returns.saw(
                face.track_id,
                sample.embedding,
                sample.quality,
                named.frame.time_s,
                moved=face.moved,
                slowness=slowness,
            )
            before = returns.before(face.track_id) if face.moved else None
            face = msgspec.structs.replace(face, returned=earlier_id, before=before)
        faces.append(face)
    return Named(frame=named.frame, faces=tuple(faces))
